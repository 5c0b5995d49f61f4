"""fMRIPrep's minimal level through the whole job: raw frames, realigned while they are read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids_check import validate
from fmriprep_dataset import describe_dataset
from minimal_level import MinimalRun, add_minimal_run
from study_folders import add_transforms
from tiny_bundle import TINY_AFFINE, TINY_SHAPE
from tiny_job import FRAMES, TR, TinyJob, add_rest, tiny_bold

from bids_dtg.files.sidecars import read_inherited

MARGIN = 4  # voxels around the model's grid, so that no motion leads out of the series


class MinimalJob(TinyJob):
    """The same job on a raw dataset, with fMRIPrep's derivatives inside."""

    def __init__(self, job: TinyJob, **options: object) -> None:
        self.folder = job.folder / "minimal"
        self.bids, self.out, self.model = self.folder / "in", self.folder / "out", job.model
        self.root = self.bids / "derivatives" / "fmriprep"
        data = {"bold": tiny_bold(), "affine": TINY_AFFINE, "tr": TR, "with_confounds": True}
        self.files: MinimalRun = add_minimal_run(self.bids, self.root, **(data | options))


def native(folder: Path) -> TinyJob:
    """Make a job on a run that was realigned to its own grid."""
    job = TinyJob(folder)
    for path in job.bids.rglob("*.*"):
        path.unlink()
    describe_dataset(job.bids)
    add_rest(job.bids, space=None, res=None)
    add_transforms(job.bids)
    return job


def images(out: Path) -> dict[str, np.ndarray]:
    found = {
        re.search("contrast-([A-Za-z0-9]+)", path.name)[1]: nib.load(path).get_fdata()
        for path in out.rglob("*_statmap.nii.gz")
    }
    assert len(found) == 3
    return found


def facts(out: Path) -> dict:
    return read_inherited(min(out.rglob("*desc-synthetic_statmap.json")))


@pytest.mark.slow
def test_without_motion_it_is_the_native_run_to_rounding(tmp_path, capsys):
    job = native(tmp_path)
    assert job.run() == 0
    minimal = MinimalJob(job)
    capsys.readouterr()
    assert minimal.run("--dry-run") == 0
    plan = capsys.readouterr().out
    assert f"reads {minimal.files.raw}" in plan
    assert f"realigned by {minimal.files.motion}" in plan
    assert minimal.run() == 0
    maps, wanted = images(minimal.out), images(job.out)
    assert maps.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(maps[name], values, rtol=0, atol=1e-5 * np.abs(values).max())
    told = facts(minimal.out)
    assert told["Sources"][:2] == [
        "bids:raw:sub-01/func/sub-01_task-rest_bold.nii.gz",
        f"bids:fmriprep:sub-01/func/{minimal.files.motion.name}",
    ]
    (run,) = told["Runs"]
    assert run["HeadMotion"] == minimal.files.motion.name
    assert run["SpaceReason"].startswith("the raw series, realigned by ")
    assert any("neither slice timing nor distortions" in note for note in run["Notes"])
    links = json.loads((minimal.out / "dataset_description.json").read_text())["DatasetLinks"]
    assert "raw" in links
    # A change of the matrices is a change of the input.
    minimal.files.motion.write_text(minimal.files.motion.read_text() + "\n")
    capsys.readouterr()
    assert minimal.run("--dry-run") == 0
    assert "complete" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "fact"),
    [
        (
            lambda f: f.confounds.unlink(),
            r"has no table of confounds beside \S+hmc_xfm\.txt.*level full only.*none needs no col",
        ),
        (
            lambda f: f.motion.write_text(f.motion.read_text().partition("#Transform 59")[0]),
            r"hmc_xfm\.txt has 59 matrices\. Expected: 60, one for each frame of \S+_bold\.nii\.gz",
        ),
        (
            lambda f: f.motion.write_text("moved a lot"),
            r"hmc_xfm\.txt cannot be used as a head's motion: it does not begin with '#Insight",
        ),
    ],
)
def test_what_a_run_lacks_is_one_line(tmp_path, capsys, spoil, fact):
    job = MinimalJob(TinyJob(tmp_path))
    spoil(job.files)
    assert job.run() == 1
    assert re.search(fact, capsys.readouterr().err)


def test_it_needs_no_confounds_where_nothing_is_removed(tmp_path):
    job = MinimalJob(TinyJob(tmp_path), with_confounds=False)
    assert job.run("--denoise-strategy", "none") == 0
    assert len(images(job.out)) == 3
    (methods,) = (job.out / "logs/methods").glob("*_raw.md")
    said = " ".join(methods.read_text().split())
    assert "raw frames were realigned in the same pass" in said


def steps_and_turns() -> np.ndarray:
    """(frames, 4, 4): a head that wanders by up to a few mm and degrees."""
    rng = np.random.default_rng(3)
    shifts, angles = np.cumsum(rng.normal(0, 0.2, (FRAMES, 3)), 0), rng.normal(0, 0.02, FRAMES)
    motion = np.repeat(np.eye(4)[None], FRAMES, axis=0)
    motion[:, 0, 0] = motion[:, 1, 1] = np.cos(angles)
    motion[:, 1, 0] = np.sin(angles)
    motion[:, 0, 1] = -np.sin(angles)
    motion[:, :3, 3] = shifts
    return motion


@pytest.mark.slow
def test_a_head_that_moves_with_its_page_and_the_validator(tmp_path):
    """Smooth patterns, moved by known matrices, come back where they were."""
    motion = steps_and_turns()
    shape = tuple(size + 2 * MARGIN for size in TINY_SHAPE)
    affine = TINY_AFFINE @ np.block([[np.eye(3), np.full((3, 1), -MARGIN)], [np.eye(4)[3:]]])
    points = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    courses = np.random.default_rng(4).normal(size=(FRAMES, 3))

    def patterns(at: np.ndarray) -> np.ndarray:
        x, y, z = at.T / 4
        return np.stack([np.sin(x), np.cos(y + z), np.sin(z - x)])

    def series(matrices: np.ndarray) -> np.ndarray:
        frames = [
            1000 + 100 * course @ patterns(points @ inverse[:3, :3].T + inverse[:3, 3])
            for course, inverse in zip(courses, np.linalg.inv(matrices), strict=True)
        ]
        return np.stack([frame.reshape(shape) for frame in frames], axis=-1).astype(np.float32)

    def job_of(name: str, moved_by: np.ndarray, told: np.ndarray) -> MinimalJob:
        data = {"bold": series(moved_by), "affine": affine, "matrices": told}
        return MinimalJob(TinyJob(tmp_path / name), **data)

    stillness = np.repeat(np.eye(4)[None], FRAMES, axis=0)
    still, moved = job_of("a", stillness, stillness), job_of("b", motion, motion)
    ignored = job_of("c", motion, stillness)
    moved.reports = True
    for job in (still, moved, ignored):
        assert job.run("--denoise-strategy", "none", "--write-connectome") == 0
    assert (moved.out / "sub-01.html").is_file()
    wanted, found, without = (
        nib.load(next(job.out.rglob("*desc-connectome_statmap.nii.gz"))).get_fdata()
        for job in (still, moved, ignored)
    )
    there = wanted.any(axis=-1)
    np.testing.assert_array_equal(there, found.any(axis=-1))
    agreement = [
        np.corrcoef(wanted[there].ravel(), other[there].ravel())[0, 1] for other in (found, without)
    ]
    assert agreement[0] > 0.9995
    assert 1 - agreement[0] < 0.1 * (1 - agreement[1])
    assert validate(moved.out).errors == []
