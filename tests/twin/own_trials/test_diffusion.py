"""Drift diffusion by moments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.twin.own_trials.diffusion import ez, first_passage

drifts, boundaries = st.floats(0.5, 5.0), st.floats(0.6, 3.0)


def moments(drift, boundary, rest):
    """Return share correct, mean and variance of a diffusion of unit noise (the EZ paper)."""
    y = -drift * boundary
    correct = 1 / (1 + np.exp(y))
    mean = rest + boundary / (2 * drift) * (1 - np.exp(y)) / (1 + np.exp(y))
    variance = (
        boundary / (2 * drift**3) * (2 * y * np.exp(y) - np.exp(2 * y) + 1) / (np.exp(y) + 1) ** 2
    )
    return correct, mean, variance


@pytest.mark.slow
@given(drifts, boundaries, st.floats(0.1, 0.6))
def test_parameters_of_exact_moments_are_found_again(drift, boundary, rest):
    correct, mean, variance = moments(drift, boundary, rest)
    if variance < 1e-3:
        return
    found = ez(*(np.array(one) for one in (correct, mean, variance, 1e9)))
    assert found == pytest.approx([drift, np.log(boundary), rest], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("correct", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_edges_are_moved_by_half_a_trial(correct, count):
    found = ez(np.array(correct), np.array(0.8), np.array(0.04), np.array(float(count)))
    assert np.isfinite(found).all()
    if count == 100:
        edge = 0.995 if correct == 1.0 else 0.505
        other = ez(np.array(edge), np.array(0.8), np.array(0.04), np.array(1e9))
        assert found == pytest.approx(other)


@pytest.mark.slow
@given(drifts, boundaries)
def test_first_passages_have_the_moments_of_the_diffusion(drift, boundary):
    seconds = np.linspace(0.0, 40.0, 40001)
    passed = first_passage(seconds, drift, boundary)
    assert passed[0] == 0
    assert (np.diff(passed) >= 0).all()
    _, mean, variance = moments(drift, boundary, 0.0)
    step = seconds[1]
    found = ((1 - passed).sum() - 0.5) * step
    assert found == pytest.approx(mean, abs=2e-3)
    second = (2 * seconds * (1 - passed)).sum() * step
    assert second - found**2 == pytest.approx(variance, abs=5e-3)
