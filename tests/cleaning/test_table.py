from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fmriprep_dataset import EXPANSIONS, MOTION

from bids_dtg.cleaning.table import read_column


def test_missing_expansions_are_computed_and_others_left_alone():
    cells = {"rot_x": ("0.5", "n/a", "2", "-1"), "rot_x_power2": ("1", "2", "3", "4")}
    found = {end: read_column(cells, f"rot_x{end}", "") for end in EXPANSIONS}
    np.testing.assert_array_equal(found["_derivative1"], [np.nan, np.nan, np.nan, -3])
    assert found["_derivative1_power2"][-1] == 9
    assert found["_power2"].tolist() == [1, 2, 3, 4]
    assert read_column(cells, "rot_y_power2", "") is None


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
    cells = {name: tuple(table[name]) for name in bare}
    for column in (base + end for base in bare for end in EXPANSIONS[1:]):
        ours = read_column(cells, column, "")
        theirs = pd.to_numeric(table[column], errors="coerce").to_numpy()
        scale = np.nanmax(np.abs(theirs))
        # The first rows of one table were edited by those who cut it.
        np.testing.assert_allclose(ours[2:], theirs[2:], atol=1e-6 * scale)
