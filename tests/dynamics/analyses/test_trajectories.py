"""Paths to fixed points, as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.dynamics.analyses.trajectories import Trajectories

PATHS = np.arange(101 * 3 * 2, dtype=float).reshape(101, 3, 2)
OWN = Trajectories(PATHS, np.zeros((1, 2)), np.zeros((1, 2), complex))


@pytest.mark.parametrize(("tr_seconds", "frames"), [(0.72, 22), (3.0, 6), (0.1, 101), (40, 6)])
def test_the_first_path_is_drawn_over_its_first_seconds(tr_seconds: float, frames: int) -> None:
    drawn = OWN.over_time("a region", "x{}", tr_seconds)
    assert list(drawn.series) == ["x1", "x2"]
    for number, (seconds, values) in enumerate(drawn.series.values()):
        np.testing.assert_allclose(seconds, tr_seconds * np.arange(frames))
        np.testing.assert_array_equal(values, PATHS[:frames, 0, number])
    assert f"first {(frames - 1) * tr_seconds:.0f} s" in drawn.caption


def test_paths_are_apart_in_the_plane() -> None:
    x, y = OWN.lines("States", "x{}").series["paths"]
    assert np.flatnonzero(np.isnan(x)).tolist() == [101, 203, 305]
    np.testing.assert_array_equal(y[102:203], PATHS[:, 1, 1])
    assert OWN.lines("States", "x{}").x_label == "x1 (no unit)"


def test_a_path_that_grows_without_bounds_is_not_the_one_that_is_drawn() -> None:
    paths = PATHS.copy()
    paths[4:, 0] = np.nan
    own = Trajectories(paths, OWN.points, OWN.eigenvalues)
    values = own.over_time("a region", "x{}", 0.72).series["x1"][1]
    np.testing.assert_array_equal(values, PATHS[:22, 1, 0])
    nowhere = Trajectories(np.where(paths > 9, np.nan, paths), OWN.points, OWN.eigenvalues)
    assert "all paths grow without bounds" in nowhere.over_time("it", "x{}", 0.72).caption
