from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.sampling import GridMismatchError, LatticeSampling

AFFINE = np.array([[-2.0, 0, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]])
GRID = Grid((5, 6, 4), AFFINE)
EVERY = np.arange(5 * 6 * 4)


def stored_otherwise(order, flips, offset, shape):
    """A file on the grid's lattice: its affine, and the file index -> grid index map."""
    to_grid = np.zeros((4, 4))
    for file_axis, grid_axis in enumerate(order):
        to_grid[grid_axis, file_axis] = -1 if flips[file_axis] else 1
        corner = shape[file_axis] - 1 if flips[file_axis] else 0
        to_grid[grid_axis, 3] = offset[grid_axis] + corner
    to_grid[3, 3] = 1
    return AFFINE @ to_grid, to_grid


@given(
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.booleans()] * 3),
    offset=st.tuples(*[st.integers(-3, 3)] * 3),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    rounding=st.floats(-1e-4, 1e-4),
    seed=st.integers(0, 1000),
)
def test_each_voxel_is_found_in_any_crop_flip_and_order(
    order, flips, offset, shape, rounding, seed
):
    affine, to_grid = stored_otherwise(order, flips, offset, shape)
    # the world position of a voxel is its value
    indices = np.indices(shape).reshape(3, -1, order="F")
    on_grid = (to_grid[:3, :3] @ indices + to_grid[:3, 3:]).astype(int)
    inside = ((on_grid >= 0) & (on_grid < np.array([GRID.shape]).T)).all(axis=0)
    wanted = np.zeros(len(EVERY), np.float32)
    values = np.random.default_rng(seed).random((2, indices.shape[1])).astype(np.float32)
    covered = np.zeros(len(EVERY), bool)
    flat = np.ravel_multi_index(on_grid[:, inside], GRID.shape)
    wanted[flat], covered[flat] = values[1][inside], True
    affine = affine + rounding * np.eye(4, k=3)
    sampling = LatticeSampling.between(shape, affine, GRID, EVERY)
    np.testing.assert_array_equal(sampling.covered, covered)
    np.testing.assert_array_equal(sampling.apply(values, 1.0, 0.0)[1], wanted)


def test_voxels_come_in_the_order_asked_for():
    voxels = np.array([17, 3, 99])
    sampling = LatticeSampling.between(GRID.shape, AFFINE, GRID, voxels)
    values = np.arange(120.0, dtype=np.float32).reshape(GRID.shape)
    read = sampling.apply(values.reshape(1, -1, order="F"), 1.0, 0.0)
    np.testing.assert_array_equal(read[0], voxels)


def test_values_are_scaled_but_not_outside_the_view():
    sampling = LatticeSampling(np.array([1, 0]), np.array([True, False]))
    out = sampling.apply(np.array([[7, 9]], np.int16), 0.5, 100.0)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, [[104.5, 0.0]])


def test_the_given_memory_is_filled():
    sampling = LatticeSampling(np.array([1]), np.array([True]))
    out = np.zeros((1, 1), np.float32)
    assert sampling.apply(np.array([[7, 9]], ">i2"), 1.0, 0.0, out) is out
    assert out == 9
    with pytest.raises(ValueError, match=r"\(1, 1\), not \(2, 1\)"):
        sampling.apply(np.array([[7, 9]]), 1.0, 0.0, np.zeros((2, 1), np.float32))


@pytest.mark.parametrize(
    "affine",
    [
        np.diag([3.0, 3, 3, 1]),
        AFFINE + np.eye(4, k=3),  # half a voxel off
        AFFINE @ np.diag([1, 1, 1.01, 1]),
        AFFINE @ np.array([[1, 0.01, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        np.array([[-2.0, 2, 0, 6], [0, 2, 0, -8], [0, 0, 2, -4], [0, 0, 0, 1]]),
    ],
)
def test_another_lattice_is_refused(affine):
    with pytest.raises(GridMismatchError, match="MNI152NLin6Asym, voxels of 2 x 2 x 2 mm"):
        LatticeSampling.between(GRID.shape, affine, GRID, EVERY)


def test_the_refusal_gives_sizes_and_origin():
    with pytest.raises(GridMismatchError, match=r"x\.nii has voxels of 4 x 4 x 4 mm.*\(0, 0, 0\)"):
        LatticeSampling.between((3, 3, 3), np.diag([4.0, 4, 4, 1]), GRID, EVERY, name="x.nii")
