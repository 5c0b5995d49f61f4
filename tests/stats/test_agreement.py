"""Intraclass correlations, against the worked example of Shrout & Fleiss."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.stats.agreement import agreement

# Shrout & Fleiss 1979, table 2: six targets, four judges.
RATINGS = np.array(
    [
        [9, 2, 5, 8],
        [6, 1, 3, 2],
        [8, 4, 6, 8],
        [7, 1, 2, 6],
        [10, 5, 6, 9],
        [6, 2, 4, 7],
    ],
    float,
)


def test_worked_example():
    assert float(agreement(RATINGS)) == pytest.approx(0.29, abs=0.005)


@pytest.mark.parametrize(
    "fault", [RATINGS * 0, np.where(RATINGS == 10, np.nan, RATINGS)]
)
def test_it_is_not_defined_without_differences_or_with_gaps(fault):
    assert np.isnan(agreement(fault))
