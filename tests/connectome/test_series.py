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


def test_integers_are_taken():
    bold, maps, _ = example(0)
    stored = np.rint(100 * bold).astype(np.int16)
    np.testing.assert_allclose(
        voxel_to_roi(stored, maps), plain_connectome(stored, maps), atol=1e-6
    )


RNG = np.random.default_rng(0)
BOLD, MAPS = RNG.normal(size=(40, 30)), RNG.normal(size=(3, 30))
NO_NUMBERS, NO_TRUTH = "bold h", "True or False for each frame"


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"bold": BOLD + 1j}, TypeError, NO_NUMBERS),
        ({"bold": BOLD.astype(str)}, TypeError, NO_NUMBERS),
        ({"bold": None}, TypeError, NO_NUMBERS),
        ({"bold": np.ma.masked_less(BOLD, 0)}, TypeError, NO_NUMBERS),
        ({"bold": BOLD[0]}, ValueError, r"not \(30,\) and \(3, 30\)"),
        ({"bold": BOLD[:, 1:]}, ValueError, r"not \(40, 29\) and \(3, 30\)"),
        ({"bold": BOLD * 1e200}, ValueError, "beyond the range of float32"),
        ({"maps": MAPS * np.nan}, ValueError, "the maps hold values that are not finite"),
        ({"confounds": np.arange(40.0)}, ValueError, r"confounds are \(40,\)"),
        ({"confounds": np.ones((3, 40))}, ValueError, r"confounds are \(3, 40\)"),
        ({"confounds": np.full((40, 1), np.inf)}, ValueError, "column 0 .* no finite number"),
        # Indices of all frames would leave the first one out, and the word False keep all.
        ({"keep": np.arange(40)}, TypeError, NO_TRUTH),
        ({"keep": np.full(40, "False")}, TypeError, NO_TRUTH),
        ({"keep": np.ones(39, bool)}, ValueError, r"Expected: \(40,\)"),
        ({"keep": np.ones((40, 1), bool)}, ValueError, r"Expected: \(40,\)"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(change, kind, words):
    with pytest.raises(kind, match=words):
        voxel_to_roi(**{"bold": BOLD, "maps": MAPS} | change)


def test_the_layout_of_an_array_leaves_its_values_alone():
    wanted = voxel_to_roi(BOLD, MAPS)
    fixed = BOLD.copy()
    fixed.flags.writeable = False
    for bold in (np.asfortranarray(BOLD), fixed, BOLD.astype(">f8"), BOLD.tolist()):
        np.testing.assert_array_equal(voxel_to_roi(bold, MAPS), wanted)
