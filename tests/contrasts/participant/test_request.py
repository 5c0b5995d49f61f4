"""What a run of the program has to do, as Python code asks for it."""

from __future__ import annotations

import pytest
from maps_job import TinyJob, add_rest

from bids_dtg.contrasts.participant.request import find_runs, first_file
from bids_dtg.errors import DatasetError, RunError


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ("01", "02"))


@pytest.mark.slow
def test_runs_of_all_participants_in_order(job):
    add_rest(job.bids, "02", session="A", entities="run-2")
    add_rest(job.bids, "02", session="A", entities="run-1")
    titles = [run.title for run in find_runs(job.settings())]
    first, *other_titles = titles
    assert first == "sub-01_task-rest"
    assert sorted(other_titles) == [
        "sub-02_ses-A_task-rest_run-1",
        "sub-02_ses-A_task-rest_run-2",
        "sub-02_task-rest",
    ]
    assert {
        run.participant for run in find_runs(job.settings(participant_label=("02",)))
    } == {"02"}
    assert not job.out.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--contrast", "zzz"),
            "--contrast names zzz, which the model does not predict",
        ),
        (
            ("--write", "regions"),
            "--write regions was given without an atlas. Expected: --atlases",
        ),
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
        find_runs(job.settings())
    with pytest.raises(DatasetError, match="no participant 03"):
        find_runs(job.settings(participant_label=("03",)))


def test_the_first_file_is_that_of_the_first_run_unless_there_are_results(job):
    assert first_file(job.settings()) == find_runs(job.settings())[0].bold
    (job.out / "sub-01").mkdir(parents=True)
    assert first_file(job.settings()) is None


def test_volumes_of_a_model_of_parcels_are_begun_early_series_are_not(job):
    settings = job.settings().replace(model="hcp-glasser")
    (bold,) = job.bids.glob("sub-01/func/*_desc-preproc_bold.nii.gz")
    assert first_file(settings) == bold
    series = bold.name.replace(
        "_desc-preproc_bold.nii.gz", "_desc-preproc_bold.dtseries.nii"
    )
    series = series.replace("_res-2", "").replace("MNI152NLin6Asym", "fsLR_den-91k")
    bold.with_name(series).write_bytes(b"")
    assert first_file(settings) is None
