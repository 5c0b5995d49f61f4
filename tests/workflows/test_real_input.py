"""The whole job on a real run and a full-size network, against the plain way to compute it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids_check import require_every_file_seen, validate
from nilearn.interfaces.fmriprep import load_confounds_strategy
from plain_route import clean, correlate, plain_series

from bids_dtg.cli import models as models_cli
from bids_dtg.cli.run import main
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_mask

pytestmark = pytest.mark.slow

STEM = "sub-HAPPYTEST_task-rest"
ROIS, PARCELS_A_ROI = 50, 8


@dataclass(frozen=True)
class RealJob:
    """A converted bundle, the real dataset and what the program made of them."""

    shared: Path  # the test data
    bids: Path  # the dataset
    model: Path  # the bundle
    out: Path  # the output
    arguments: list[str]  # of the call
    grid: Grid  # of the model
    brain: np.ndarray  # (i, j, k) bool
    grey: np.ndarray  # (i, j, k) bool


@pytest.fixture(scope="module")
def job(shared, tmp_path_factory) -> RealJob:
    folder = tmp_path_factory.mktemp("real")
    mni, checkpoint = (
        shared / "data/mni",
        shared / "reference/deeptaskgen/random_fdim64.ckpt",
    )
    bids = shared / "data/real/fmriprep_like"
    if not checkpoint.is_file() or not bids.is_dir():
        pytest.skip(f"no {checkpoint} or {bids}")
    grey, affine = write_grey_matter(mni, folder / "grey.nii.gz")
    write_roi_maps(shared, folder / "maps.nii.gz")
    brain = mni / "MNI_2mm_brain_mask_crop.nii"
    files = {"--maps": "maps.nii.gz", "--mask": "grey.nii.gz", "--brain-mask": brain}
    words = [
        str(word) for pair in files.items() for word in (pair[0], folder / pair[1])
    ]
    model = folder / "random64"
    convert = ["convert", str(checkpoint), str(model), "--name", "random64", *words]
    assert models_cli.main(convert) == 0
    out = folder / "out"
    arguments = [str(bids), str(out), "participant", "--model", str(model)]
    arguments += ["--participant-label", "HAPPYTEST"]
    grid = Grid(grey.shape, affine)
    return RealJob(
        shared, bids, model, out, arguments, grid, read_mask(brain, grid), grey
    )


def write_grey_matter(mni: Path, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write the union of the cortical and the subcortical mask."""
    images = [
        nib.load(mni / f"MNI_2mm_{kind}_mask_crop.nii.gz")
        for kind in ("cortical", "subcortical")
    ]
    grey = (images[0].get_fdata() > 0) | (images[1].get_fdata() > 0)
    nib.save(nib.Nifti1Image(grey.astype(np.uint8), images[0].affine), path)
    return grey, images[0].affine


def write_roi_maps(shared: Path, path: Path) -> None:
    """Write 50 maps of 8 parcels each, on the whole field of view of FSL's template."""
    name = "Schaefer2018_400Parcels_7Networks_order_FSLMNI152_2mm.nii.gz"
    atlas = nib.load(shared / "data/real/parcellations" / name)
    labels = np.asarray(atlas.dataobj).astype(int)
    roi = np.where(labels > 0, (labels - 1) // PARCELS_A_ROI, -1)
    maps = np.stack([roi == number for number in range(ROIS)], axis=-1).astype(
        np.float32
    )
    nib.save(nib.Nifti1Image(maps, atlas.affine), path)


@pytest.fixture(scope="module")
def written_job(job) -> RealJob:
    assert (
        main([*job.arguments, "--min-minutes", "2", "--write", "maps", "connectome"])
        == 0
    )
    return job


def test_default_refuses_the_short_run_with_its_numbers(job, capsys, tmp_path):
    words = [
        word if word != str(job.out) else str(tmp_path / "out")
        for word in job.arguments
    ]
    assert main(words) == 1
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if "failed: " in line
    ]
    assert (
        f"{STEM}_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz has 2.1 of 2.1"
        in line
    )
    assert "Expected: at least 4 minutes. To do: lower --min-minutes" in line
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


def map_path(out: Path, label: str) -> Path:
    name = f"{STEM}_space-MNI152NLin6Asym_res-2_contrast-{label}_stat-z_desc-synthetic_statmap"
    return out / "sub-HAPPYTEST" / "func" / f"{name}.nii.gz"


