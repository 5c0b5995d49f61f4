from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from plain_route import plain_connectome

from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.moments import RunMoments, RunVoxels, measure_run
from bids_dtg.imaging.bold import read_bold_header, stream_voxels
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.sampling import LatticeSampling

FRAMES = 90
VOXELS = 300
GREY = 200
ROIS = 5


def example(seed: int = 0) -> tuple[np.ndarray, np.ndarray, TemporalDesign]:
    rng = np.random.default_rng(seed)
    maps = rng.random((ROIS, VOXELS)).astype(np.float32)
    bold = (
        1000
        + rng.standard_normal((FRAMES, ROIS)) @ maps
        + rng.standard_normal((FRAMES, VOXELS))
    )
    keep = rng.random(FRAMES) < 0.9
    confounds = rng.standard_normal((FRAMES, 4)).cumsum(axis=0)
    design = TemporalDesign.build(confounds, list("abcd"), keep, 10.0)
    return bold.astype(np.float32), maps, design


def reader(bold: np.ndarray, size: int, opened: list[int] | None = None):
    def blocks():
        if opened is not None:
            opened.append(1)
        for first in range(0, len(bold), size):
            yield first, bold[first : first + size].copy()

    return blocks


def all_of(maps: np.ndarray, **options) -> RunVoxels:
    return RunVoxels(maps, GREY, options.pop("valid", np.ones(VOXELS, bool)), **options)


def measure(bold, maps, design, *, size=16, opened=None, **options) -> RunMoments:
    of = all_of(maps, **options)
    return measure_run(
        reader(bold, size, opened), design, of, segments=design.segments()
    )


def test_voxels_that_are_not_valid_are_never_read():
    bold, maps, design = example()
    valid = np.random.default_rng(1).random(VOXELS) < 0.7
    clean = run_connectomes(measure(bold, maps, design, valid=valid))
    bold[:, ~valid] = np.nan
    spoiled = run_connectomes(measure(bold, maps, design, valid=valid))
    np.testing.assert_array_equal(clean.whole.r, spoiled.whole.r)
    assert not clean.whole.r[:, ~valid[:GREY]].any()
    np.testing.assert_array_equal(clean.covered, valid[:GREY])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("frame", [0, 50])
def test_a_voxel_with_one_value_that_is_not_finite_is_as_one_outside_the_mask(
    frame, value
):
    bold, maps, design = example()
    frame += int(np.argmax(design.keep[frame:]))
    valid = np.ones(VOXELS, bool)
    valid[[3, 250]] = False
    expected = run_connectomes(measure(bold, maps, design, valid=valid))
    bold[frame, 3], bold[min(frame + 30, FRAMES - 2) :, 250] = value, value
    opened: list[int] = []
    moments = measure(bold, maps, design, opened=opened)
    np.testing.assert_allclose(
        run_connectomes(moments).whole.r, expected.whole.r, atol=5e-6
    )
    np.testing.assert_array_equal(moments.voxels.valid, valid)
    assert len(opened) == 2


def test_a_run_that_is_not_whole_is_refused():
    bold, maps, design = example()
    with pytest.raises(ValueError, match="or are not all there"):
        measure(bold[:33], maps, design)


def test_zero_filled_voxels_have_no_data_but_constant_ones_have():
    bold, maps, design = example()
    bold[:, 4], bold[:, 260] = 0, 7
    moments = measure(bold, maps, design)
    assert not moments.solved[4]
    assert moments.solved[260]
    assert not moments.varying[[4, 260]].any()
    assert moments.varying.sum() == VOXELS - 2
    assert measure(bold, maps, design, zeros_missing=False).solved.all()


def test_an_all_zero_image_covers_nothing():
    bold, maps, design = example()
    result = run_connectomes(measure(bold * 0, maps, design))
    assert result.coverage == 0
    assert not result.whole.r.any()
    assert result.median_tsnr == 0


# --- from a file to a connectome, against the plain route on the whole array


AFFINE = np.array([[-2.0, 0, 0, 76], [0, 2, 0, -108], [0, 0, 2, -72], [0, 0, 0, 1]])


def connectome_of(path, grid, voxels, maps, design, valid, grey):
    header = read_bold_header(path)
    sampling = LatticeSampling.between(header.shape, header.affine, grid, voxels)
    moments = measure_run(
        lambda: stream_voxels(header, sampling),
        design,
        RunVoxels(maps, grey, valid & sampling.covered),
        segments=design.segments(),
    )
    return run_connectomes(moments)


@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_cropped_and_flipped_file_gives_the_plain_route_on_its_voxels(
    tmp_path, name, dtype
):
    rng = np.random.default_rng(0)
    grid = Grid((6, 7, 5), AFFINE)
    series = rng.standard_normal((70, 3))
    bold = (
        500
        + 40 * series @ rng.standard_normal((3, 210))
        + 40 * rng.standard_normal((70, 210))
    )
    bold = np.rint(bold).astype(dtype)
    # (frames, voxels in C order of the grid) -> (i, j, k, t) without the last plane of k, i flipped
    volume = bold.T.reshape(6, 7, 5, 70)[::-1, :, :4]
    affine = AFFINE @ np.array(
        [[-1.0, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / name)
    grey = rng.random(210) < 0.6
    voxels = np.concatenate([np.flatnonzero(grey), np.flatnonzero(~grey)])
    maps = rng.standard_normal((3, 210)).astype(np.float32)
    keep = rng.random(70) < 0.9
    confounds = rng.standard_normal((70, 2))
    design = TemporalDesign.build(confounds, ["a", "b"], keep, 2.0)
    count = int(grey.sum())
    result = connectome_of(
        tmp_path / name, grid, voxels, maps, design, np.ones(210, bool), count
    )
    inside = voxels % 5 < 4
    np.testing.assert_array_equal(result.covered, inside[:count])
    plain = plain_connectome(
        bold[keep][:, voxels[inside]], maps[:, inside], confounds[keep]
    )
    expected = plain[:, : inside[:count].sum()]
    np.testing.assert_allclose(result.whole.r[:, inside[:count]], expected, atol=1e-5)
