"""What an output folder holds, as data frames."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from maps_job import TinyJob, add_rest

import bids_dtg
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.text import write_tsv

COLUMNS = [
    "contrast",
    "index",
    "name",
    "mean",
    "coverage",
    "voxels",
    "half_width",
    "deviation",
]
# A region that pandas would take for a missing value, and values that are missing.
ROWS = [
    ["languageMath", 1, "NA", -0.25, 0.75, 6, 0.5, None],
    ["languageMath", 2, "LH_Vis", None, 0.25, 2, 0.5, None],
    ["languageStory", 1, "NA", 1.5, 0.75, 6, 0.25, -2.0],
    ["languageStory", 2, "LH_Vis", None, 0.25, 2, 0.25, None],
]
SCHAEFER = "atlas-Schaefer2018_seg-7n_scale-400"


def add_table(root: Path, stem: str, atlas: str = SCHAEFER, rows=ROWS) -> Path:
    """Write a table of regions as the participant level does."""
    folder = root.joinpath(
        *(part for part in stem.split("_") if part[:4] in ("sub-", "ses-"))
    )
    path = (
        folder
        / "func"
        / f"{stem}_space-MNI152NLin6Asym_{atlas}_stat-z_desc-regions_statmap.tsv"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tsv(path, COLUMNS, rows)
    return path


@pytest.fixture
def tables(tmp_path) -> Path:
    """Return a folder with tables of two atlases of one participant, and of one of another."""
    for stem in (
        "sub-01_ses-A_task-rest",
        "sub-01_ses-B_task-rest",
        "sub-02_task-rest_run-1",
    ):
        add_table(tmp_path, stem)
    add_table(tmp_path, "sub-01_ses-A_task-rest", "atlas-HCP", ROWS[:1])
    return tmp_path


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TinyJob:
    """Return a job whose maps were made: of two sessions, and of a participant without any."""
    finished = TinyJob(tmp_path_factory.mktemp("job"), ("02",))
    for session in "AB":
        add_rest(finished.bids, "01", session=session)
    assert finished.run() == 0
    return finished


def test_each_map_is_a_row(job):
    frame = bids_dtg.load_maps(job.out)
    assert list(frame.columns) == [
        *(
            "participant",
            "session",
            "task",
            "run",
            "contrast",
            "desc",
            "stat",
            "space",
            "res",
        ),
        "path",
    ]
    written = {str(path) for path in job.out.rglob("sub-*_contrast-*_statmap.nii.gz")}
    assert set(frame["path"]) == written
    assert len(frame) == len(written)
    maps_of_person = frame[
        (frame["participant"] == "01") & (frame["desc"] == "synthetic")
    ]
    assert maps_of_person.groupby("session").size().to_dict() == {"A": 3, "B": 3}
    row = maps_of_person.iloc[0]
    assert (row["task"], row["stat"], row["space"], row["res"]) == (
        *("rest", "z"),
        *("MNI152NLin6Asym", "2"),
    )
    assert f"contrast-{row['contrast']}_" in row["path"]
    assert nib.load(row["path"]).shape == (10, 12, 9)
    assert frame[frame["participant"] == "02"]["session"].isna().all()


@pytest.mark.slow
def test_maps_of_two_kinds_are_not_mixed(tmp_path):
    job = TinyJob(tmp_path, ())
    for number in (1, 2):
        add_rest(job.bids, "01", entities=f"run-{number}")
    assert job.run("--combine", "run") == 0
    of_runs = bids_dtg.load_maps(job.out)
    assert sorted(of_runs["run"].unique()) == ["1", "2"]
    assert job.run("--combine", "session") == 0
    with pytest.raises(
        DatasetError,
        match=r"of --combine run and session.*combine= one of run, session",
    ):
        bids_dtg.load_maps(job.out)
    assert bids_dtg.load_maps(job.out, combine="run").equals(of_runs)
    of_session = bids_dtg.load_maps(job.out, combine="session")
    assert of_session["run"].isna().all()
    assert len(of_session) == len(of_runs) / 2
    with pytest.raises(DatasetError, match="one of run, session"):
        bids_dtg.load_maps(job.out, combine="participant")


def test_contrasts_are_chosen_in_any_case(job):
    label = bids_dtg.load_maps(job.out)["contrast"].iloc[0]
    frame = bids_dtg.load_maps(str(job.out), contrast=label.upper())
    assert set(frame["contrast"]) == {label}
    assert len(bids_dtg.load_maps(job.out, contrast=[label])) == len(frame)
    near = label[:-1]
    with pytest.raises(SettingsError, match=f"names {near}, .*did you mean {label}"):
        bids_dtg.load_maps(job.out, contrast=near)


def test_regions_equal_the_tables(tables):
    frame = bids_dtg.load_maps(tables, atlas="Schaefer400")
    assert list(frame.columns) == ["participant", "session", "task", "run", *COLUMNS]
    assert frame.shape == (12, 12)
    wanted = pd.DataFrame(ROWS, columns=COLUMNS)
    pd.testing.assert_frame_equal(frame.iloc[:4][COLUMNS], wanted, check_dtype=False)
    assert (frame["voxels"].dtype, frame["mean"].dtype) == (np.int64, np.float64)
    averages = (
        frame[["participant", "session", "run"]]
        .drop_duplicates()
        .fillna("")
        .values.tolist()
    )
    assert averages == [["01", "A", ""], ["01", "B", ""], ["02", "", "1"]]


@pytest.mark.parametrize(
    "name",
    ["Schaefer400", "schaefer2018_seg-7n_scale-400", SCHAEFER],
)
def test_an_atlas_is_found_by_its_names(tables, name):
    assert len(bids_dtg.load_maps(tables, atlas=name)) == 12
    assert len(bids_dtg.load_maps(tables, atlas="hcp")) == 1


def test_an_atlas_that_is_not_there_is_named_with_the_near_one(tables):
    with pytest.raises(SettingsError, match=r"'Schaefer40'.*did you mean Schaefer400"):
        bids_dtg.load_maps(tables, atlas="Schaefer40")
    add_table(tables, "sub-01_ses-A_task-rest", "atlas-Schaefer2018_seg-17n_scale-400")
    assert len(bids_dtg.load_maps(tables, atlas="Schaefer400")) == 12
    assert len(bids_dtg.load_maps(tables, atlas="Schaefer400x17")) == 4


def test_folders_without_maps_are_refused(tables, tmp_path):
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        bids_dtg.load_maps(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="has no maps of participants"):
        bids_dtg.load_maps(tables)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"has no tables of regions.*--atlases HCP"):
        bids_dtg.load_maps(tmp_path / "empty", atlas="HCP")


def test_a_table_that_is_none_is_named(tables):
    path = add_table(tables, "sub-03_task-rest")
    path.write_text("not a table\n")
    why = r"sub-03.*regions_statmap.tsv cannot be read.*contrast"
    with pytest.warns(UserWarning, match=f"its rows are left out: .*{why}"):
        table = bids_dtg.load_maps(tables, atlas="Schaefer400")
    assert len(table) == 12
    for other in tables.rglob("*_statmap.tsv"):
        other.write_text("not a table\n")
    with pytest.raises(DatasetError, match=r"regions_statmap.tsv cannot be read"):
        bids_dtg.load_maps(tables, atlas="Schaefer400")
