"""Samplings of a file: on its lattice exactly, between its voxels as scipy interpolates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.sampling import LatticeSampling, LinearSampling
from bids_dtg.imaging.splines import CubicSampling

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


@pytest.mark.slow
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
    values = (
        np.random.default_rng(seed).random((2, indices.shape[1])).astype(np.float32)
    )
    covered = np.zeros(len(EVERY), bool)
    flat = np.ravel_multi_index(on_grid[:, inside], GRID.shape)
    wanted[flat], covered[flat] = values[1][inside], True
    affine = affine + rounding * np.eye(4, k=3)
    sampling = LatticeSampling.between(shape, affine, GRID, EVERY)
    np.testing.assert_array_equal(sampling.covered, covered)
    np.testing.assert_array_equal(sampling.apply(values, 1.0, 0.0)[1], wanted)


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
    with pytest.raises(RunError, match="MNI152NLin6Asym, voxels of 2 x 2 x 2 mm"):
        LatticeSampling.between(GRID.shape, affine, GRID, EVERY)


# --- interpolation


SHAPE = (7, 9, 5)
# Anisotropic and left-handed, too.
OBLIQUE = np.array(
    [[-3.0, 0.4, 0.1, 9], [0.3, 2.5, -0.5, -11], [0.2, 0.4, 4, -8], [0, 0, 0, 1]]
)


def at(positions: np.ndarray) -> np.ndarray:
    """Voxel positions (n, 3) to mm."""
    return np.asarray(positions, float) @ OBLIQUE[:3, :3].T + OBLIQUE[:3, 3]


def frames(values: np.ndarray) -> np.ndarray:
    """(n, i, j, k) -> (n, file voxels), first axis fastest."""
    return np.stack([volume.ravel(order="F") for volume in values])


def sampled(positions, values, sample=LinearSampling, slope=1.0, inter=0.0):
    return sample(SHAPE, OBLIQUE, at(positions)).apply(frames(values), slope, inter)


@pytest.mark.slow
@given(st.integers(0, 10**6))
def test_any_image_is_interpolated_as_by_scipy(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(-900, 900, (3, *SHAPE)).astype(np.int16)
    positions = rng.uniform(-0.499, np.array(SHAPE) - 0.501, (60, 3))
    interpolated = sampled(positions, values)
    # Up to half a voxel beyond the outermost centres the image continues as it is there.
    wanted = [
        map_coordinates(v.astype(float), positions.T, order=1, mode="nearest")
        for v in values
    ]
    # a share of a voxel below 1e-5 is left out
    np.testing.assert_allclose(interpolated, wanted, rtol=0, atol=3e-2)
    nearest = sampled(positions, values, LatticeSampling.nearest)
    rounded = tuple(
        np.clip(np.floor(positions + 0.5).astype(int), 0, np.array(SHAPE) - 1).T
    )
    np.testing.assert_array_equal(nearest, values[(slice(None), *rounded)])


@pytest.mark.parametrize(
    "sample", [LinearSampling, LatticeSampling.nearest, CubicSampling]
)
def test_outside_the_field_of_view_nothing_is_covered(sample):
    positions = [
        [-0.49, 0, 0],
        [-0.51, 0, 0],
        [0, 8.49, 4],
        [0, 8.51, 4],
        [3, 3, 4.49],
        [3, 3, 9],
    ]
    sampling = sample(SHAPE, OBLIQUE, at(positions))
    np.testing.assert_array_equal(sampling.covered, [True, False] * 3)
    out = sampling.apply(np.ones((2, int(np.prod(SHAPE))), np.int16), 2.0, 5.0)
    # Shares of a cubic spline add up to 1 but for rounding, which differs between processors.
    np.testing.assert_allclose(out, [[7, 0] * 3] * 2, rtol=1e-6)


def test_on_voxels_values_are_exact():
    values = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32)
    interpolated = sampled(np.indices(SHAPE).reshape(3, -1).T, values)
    np.testing.assert_array_equal(interpolated, values.reshape(2, -1))


@pytest.mark.parametrize("sample", [LinearSampling, CubicSampling])
def test_a_voxel_that_is_not_finite_spoils_what_it_has_a_share_in(sample):
    values = np.ones((1, *SHAPE), np.float32)
    values[0, 3, 4, 2] = np.nan
    positions = [[3, 4, 2], [3.5, 4, 2], [2, 4, 2], [3, 4.001, 2], [4, 4, 2], [3, 3, 3]]
    interpolated = sampled(positions, values, sample)[0]
    np.testing.assert_array_equal(
        np.isnan(interpolated), [True, True, False, True, False, False]
    )


def test_one_slice_and_one_point():
    flat = LinearSampling((4, 4, 1), np.eye(4), np.array([[1.5, 2.5, 0.2]]))
    interpolated = flat.apply(np.arange(16, dtype=np.uint8)[None], 1.0, 0.0)
    assert interpolated == pytest.approx(2.5 * 4 + 1.5)
