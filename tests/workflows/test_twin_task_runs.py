"""Task runs at the participant level of `twin`: from NIfTI to BOLD in step with the trials."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import twin_people
from maps_bundle import TINY_AFFINE
from maps_job import tree
from network_job import FRAMES, REGIONS, TR, network_bold, slabs
from twin_job import STROOP, TwinJob

from bids_dtg.twin.participant.task_bold import read_task_bold
from bids_dtg.twin.participant.twin_participants import TwinParticipants

HALVES = ("Left", "Right")  # parcels of the second atlas
CLEANED = ("--low-pass", "0.08", "--gsr")


def task_bold(seed: int) -> np.ndarray:
    """Make BOLD whose third parcel responds by 2 % in every second minute."""
    bold = network_bold(seed)
    active = (np.arange(FRAMES) * TR) % 120 < 60
    bold[slabs() == 3] += (20 * active).astype(np.int16)
    return bold


def add_task_run(job: TwinJob, participant: str, **options: object) -> Path:
    """Add a run of Stroop whose first two frames are not in a steady state."""
    task_options = {
        "task": STROOP,
        "bold": task_bold(7),
        "n_non_steady": 2,
        "affine": TINY_AFFINE,
    }
    path = job.add_run(participant, **(task_options | options))
    beside = path.with_name(path.name.replace(".nii.gz", ".json"))
    beside.write_text(json.dumps({"RepetitionTime": TR, "StartTime": 2.5}))
    return path


def second_atlas(job: TwinJob) -> Path:
    """Write an atlas of two parcels."""
    path = job.folder / "atlas-Halves_space-MNI152NLin6Asym_dseg.nii.gz"
    nib.save(nib.Nifti1Image((slabs() + 2) // 3, TINY_AFFINE), path)
    rows = [f"{number}\t{name}" for number, name in enumerate(HALVES, 1)]
    table = path.with_name(path.name.replace(".nii.gz", ".tsv"))
    table.write_text("\n".join(["index\tname", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TwinJob:
    with_tasks = TwinJob(tmp_path_factory.mktemp("tasks"))
    with_tasks.give("01", STROOP)
    with_tasks.give("02", STROOP, lender=1)
    return with_tasks


@pytest.fixture(scope="module")
def before(job) -> dict[str, str]:
    """Return the output of a call before there were runs of tasks."""
    assert job.run(*CLEANED, out=job.folder / "before") == 0
    return tree(job.folder / "before")


@pytest.fixture(scope="module")
def out(job, before) -> Path:
    """Return the output of the same call with a task run of one of two people."""
    add_task_run(job, "01")
    add_task_run(job, "01", entities="run-9")
    assert job.run(*CLEANED) == 0
    return job.out


def people_of(job: TwinJob, out: Path) -> TwinParticipants:
    return twin_people.people_of(
        job.folder, bids_dir=job.raw, output_dir=out, input_arrays=()
    )


def test_series_are_percent_of_the_mean_cleaned_without_low_pass_and_global_signal(
    job, out
):
    (path,) = out.rglob("*_desc-task_timeseries.tsv")
    names, run = read_task_bold(path)
    assert names == REGIONS
    assert (run.tr_seconds, run.start_seconds) == (TR, 2.5)
    kept_frames = np.isfinite(run.values[:, 0])
    assert kept_frames.tolist() == [False] * 2 + [True] * (FRAMES - 2)
    bold, labels = task_bold(7).astype(float), slabs()
    means = np.stack(
        [bold[labels == number].mean(axis=0) for number in range(1, 7)], 1
    )[kept_frames]
    (table,) = job.bids.rglob(f"sub-01_task-{STROOP}_desc-confounds_timeseries.tsv")
    confounds = pd.read_csv(table, sep="\t")
    wanted = confounds.filter(regex=r"^(trans|rot)_|^cosine|^csf$|^white_matter$")
    columns = wanted.fillna(wanted.mean()).to_numpy()[kept_frames]
    columns = np.column_stack([columns, np.ones(len(columns))])
    residuals = means - columns @ np.linalg.lstsq(columns, means, rcond=None)[0]
    np.testing.assert_allclose(
        run.values[kept_frames], 100 * residuals / means.mean(axis=0), atol=2e-3
    )


def test_connectomes_and_their_records_are_as_without_task_runs(job, before, out):
    after = tree(out)
    added = [name for name in after if name not in before]
    assert [name for name in added if "_desc-task_" not in name] == []
    assert [name for name in before if after.get(name) != before[name]] == []


def test_runs_of_trials_get_their_bold_back(job, out, capsys):
    people = people_of(job, out)
    (first,), (second,) = people.bold(["01", "02"])
    assert second is None
    (path,) = out.rglob("*_desc-task_timeseries.tsv")
    assert np.array_equal(first.values, read_task_bold(path)[1].values, equal_nan=True)
    assert people.task_bold.regions == REGIONS
    assert path in people.files
    assert "BOLD in 1 of 2 runs of trials, of 1 of 2 participants" in people.notes


@pytest.mark.slow
def test_a_second_atlas_has_the_regions_of_tasks_alone(job, out, capsys):
    atlases = ("--atlases", job.atlas, second_atlas(job))
    second_output = job.folder / "second"
    assert job.run(*CLEANED, *atlases, "--dry-run", "-v", out=second_output) == 0
    plan = capsys.readouterr().out
    assert "a connectome of 6 parcels" in plan
    assert (
        f"on the clock of {job.raw}/sub-01/func/sub-01_task-{STROOP}_events.tsv" in plan
    )
    assert job.run(*CLEANED, *atlases, "--task-file", "stroop", out=second_output) == 0
    assert "task BOLD in the 2 parcels of Halves" in capsys.readouterr().err
    (path,) = second_output.rglob("*_desc-task_timeseries.tsv")
    assert "atlas-Halves" in path.name
    assert read_task_bold(path)[0] == HALVES
    (connectome,) = second_output.rglob("sub-01_*_relmat.tsv")
    (same,) = out.rglob("sub-01_*_relmat.tsv")
    assert connectome.read_bytes() == same.read_bytes()
    assert people_of(job, second_output).task_bold.regions == HALVES
