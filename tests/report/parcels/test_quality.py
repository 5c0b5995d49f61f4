"""Figures of a run's parcels."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.report.parcel_words import COLUMNS, parcel_figures


def test_figures_leave_out_parcels_without_a_series():
    series = np.random.default_rng(0).standard_normal((5, 100))
    whole = np.corrcoef(series[:4])
    series[4] = np.nan
    found = parcel_figures(np.array([1, 1, 0.9, 0.8, 0.1]), np.corrcoef(series), np.ones(100))
    assert (found["parcels"], found["parcels_kept"]) == (5, 4)
    assert found["coverage"] == pytest.approx(0.76)
    assert found["parcel_coverage_min"] == 0.1
    assert found["fc_mean"] == pytest.approx(whole[np.triu_indices(4, 1)].mean(), abs=1e-4)
    assert found["std_dvars_mean"] == 1
    assert [*found] == [column.name for column in COLUMNS]
