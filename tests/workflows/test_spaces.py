"""Runs off the model's grid through the whole job, against runs resampled beforehand by scipy."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from itk_files import affine_part, field_part, write_composite
from maps_bundle import TINY_AFFINE, TINY_SHAPE
from maps_job import FRAMES, TinyJob, add_rest
from scipy.ndimage import map_coordinates

from bids_dtg.files.sidecars import read_inherited

OTHER = "MNI152NLin2009cAsym"


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ())


def centres(shape=TINY_SHAPE, affine=TINY_AFFINE) -> np.ndarray:
    """(voxels, 3) mm, C order."""
    return np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]


def other_lattice(size: float) -> tuple[np.ndarray, tuple[int, ...]]:
    """A lattice of this voxel size, left to right, that holds the model's and 12 mm more."""
    low, high = centres().min(axis=0) - 12, centres().max(axis=0) + 12
    affine = np.diag([size] * 3 + [1.0])
    affine[:3, 3] = low + 0.3
    return affine, tuple(np.ceil((high - low) / size).astype(int))


def other_bold(shape) -> np.ndarray:
    rng = np.random.default_rng(5)
    waves, mixing = rng.normal(size=(6, FRAMES)), rng.normal(size=(*shape, 6))
    noise = rng.normal(size=(*shape, FRAMES))
    return (1000 + 30 * mixing @ waves + 20 * noise).round().astype(np.int16)


def resampled(
    bold: np.ndarray, affine: np.ndarray, points: np.ndarray, order: int
) -> np.ndarray:
    """Take a series at points (n, 3) mm by scipy; (i, j, k, frames) on the model's grid."""
    inverse = np.linalg.inv(affine)
    indices = (points @ inverse[:3, :3].T + inverse[:3, 3]).T
    frames = [
        map_coordinates(bold[..., t].astype(float), indices, order=order)
        for t in range(FRAMES)
    ]
    return np.stack(frames, axis=-1).reshape(*TINY_SHAPE, FRAMES).astype(np.float32)


def read_map(out: Path) -> np.ndarray:
    (path,) = out.rglob("*contrast-languageMath_*desc-synthetic_statmap.nii.gz")
    return nib.load(path).get_fdata()


def run_facts(out: Path) -> dict:
    (path,) = out.rglob("*contrast-languageMath_*desc-synthetic_statmap.nii.gz")
    (facts,) = read_inherited(path)["Runs"]
    return facts


def assert_same_maps(job: TinyJob, ready: np.ndarray, *options: object) -> None:
    """What the job makes of its run is what it makes of a series that is on the grid already."""
    assert job.run("--denoise-strategy", "simple", *options) == 0
    values = read_map(job.out)
    shutil.rmtree(job.bids / "sub-01")
    add_rest(job.bids, bold=ready)
    assert job.run("--denoise-strategy", "simple", out=job.folder / "ready") == 0
    wanted = read_map(job.folder / "ready")
    assert run_facts(job.folder / "ready")["Interpolation"] == "none"
    assert wanted.std() > 0
    np.testing.assert_allclose(values, wanted, atol=1e-3 * np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "interpolation", "order"),
    [(2.0, "linear", 1), (2.0, "nearest", 0), (3.0, "cubic", 3)],
)
def test_the_same_space_off_the_lattice(job, size, interpolation, order):
    affine, shape = other_lattice(size)
    bold = other_bold(shape)
    add_rest(job.bids, bold=bold, affine=affine, res=None)
    ready = resampled(bold, affine, centres(), order)
    assert_same_maps(job, ready, "--interpolation", interpolation)
    assert run_facts(job.out)["Interpolation"] == interpolation


def shift(points: np.ndarray) -> np.ndarray:
    """Displace by up to 3 mm; linear in space, so that a field holds it exactly."""
    return points @ np.array(
        [[0.02, 0.03, 0], [-0.05, 0, 0.01], [0.03, -0.02, 0.04]]
    ) + (
        1,
        -2,
        0.5,
    )


@pytest.mark.slow
def test_another_template_through_the_composite_of_templateflow(job, monkeypatch):
    nodes = np.diag([-4.0, 4, 4, 1])
    nodes[:3, 3] = 60, -80, -60
    lattice = centres((30, 40, 30), nodes)
    turn = np.eye(4)
    turn[:3] = [[0.99, 0.05, 0, 1], [-0.05, 0.99, 0.02, -1], [0, -0.02, 1.01, 2]]
    home = job.folder / "templateflow"
    name = f"tpl-MNI152NLin6Asym_from-{OTHER}_mode-image_xfm.h5"
    (home / "tpl-MNI152NLin6Asym").mkdir(parents=True)
    field = field_part(shift(lattice).reshape(30, 40, 30, 3), nodes)
    path = home / "tpl-MNI152NLin6Asym" / name
    write_composite(path, [affine_part(turn), field])  # the field meets a point first
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(home))
    affine, shape = other_lattice(2.0)
    bold = other_bold(shape)
    add_rest(job.bids, bold=bold, affine=affine, space=OTHER, res=None)
    points = (centres() + shift(centres())) @ turn[:3, :3].T + turn[:3, 3]
    assert_same_maps(job, resampled(bold, affine, points, 3))
    assert run_facts(job.out)["Interpolation"] == "cubic"


@pytest.mark.slow
def test_a_form_of_another_space_is_told(job):
    path = add_rest(job.bids)
    image = nib.load(path)
    image.set_sform(TINY_AFFINE, 4)
    moved = TINY_AFFINE.copy()
    moved[:3, 3] += 25
    image.set_qform(moved, 1)
    nib.save(image, path)
    assert job.run() == 0
    (note,) = (note for note in run_facts(job.out)["Notes"] if "qform" in note)
    assert (
        "sform was used; its qform, of another space, puts a voxel up to 43.3 mm"
        in note
    )
