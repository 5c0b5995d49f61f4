"""Arrays that people give are taken as they are, or refused in words."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.connectome.series import (
    confound_columns,
    kept_frames,
    real_numbers,
    roi_series,
    voxel_to_roi,
)

RNG = np.random.default_rng(0)
BOLD, MAPS = RNG.normal(size=(40, 30)), RNG.normal(size=(3, 30))


@pytest.mark.parametrize(
    "values", [BOLD + 1j, BOLD.astype(str), BOLD.astype(object), None, np.ma.masked_less(BOLD, 0)]
)
def test_what_is_no_real_number_is_refused(values):
    with pytest.raises(TypeError, match="bold h"):
        real_numbers(values, "bold")
    with pytest.raises(TypeError, match="bold h"):
        voxel_to_roi(values, MAPS)


@pytest.mark.parametrize(
    ("confounds", "words"),
    [
        (np.arange(40.0), r"confounds are \(40,\)"),
        (np.ones((3, 40)), r"confounds are \(3, 40\)"),
        (np.full((40, 2), np.nan), "column 0 of the confounds has no finite number"),
        (np.full((40, 1), np.inf), "no finite number"),
    ],
)
def test_confounds_are_a_table_of_numbers(confounds, words):
    with pytest.raises(ValueError, match=words):
        confound_columns(confounds, 40)


@pytest.mark.parametrize(
    "keep", [np.arange(40), np.full(40, 0.5), np.full(40, "False"), np.ones(40, int)]
)
def test_indices_and_words_are_no_truth_values(keep):
    """Indices of all frames would leave the first one out, and the word False keep all."""
    with pytest.raises(TypeError, match="True or False for each frame"):
        kept_frames(keep, 40)


@pytest.mark.parametrize("keep", [np.ones(39, bool), np.ones((40, 1), bool)])
def test_each_frame_is_kept_or_not(keep):
    with pytest.raises(ValueError, match=r"Expected: \(40,\)"):
        voxel_to_roi(BOLD, MAPS, keep=keep)


def test_values_that_single_precision_does_not_hold_are_refused():
    with pytest.raises(ValueError, match="beyond the range of float32"):
        voxel_to_roi(BOLD * 1e200, MAPS)
    with pytest.raises(ValueError, match="the maps hold values that are not finite"):
        roi_series(BOLD, MAPS * np.nan)


def test_the_layout_of_an_array_leaves_its_values_alone():
    wanted = voxel_to_roi(BOLD, MAPS)
    fixed = BOLD.copy()
    fixed.flags.writeable = False
    for bold in (np.asfortranarray(BOLD), fixed, BOLD.astype(">f8"), BOLD.tolist()):
        np.testing.assert_array_equal(voxel_to_roi(bold, MAPS), wanted)
