from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from bids_dtg.imaging.sampling import LinearSampling, nearest_sampling

SHAPE = (7, 9, 5)
# Oblique, anisotropic and left-handed.
AFFINE = np.array([[-3.0, 0.4, 0.1, 9], [0.3, 2.5, -0.5, -11], [0.2, 0.4, 4, -8], [0, 0, 0, 1]])


def at(positions: np.ndarray) -> np.ndarray:
    """Voxel positions (n, 3) to mm."""
    return np.asarray(positions, float) @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def frames(values: np.ndarray) -> np.ndarray:
    """(n, i, j, k) -> (n, file voxels), first axis fastest."""
    return np.stack([volume.ravel(order="F") for volume in values])


def sampled(positions, values, sample=LinearSampling, slope=1.0, inter=0.0):
    return sample(SHAPE, AFFINE, at(positions)).apply(frames(values), slope, inter)


@given(st.integers(0, 10**6))
def test_what_is_linear_in_space_is_exact(seed):
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=3)
    positions = rng.uniform(0, np.array(SHAPE) - 1, (40, 3))
    values = np.tensordot(slopes, np.indices(SHAPE), 1)
    found = sampled(positions, values[None].astype(np.float32))
    np.testing.assert_allclose(found[0], positions @ slopes, atol=1e-4)


@given(st.integers(0, 10**6))
def test_any_image_is_interpolated_as_by_scipy(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(-900, 900, (3, *SHAPE)).astype(np.int16)
    positions = rng.uniform(-0.499, np.array(SHAPE) - 0.501, (60, 3))
    found = sampled(positions, values)
    # Up to half a voxel beyond the outermost centres the image continues as it is there.
    wanted = [
        map_coordinates(v.astype(float), positions.T, order=1, mode="nearest") for v in values
    ]
    # a share of a voxel below 1e-5 is left out
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-2)
    nearest = sampled(positions, values, nearest_sampling)
    rounded = tuple(np.clip(np.floor(positions + 0.5).astype(int), 0, np.array(SHAPE) - 1).T)
    np.testing.assert_array_equal(nearest, values[(slice(None), *rounded)])


@pytest.mark.parametrize("sample", [LinearSampling, nearest_sampling])
def test_outside_the_field_of_view_nothing_is_covered(sample):
    positions = [[-0.49, 0, 0], [-0.51, 0, 0], [0, 8.49, 4], [0, 8.51, 4], [3, 3, 4.49], [3, 3, 9]]
    sampling = sample(SHAPE, AFFINE, at(positions))
    np.testing.assert_array_equal(sampling.covered, [True, False] * 3)
    out = sampling.apply(np.ones((2, int(np.prod(SHAPE))), np.int16), 2.0, 5.0)
    np.testing.assert_array_equal(out, [[7, 0] * 3] * 2)


@pytest.mark.parametrize("sample", [LinearSampling, nearest_sampling])
def test_on_voxels_values_are_exact(sample):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    indices = np.indices(SHAPE).reshape(3, -1).T
    found = sampled(indices, values, sample)
    np.testing.assert_array_equal(found, values.reshape(2, -1))


def test_a_voxel_that_is_not_finite_spoils_what_it_has_a_share_in():
    values = np.ones((1, *SHAPE), np.float32)
    values[0, 3, 4, 2] = np.nan
    positions = [[3, 4, 2], [3.5, 4, 2], [2, 4, 2], [3, 4.001, 2], [4, 4, 2], [3, 3, 3]]
    found = sampled(positions, values)[0]
    np.testing.assert_array_equal(np.isnan(found), [True, True, False, True, False, False])


def test_one_slice_and_one_point():
    flat = LinearSampling((4, 4, 1), np.eye(4), np.array([[1.5, 2.5, 0.2]]))
    found = flat.apply(np.arange(16, dtype=np.uint8)[None], 1.0, 0.0)
    assert found == pytest.approx(2.5 * 4 + 1.5)


@pytest.mark.parametrize("dtype", [">i2", "<f8", "u1", ">f4"])
def test_stored_types_of_either_byte_order(dtype):
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE)[None] % 250
    positions = [[1.25, 2, 3], [5.5, 7.5, 3.5]]
    found = sampled(positions, values.astype(dtype), slope=0.5, inter=-3.0)
    wanted = [map_coordinates(values[0].astype(float), np.transpose(positions), order=1)]
    np.testing.assert_allclose(found, 0.5 * np.array(wanted) - 3, rtol=1e-6)


def test_the_given_memory_is_filled():
    sampling = LinearSampling(SHAPE, AFFINE, at([[1, 1, 1]]))
    out = np.empty((2, 1), np.float32)
    assert sampling.apply(np.ones((2, int(np.prod(SHAPE)))), 3.0, 1.0, out) is out
    np.testing.assert_array_equal(out, [[4], [4]])
    with pytest.raises(ValueError, match=r"\(2, 1\), not \(1, 1\)"):
        sampling.apply(np.ones((2, int(np.prod(SHAPE)))), 1.0, 0.0, out[:1])