def test_47_valid_images(written_job):
    images = sorted(written_job.out.rglob("*desc-synthetic_statmap.nii.gz"))
    assert images == sorted(
        map_path(written_job.out, contrast.label) for contrast in hcp_contrasts()
    )
    assert len(images) == 47
    for path in images:
        image = nib.load(path)
        data = image.get_fdata()
        assert data.shape == written_job.grid.shape
        np.testing.assert_allclose(image.affine, written_job.grid.affine)
        assert np.isfinite(data).all()
        assert not data[~written_job.grey].any()
        assert data[written_job.grey].std() > 0
        sidecar = read_inherited(path)
        assert sidecar["Synthetic"] is True
        assert sidecar["SecondsOfRest"] == pytest.approx(128, abs=3)


def test_pybids_finds_them(written_job):
    from bids import BIDSLayout

    layout = BIDSLayout(written_job.out, validate=False, is_derivative=True)
    query = {
        "subject": "HAPPYTEST",
        "task": "rest",
        "suffix": "statmap",
        "desc": "synthetic",
    }
    assert len(layout.get(**query, space="MNI152NLin6Asym", extension=".nii.gz")) == 47


def test_what_is_written_is_bids(written_job, tmp_path):
    assert validate(written_job.out).errors == []
    assert require_every_file_seen(written_job.out, tmp_path) > 47


@pytest.fixture(scope="module")
def run_on_grid(job) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the run on the grid, and (i, j, k) its grey voxels and those of ROI series."""
    func = job.bids / "sub-HAPPYTEST" / "func"
    bold, mask = (
        on_grid(
            nib.load(func / f"{STEM}_space-MNI152NLin6Asym_res-2_desc-{what}.nii.gz"),
            job.grid,
        )
        for what in ("preproc_bold", "brain_mask")
    )
    inside = (job.brain | job.grey) & (mask[..., 0] > 0) & (bold.std(axis=-1) > 0)
    means = bold.mean(axis=-1)
    leaving = (
        inside & (bold == 0).any(axis=-1) & (means > 0.05 * np.median(means[inside]))
    )
    print(
        f"{(job.brain & (mask[..., 0] == 0)).sum()} brain voxels lie outside the run's mask"
    )
    print(f"{leaving.sum()} of {inside.sum()} voxels leave the field of view")
    of_series = inside & ~leaving if leaving.sum() >= 0.001 * inside.sum() else inside
    return bold, job.grey & inside & ~leaving, job.brain & of_series


@pytest.fixture(scope="module")
def cleaned(job, run_on_grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cleaned voxels (frames, n), ROI series, and which grey voxels (i, j, k) these are."""
    func, name = (
        job.bids / "sub-HAPPYTEST/func",
        f"{STEM}_space-MNI152NLin6Asym_res-2_desc",
    )
    bold, grey, of_series = run_on_grid
    image = func / f"{name}-preproc_bold.nii.gz"
    table, sample_mask = load_confounds_strategy(str(image), denoise_strategy="simple")
    assert sample_mask is None
    assert table.shape == (110, 24 + 2 + 1)
    confounds = (table / table.std()).to_numpy()

    maps = on_grid(nib.load(job.model.parent / "maps.nii.gz"), job.grid)
    brain_series = plain_series(bold[of_series].T, maps[of_series].T)
    return clean(bold[grey].T, confounds), clean(brain_series, confounds), grey


@pytest.fixture(scope="module")
def plain(job, cleaned) -> np.ndarray:
    """Compute the cleaned connectome (rois, grey voxels) on whole float64 arrays."""
    voxels, series, grey = cleaned
    r = np.zeros((ROIS, *job.grid.shape))
    r[:, grey] = correlate(voxels, series)
    return r[:, job.grey]


def on_grid(image: nib.Nifti1Image, grid: Grid) -> np.ndarray:
    """Crop (and pad) an image of the same lattice to the grid, as float64 (i, j, k, n)."""
    data = image.get_fdata().reshape(*image.shape[:3], -1)
    to_file = np.linalg.inv(image.affine) @ grid.affine
    steps, start = (
        np.rint(to_file[:3, :3]).astype(int),
        np.rint(to_file[:3, 3]).astype(int),
    )
    assert np.abs(to_file[:3, :3] - steps).max() < 1e-4
    where = np.indices(grid.shape).reshape(3, -1).T @ steps.T + start
    inside = ((where >= 0) & (where < data.shape[:3])).all(axis=1)
    values = np.zeros((len(where), data.shape[-1]))
    values[inside] = data[tuple(where[inside].T)]
    return values.reshape(*grid.shape, -1)


