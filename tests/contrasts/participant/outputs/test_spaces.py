"""`--output-spaces` through the whole program: values as scipy's, names, sidecars, refusals."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import make_image
from maps_bundle import TINY_AFFINE, extend_bundle
from maps_job import TinyJob, add_rest, map_facts, tree
from scipy.ndimage import map_coordinates
from study_folders import write_affine

from bids_dtg.contrasts.half_width import HalfWidths
from bids_dtg.imaging.nifti import read_volume

pytestmark = pytest.mark.slow

SPACE, OTHER = "MNI152NLin6Asym", "MNI152NLin2009cAsym"
# From points of T1w space to points of the model's, RAS+ mm: turned, shifted, a little larger.
TO_MODEL = np.array(
    [[0.98, 0.2, 0, 1.5], [-0.2, 0.98, 0.1, -2], [0, -0.1, 1.02, 0.7], [0, 0, 0, 1]]
)
LPS = np.diag([-1.0, -1, 1, 1])
T1W_SHAPE = (44, 50, 41)
MAPS = "contrast-languageMath_stat-z_desc"


def add_anatomy(root: Path, participant: str = "01") -> Path:
    """Add a T1w image of 1 mm, left to right, and the transform to it from the model's space."""
    anat = root / f"sub-{participant}" / "anat"
    affine = np.eye(4)
    affine[:3, 3] = -24, -40, -16
    image = anat / f"sub-{participant}_desc-preproc_T1w.nii.gz"
    make_image(image, np.ones(T1W_SHAPE, np.float32), affine)
    name = f"sub-{participant}_from-{SPACE}_to-T1w_mode-image_xfm.txt"
    write_affine(anat / name, LPS @ TO_MODEL @ LPS)
    return anat / name


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Return a TemplateFlow folder with an affine from 2009cAsym to the model's space."""
    folder = tmp_path / "templateflow"
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(folder))
    name = f"tpl-{OTHER}_from-{SPACE}_mode-image_xfm.h5"
    write_affine(folder / f"tpl-{OTHER}" / name, LPS @ TO_MODEL @ LPS)
    return folder


@pytest.fixture
def job(tmp_path, home) -> TinyJob:
    job = TinyJob(tmp_path)
    contrasts, lattice = len(job.bundle.contrasts), job.bundle.places.lattice(4)
    values = np.linspace(0.5, 1.5, contrasts * lattice.blocks, dtype=np.float32)
    widths = HalfWidths(20, 4, values.reshape(contrasts, *lattice.shape), lattice)
    job.model = tmp_path / "sure"
    job.bundle = extend_bundle(job.bundle, job.model, half_widths=widths)
    add_anatomy(job.bids)
    return job


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.rglob(pattern)
    return path


def resampled(path: Path, mask: np.ndarray, affine: np.ndarray, shape) -> np.ndarray:
    """Interpolate a map among voxels of its mask at the voxels of another image, by scipy."""
    points = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    model_points = points @ TO_MODEL[:3, :3].T + TO_MODEL[:3, 3]
    back = np.linalg.inv(TINY_AFFINE)
    at = (model_points @ back[:3, :3].T + back[:3, 3]).T
    values, _ = read_volume(path)
    total, weight = (
        map_coordinates(volume.astype(float), at, order=1, mode="constant").reshape(
            shape
        )
        for volume in (np.where(mask, values, 0), mask)
    )
    return np.where(weight >= 0.5, total / np.maximum(weight, 0.5), 0)


def assert_resampled(
    original: Path, moved: Path, mask: np.ndarray, atol: float = 1e-3
) -> None:
    values, affine = read_volume(moved)
    wanted = resampled(original, mask, affine, values.shape)
    rim = (values != 0) != (wanted != 0)  # a weight of a half, but for rounding
    assert rim.mean() < 1e-3
    assert np.count_nonzero(values) > 100
    np.testing.assert_allclose(
        values[~rim], wanted[~rim], atol=atol * np.abs(wanted).max()
    )


