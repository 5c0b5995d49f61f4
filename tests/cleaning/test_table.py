from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fmriprep_dataset import EXPANSIONS, MOTION
from hypothesis import given
from hypothesis import strategies as st
from nuisance_tables import nuisance_columns

from bids_dtg.cleaning.table import add_expansions, modern_name, rename_columns

OLD = {
    "WhiteMatter": "white_matter",
    "CSF": "csf",
    "GlobalSignal": "global_signal",
    "stdDVARS": "std_dvars",
    "non-stdDVARS": "dvars",
    "FramewiseDisplacement": "framewise_displacement",
    "X": "trans_x",
    "RotZ": "rot_z",
    "aCompCor00": "a_comp_cor_00",
    "tCompCor05": "t_comp_cor_05",
    "Cosine00": "cosine00",
    "cosine_06": "cosine06",
    "NonSteadyStateOutlier01": "non_steady_state_outlier01",
    "AROMAAggrComp03": "aroma_motion_03",
    "a_comp_cor_117": "a_comp_cor_117",
    "vx-wisestdDVARS": "vx-wisestdDVARS",
    "tcompcor": "tcompcor",  # a mean signal since 21.0, not a component
    "csf_wm": "csf_wm",
    "rmsd": "rmsd",
}


@pytest.mark.parametrize(("old", "new"), OLD.items())
def test_old_names_become_new_ones_and_new_ones_stay(old, new):
    assert modern_name(old) == new
    assert modern_name(new) == new


@given(st.sampled_from([*nuisance_columns(20, 2.0)]))
def test_names_of_today_stay(name):
    assert modern_name(name) == name


def test_a_name_that_is_there_is_not_made_twice():
    table = pd.DataFrame({"X": ["1"], "trans_x": ["2"], "Y": ["3"]})
    assert list(rename_columns(table).columns) == ["X", "trans_x", "trans_y"]


def test_missing_expansions_are_computed_and_others_left_alone():
    table = pd.DataFrame({"rot_x": ["0.5", "n/a", "2", "-1"], "rot_x_power2": list("abcd")})
    full, computed = add_expansions(table)
    assert computed == ("rot_x_derivative1", "rot_x_derivative1_power2")
    assert list(full["rot_x_derivative1"]) == ["n/a", "n/a", "n/a", "-3.0"]
    assert list(full["rot_x_derivative1_power2"])[-1] == "9.0"
    assert list(full["rot_x_power2"]) == list("abcd")
    assert add_expansions(full)[1] == ()


@pytest.mark.parametrize(
    "name",
    [
        "junifer_sub-0001_task-anticipation_acq-seq_desc-confounds_regressors.tsv",
        "test_desc-confounds_regressors.tsv",
        "no_nonsteady_desc-confounds_regressors.tsv",
        "test-v21_desc-confounds_timeseries.tsv",
    ],
)
def test_computed_expansions_are_fmriprep_s(shared, name):
    path = shared / "data" / "real" / "confounds" / name
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    bare = [*MOTION, "csf", "white_matter", "global_signal"]
    full, computed = add_expansions(table[bare])
    assert set(computed) == {base + end for base in bare for end in EXPANSIONS[1:]}
    for column in computed:
        ours = pd.to_numeric(full[column], errors="coerce").to_numpy()
        theirs = pd.to_numeric(table[column], errors="coerce").to_numpy()
        scale = np.nanmax(np.abs(theirs))
        # The first rows of one table were edited by those who cut it.
        np.testing.assert_allclose(ours[2:], theirs[2:], atol=1e-6 * scale)
