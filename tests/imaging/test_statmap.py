from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

GRID = Grid((8, 9, 7), np.array([[-2.0, 0, 0, 8], [0, 2, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]]))
MASK = np.ones(GRID.shape, bool)


def linear(points: np.ndarray) -> np.ndarray:
    return 100.0 + points @ [1.0, 2.0, -3.0]


def centres(shape, affine) -> np.ndarray:
    return np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]


def save(path, values, affine, kind=nib.Nifti1Image):
    nib.save(kind(values.astype(np.float32), affine), path)
    return path


def test_a_map_on_another_grid_is_interpolated(tmp_path):
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-18, -18, -18]
    values = linear(centres((13, 13, 13), affine)).reshape(13, 13, 13)
    found = VoxelPlaces.within(GRID, MASK).read(save(tmp_path / "x.nii.gz", values, affine))
    np.testing.assert_allclose(found, linear(centres(GRID.shape, GRID.affine)), rtol=1e-4)


@pytest.mark.parametrize("outside", [np.nan, 0.0])
def test_outside_the_brain_there_is_no_value_and_none_leaks_in(tmp_path, outside):
    values = np.full(GRID.shape, 5.0)
    values[:3] = outside
    affine = GRID.affine.copy()
    affine[0, 3] -= 0.8  # between the voxels
    found = VoxelPlaces.within(GRID, MASK).read(save(tmp_path / "x.nii", values, affine))
    known = np.isfinite(found).reshape(GRID.shape)
    np.testing.assert_allclose(found[np.isfinite(found)], 5.0, rtol=1e-6)
    assert not known[:2].any()
    assert known[4:].all()


def test_an_analyze_pair_with_a_fourth_axis_is_read(tmp_path):
    values = np.arange(1, 505, dtype=np.float32).reshape(*GRID.shape, 1)
    image = nib.Spm2AnalyzeImage(values, GRID.affine)
    nib.save(image, tmp_path / "con.img")
    there = nib.load(tmp_path / "con.hdr")
    grid = Grid(GRID.shape, there.affine)
    np.testing.assert_allclose(
        VoxelPlaces.within(grid, MASK).read(tmp_path / "con.hdr"), values.ravel()
    )


@pytest.mark.parametrize(
    ("shape", "shift", "message"),
    [
        ((*GRID.shape, 2), 0.0, "one volume"),
        ((0, 0, 0), 0.0, "one volume"),
        (GRID.shape, 500.0, "no value inside"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, shape, shift, message):
    affine = GRID.affine.copy()
    affine[0, 3] += shift
    with pytest.raises(RunError, match=message):
        VoxelPlaces.within(GRID, MASK).read(save(tmp_path / "x.nii", np.ones(shape), affine))


@pytest.mark.parametrize(
    "name",
    [
        "kellan/faces_sub-01_con_0006.nii.gz",
        "kellan/Words_1.nii.gz",
        "canlab_wager2008/con_00810002.hdr",
    ],
)
def test_real_maps_of_single_people_are_read(shared, name):
    from bids_dtg.phantom.anatomy import load_anatomy

    anatomy = load_anatomy(4)
    folder = shared / "data" / "real" / "contrasts"
    found = anatomy.places.read(folder / name)
    assert np.isfinite(found).mean() > 0.6
    assert 0.1 < np.nanstd(found) < 3
