"""Runs as sources: raw series, realigned while they are read, against ITK and against the
realigned series; and the time between frames where a header has it wrong.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models, parcels_axis, save_series, tiny_series
from fmriprep_dataset import describe_dataset, make_image
from itk_files import LPS
from scipy.ndimage import map_coordinates
from tiny_job import tiny_bold

from bids_dtg.engine.display import Clock
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.transforms.itk import read_motion
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import run_of_file
from bids_dtg.inputs.space_choice import SPACE, SpaceRule
from bids_dtg.participants.run_source import RunSource, plan_run
from bids_dtg.settings import CleaningOptions, Interpolation

STEM, STEP = "sub-HAPPYTEST_task-rest_", 5  # every fifth of its 110 frames
HMC = f"{STEM}from-orig_to-boldref_mode-image_desc-hmc_xfm.txt"


@pytest.fixture(scope="module")
def folder(shared) -> Path:
    return shared / "data" / "real" / "fmriprep_like"


@pytest.fixture(scope="module")
def native(folder) -> RestRun:
    """Return the real run that was realigned to its own grid."""
    path = folder / "sub-HAPPYTEST" / "func" / f"{STEM}desc-preproc_bold.nii.gz"
    return run_of_file(path, folder, "HAPPYTEST")


@pytest.fixture(scope="module")
def places(folder) -> VoxelPlaces:
    """Every other voxel along each axis of the series in the model's space, in its brain."""
    name = f"{STEM}space-{SPACE}_res-2_desc-brain_mask.nii.gz"
    mask = nib.load(folder / "sub-HAPPYTEST" / "func" / name)
    inside = np.zeros(mask.shape, bool)
    inside[::2, ::2, ::2] = np.asarray(mask.dataobj)[::2, ::2, ::2] > 0
    return VoxelPlaces.within(Grid(mask.shape, mask.affine, SPACE, "2"), inside)


def values(
    run: RestRun, places: VoxelPlaces, interpolation: Interpolation = "cubic"
) -> tuple[np.ndarray, np.ndarray]:
    """Read (frames, voxels), and which voxels are covered."""
    cleaning = CleaningOptions(denoise_strategy="none", min_minutes=0.0, min_dof=0)
    source = RunSource.of(run, plan_run(run, SPACE, cleaning), places, interpolation)
    blocks = [block.copy() for _, block in source.blocks(Clock())]
    return np.concatenate(blocks), source.covered


SERIES_OF = {
    "MNI152NLin6Asym": "space-MNI152NLin6Asym_desc-denoised_bold.nii.gz",
    "fsLR": "space-fsLR_den-91k_desc-denoised_bold.dtseries.nii",
    "fsLR parcels": "space-fsLR_seg-Tiny_stat-mean_timeseries.ptseries.nii",
}


@pytest.mark.parametrize("space", SERIES_OF)
@pytest.mark.parametrize(("stated", "header"), [(2.0, 1.0), (0.8, 800.0)])
def test_the_sidecar_holds_where_the_program_wrote_a_wrong_header(tmp_path, space, stated, header):
    """The frames and the columns of a filter are those of the same run with a right header."""
    options = {"denoise_strategy": "none", "high_pass": 0.01, "min_minutes": 0.0}
    designs = []
    for name, seconds in (("right", stated), ("wrong", header)):
        root = describe_dataset(tmp_path / name, pipeline="XCP-D")
        path = root / "sub-01" / "func" / f"sub-01_task-rest_{SERIES_OF[space]}"
        if space == SPACE:
            make_image(path, tiny_bold(200), tr=seconds)
        else:
            axis = brain_models() if space == "fsLR" else parcels_axis()
            save_series(path, tiny_series(len(axis), 200), axis, seconds)
        sidecar = path.with_name(path.name.partition(".")[0] + ".json")
        sidecar.write_text(json.dumps({"RepetitionTime": stated}))
        run = run_of_file(path, root, "01", rule=SpaceRule(model=space), input_type="xcpd")
        planned = plan_run(run, space, CleaningOptions(**options))
        designs.append(planned.design)
    assert [design.tr_seconds for design in designs] == [stated, stated]
    assert designs[0].basis.shape[1] > 2
    np.testing.assert_allclose(designs[1].basis, designs[0].basis, atol=1e-6)
    assert (
        f"RepetitionTime ({stated:g} s) was used; the header has {header:g} s" in planned.notes[0]
    )


def blocks_of(text: str, frames: np.ndarray) -> list[str]:
    parts = text.split("#Transform ")
    return [parts[frame + 1].split("\n", 1)[1] for frame in frames]


