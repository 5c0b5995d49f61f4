"""Killed at any point and run again, results are the same; and parallel processes."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import nibabel as nib
import pytest
from forked_jobs import ForkingProcess, Signal, Watch
from maps_bundle import with_half_widths, write_tiny_bundle
from maps_job import TinyJob, add_rest, read_table, tree

from bids_dtg.contrasts.contrast import hcp_contrasts

pytestmark = pytest.mark.slow

STATMAP, RECORD = "desc-synthetic_statmap.nii.gz", "complete/sub-01_task-rest.json"
POINTS = {
    "writing map 24 of 47": Signal(signal.SIGKILL, STATMAP, 24, cut=True),
    "before the participants' table": Signal(
        signal.SIGKILL, "participants.tsv", cut=True
    ),
    "before the completion record": Signal(signal.SIGKILL, RECORD),
}


def assert_files_are_whole(folder: Path) -> None:
    """Every file under its final name can be read to its end."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.startswith(".dtg-"):
            continue
        if path.name.endswith(".nii.gz"):
            assert nib.load(path).get_fdata().any(), path
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".tsv":
            assert path.read_text().endswith("\n")
            assert all(None not in (*row, *row.values()) for row in read_table(path)), (
                path
            )
        else:
            assert path.read_text().endswith("\n"), path


@pytest.fixture(scope="module")
def forks():
    with ForkingProcess() as process:
        yield process


@pytest.fixture(scope="module")
def job(tmp_path_factory, forks) -> TinyJob:
    """Make a job with two segments of rest and 47 contrasts; run it without disturbance."""
    job = TinyJob(tmp_path_factory.mktemp("killed"), ())
    plain = write_tiny_bundle(job.folder / "all", contrasts=len(hcp_contrasts()))
    job.model = with_half_widths(plain, job.folder / "sure").path
    add_rest(job.bids, frames=90)
    assert forks.run(job.arguments(out=job.folder / "whole")) == [0]
    return job


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again(job, forks, point):
    out, whole = job.folder / point, job.folder / "whole"
    watch = Watch(str(out), signal=POINTS[point])
    assert forks.run(job.arguments(out=out), watch=watch) == [-signal.SIGKILL]
    assert_files_are_whole(out)
    if POINTS[point].cut:
        (temporary,) = out.rglob(".dtg-*.tmp")
        assert temporary.stat().st_size > 0
    assert forks.run(job.arguments(out=out)) == [0]
    assert tree(out) == tree(whole)
    assert not list(out.rglob(".dtg-*"))
    records = (
        folder / "logs/complete/sub-01_task-rest.json" for folder in (out, whole)
    )
    first_outputs, second_outputs = (
        json.loads(record.read_text())["Outputs"] for record in records
    )
    assert first_outputs.keys() == second_outputs.keys()
    assert len([name for name in first_outputs if name.endswith(STATMAP)]) == 47


@pytest.fixture(scope="module")
def crowd(tmp_path_factory, forks) -> TinyJob:
    """Make a job of three participants; run it in one process."""
    crowd = TinyJob(tmp_path_factory.mktemp("crowd"), ("01", "02", "03"))
    assert forks.run(crowd.arguments(out=crowd.folder / "alone")) == [0]
    return crowd


def test_processes_side_by_side(crowd, forks):
    together = [crowd.arguments("--participant-label", label) for label in crowd.labels]
    errors = crowd.folder / "together.txt"
    assert forks.run(*together, stderr=errors) == [0] * 3
    assert "Traceback" not in errors.read_text()
    assert_files_are_whole(crowd.out)
    assert tree(crowd.out) == tree(crowd.folder / "alone")
    table = read_table(crowd.out / "participants.tsv")
    assert [row["participant_id"] for row in table] == [
        f"sub-{label}" for label in crowd.labels
    ]
    assert len(list((crowd.out / "logs").glob("*/config.toml"))) == 3
    assert len(list((crowd.out / "logs" / "complete").glob("*.json"))) == 3


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (
            signal.SIGTERM,
            143,
            "bids_dtg: ended by signal 15; finished participants are kept",
        ),
        (signal.SIGINT, 130, "bids_dtg: interrupted; finished participants are kept"),
    ],
)
def test_asked_to_stop(crowd, forks, number, code, told):
    """After the first participant is complete; others may have come far or not."""
    out, errors = (
        crowd.folder / f"stopped by {number}",
        crowd.folder / f"errors {number}.txt",
    )
    watch = Watch(str(out), signal=Signal(number, "complete/sub-02_task-rest.json"))
    words = crowd.arguments("--nprocs", "1", out=out)
    assert forks.run(words, watch=watch, stderr=errors) == [code]
    log = errors.read_text()
    assert told in log.splitlines()
    finished = "of 3 participants finished; run it again to do the others"
    assert re.search(rf"^\d {finished}$", log, re.MULTILINE)
    assert "Traceback" not in log
    assert not list(out.rglob(".dtg-*"))
    assert not [*(out / "logs/locks").iterdir()]
    (table,) = out.glob("logs/*/failures.tsv")
    assert read_table(table) == []
    assert forks.run(crowd.arguments(out=out), stderr=errors) == [0]
    (complete,) = re.findall(
        r"sets? of maps written, (\d) already complete", errors.read_text()
    )
    assert int(complete) >= 1
    assert tree(out) == tree(crowd.folder / "alone")


def test_two_calls_on_the_same_participants_share_them(crowd, forks):
    out, errors = crowd.folder / "shared", crowd.folder / "shared.txt"
    assert forks.run(*[crowd.arguments(out=out)] * 2, stderr=errors) == [0, 0]
    told = errors.read_text()
    counts = re.findall(
        r"3 participants: (\d+) sets? of maps written, (\d+) already complete", told
    )
    assert len(counts) == 2
    assert sum(int(number) for number, _ in counts) == 3
    assert tree(out) == tree(crowd.folder / "alone")
    assert not [*(out / "logs/locks").iterdir()]
