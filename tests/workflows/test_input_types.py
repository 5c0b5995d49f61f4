"""Every type of input through the whole job: the same data give the same maps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset, make_image
from maps_bundle import TINY_AFFINE, write_tiny_bundle
from maps_job import FRAMES, TR, TinyJob, add_rest, read_table, tiny_bold
from study_folders import (
    add_hcp_run,
    add_ukb_run,
    add_xcpd_run,
    write_motion,
    write_outliers,
)

from bids_dtg.bundles.card import TrainingData
from bids_dtg.files.sidecars import read_inherited

pytestmark = pytest.mark.slow


def images(out: Path) -> dict[str, bytes]:
    """Return the bytes of each map by its contrast."""
    contents = {
        re.search("contrast-([A-Za-z0-9]+)", path.name)[1]: path.read_bytes()
        for path in out.rglob("*_statmap.nii.gz")
    }
    assert len(contents) == 3
    return contents


def sidecar(out: Path) -> dict:
    return read_inherited(min(out.rglob("*desc-synthetic_statmap.nii.gz")))


def recorded_strategy(out: Path) -> str:
    (record,) = (out / "logs" / "complete").glob("*.json")
    return json.loads(record.read_text())["Options"]["denoise_strategy"]


class StudyJob(TinyJob):
    """The same job on an input of another type."""

    def __init__(self, job: TinyJob, kind: str) -> None:
        self.folder = job.folder / kind
        self.bids = self.folder / "in"
        self.out = self.folder / "out"
        self.model = job.model
        data = {"bold": tiny_bold(), "affine": TINY_AFFINE, "tr": TR}
        if kind == "xcpd":
            add_xcpd_run(self.bids, **data)
        elif kind == "hcp":
            add_hcp_run(self.bids, **data)
        else:
            add_ukb_run(self.bids, **data)


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path)


NAMES = {
    "xcpd": "sub-01/func/sub-01_task-rest_",
    "hcp": "sub-100307/func/sub-100307_task-rest_dir-LR_",
    "ukb": "sub-1234567/func/sub-1234567_task-rest_",
}


@pytest.mark.parametrize("kind", list(NAMES))
def test_same_data_same_bytes(job, kind, capsys):
    assert job.run("--denoise-strategy", "none") == 0
    study = StudyJob(job, kind)
    assert study.run("--dry-run") == 0
    assert "nothing is removed" in capsys.readouterr().out
    assert study.run() == 0
    assert images(study.out) == images(job.out)
    assert all(
        path.relative_to(study.out).as_posix().startswith(NAMES[kind])
        for path in study.out.rglob("*_statmap.nii.gz")
    )
    told = sidecar(study.out)
    assert (told["InputType"], told["DenoiseStrategy"]) == (kind, "none")
    assert told["Sources"][0].startswith(f"bids:{kind}:")
    assert (study.bids / told["Sources"][0].removeprefix(f"bids:{kind}:")).is_file()
    assert told["Runs"][0]["Space"] == "MNI152NLin6Asym"
    assert told["Runs"][0]["Transforms"] == []
    assert told["Runs"][0]["SpaceReason"].startswith("MNI152NLin6Asym, ")
    assert recorded_strategy(study.out) == "none"
    assert (
        'input_type = "' + kind
        in next(study.out.glob("logs/*/config.toml")).read_text()
    )
    # Asked for in words, nothing is done again.
    capsys.readouterr()
    assert study.run("--input-type", kind, "--denoise-strategy", "none") == 0
    assert "complete, skipped" in capsys.readouterr().err


def test_frames_that_xcpd_interpolated_are_left_out_and_shown(job, capsys):
    study, flags = StudyJob(job, "xcpd"), np.arange(FRAMES) % 5 == 0
    bold = tiny_bold().astype(np.float32)
    bold -= bold.mean(axis=-1, keepdims=True)
    path = add_xcpd_run(study.bids, bold=bold, affine=TINY_AFFINE, tr=TR)
    table = write_outliers(path, flags.astype(int))
    write_motion(path, framewise_displacement=0.3 + 0.5 * flags)
    study.reports = True
    assert study.run() == 0
    page = (study.out / "sub-01.html").read_text()
    assert "framewise displacement is 0.40 mm" in page
    assert "Framewise displacement (mm): median 0.30, highest 0.80" in page
    study.reports = False
    (qc,) = study.out.rglob("*_qc.tsv")
    row = read_table(qc)[0]
    assert (row["frames"], row["frames_kept"], row["minutes_kept"]) == (
        "60",
        "48",
        "8.0",
    )
    assert (row["tsnr_median"], row["fd_mean"]) == ("n/a", "0.4")
    told = sidecar(study.out)
    assert (
        f"12 frames that XCP-D had interpolated ({table.name}) were"
        in told["Runs"][0]["Notes"][0]
    )
    assert told["Runs"][0]["Confounds"]["DroppedInterpolated"] == 12
    for name in ("_outliers.tsv", "_motion.tsv"):
        assert any(source.endswith(name) for source in told["Sources"])
    frames = json.loads(
        next(study.out.rglob("*_desc-frames_timeseries.json")).read_text()
    )
    assert "XCP-D's table of motion" in frames["framewise_displacement"]["Description"]
    flagged = "Frames that XCP-D had flagged for motion were left out."
    assert flagged in " ".join((study.out / "logs/CITATION.md").read_text().split())
    write_outliers(path, np.roll(flags, 1).astype(int))
    assert study.run("--dry-run") == 0
    assert (
        "would write 3 maps" in capsys.readouterr().out
    )  # again, as the table has changed
    write_outliers(path, (~flags).astype(int))
    assert study.run("--dry-run") == 1
    assert "has 2.0 of 10.0 minutes left (12 of 60 frames" in capsys.readouterr().out


def test_native_ukb_through_the_warp_of_fsl(job):
    """A native image with other storage, crop and place, and the field that leads there."""
    assert job.run("--denoise-strategy", "none") == 0
    ukb = job.folder / "native"
    bold = np.pad(
        tiny_bold()[::-1], ((3, 1), (2, 0), (0, 4), (0, 0)), constant_values=1000
    )
    scanner = np.array(
        [[2.0, 0, 0, -40], [0, 1.6, -1.2, 33], [0, 1.2, 1.6, 5], [0, 0, 0, 1]]
    )
    name = "filtered_func_data_clean.nii.gz"
    path = add_ukb_run(ukb, bold=bold, affine=scanner, tr=TR, name=name)
    # Voxel i of the model is stored at 3 + 9 - i of 14, and FSL counts that from the other end.
    shift = np.array([(14 - 1 - (3 + 9)) * 2.0, 2 * 2.0, 0.0], np.float32)
    field = np.broadcast_to(shift, (*tiny_bold().shape[:3], 3))
    make_image(
        path.parent / "reg" / "example_func2standard_warp.nii.gz", field, TINY_AFFINE
    )
    ready = job.out
    job.bids = ukb
    job.out = job.folder / "native_out"
    assert job.run() == 0
    (run,) = sidecar(job.out)["Runs"]
    assert (run["Space"], run["Transforms"]) == (
        "boldref",
        ["example_func2standard_warp.nii.gz"],
    )
    assert_close(ready, job.out)


def assert_close(out: Path, second_output: Path) -> None:
    """Compare maps that differ by the rounding of an interpolation at voxels only."""
    pairs = zip(
        *(sorted(o.rglob("*_statmap.nii.gz")) for o in (out, second_output)),
        strict=True,
    )
    for path, second_path in pairs:
        assert (
            np.abs(nib.load(path).get_fdata() - nib.load(second_path).get_fdata()).max()
            < 1e-4
        )


@pytest.mark.parametrize(
    ("offline", "code"),
    [("0", 0), ("1", 1)],
)
def test_a_plan_downloads_nothing(job, capsys, monkeypatch, offline, code):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(job.folder / "home"))
    monkeypatch.setenv("DTG_OFFLINE", offline)
    root = describe_dataset(job.folder / "other")
    add_rest(root, space="MNI152NLin2009cAsym")
    job.bids = root
    assert job.run("--dry-run") == code
    told = (
        "sub-01: would fail: sub-01_task-rest is in" if code else "would first download"
    )
    out = capsys.readouterr().out
    assert told in out
    assert "(205 MB)" in out
    assert not (job.folder / "home").exists()


def test_other_cleaning_than_the_trainings_is_told(job, capsys):
    training = TrainingData(data="x", cleaning="HCP minimal preprocessing and ICA-FIX")
    write_tiny_bundle(job.folder / "trained", training=training)
    job.model = job.folder / "trained"
    assert job.run() == 0
    note = (
        "The model was trained on runs cleaned differently (HCP minimal preprocessing and ICA-FIX)"
        "; these were preprocessed by fMRIPrep and cleaned here by simple."
    )
    assert sidecar(job.out)["CleaningNote"] == note
    assert note in " ".join(capsys.readouterr().err.split())
    study = StudyJob(job, "hcp")
    assert study.run() == 0
    assert "CleaningNote" not in sidecar(study.out)