def test_maps_in_the_own_space_and_in_a_template(job):
    spaces = ("--output-spaces", "T1w", f"{OTHER}:res-02", SPACE)
    assert job.run(*spaces) == 0
    mask = job.bundle.voxels.mask
    original = only(
        job.out / "sub-01", f"*space-{SPACE}_res-2_{MAPS}-synthetic_statmap.nii.gz"
    )
    in_t1w = only(job.out / "sub-01", f"*_space-T1w_{MAPS}-synthetic_statmap.nii.gz")
    in_template = only(
        job.out / "sub-01", f"*_space-{OTHER}_res-2_{MAPS}-synthetic_statmap.nii.gz"
    )
    assert_resampled(original, in_t1w, mask)
    assert_resampled(original, in_template, mask)
    # the field of view of the T1w image, at the model's voxel size; TemplateFlow's grid
    assert nib.load(in_t1w).shape == (22, 25, 21)
    assert np.allclose(nib.load(in_t1w).affine[:3, 3], (-23.5, -39.5, -16.0))
    assert int(nib.load(in_t1w).header["sform_code"]) == 1
    assert nib.load(in_template).shape == (97, 115, 97)
    assert np.allclose(nib.load(in_template).affine[:3, 3], (-96.5, -132.5, -78.5))
    assert nib.load(in_t1w).header.get_intent()[0] == "z score"
    # half-widths are one set, on the model's grid
    assert {path.parent.name for path in job.out.rglob("*halfwidth*")} == {
        f"tpl-{SPACE}"
    }
    assert len(list(job.out.rglob("*_space-T1w_*statmap.nii.gz"))) == 3


def test_sidecars_name_the_space_the_transforms_and_the_interpolation(job):
    assert job.run("--output-spaces", "T1w", OTHER) == 0
    of_t1w = map_facts(only(job.out, f"*_space-T1w_{MAPS}-synthetic_statmap.nii.gz"))
    assert of_t1w["SpatialReference"] == (
        "bids:fmriprep:sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"
    )
    assert of_t1w["Resolution"].startswith(
        "2 x 2 x 2 mm, 22 x 25 x 21 voxels over the field of view"
    )
    assert of_t1w["Transforms"] == [f"sub-01_from-{SPACE}_to-T1w_mode-image_xfm.txt"]
    assert of_t1w["ResampledFrom"] == SPACE
    assert of_t1w["Interpolation"].startswith(
        "linear, from voxels in the model's mask only"
    )
    original = only(job.out, f"*space-{SPACE}_*{MAPS}-synthetic_statmap.nii.gz")
    assert of_t1w["Sources"] == [
        f"bids:fmriprep:sub-01/anat/{of_t1w['Transforms'][0]}",
        "bids:fmriprep:sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
    ]
    assert of_t1w["Units"] == map_facts(original)["Units"]
    assert of_t1w["ModelSHA256"] == job.bundle.identity
    of_template = map_facts(
        only(job.out, f"*_space-{OTHER}_*{MAPS}-synthetic_statmap.nii.gz")
    )
    assert (
        of_template["SpatialReference"]
        == f"https://templateflow.s3.amazonaws.com/tpl-{OTHER}"
    )
    assert of_template["Transforms"] == [f"tpl-{OTHER}_from-{SPACE}_mode-image_xfm.h5"]
    assert of_template["Contrast"] == "MATH"


def test_a_set_is_made_again_when_a_transform_or_the_spaces_change(job, capsys):
    path = add_anatomy(job.bids)
    for _ in range(2):
        assert job.run("--output-spaces", "T1w") == 0
    assert "0 sets of maps written, 1 already complete" in capsys.readouterr().err
    write_affine(path, np.diag([1.01, 1, 1, 1]))
    assert job.run("--output-spaces", "T1w") == 0
    assert "1 set of maps written, 0 already complete" in capsys.readouterr().err
    assert job.run() == 0
    assert not list(job.out.rglob("*space-T1w*"))


def maps_of(folder: Path) -> dict[str, str]:
    return {
        name: digest
        for name, digest in tree(folder).items()
        if name.endswith("map.nii.gz")
    }


