"""Smoothing within a mask, against SciPy's Gaussian on the whole volume."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.smoothing import MaskedSmoothing

AFFINE = np.diag([2.0, 3.0, 2.5, 1.0])
SHAPE = (13, 35, 20)
FWHM_PER_SD = np.sqrt(8 * np.log(2))


def plain(volume: np.ndarray, mask: np.ndarray, fwhm: float) -> np.ndarray:
    """Smooth what is in the mask, over what a mask of ones smooths to."""
    sd = fwhm / FWHM_PER_SD / np.array([2.0, 3.0, 2.5])
    smoothed = gaussian_filter(np.where(mask, volume, 0.0), sd, mode="constant")
    weight = gaussian_filter(mask.astype(float), sd, mode="constant")
    return np.where(mask, smoothed, 0.0) / np.where(mask, weight, 1.0)


def voxels(order: np.ndarray) -> VoxelPlaces:
    return VoxelPlaces(Grid(SHAPE, AFFINE), order)


def example(seed: int, share: float = 0.6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A volume, its mask, and the positions of a frame's voxels in an order of their own."""
    rng = np.random.default_rng(seed)
    mask = rng.random(SHAPE) < share
    order = rng.permutation(rng.choice(mask.size, mask.size - 50, replace=False))
    mask.reshape(-1)[np.setdiff1d(np.arange(mask.size), order)] = False
    return rng.normal(1000, 30, SHAPE), mask, order


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.5, 3.0, 6.0, 25.0]),
    st.sampled_from([0.02, 0.6]),
)
def test_a_frame_is_smoothed_as_by_scipy_within_the_mask(seed, fwhm, share):
    volume, mask, order = example(seed, share)
    smoothing = MaskedSmoothing(voxels(order), mask.reshape(-1)[order], fwhm)
    frame = volume.reshape(-1)[order].astype(np.float32)
    before = frame.copy()
    smoothing.apply(frame)
    inside = mask.reshape(-1)[order]
    expected = plain(volume, mask, fwhm).reshape(-1)[order][inside]
    np.testing.assert_allclose(frame[inside], expected, rtol=2e-6)
    np.testing.assert_array_equal(frame[~inside], before[~inside])
