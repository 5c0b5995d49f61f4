"""Files that are no files, lead round and round or claim to be huge: one line, and nobody waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huge_images import declare
from tiny_cohort import TinyCohort
from tiny_job import TinyJob, tree

from bids_dtg.inputs.statmap_files import find_statmap_files

FUNC = Path("sub-01", "func")
STEM = "sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc"
BOLD = FUNC / f"{STEM}-preproc_bold.nii.gz"
MASK = FUNC / f"{STEM}-brain_mask.nii.gz"
CONFOUNDS = FUNC / "sub-01_task-rest_desc-confounds_timeseries.tsv"

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path)


def the_line(capsys) -> str:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "internal error" not in err
    (line,) = [line for line in err.splitlines() if "error: " in line or "failed: " in line]
    return line


def replace_by_pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("dataset_description.json", 2),
        ("task-rest_bold.json", 1),
        (BOLD.with_name(BOLD.name.replace(".nii.gz", ".json")), 1),
        (CONFOUNDS, 1),
        (BOLD, 1),
        (MASK, 1),
    ],
)
def test_a_pipe_in_the_dataset_is_refused(job, capsys, name, code):
    if str(name) == "task-rest_bold.json":  # is asked where no file beside the run has the time
        (job.bids / BOLD.with_name(BOLD.name.replace(".nii.gz", ".json"))).write_text("{}")
    replace_by_pipe(job.bids / name)
    assert job.run() == code
    line = the_line(capsys)
    assert Path(name).name in line
    assert "no regular file" in line or "is empty" in line


@pytest.mark.parametrize(
    "name", ["mask.nii.gz", "brain_mask.nii.gz", "maps.nii.gz", "weights.safetensors"]
)
def test_a_pipe_in_the_model_is_refused(job, capsys, name):
    replace_by_pipe(job.model / name)
    assert job.run() == 2
    assert f"{name} cannot be read: it is no regular file" in the_line(capsys)


@pytest.mark.parametrize("option", ["--atlases", "--bids-filter-file", "--config-file"])
def test_a_pipe_as_an_option_is_refused(job, capsys, option):
    replace_by_pipe(job.folder / "pipe.nii")
    assert job.run(option, job.folder / "pipe.nii") == 2
    assert "pipe.nii cannot be read: it is no regular file" in the_line(capsys)


@pytest.mark.parametrize("option", ["--bids-filter-file", "--config-file"])
def test_deep_nesting_is_refused(job, capsys, option):
    text = "[" * 100_000 if "filter" in option else "a = " + "[" * 100_000
    (job.folder / "deep").write_text(text)
    assert job.run(option, job.folder / "deep") == 2
    assert "deep cannot be read as" in the_line(capsys)


def test_a_mask_that_is_a_folder_has_its_own_line(job, capsys):
    (job.bids / MASK).unlink()
    (job.bids / MASK).mkdir()
    assert job.run() == 1
    line = the_line(capsys)
    assert f"{MASK.name} cannot be read: Is a directory" in line


@pytest.mark.slow
def test_a_huge_mask_fails_its_participant_alone(tmp_path, capsys):
    job = TinyJob(tmp_path, ("01", "02"))
    declare(job.bids / MASK, (1200, 1200, 1200), sparse=True)
    assert job.run() == 1
    line = the_line(capsys)
    assert "sub-01" in line
    assert "= 1728000000 voxels" in line
    assert list(job.out.rglob("sub-02*_statmap.nii.gz"))


def test_links_of_folders_to_themselves_end(tmp_path):
    cohort = TinyCohort(tmp_path)
    before = find_statmap_files(cohort.statmaps)
    for number in range(3):
        (cohort.statmaps / f"again{number}").symlink_to(cohort.statmaps)
        (cohort.statmaps / "sub-01" / f"up{number}").symlink_to("..")
    assert find_statmap_files(cohort.statmaps) == before


@pytest.mark.slow
def test_links_of_folders_end_where_pybids_walks(job):
    assert job.run() == 0
    maps = tree(job.out)
    for number in range(3):
        (job.bids / FUNC / f"again{number}").symlink_to(".")
    (job.bids / "sub-01/dataset_description.json").write_text("{}")
    (job.bids / FUNC / "layout_config.json").write_text("[[[")
    (job.folder / "filter.json").write_text(json.dumps({"bold": {"task": "rest"}}))
    out = job.folder / "filtered"
    assert job.run("--bids-filter-file", job.folder / "filter.json", out=out) == 0
    assert [name for name in tree(out) if name.endswith("statmap.nii.gz")] == [
        name for name in maps if name.endswith("statmap.nii.gz")
    ]


def test_a_pipe_where_pybids_looks_is_refused(job, capsys):
    replace_by_pipe(job.bids / "sub-01/dataset_description.json")
    (job.folder / "filter.json").write_text(json.dumps({"bold": {"task": "rest"}}))
    assert job.run("--bids-filter-file", job.folder / "filter.json") == 1
    assert "it is no regular file" in the_line(capsys)


def test_folders_in_each_other_without_end_are_refused(job, capsys):
    here = job.bids / FUNC
    for _ in range(60):
        here = here / "deep"
    here.mkdir(parents=True)
    assert job.run() == 1
    assert "folders in each other deeper than" in the_line(capsys)


DAMAGED = {
    "another encoding": "participant_id\tfamily_id\nsub-01\tÄ\n".encode("utf-16"),
    "a cell without end": b"participant_id\tfamily_id\nsub-01\t" + b"A" * 200_000,
    "semicolons": b"participant_id;family_id\nsub-01;A\n",
    "nobody": b"name\tfamily_id\nA\tB\n",
    "too many cells": b"participant_id\tfamily_id\nsub-01\tA\tB\n",
    "two families": b"participant_id\tfamily_id\nsub-01\tA\nsub-01\tB\n",
}


@pytest.mark.parametrize("how", DAMAGED)
def test_no_split_is_drawn_where_the_table_of_families_is_damaged(tmp_path, capsys, how):
    cohort = TinyCohort(tmp_path)
    table = cohort.bids / "participants.tsv"
    table.write_bytes(DAMAGED[how])
    words = ("--architecture", "linear", "--model-name", "own", "--dry-run")
    assert cohort.analyse("train", *words) == 2
    line = the_line(capsys)
    assert "the families are not known" in line
    assert str(table) in line
    table.write_text("participant_id\tage\nsub-01\t30\n")
    assert cohort.analyse("train", *words) == 0
    assert "families: none are known" in capsys.readouterr().err


@pytest.mark.slow
def test_too_little_memory_is_a_line_with_the_participant(tmp_path):
    """In a process of its own, which may have no more than what the program itself needs."""
    job = TinyJob(tmp_path)
    program = (
        "import sys, bids_dtg.imaging.bold as bold\n"
        "def full(*_, **__): raise MemoryError('Unable to allocate 41 GiB')\n"
        "bold.stream_voxels = full\n"
        "from bids_dtg.cli.run import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *job.arguments()], capture_output=True, text=True
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "failed: " in line]
    assert "sub-01" in line
    assert "not enough memory: Unable to allocate 41 GiB" in line
    assert "internal error" not in done.stderr
