from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_route import plain_connectome, plain_series

from bids_dtg.connectome import roi_series, voxel_to_roi

SHARED = Path(os.environ.get("DTG_SHARED", Path(__file__).parents[2] / "../shared"))
CASES = SHARED / "reference/deeptaskgen/cases.npz"


@pytest.fixture
def published():
    if not CASES.is_file():
        pytest.skip(f"{CASES} is absent (set DTG_SHARED to the folder that holds reference/)")
    return np.load(CASES)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 2e-5)])
def test_parity_with_the_published_code(published, dtype, tolerance):
    bold, maps = published["conn_bold"].astype(dtype), published["conn_maps"]
    np.testing.assert_allclose(
        roi_series(bold, maps), published["conn_timeseries"], rtol=0, atol=tolerance
    )
    np.testing.assert_allclose(
        voxel_to_roi(bold, maps).T, published["conn_r"], rtol=0, atol=tolerance
    )


def example(seed: int):
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((4, 60))
    bold = rng.standard_normal((50, 4)) @ maps + rng.standard_normal((50, 60))
    return bold, maps, rng


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(-1e4, 1e4))
def test_scale_and_shift_of_the_bold_leave_r_alone(seed, scale, shift):
    bold, maps, _ = example(seed)
    np.testing.assert_allclose(
        voxel_to_roi(bold * scale + shift, maps), voxel_to_roi(bold, maps), atol=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_frames_censored_are_frames_removed(seed):
    bold, maps, rng = example(seed)
    keep, confounds = rng.random(50) < 0.8, rng.standard_normal((50, 3))
    censored = voxel_to_roi(bold, maps, confounds, keep)
    np.testing.assert_allclose(censored, voxel_to_roi(bold[keep], maps, confounds[keep]), atol=1e-6)
    np.testing.assert_allclose(
        censored, plain_connectome(bold[keep], maps, confounds[keep]), atol=1e-6
    )


def test_a_voxel_with_nan_is_left_out():
    bold, maps, _ = example(0)
    bold[20, 7] = np.nan
    rest = np.delete(np.arange(60), 7)
    np.testing.assert_allclose(
        roi_series(bold, maps), plain_series(bold[:, rest], maps[:, rest]), atol=1e-8
    )
    assert not voxel_to_roi(bold, maps)[:, 7].any()


def test_the_input_is_left_alone():
    bold, maps, _ = example(0)
    bold = bold.astype(np.float32)
    before = bold.copy()
    voxel_to_roi(bold, maps)
    np.testing.assert_array_equal(bold, before)


def test_constant_bold_gives_zeros():
    _, maps, _ = example(0)
    assert not voxel_to_roi(np.full((50, 60), 3.0), maps).any()


def test_integers_are_taken():
    bold, maps, _ = example(0)
    stored = np.rint(100 * bold).astype(np.int16)
    np.testing.assert_allclose(
        voxel_to_roi(stored, maps), plain_connectome(stored, maps), atol=1e-6
    )


@pytest.mark.parametrize("shape", [(50,), (50, 61), (2, 50, 60)])
def test_shapes_that_do_not_fit_are_named(shape):
    with pytest.raises(ValueError, match=r"not \(.*\) and \(4, 60\)"):
        voxel_to_roi(np.zeros(shape), np.zeros((4, 60)))
