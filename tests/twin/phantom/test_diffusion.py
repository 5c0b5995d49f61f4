"""Drift-diffusion: exact means and distributions, beside a simulation in small steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.twin.phantom.diffusion import (
    decision_quantiles,
    mean_decision_seconds,
    share_correct,
    share_decided,
)

drifts = st.floats(-6.0, 6.0)
boundaries = st.floats(0.4, 4.0)


def stepped(
    drift: float, boundary: float, paths: int = 3000
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate paths in steps of 1 ms; decision seconds and whether the choice was correct.

    A path in steps overshoots a boundary by 0.5826 √step on average (Chernoff, 1965), so
    that the boundaries are moved inwards by as much.
    """
    rng, step = np.random.default_rng(7), 1e-3
    half = boundary / 2 - 0.5826 * np.sqrt(step)
    seconds, correct = np.zeros(paths), np.zeros(paths, bool)
    going = np.arange(paths)
    x = np.zeros(paths)
    t = 0.0
    while len(going):
        t += step
        x = x + drift * step + np.sqrt(step) * rng.standard_normal(len(x))
        out = np.abs(x) >= half
        seconds[going[out]], correct[going[out]] = t - step / 2, x[out] > 0
        going, x = going[~out], x[~out]
    return seconds, correct


def decided(seconds: np.ndarray, drift: float, boundary: float) -> np.ndarray:
    return share_decided(seconds / boundary**2, np.array(abs(drift) * boundary))


@pytest.mark.parametrize(("drift", "boundary"), [(2.5, 1.6), (0.6, 1.2), (0.0, 1.0)])
def test_figures_are_those_of_a_simulation_in_steps(drift, boundary):
    seconds, correct = stepped(drift, boundary)
    error = seconds.std() / np.sqrt(len(seconds))
    assert abs(seconds.mean() - mean_decision_seconds(drift, boundary)) < 4 * error
    assert correct.mean() == pytest.approx(share_correct(drift, boundary), abs=0.02)
    times = np.quantile(seconds, [0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(
        decided(times, drift, boundary), [0.05, 0.25, 0.5, 0.75, 0.95], atol=0.03
    )


@settings(max_examples=25)
@given(
    drift=drifts,
    boundary=boundaries,
    shares=st.lists(st.floats(0.001, 0.999), min_size=1),
)
def test_quantiles_invert_the_distribution(drift, boundary, shares):
    rows = np.array([shares]), np.array([drift]), np.array([boundary])
    (times,) = decision_quantiles(*rows)
    np.testing.assert_allclose(decided(times, drift, boundary), shares, atol=1e-5)
