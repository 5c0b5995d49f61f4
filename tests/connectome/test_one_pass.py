"""From a file to a connectome, against the plain route on the whole array."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from plain_route import plain_connectome

from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.imaging.bold import read_bold_header, stream_voxels
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_mask
from bids_dtg.imaging.sampling import LatticeSampling

AFFINE = np.array([[-2.0, 0, 0, 76], [0, 2, 0, -108], [0, 0, 2, -72], [0, 0, 0, 1]])


def connectome_of(path, grid, voxels, maps, design, valid, grey):
    header = read_bold_header(path)
    sampling = LatticeSampling.between(header.shape, header.affine, grid, voxels)
    moments = measure_run(
        lambda: stream_voxels(header, sampling),
        design,
        RunVoxels(maps, grey, valid & sampling.covered),
    )
    return run_connectomes(moments)


@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_cropped_and_flipped_file_gives_the_plain_route_on_its_voxels(tmp_path, name, dtype):
    rng = np.random.default_rng(0)
    grid = Grid((6, 7, 5), AFFINE)
    series = rng.standard_normal((70, 3))
    bold = 500 + 40 * series @ rng.standard_normal((3, 210)) + 40 * rng.standard_normal((70, 210))
    bold = np.rint(bold).astype(dtype)
    # (frames, voxels in C order of the grid) -> (i, j, k, t) without the last plane of k, i flipped
    volume = bold.T.reshape(6, 7, 5, 70)[::-1, :, :4]
    affine = AFFINE @ np.array([[-1.0, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / name)
    grey = rng.random(210) < 0.6
    voxels = np.concatenate([np.flatnonzero(grey), np.flatnonzero(~grey)])
    maps = rng.standard_normal((3, 210)).astype(np.float32)
    keep = rng.random(70) < 0.9
    confounds = rng.standard_normal((70, 2))
    design = TemporalDesign.build(confounds, ["a", "b"], keep, 2.0)
    count = int(grey.sum())
    result = connectome_of(tmp_path / name, grid, voxels, maps, design, np.ones(210, bool), count)
    inside = voxels % 5 < 4
    np.testing.assert_array_equal(result.covered, inside[:count])
    plain = plain_connectome(bold[keep][:, voxels[inside]], maps[:, inside], confounds[keep])
    expected = plain[:, : inside[:count].sum()]
    np.testing.assert_allclose(result.whole.r[:, inside[:count]], expected, atol=1e-5)


@pytest.mark.slow
def test_a_real_run_gives_the_plain_route(shared):
    func = shared / "data/real/fmriprep_like/sub-HAPPYTEST/func"
    stem = "sub-HAPPYTEST_task-rest_space-MNI152NLin6Asym_res-2_desc-"
    if not func.is_dir():
        pytest.skip(f"no real run at {func}")
    grid = Grid((76, 93, 78), AFFINE)
    brain = read_mask(shared / "data/mni/MNI_2mm_brain_mask.nii", grid).ravel()
    grey = np.zeros_like(brain)
    for name in ("cortical", "subcortical"):
        path = shared / f"data/mni/MNI_2mm_{name}_mask_crop.nii.gz"
        grey |= read_mask(path, grid).ravel()
    run_mask = read_mask(func / f"{stem}brain_mask.nii.gz", grid).ravel()
    voxels = np.concatenate([np.flatnonzero(grey), np.flatnonzero(brain & ~grey)])
    maps = np.random.default_rng(1).standard_normal((50, len(voxels)), np.float32)
    maps += np.sin(np.arange(50)[:, None] * voxels / 2e4, dtype=np.float32)
    confounds = np.random.default_rng(2).standard_normal((110, 20)).cumsum(axis=0)
    keep = np.arange(110) >= 4
    design = TemporalDesign.build(confounds, [str(i) for i in range(20)], keep, 1.16)
    path = func / f"{stem}preproc_bold.nii.gz"
    count = int(grey.sum())
    result = connectome_of(path, grid, voxels, maps, design, run_mask[voxels], count)
    data = np.asarray(nib.load(path).dataobj)[7:83, 9:102, 0:78].reshape(-1, 110)
    bold = data[voxels].T.astype(np.float64)[keep]
    valid = run_mask[voxels] & (bold != 0).any(axis=0)
    plain = plain_connectome(bold[:, valid], maps[:, valid], confounds[keep])
    ours = result.whole.r[:, valid[:count]]
    np.testing.assert_allclose(ours, plain[:, : ours.shape[1]], atol=1e-4)
    assert 0.5 < result.coverage <= 1
