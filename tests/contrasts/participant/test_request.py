"""What a call asks for, as Python code asks for it."""

from __future__ import annotations

import pytest
from tiny_job import TinyJob, add_rest

from bids_dtg.contrasts.participant.request import find_runs
from bids_dtg.errors import DatasetError, RunError
from bids_dtg.settings import Settings


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ("01", "02"))


def asked(job: TinyJob, **options: object) -> Settings:
    given = {"bids_dir": job.bids, "output_dir": job.out, "model": str(job.model)}
    return Settings.of(**given, analysis_level="participant", **options)


def test_runs_of_all_participants_in_order(job):
    add_rest(job.bids, "02", session="A", entities="run-2")
    add_rest(job.bids, "02", session="A", entities="run-1")
    titles = [run.title for run in find_runs(asked(job))]
    first, *others = titles
    assert first == "sub-01_task-rest"
    assert sorted(others) == [
        "sub-02_ses-A_task-rest_run-1",
        "sub-02_ses-A_task-rest_run-2",
        "sub-02_task-rest",
    ]


def test_what_was_not_asked_for_is_not_found(job):
    add_rest(job.bids, "02", entities="run-2", seed=3)
    assert {run.title for run in find_runs(asked(job, participant_label=("02",)))} == {
        "sub-02_task-rest",
        "sub-02_task-rest_run-2",
    }


def test_nothing_is_written(job):
    find_runs(asked(job))
    assert not job.out.exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--contrast", "zzz"), "--contrast names zzz, which the model does not predict"),
        (("--write", "regions"), "--write regions was given without an atlas. Expected: --atlases"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(job, capsys, words, line):
    assert job.run(*words) == 2
    assert line in capsys.readouterr().err
    assert not job.out.exists()


def test_who_has_no_run_is_named(job):
    for path in job.bids.glob("sub-02/func/*"):
        path.unlink()
    with pytest.raises(RunError, match="sub-02 has no BOLD series"):
        find_runs(asked(job))
    with pytest.raises(DatasetError, match="no participant 03"):
        find_runs(asked(job, participant_label=("03",)))
