"""Values at points: against scipy, nilearn and Connectome Workbench, and at the rim of a mask."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_mask
from bids_dtg.imaging.placement import PointSampling
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.meshes import read_surface

SHAPE = (5, 6, 4)
AFFINE = np.array([[-2.0, 0, 0, 8], [0, 2, 0, -10], [0, 0, 2, 4], [0, 0, 0, 1]])


def _around(rng, n=200):
    """Points within one voxel of the grid's edge and inside, as indices and in mm."""
    index = rng.uniform(-1.2, np.array(SHAPE) + 0.2, (n, 3))
    return index, index @ AFFINE[:3, :3].T + AFFINE[:3, 3]


@pytest.mark.slow
@given(st.integers(0, 10**6))
def test_it_is_trilinear_of_the_map_over_trilinear_of_the_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(SHAPE) < 0.6
    mask.flat[0] = True
    places = VoxelPlaces.within(Grid(SHAPE, AFFINE), mask)
    index, points = _around(rng)
    maps = rng.normal(size=(2, places.number)).astype(np.float32)
    sampling = PointSampling.between(places, points)
    found = sampling.apply(maps)

    def trilinear(volume):
        return map_coordinates(np.pad(volume, 3), index.T + 3, order=1)

    weight = trilinear(mask.astype(float))
    np.testing.assert_allclose(sampling.support, weight, atol=2e-5)
    clear = weight > 1e-3  # where little is left, rounding of the weights shows
    for row, values in zip(maps, found, strict=True):
        expected = trilinear(places.volume(row).astype(float))[clear] / weight[clear]
        np.testing.assert_allclose(values[clear], expected, atol=1e-2)
        assert np.isnan(values[weight == 0]).all()
    assert not (sampling.whole & sampling.partial).any()


def _surface(shared, side, name="S1200", kind="midthickness"):
    folder = shared / "data/real/surfaces/tpl-fsLR"
    return read_surface(folder / f"tpl-fsLR_desc-{name}_hemi-{side}_den-32k_{kind}.surf.gii")


def _volume(shared, name):
    """One of the two volumes that Workbench sampled."""
    image = nib.load(shared / "data/real/contrasts/narps-4965_9U7M-hypo1_unthresh.nii.gz")
    if name == "narps":
        return np.asarray(image.dataobj, np.float32), image.affine
    affine = np.diag([-2.0, 2, 2, 1])
    affine[:3, 3] = 90, -126, -72
    i, j, k = np.indices((91, 109, 91))
    x, y, z = 90.0 - 2 * i, 2.0 * j - 126, 2.0 * k - 72
    field = 2 * np.sin(x / 15) + np.cos(y / 20) * np.sin(z / 18) + x / 60 + y / 80 - z / 100
    return field.astype(np.float32), affine


def _whole(volume, affine):
    return VoxelPlaces.within(Grid(volume.shape, affine), np.ones(volume.shape, bool))


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("name", ["narps", "smooth"])
def test_it_equals_workbench(shared, name, side):
    volume, affine = _volume(shared, name)
    reference = np.load(shared / f"data/real/surfaces/reference/wb_{name}_S1200.npz")
    sampling = PointSampling.between(_whole(volume, affine), _surface(shared, side)[0])
    found = sampling.apply(volume.reshape(1, -1))[0]
    assert sampling.whole.all()
    np.testing.assert_allclose(found, reference[f"trilinear_{side}"], atol=1e-4)


def test_it_equals_nilearn(shared):
    from nilearn.surface import vol_to_surf

    volume, affine = _volume(shared, "smooth")
    mesh = _surface(shared, "L", "regfusion")
    found = PointSampling.between(_whole(volume, affine), mesh[0]).apply(volume.reshape(1, -1))
    theirs = vol_to_surf(
        nib.Nifti1Image(volume, affine),
        [mesh[0], mesh[1]],
        interpolation="linear",
        kind="ball",
        radius=0.0,
        n_samples=1,
    )
    np.testing.assert_allclose(found[0], theirs, atol=1e-4)


@pytest.mark.parametrize("side", ["L", "R"])
def test_vertices_at_the_rim_of_the_models_masks(shared, side):
    volume, affine = _volume(shared, "narps")
    grid = Grid(volume.shape, affine)
    masks = [
        read_mask(shared / f"data/mni/MNI_2mm_{kind}_mask_crop.nii.gz", grid)
        for kind in ("cortical", "subcortical")
    ]
    places = VoxelPlaces.within(grid, masks[0] | masks[1])
    sampling = PointSampling.between(places, _surface(shared, side)[0])
    found = sampling.apply(volume[places.mask][None])[0]
    reference = np.load(shared / "data/real/surfaces/reference/narps_masked_normalised_S1200.npz")
    np.testing.assert_allclose(sampling.support, reference[f"weight_{side}"], atol=2e-5)
    sure = reference[f"weight_{side}"] > 1e-3
    np.testing.assert_allclose(found[sure], reference[f"normalised_{side}"][sure], atol=1e-3)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(reference[f"normalised_{side}"]))
