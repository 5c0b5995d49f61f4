"""Sidecars: which ones apply to a file, and what they may contain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bids_dtg.errors import RunError
from bids_dtg.files.sidecars import (
    RESIDUAL_DOF,
    read_inherited,
    sidecars_of,
    stated_residual_dof,
    stated_start_time,
)


def write(path: Path, **content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_the_first_sidecar_that_states_degrees_of_freedom_counts(tmp_path):
    silent = write(tmp_path / "a.json", RepetitionTime=2.0)
    unknown = write(tmp_path / "b.json", **{RESIDUAL_DOF: "n/a"})
    stated = write(tmp_path / "c.json", **{RESIDUAL_DOF: 71})
    later = write(tmp_path / "d.json", **{RESIDUAL_DOF: 3})
    assert stated_residual_dof([silent, unknown, stated, later]) == 71.0
    assert stated_residual_dof([silent, unknown]) is None


def test_the_time_of_the_first_volume_is_0_where_no_sidecar_states_it(tmp_path):
    silent = write(tmp_path / "a.json", RepetitionTime=2.0)
    assert stated_start_time([silent]) == 0.0
    assert (
        stated_start_time([silent, write(tmp_path / "b.json", StartTime=0.97)]) == 0.97
    )
    with pytest.raises(
        RunError, match=r"StartTime is 970\. Expected: seconds, 0 to 20"
    ):
        stated_start_time([write(tmp_path / "c.json", StartTime=970)])


@pytest.mark.parametrize("value", ["many", True, -1, float("inf"), [3]])
def test_degrees_of_freedom_that_are_no_number_are_refused(tmp_path, value):
    path = write(tmp_path / "a.json", **{RESIDUAL_DOF: value})
    with pytest.raises(
        RunError, match=rf"a\.json: {RESIDUAL_DOF} is .* Expected: a number"
    ):
        stated_residual_dof([path])


def test_what_stands_beside_a_file_counts_more_than_what_stands_above(tmp_path):
    folder = tmp_path / "sub-01"
    name = "sub-01_task-rest_contrast-a_desc-synthetic_statmap"
    write(folder / "sub-01_statmap.json", Model="far", Space="far", Units="z")
    write(folder / "sub-01_task-rest_statmap.json", Model="near", Space="near")
    write(folder / "sub-01_task-other_statmap.json", Model="another task")
    write(folder / "sub_01_statmap.json", Model="of no BIDS name")
    write(folder / f"func/{name}.json", Space="beside")
    sidecar = read_inherited(folder / f"func/{name}.nii.gz")
    assert sidecar == {"Model": "near", "Space": "beside", "Units": "z"}


def test_sidecars_of_a_run_are_those_with_bids_names_the_nearest_first(tmp_path):
    bold = tmp_path / "sub-01/func/sub-01_task-rest_bold.nii.gz"
    beside = write(bold.with_name("sub-01_task-rest_bold.json"))
    above = write(tmp_path / "task-rest_bold.json")
    everything = write(tmp_path / "bold.json")
    write(tmp_path / "task_rest_bold.json")
    write(tmp_path / "task-other_bold.json")
    write(tmp_path / "notbold.json")
    assert [*sidecars_of(bold, tmp_path)] == [beside, above, everything]
