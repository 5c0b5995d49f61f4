"""Covariances at lags: of a stationary process whatever is left out, and additive over people."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances


def joint(values: np.ndarray) -> np.ndarray:
    """Return the covariance of consecutive frames."""
    lags = range(len(values))
    return np.block([[values[c - r] if c >= r else values[r - c].T for c in lags] for r in lags])


@pytest.mark.parametrize("seed", range(5))
def test_they_are_those_of_a_process_whatever_frames_are_left_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    regions, frames = int(rng.integers(1, 30)), int(rng.integers(8, 60))
    kept = rng.random(frames) < 0.7
    kept[:4] = True
    found = LagCovariances.of(rng.standard_normal((regions, frames)).cumsum(1), kept)
    assert found.frames == kept.sum()
    np.testing.assert_allclose(found.values[0].diagonal(), 1.0)
    assert np.linalg.eigvalsh(joint(found.values)).min() > -1e-12


def test_what_stands_in_left_out_frames_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    series, kept = rng.standard_normal((3, 50)), np.arange(50) % 7 != 0
    other = np.where(kept, series, np.nan)
    np.testing.assert_array_equal(
        LagCovariances.of(series, kept).values, LagCovariances.of(other, kept).values
    )


def test_a_person_can_be_left_out_of_sums() -> None:
    rng = np.random.default_rng(1)
    people = [LagCovariances.of(rng.standard_normal((6, 40 + 9 * n))) for n in range(7)]
    whole = GroupSums.over(people)
    without = whole.without(people[0])
    np.testing.assert_allclose(without.mean, GroupSums.over(people[1:]).mean, atol=1e-12)
    assert without.dof == whole.dof - 40


@pytest.mark.parametrize(
    ("series", "kept", "message"),
    [
        (np.ones((2, 9)), None, "constant"),
        (np.full((2, 9), np.nan), None, "not finite"),
        (np.arange(18.0).reshape(2, 9), np.arange(9) < 2, "more than 2 kept frames, found 2"),
    ],
)
def test_series_without_covariances_are_refused(series, kept, message) -> None:
    with pytest.raises(ValueError, match=message):
        LagCovariances.of(series, kept)
