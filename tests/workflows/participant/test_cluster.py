"""Participants as tasks of a dask scheduler."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from dask_cluster import DaskCluster
from tiny_job import TinyJob, read_table, tree

from bids_dtg.settings import Settings
from bids_dtg.workflows.participant.cluster import _with_whole_paths

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> TinyJob:
    """Make a job of three participants, one of them broken; run it here."""
    job = TinyJob(tmp_path_factory.mktemp("cluster"), ("01", "02", "03"))
    next(job.bids.glob("sub-02/func/*confounds*.tsv")).write_text("x\n")
    assert job.run("--no-reports", out=job.folder / "whole") == 1
    return job


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    with DaskCluster(tmp_path_factory.mktemp("dask") / "cluster") as cluster:
        yield cluster


def failures(folder: Path) -> list[dict[str, str]]:
    newest = max(folder.glob("logs/*/failures.tsv"), key=lambda path: path.stat().st_mtime_ns)
    return read_table(newest)


def test_tasks_make_what_processes_make(crowd, dask, capsys):
    options = ("--no-reports", "--scheduler", dask.address)
    assert crowd.run(*options) == 1
    told = capsys.readouterr().err
    assert tree(crowd.out) == tree(crowd.folder / "whole")
    assert failures(crowd.out) == failures(crowd.folder / "whole")
    assert "3 participants: 2 sets of maps made, 0 complete before, 1 participant failed" in told
    assert "sub-02: failed: " in told
    assert crowd.run(*options) == 1
    assert "0 sets of maps made, 2 complete before" in capsys.readouterr().err


def test_the_first_crash_stops_tasks_that_wait(tmp_path, dask, capsys):
    job = TinyJob(tmp_path, tuple(f"{number:02d}" for number in range(1, 13)))
    next(job.bids.glob("sub-01/func/*confounds*.tsv")).write_text("x\n")
    options = ("--no-reports", "--stop-on-first-crash", "--scheduler", dask.address)
    assert job.run(*options) == 1
    assert [row["participant_id"] for row in failures(job.out)] == ["sub-01"]
    assert " not begun" in capsys.readouterr().err


def test_no_scheduler_is_one_line(crowd, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("bids_dtg.workflows.participant.cluster._CONNECT_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        out = tmp_path / "out"
        assert crowd.run("--scheduler", address, out=out) == 2
    told = capsys.readouterr().err
    assert f"--scheduler {address}: no dask scheduler answers there" in told
    assert "Traceback" not in told
    assert not out.exists()


def test_paths_mean_the_same_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    given = Settings.of(
        bids_dir=Path("in"),
        output_dir=Path("../out"),
        analysis_level="participant",
        model="mine",
        derivatives=("fmriprep=d/f", "e"),
        work_dir=Path("w"),
    )
    whole = _with_whole_paths(given)
    assert whole.inputs.bids_dir == tmp_path / "in"
    assert whole.inputs.output_dir == tmp_path / "../out"
    assert whole.resources.work_dir == tmp_path / "w"
    assert whole.inputs.model == str(tmp_path / "mine")
    assert whole.inputs.derivatives == (f"fmriprep={tmp_path}/d/f", f"{tmp_path}/e")
    default = Settings.of(bids_dir=Path("/i"), output_dir=Path("/o"), analysis_level="participant")
    assert _with_whole_paths(default).inputs.model == "hcp-ya"
