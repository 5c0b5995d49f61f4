"""Event files: found by their names, in order, and read within limits."""

from __future__ import annotations

import pytest

from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.inputs.events import find_events, read_events


def write(root, name, text="onset\tduration\n1\t2\n", folder="func"):
    parts = dict(part.split("-") for part in name.split("_")[:-1])
    place = root / f"sub-{parts['sub']}"
    place = place / f"ses-{parts['ses']}" / folder if "ses" in parts else place / folder
    place.mkdir(parents=True, exist_ok=True)
    path = place / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_files_are_found_in_order(tmp_path):
    for name in ("run-10", "run-2", "run-1"):
        write(tmp_path, f"sub-02_task-go_{name}_events.tsv")
    write(tmp_path, "sub-01_ses-b_task-go_events.tsv")
    write(tmp_path, "sub-01_ses-a_task-rest_events.tsv", folder="beh")
    write(tmp_path, "sub-01_ses-a_task-go_bold.json")
    names = [
        (f.participant, f.session, f.task, f.name.get("run"))
        for f in find_events(tmp_path)
    ]
    assert names == [
        ("01", "a", "rest", None),
        ("01", "b", "go", None),
        *(("02", None, "go", run) for run in ("1", "2", "10")),
    ]
    assert len(find_events(tmp_path, ["task-go"], ["b"])) == 1


def test_other_names_are_left_out(tmp_path):
    write(tmp_path, "sub-01_task-go_events.tsv")
    folder = tmp_path / "sub-01" / "func"
    for name in ("sub-02_task-go_events.tsv", "sub-01_events.tsv", "x__events.tsv"):
        (folder / name).write_text("onset\n1\n")
    assert [file.path.name for file in find_events(tmp_path)] == [
        "sub-01_task-go_events.tsv"
    ]


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ({"tasks": ["stop"]}, DatasetError, "no event files for the tasks stop"),
        ({"tasks": ["*"]}, SettingsError, r"'\*' is not a label"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path, wanted, error, message):
    write(tmp_path, "sub-01_task-go_events.tsv")
    with pytest.raises(error, match=message):
        find_events(tmp_path, **wanted)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_cells_are_text(tmp_path, end):
    text = end.join(["\ufeffonset\tword", "1.50\tgreen ", "2"])
    rows = read_events(write(tmp_path, "sub-01_task-go_events.tsv", text))
    assert rows == [{"onset": "1.50", "word": "green "}, {"onset": "2", "word": ""}]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "has no header"),
        ("onset\tduration\n", "has a header and no rows"),
        ("onset\tonset\n1\t2\n", "has two columns onset"),
        ("onset\n1\t2\n", "line 2 has 2 cells, the header 1"),
    ],
)
def test_damaged_files_are_refused(tmp_path, text, fact):
    with pytest.raises(RunError, match=rf"sub-01_task-go_events.tsv.* {fact}"):
        read_events(write(tmp_path, "sub-01_task-go_events.tsv", text))
