"""Effective degrees of freedom, against simulation and against the formula of AR(1)."""

from __future__ import annotations

import numpy as np
import pytest
from plain_route import clean
from scipy.signal import lfilter

from bids_dtg.cleaning.design import stop_band
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.effective_dof import effective_dof

FRAMES, TR = 300, 2.0


def built(*, columns=0, band=False, censored=0.0, seed=0):
    rng = np.random.default_rng(seed)
    confounds = rng.standard_normal((FRAMES, columns)).cumsum(axis=0)
    stop = stop_band(FRAMES, TR, high_pass_hz=0.01, low_pass_hz=0.1)
    keep = rng.random(FRAMES) >= censored
    names = [f"c{number}" for number in range(columns)]
    return TemporalDesign.build(confounds, names, keep, TR, stop_band=stop if band else None)


def noise(design, coefficient, series, seed=1):
    """AR(1) noise, cleaned: (frames kept, series)."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((FRAMES + 200, series))
    course = lfilter([1.0], [1.0, -coefficient], white, axis=0)[200:][design.keep]
    return course - design.basis @ (design.basis.T @ course)


DESIGNS = {
    "mean only": {},
    "confounds": {"columns": 24},
    "censored": {"columns": 12, "censored": 0.2},
    "band": {"band": True},
    "band, confounds": {"band": True, "columns": 24},
}


@pytest.mark.parametrize("options", DESIGNS.values(), ids=DESIGNS)
@pytest.mark.parametrize("coefficient", [0.0, 0.5])
def test_correlations_of_independent_series_vary_as_it_says(options, coefficient):
    design = built(**options)
    series = noise(design, coefficient, 400)
    r = np.corrcoef(series.T)[np.triu_indices(400, 1)]
    assert effective_dof(series, design) == pytest.approx(1 / r.var(), rel=0.2)


def test_it_is_not_more_than_the_residual_and_unknown_where_that_is():
    design = built()
    alternating = noise(design, -0.6, 50)
    assert effective_dof(alternating, design) <= design.residual_dof()
    assert np.isnan(effective_dof(np.zeros((FRAMES, 3)), design))


def test_ica_aroma_counts_as_columns_do():
    rng = np.random.default_rng(3)
    mixing = rng.standard_normal((FRAMES, 30))
    bad = np.arange(30) < 12
    design = TemporalDesign.build(None, [], np.ones(FRAMES, bool), TR, mixing=mixing, noise=bad)
    white = rng.standard_normal((FRAMES, 100))
    left = clean(white - design.noise @ (design.noise_weights @ white), None)
    assert 0.9 * design.residual_dof() <= effective_dof(left, design) <= design.residual_dof()