@pytest.fixture(scope="module")
def made(native, folder, tmp_path_factory) -> RestRun:
    """Make raw frames: the realigned ones, moved by the inverse of the real matrices."""
    out = tmp_path_factory.mktemp("made")
    func = folder / "sub-HAPPYTEST" / "func"
    realigned = nib.load(native.bold)
    frames = np.arange(0, realigned.shape[3], STEP)
    index = np.indices(realigned.shape[:3]).reshape(3, -1)
    raw = []
    for frame, matrix in zip(frames, read_motion(func / HMC)[frames], strict=True):
        back = np.linalg.inv(realigned.affine) @ np.linalg.inv(matrix) @ realigned.affine
        volume = realigned.dataobj[..., frame].astype(np.float32)
        at = back[:3, :3] @ index + back[:3, 3:]
        raw.append(map_coordinates(volume, at, order=3, mode="nearest").reshape(volume.shape))
    image = nib.Nifti1Image(np.stack(raw, axis=-1), realigned.affine, realigned.header)
    image.header.set_data_dtype(np.float32)
    nib.save(image, out / "bold.nii")
    lines = ["#Insight Transform File V1.0"]
    for number, block in enumerate(blocks_of((func / HMC).read_text(), frames)):
        lines += [f"#Transform {number}", block]
    (out / HMC).write_text("\n".join(lines))
    return replace(native, bold=out / "bold.nii", motion=out / HMC, confounds=None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interpolation", "of_itk"), [("linear", "sitkLinear"), ("cubic", "sitkBSpline")]
)
def test_itk_finds_the_same_values_frame_by_frame(made, places, interpolation, of_itk):
    """ITK composes the field, the co-registration and the frame's matrix, and interpolates."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    found, covered = values(made, places, interpolation)
    wanted = np.empty_like(found)
    grid, image = places.grid, nib.load(made.bold)
    reference = sitk.GetImageFromArray(np.zeros([-(-size // 2) for size in grid.shape[::-1]]))
    lay(reference, grid.affine @ np.diag([2, 2, 2, 1]))
    shared = [sitk.ReadTransform(str(file.path)) for file in made.transforms]
    inside = places.mask[::2, ::2, ::2]
    every = np.arange(image.shape[3])
    for frame, block in enumerate(blocks_of(made.motion.read_text(), every)):
        one = made.motion.with_name("one.txt")
        one.write_text(f"#Insight Transform File V1.0\n#Transform 0\n{block}")
        chain = sitk.CompositeTransform([sitk.ReadTransform(str(one)), *shared[::-1]])
        volume = sitk.GetImageFromArray(np.ascontiguousarray(image.dataobj[..., frame].T))
        lay(volume, image.affine)
        moved = sitk.Resample(volume, reference, chain, getattr(sitk, of_itk), 0.0)
        wanted[frame] = sitk.GetArrayFromImage(moved).T[inside]
    assert covered.mean() > 0.99
    error = np.abs(found - wanted).max(axis=0)[covered] / wanted.std(axis=0)[covered]
    assert (error <= 1e-3).mean() >= 0.99


def lay(image: object, affine: np.ndarray) -> None:
    """Place an image of SimpleITK by an affine, voxel indices to RAS+ mm."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())


@pytest.mark.slow
def test_the_realigned_series_and_the_ready_one_are_met(made, native, places, folder):
    """The ready series was resampled once from the scan, by cubic splines as ours."""
    name = f"{STEM}space-{SPACE}_res-2_desc-preproc_bold.nii.gz"
    ready_image = nib.load(folder / "sub-HAPPYTEST" / "func" / name)
    ready = np.asarray(ready_image.dataobj)[places.mask].T[::STEP]
    assert median_r(values(native, places)[0][::STEP], ready) > 0.99
    assert median_r(values(made, places)[0], ready) > 0.99


def median_r(one: np.ndarray, other: np.ndarray) -> float:
    """Correlate over frames, voxel by voxel."""
    one, other = (data - data.mean(axis=0, dtype=np.float64) for data in (one, other))
    norms = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    return float(np.median((one * other).sum(axis=0)[norms > 0] / norms[norms > 0]))


def test_without_motion_values_are_those_of_the_realigned_run(native, places, tmp_path):
    """To rounding: sums are made in another order; on a real oblique grid, through a real field."""
    few = nib.load(native.bold).slicer[..., :4]
    nib.save(few, tmp_path / "bold.nii.gz")
    still = "Transform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 0 0 0\n"
    numbered = (f"#Transform {frame}\n{still}FixedParameters: 0 0 0\n" for frame in range(4))
    (tmp_path / HMC).write_text("#Insight Transform File V1.0\n" + "".join(numbered))
    run = replace(native, bold=tmp_path / "bold.nii.gz", confounds=None)
    realigned, covered = values(run, places)
    found, also = values(replace(run, motion=tmp_path / HMC), places)
    np.testing.assert_allclose(found, realigned, rtol=0, atol=2e-6 * np.abs(realigned).max())
    np.testing.assert_array_equal(covered, also)
