"""Measures of series, against other software and the values of real people."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from bids_dtg.connectome.parcels import fc_strength, upper_edges
from bids_dtg.dynamics.measures import (
    FCD_GRID,
    autocorrelation,
    connectivity,
    fc_fit,
    fcd,
    fcd_shares,
    ks_distance,
    zero_crossings,
)


def waves(*shape: int, seed: int = 0) -> np.ndarray:
    """Return series with some memory, shared in part by all regions."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(shape) + rng.standard_normal(
        (*shape[:-2], 1, shape[-1])
    )
    return white + np.roll(white, 1, axis=-1)


@pytest.fixture(scope="module")
def real(real_networks):
    """Return the series of both sessions of the training people."""
    return [real_networks(session).series for session in (1, 2)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_connectivity_is_pearsons_r_of_each_two_regions(dtype):
    series = waves(2, 3, 4, 50).astype(dtype)
    r = connectivity(series)
    assert r.dtype == dtype
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(r[index], np.corrcoef(series[index]), atol=1e-6)


def test_windows_of_fcd_are_those_of_a_plain_loop():
    series = waves(5, 200)
    starts = range(0, 200 - 82, 7)
    flow = np.array(
        [
            np.corrcoef(series[:, start : start + 82])[np.triu_indices(5, 1)]
            for start in starts
        ]
    )
    np.testing.assert_allclose(fcd(series, stride=7), np.corrcoef(flow), atol=1e-10)
    assert fcd(waves(4, 1200), stride=1).shape == (1118, 1118)


def test_too_short_a_session_has_no_fcd():
    with pytest.raises(ValueError, match="windows of 82 frames, 8 apart: 90 frames"):
        fcd(waves(3, 90))
    assert np.isnan(fcd_shares(waves(2, 3, 90))).all()
    assert np.isfinite(fcd_shares(waves(2, 3, 91))).all()


def test_distance_of_distributions_is_that_of_the_values():
    series = waves(3, 6, 300)
    shares = fcd_shares(series)
    values = [upper_edges(fcd(session)) for session in series]
    np.testing.assert_allclose(
        shares[1], [(values[1] <= edge + 1e-9).mean() for edge in FCD_GRID], atol=1e-3
    )
    distances = ks_distance(shares[:, None], shares)
    np.testing.assert_array_equal(distances.diagonal(), 0.0)
    for row, column in ((0, 1), (1, 2), (2, 0)):
        exact = ks_2samp(values[row], values[column]).statistic
        assert distances[row, column] == pytest.approx(exact, abs=0.005)


def test_zero_crossings_are_sign_changes():
    frames = np.arange(1000)
    series = np.stack([np.sin(2 * np.pi * (frames + 0.5) / 100), np.ones(1000)])
    np.testing.assert_array_equal(zero_crossings(series), [19, 0])
    series[0, 3] = np.nan
    np.testing.assert_array_equal(zero_crossings(series), [np.nan, 0])


def test_autocorrelation_is_that_of_the_process():
    rng = np.random.default_rng(0)
    series = rng.standard_normal((3, 20_000))
    for frame in range(1, series.shape[1]):
        series[:, frame] += np.array([0.0, 0.5, -0.8]) * series[:, frame - 1]
    np.testing.assert_allclose(autocorrelation(series), [0.0, 0.5, -0.8], atol=0.02)


def test_figures_of_the_real_people(real):
    """As measured on 100 people with other code: facts of Sip et al. 2023, section 11."""
    first, second = (connectivity(series) for series in real)
    assert fc_fit(first, second).mean() == pytest.approx(0.79, abs=0.01)
    two = upper_edges(fc_fit(first[:, None], first))
    assert two.mean() == pytest.approx(0.483, abs=0.01)
    assert fc_strength(first).mean() == pytest.approx(0.063, abs=0.01)
    assert autocorrelation(real[0]).mean() == pytest.approx(0.50, abs=0.01)
    crossings = zero_crossings(real[0])
    assert (crossings.mean(), crossings.std()) == (
        pytest.approx(395, abs=5),
        pytest.approx(105, abs=3),
    )