def test_connectome_equals_the_plain_way(written_job, plain):
    (path,) = written_job.out.rglob(
        "*_stat-pearsoncorrelation_desc-connectome_statmap.nii.gz"
    )
    written = nib.load(path).get_fdata()[written_job.grey].T
    assert written.shape == plain.shape
    assert np.abs(plain).max() > 0.5
    np.testing.assert_allclose(written, plain, rtol=0, atol=1e-5)


def test_maps_equal_the_eager_network_on_the_plain_connectome(written_job, plain):
    import torch

    from bids_dtg.contrasts.bundle.checkpoint import read_lightning_checkpoint

    checkpoint = written_job.shared / "reference/deeptaskgen/random_fdim64.ckpt"
    volume = torch.zeros(1, ROIS, *written_job.grid.shape)
    volume[0, :, torch.from_numpy(written_job.grey)] = torch.from_numpy(plain).float()
    with torch.inference_mode():
        outputs = read_lightning_checkpoint(checkpoint)(volume)[0].numpy()
    for contrast, expected in zip(hcp_contrasts(), outputs, strict=True):
        values = nib.load(map_path(written_job.out, contrast.label)).get_fdata()
        difference = np.abs(values - expected)[written_job.grey].max()
        # The random network's maps lie within 0.3; another connectome shows in the fourth digit.
        assert difference < 2e-6, contrast.label


@pytest.fixture(scope="module")
def uncleaned(job) -> np.ndarray:
    """Return maps (contrasts, grey voxels) of the run as it is, as the public code takes it."""
    out = job.out.parent / "uncleaned"
    words = [word if word != str(job.out) else str(out) for word in job.arguments]
    assert main([*words, "--min-minutes", "2", "--denoise-strategy", "none"]) == 0
    images = [nib.load(map_path(out, contrast.label)) for contrast in hcp_contrasts()]
    return np.array([image.get_fdata()[job.grey] for image in images])


def published_maps(
    job, bold: np.ndarray, grey: np.ndarray, brain: np.ndarray
) -> np.ndarray:
    """Return maps (contrasts, grey voxels) by the steps of the public code, on whole arrays.

    ROI series are solved over the brain mask and correlated with each voxel of the grid; the
    network reads those of grey matter, of which 273 lie outside the brain mask.
    """
    import torch

    from bids_dtg.contrasts.bundle.checkpoint import read_lightning_checkpoint

    maps = on_grid(nib.load(job.model.parent / "maps.nii.gz"), job.grid)
    r = correlate(bold[grey].T, plain_series(bold[brain].T, maps[brain].T))
    assert np.abs(r[:, ~job.brain[grey]]).max() > 0.4
    volume = torch.zeros(1, ROIS, *job.grid.shape)
    volume[0, :, torch.from_numpy(grey)] = torch.from_numpy(r).float()
    checkpoint = job.shared / "reference/deeptaskgen/random_fdim64.ckpt"
    with torch.inference_mode():
        return read_lightning_checkpoint(checkpoint)(volume)[0].numpy()[:, job.grey]


def test_maps_are_those_of_the_published_steps_where_the_run_has_data(
    job, run_on_grid, uncleaned
):
    expected = published_maps(job, *run_on_grid)
    furthest = np.abs(uncleaned - expected).max(axis=1) / np.abs(expected).max(axis=1)
    print(f"maps differ by up to {furthest.max():.2g} of their largest value")
    assert furthest.max() < 1e-5


def test_maps_are_nearly_those_of_the_published_steps_everywhere(
    job, run_on_grid, uncleaned
):
    """The public code also reads voxels outside the run's mask, and beyond its field of view."""
    expected = published_maps(job, run_on_grid[0], job.grey, job.brain)
    pairs = zip(uncleaned, expected, strict=True)
    r = [float(np.corrcoef(ours, theirs)[0, 1]) for ours, theirs in pairs]
    print(f"r from {min(r):.4f}, median {np.median(r):.4f}")
    assert min(r) > 0.988
