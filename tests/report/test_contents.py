"""What an output holds of a participant, by names and sidecars: images are not opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.files.text import write_json
from bids_dtg.report.contents import find_participant

SERIES = FileKind("timeseries", "own", ".tsv")


@pytest.fixture
def output(tmp_path) -> DerivativeDataset:
    return DerivativeDataset(tmp_path)


def add(output: DerivativeDataset, name: str, **facts: Any) -> Path:
    """Write an empty file in a participant's folder, and its sidecar where there are facts."""
    path = output.write(f"sub-01/func/sub-01_task-rest_{name}", b"")
    if facts:
        write_json(sidecar_of(path), facts)
    return path


def test_files_of_other_names_are_passed_over(output):
    path = add(output, "desc-own_timeseries.tsv")
    output.write("sub-01/func/read-me.txt", b"")
    (run,) = find_participant(output, "01", [SERIES]).runs
    assert (run.title, run.files) == ("sub-01_task-rest", {SERIES: path})


def test_of_several_parcellations_files_the_last_name_is_shown(output):
    shown = [
        add(output, f"seg-{seg}_desc-own_timeseries.tsv")
        for seg in ("7n", "rois50", "tian")
    ]
    (run,) = find_participant(output, "01", [SERIES]).runs
    assert run.files[SERIES] == shown[-1]


def test_maps_in_another_space_than_the_model_s_are_not_shown(output):
    end = "contrast-faces_desc-synthetic_statmap.nii.gz"
    add(output, f"space-A_{end}", ResampledFrom="B")
    assert find_participant(output, "01").averages == ()
    of_model = add(output, f"space-B_{end}", Contrast="Faces")
    (average,) = find_participant(output, "01").averages
    assert [(map_file.path, map_file.name) for map_file in average.maps] == [
        (of_model, "Faces")
    ]


def test_a_file_beside_a_map_is_named_by_the_map_s_name_as_it_is(output):
    """The name that somebody gave a folder cost its page: it was built, and so refused."""
    name = "sub-<b>/func/sub-<b>_task-rest_space-A_contrast-faces_desc-synthetic"
    path = output.write(f"{name}_statmap.nii.gz", b"")
    write_json(sidecar_of(path), {"Contrast": "Faces"})
    ((shown,),) = (average.maps for average in find_participant(output, "<b>").averages)
    start = "sub-<b>_task-rest_space-A_contrast-faces"
    assert shown.beside(SERIES).name == f"{start}_desc-own_timeseries.tsv"


def test_maps_are_in_the_order_of_the_model_and_not_of_pages(output):
    """Rows of the group's file of parcels were not those of people's files."""
    labels = ("motorAvg", "languageMath", "emotionFaces")
    details = {label: {"Task": label[:5].upper()} for label in labels}
    for label in labels:
        add(output, f"space-A_contrast-{label}_desc-synthetic_statmap.nii.gz")
    shared = output.root / "sub-01/func/sub-01_task-rest_statmap.json"
    write_json(shared, {"ContrastDetails": details})
    (average,) = find_participant(output, "01").averages
    assert tuple(shown.label for shown in average.maps) == labels


def test_maps_in_one_file_need_its_list_of_contrasts(output):
    name = "space-fsLR_desc-synthetic_statmap.pscalar.nii"
    path = add(output, name)
    assert find_participant(output, "01").averages == ()
    add(output, name, Units="z", ContrastDetails={"faces": {"Task": "EMOTION"}})
    (average,) = find_participant(output, "01").averages
    (map_file,) = average.maps
    assert (map_file.label, map_file.path, map_file.task) == ("faces", path, "EMOTION")
    assert map_file.sidecar == {"Units": "z", "Task": "EMOTION"}


def test_an_average_whose_maps_were_not_wanted_is_known_by_what_they_share(output):
    shared = output.root / "sub-01/sub-01_task-rest_statmap.json"
    shared.parent.mkdir()
    facts = {
        "Runs": [{"Run": "sub-01_task-rest_run-1"}],
        "ExcludedRuns": {"run-2": "too short"},
    }
    write_json(shared, facts)
    (average,) = find_participant(output, "01").averages
    assert (average.title, average.maps) == ("sub-01_task-rest", ())
    assert average.runs == ("sub-01_task-rest_run-1",)
    assert average.common == facts
