"""The transform of fMRIPrep's default space: downloaded when needed, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from itk_files import affine_part, write_composite
from maps_job import TinyJob, add_rest
from model_host import TRANSFORM, ModelHost, pin_transform, serve_alone

OTHER = "MNI152NLin2009cAsym"


@pytest.fixture
def job(tmp_path, monkeypatch) -> TinyJob:
    """Make a job of two participants in fMRIPrep's default space, and an empty TemplateFlow."""
    job = TinyJob(tmp_path, ())
    job.labels = ("01", "02")
    for seed, label in enumerate(job.labels):
        add_rest(job.bids, label, seed=seed, space=OTHER, res=None)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    return job


@pytest.fixture
def host(job, monkeypatch):
    """Serve a transform of our own on this machine, with a pin of it in the table."""
    path = write_composite(job.folder / "own.h5", [affine_part(np.eye(4))])
    host = ModelHost()
    pin_transform(monkeypatch, host, path.read_bytes())
    with serve_alone(host, monkeypatch):
        yield host


def home(job: TinyJob) -> Path:
    return job.folder / "templateflow"


@pytest.mark.slow
def test_it_is_fetched_once_before_the_first_run(job, host, capsys):
    assert job.run() == 0
    assert host.asked == [f"/{TRANSFORM}"]
    err = capsys.readouterr().err
    assert err.count(f"downloading {Path(TRANSFORM).name}") == 1
    assert len(list(job.out.rglob("*desc-synthetic_statmap.nii.gz"))) == 6
    assert job.run("--dry-run") == 0
    assert capsys.readouterr().out.count(": complete, would be skipped") == 2
    assert len(host.asked) == 1


@pytest.mark.slow
def test_no_network_is_one_line_before_any_run_is_read(job, host, capsys, monkeypatch):
    monkeypatch.setenv("DTG_MODEL_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert job.run() == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"bids_dtg: error: {Path(TRANSFORM).name} cannot be fetched: http://127.0."
    )
    assert (
        f"curl -fL --create-dirs -o '{home(job) / TRANSFORM}' https://templateflow"
        in line
    )
    assert "with DTG_OFFLINE=1 only participants who need it fail" in line
    assert not job.out.exists()


def without_confounds(job: TinyJob, label: str) -> None:
    (table,) = (job.bids / f"sub-{label}").rglob("*_desc-confounds_timeseries.tsv")
    table.unlink()


@pytest.mark.slow
def test_refusals_that_files_show_are_said_before_the_download(job, host, capsys):
    without_confounds(job, "02")
    assert job.run("--dry-run", "-v") == 1
    out = capsys.readouterr().out
    assert "sub-01_task-rest: would first download" in out
    assert (
        "sub-02_task-rest: would fail: sub-02_task-rest has no confounds table" in out
    )
    assert job.run() == 1
    before, _, after = capsys.readouterr().err.partition("downloading")
    assert (
        "sub-02_task-rest: would fail: sub-02_task-rest has no confounds table"
        in before
    )
    assert "sub-02: failed: sub-02_task-rest has no confounds table" in after
    assert host.asked == [f"/{TRANSFORM}"]


@pytest.mark.slow
def test_nothing_is_downloaded_for_people_who_would_fail(job, host, capsys):
    for label in job.labels:
        without_confounds(job, label)
    assert job.run() == 1
    assert capsys.readouterr().err.count("failed: sub-0") == 2
    assert host.asked == []


@pytest.mark.slow
def test_who_needs_none_asks_no_host(job, host):
    add_rest(job.bids, "03")
    assert job.run("--participant-label", "03") == 0
    assert host.asked == []