def test_a_space_that_cannot_be_reached_costs_only_the_maps_in_it(job, capsys):
    add_rest(job.bids, "02", seed=1)
    line = (
        f"maps in T1w were not written: {job.bids}/sub-02/anat has no sub-02_from-{SPACE}_to-"
        "T1w_mode-image_xfm.h5. To do: copy the anat folder of fMRIPrep's derivatives there, or "
        "leave T1w out of --output-spaces."
    )
    words = ("--output-spaces", "T1w", "--surfaces", "fsLR", "--dry-run")
    assert job.run(*words) == 1
    printed = capsys.readouterr().out
    assert f"\nsub-02_task-rest: would fail: {line}\n" in printed
    assert f"       1  would fail: {line} (first: sub-02_task-rest)\n" in printed
    assert job.run(*words, "-v") == 1
    printed = capsys.readouterr().out
    assert "sub-02_task-rest: would write 3 maps to " in printed
    assert f"    would fail: {line}\n" in printed
    assert "\n2 participants, 1 would fail" in printed
    assert (
        "    on surfaces: "
        in printed.partition("also written in T1w, through sub-01_from-")[2]
    )
    assert job.run(out=job.folder / "plain") == 0
    capsys.readouterr()
    for complete in (0, 1):  # it is tried again
        assert job.run("--output-spaces", "T1w") == 1
        printed = capsys.readouterr().err
        assert f"sub-02: failed: {line}\n" in printed
        assert f"{2 - complete} set" in printed
        assert (
            f"of maps written, {complete} already complete, 1 participant failed"
            in printed
        )
    assert list((job.out / "sub-01").rglob("*space-T1w*"))
    assert maps_of(job.out / "sub-02") == maps_of(job.folder / "plain" / "sub-02") != {}
    log = max(job.out.rglob("failures.tsv"))
    assert (
        log.read_text()
        .splitlines()[1]
        .startswith("sub-02\tsub-02_task-rest\tn/a\twriting")
    )
    add_anatomy(job.bids, "02")
    assert job.run("--output-spaces", "T1w") == 0
    assert (
        "1 set of maps written, 1 already complete, 0 part" in capsys.readouterr().err
    )
    assert list((job.out / "sub-02").rglob("*space-T1w*"))


@pytest.mark.parametrize(
    ("spaces", "line"),
    [
        (
            ["MNI305"],
            f"--output-spaces has 'MNI305'. Expected: one of {OTHER}[:res-2], {SPACE}[:res-2]",
        ),
        ([f"{OTHER}:res-1"], f"has '{OTHER}:res-1', which maps cannot be written in"),
        (["T1w:res-2"], "has 'T1w:res-2', which maps cannot be written in"),
        ([OTHER], f"--output-spaces {OTHER}: "),
    ],
)
def test_spaces_that_nobody_has_are_refused_at_once(job, home, capsys, spaces, line):
    shutil.rmtree(home)
    assert job.run("--output-spaces", *spaces) == 2
    assert line in capsys.readouterr().err
    assert not job.out.exists()


@pytest.mark.parametrize(
    ("shape", "size_mm", "fact"),
    [
        ((10, 10), 1.0, "has sizes (10, 10)"),
        ((90, 90, 90), 20.0, "field of view of 1800 x 1800"),
    ],
)
def test_an_image_that_is_no_head_is_refused(job, capsys, shape, size_mm, fact):
    path = only(job.bids, "sub-01_desc-preproc_T1w.nii.gz")
    make_image(path, np.ones(shape, np.float32), np.diag([size_mm] * 3 + [1.0]))
    assert job.run("--output-spaces", "T1w") == 1
    assert fact in capsys.readouterr().err


def test_all_that_is_elsewhere_is_named_at_once(job, capsys):
    images = [only(job.bids, "sub-01_desc-preproc_T1w.nii.gz"), add_anatomy(job.bids)]
    for path in images:
        path.write_text("/annex/objects/MD5E-s1--a\n")
    assert job.run("--output-spaces", "T1w", "--dry-run") == 1
    assert f"To do: datalad get {images[0]} {images[1]}.\n" in capsys.readouterr().out


def test_two_forms_that_differ_are_refused(job, capsys):
    path = only(job.bids, "sub-01_desc-preproc_T1w.nii.gz")
    image = nib.load(path)
    moved = image.affine.copy()
    moved[0, 3] += 5
    image.set_sform(image.affine, 1)
    image.set_qform(moved, 2)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
    assert job.run("--output-spaces", "T1w") == 1
    assert "voxel 5 mm apart" in capsys.readouterr().err


def test_a_transform_that_cannot_be_read_costs_only_the_maps_through_it(job, capsys):
    assert job.run("--output-spaces", "T1w", OTHER) == 0
    before = maps_of(job.out)
    add_anatomy(job.bids).write_text("no transform")
    assert job.run("--output-spaces", "T1w", OTHER) == 1
    assert "_xfm.txt cannot be read as a transform" in capsys.readouterr().err
    assert maps_of(job.out) == {k: v for k, v in before.items() if "space-T1w" not in k}
