"""Maps at other points: against scipy, Workbench and ANTs; sides, and rims of masks."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ants_oracle import ants_python, apply_by_ants
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from bids_dtg.imaging.grid import Grid, grid_over
from bids_dtg.imaging.nifti import read_single
from bids_dtg.imaging.placement import PointSampling, sample_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.meshes import read_surface
from bids_dtg.imaging.transforms import map_points, read_transforms
from bids_dtg.inputs.run import TransformFile

# 2 mm, right to left, 60 x 64 x 56 mm around the origin.
MODEL = Grid(
    (31, 33, 29),
    np.array([[-2.0, 0, 0, 30], [0, 2, 0, -32], [0, 0, 2, -28], [0, 0, 0, 1]]),
)
TILTED = np.eye(4)
TILTED[:3, :3] = np.linalg.qr(np.array([[1.0, 0.3, 0], [-0.3, 1, 0.2], [0, -0.2, 1]]))[
    0
]
TILTED[:3, :3] *= np.sign(np.diag(TILTED[:3, :3]))


def ball(grid: Grid, radius: float, centre=(0.0, 0.0, 0.0)) -> np.ndarray:
    """(i, j, k) bool."""
    points = VoxelPlaces(grid, np.arange(int(np.prod(grid.shape)))).points
    return (np.linalg.norm(points - centre, axis=1) <= radius).reshape(grid.shape)


PLACES = VoxelPlaces.within(MODEL, ball(MODEL, 25.0))


def person_grid(edge: float = 2.0) -> Grid:
    """Return a grid over a tilted T1w image whose first axis runs left to right."""
    affine = TILTED @ np.diag([1.0, 1.0, 1.2, 1.0])
    affine[:3, 3] = TILTED[:3, :3] @ (-40, -45, -42)
    return grid_over((80, 90, 70), affine, edge, space="T1w")


def smooth(points: np.ndarray) -> np.ndarray:
    x, y, z = points.T / 8
    return (np.sin(x) + np.cos(y + 1) * np.sin(z)).astype(np.float32)


def test_a_grid_over_an_image_has_its_axes_its_centre_and_all_of_it():
    affine = TILTED @ np.diag([1.0, 0.9, 1.2, 1.0])
    affine[:3, 3] = 4, -7, 9
    grid = grid_over((80, 91, 70), affine, 2.0, space="T1w")
    assert grid.shape == (40, 41, 42)
    assert grid.voxel_sizes_mm == pytest.approx((2, 2, 2))
    assert np.allclose(grid.affine[:3, :3] / 2, TILTED[:3, :3])
    middles = [
        a[:3, :3] @ ((np.array(shape) - 1) / 2) + a[:3, 3]
        for shape, a in (((80, 91, 70), affine), (grid.shape, grid.affine))
    ]
    assert np.allclose(*middles)
    assert grid.entities == {"space": "T1w", "res": None}


def test_images_in_a_persons_space_say_so_in_their_codes(tmp_path):
    grid = person_grid()
    for where, code in ((grid, 1), (MODEL, 4)):
        path = tmp_path / f"{where.space}.nii.gz"
        path.write_bytes(VoxelPlaces(where, np.array([0])).encode(np.ones(1)))
        header = nib.load(path).header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (code, code)
        assert np.allclose(nib.load(path).affine, where.affine, atol=1e-4)


def test_values_at_the_rim_are_not_pulled_to_zero():
    """What lies between voxels of the mask and others is the mean of those of the mask."""
    voxels, sampling = sample_grid(PLACES, person_grid(), [np.linalg.inv(TILTED)])
    assert (sampling.support < 0.9).mean() > 0.05
    assert np.allclose(
        sampling.apply(np.full((1, PLACES.number), 3.0, np.float32)), 3.0, atol=1e-4
    )
    # a voxel has a value where most of its weight is in the mask: some half of a voxel's edge
    radius = np.linalg.norm(map_points(voxels.points, [np.linalg.inv(TILTED)]), axis=1)
    assert 25.0 < radius.max() < 27.0
    values = smooth(PLACES.points)
    truth = smooth(map_points(voxels.points, [np.linalg.inv(TILTED)]))
    rim = sampling.support < 0.9
    plain = sampling.matrix @ values
    error, plain_error = (
        np.sqrt(np.mean((estimate - truth)[rim] ** 2))
        for estimate in (sampling.apply(values[None])[0], plain)
    )
    assert error < 0.25 * plain_error


def test_left_stays_left():
    """A spot left, in front and above of the middle lies there in mm, however images are stored."""
    spot = np.array([-12.0, 6.0, 4.0])
    values = ball(MODEL, 5.0, spot)[tuple(PLACES.index.T)].astype(np.float32)
    moved = np.eye(4)
    moved[:3, 3] = 3.0, -2.0, 1.0  # from the person's points to the model's
    for flip in ((1, 1, 1), (-1, 1, 1), (1, -1, -1)):
        grid = person_grid()
        affine = grid.affine @ np.diag([*flip, 1.0])
        affine[:3, 3] += grid.affine[:3, :3] @ (
            (1 - np.array(flip)) / 2 * (np.array(grid.shape) - 1)
        )
        stored = Grid(grid.shape, affine, "T1w", None)
        voxels, sampling = sample_grid(PLACES, stored, [moved])
        sampled = sampling.apply(values[None])[0]
        centre = np.average(voxels.points, axis=0, weights=sampled)
        assert np.allclose(centre, spot - moved[:3, 3], atol=0.3), flip


def test_what_has_no_value_has_none_there():
    voxels, sampling = sample_grid(PLACES, person_grid(), ())
    values = np.ones((2, PLACES.number), np.float32)
    values[0, PLACES.points[:, 0] < 0] = np.nan
    values[1] = np.nan
    sampled = sampling.apply(values)
    x = voxels.points[:, 0]
    assert np.isnan(sampled[0, x < -2]).all()
    assert np.allclose(sampled[0, x > 1], 1.0)
    assert np.isnan(sampled[1]).all()
    known_share = sampling.matrix @ (PLACES.points[:, 0] >= 0).astype(np.float32)
    assert ((known_share > 0.1) & (known_share < 0.4)).any()
    assert np.array_equal(np.isnan(sampled[0]), known_share < 0.5)


def test_a_grid_elsewhere_is_refused():
    away = np.eye(4)
    away[0, 3] = 500.0
    with pytest.raises(
        ValueError, match="no voxel of the grid in T1w lies in the model's mask"
    ):
        sample_grid(PLACES, person_grid(), [away])


# --- against ANTs


def test_ants_moves_maps_to_the_same_values(shared, tmp_path):
    """To 2009cAsym and to a person's space; antsApplyTransforms on a file with 0 outside the mask.

    Its map divided by its mask is ours everywhere; where the mask is whole its map alone is.
    """
    ants_python()
    data = shared / "data/real"
    mask, affine = read_single(shared / "data/mni/MNI_2mm_cortical_mask_crop.nii.gz")
    places = VoxelPlaces.within(Grid(mask.shape, affine), mask > 0)
    stem = "sub-HAPPYTEST_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.h5"
    template = "tpl-MNI152NLin2009cAsym"
    brain, placed = read_single(
        data
        / "templateflow_like"
        / template
        / f"{template}_res-02_desc-brain_mask.nii.gz"
    )
    native, at = read_single(
        data
        / "fmriprep_like/sub-HAPPYTEST/func/sub-HAPPYTEST_task-rest_desc-coreg_boldref.nii.gz"
    )
    ways = {
        Grid(brain.shape, placed, "MNI152NLin2009cAsym"): data
        / f"templateflow_like/{template}/{template}_from-MNI152NLin6Asym_mode-image_xfm.h5",
        grid_over(native.shape, at, 2.0, space="T1w"): data
        / "fmriprep_like/sub-HAPPYTEST/anat"
        / stem,
    }
    values = smooth(places.points)
    for grid, path in ways.items():
        voxels, sampling = sample_grid(
            places, grid, read_transforms([TransformFile(path)])
        )
        sampled = sampling.apply(values[None])[0]
        by_ants, inside = _by_ants(
            [values, np.ones(places.number)], places, grid, path, tmp_path
        )
        positions = voxels.positions
        assert np.array_equal(
            np.flatnonzero(inside > 0.501), positions[inside[positions] > 0.501]
        )
        assert (inside[positions] > 0.499).all()
        assert (
            np.corrcoef(sampled, by_ants[positions] / inside[positions])[0, 1] > 0.9999
        )
        whole = sampling.support > 0.999
        assert np.corrcoef(sampled[whole], by_ants[positions][whole])[0, 1] > 0.9999
        assert np.corrcoef(sampling.matrix @ values, by_ants[positions])[0, 1] > 0.9999


def _by_ants(
    maps, places: VoxelPlaces, grid: Grid, path: Path, folder: Path
) -> list[np.ndarray]:
    """(voxels of the grid,) of each map over places."""
    fixed = folder / "fixed.nii.gz"
    everything = VoxelPlaces(grid, np.arange(int(np.prod(grid.shape))))
    fixed.write_bytes(everything.encode(np.zeros(everything.number)))
    pairs = [
        (folder / f"{n}.nii.gz", folder / f"moved{n}.nii.gz") for n in range(len(maps))
    ]
    for values, (original, _) in zip(maps, pairs, strict=True):
        original.write_bytes(places.encode(values))
    apply_by_ants(fixed, pairs, [path])
    return [read_single(moved)[0].reshape(-1) for _, moved in pairs]


# --- at points of surfaces


RIM_SHAPE = (5, 6, 4)
RIM_AFFINE = np.array([[-2.0, 0, 0, 8], [0, 2, 0, -10], [0, 0, 2, 4], [0, 0, 0, 1]])


def _around(rng, n=200):
    """Points within one voxel of the grid's edge and inside, as indices and in mm."""
    index = rng.uniform(-1.2, np.array(RIM_SHAPE) + 0.2, (n, 3))
    return index, index @ RIM_AFFINE[:3, :3].T + RIM_AFFINE[:3, 3]


@pytest.mark.slow
@given(st.integers(0, 10**6))
def test_it_is_trilinear_of_the_map_over_trilinear_of_the_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(RIM_SHAPE) < 0.6
    mask.flat[0] = True
    places = VoxelPlaces.within(Grid(RIM_SHAPE, RIM_AFFINE), mask)
    index, points = _around(rng)
    maps = rng.normal(size=(2, places.number)).astype(np.float32)
    sampling = PointSampling.between(places, points)
    sampled = sampling.apply(maps)

    def trilinear(volume):
        return map_coordinates(np.pad(volume, 3), index.T + 3, order=1)

    weight = trilinear(mask.astype(float))
    np.testing.assert_allclose(sampling.support, weight, atol=2e-5)
    clear = weight > 1e-3  # where little is left, rounding of the weights shows
    for row, values in zip(maps, sampled, strict=True):
        expected = trilinear(places.volume(row).astype(float))[clear] / weight[clear]
        np.testing.assert_allclose(values[clear], expected, atol=1e-2)
        assert np.isnan(values[weight == 0]).all()
    assert not (sampling.whole & sampling.partial).any()


def _vertices(shared, side):
    name = f"tpl-fsLR_desc-S1200_hemi-{side}_den-32k_midthickness.surf.gii"
    return read_surface(shared / "data/real/surfaces/tpl-fsLR" / name)[0]


def _volume(shared, name):
    """One of the two volumes that Workbench sampled."""
    image = nib.load(
        shared / "data/real/contrasts/narps-4965_9U7M-hypo1_unthresh.nii.gz"
    )
    if name == "narps":
        return np.asarray(image.dataobj, np.float32), image.affine
    affine = np.diag([-2.0, 2, 2, 1])
    affine[:3, 3] = 90, -126, -72
    i, j, k = np.indices((91, 109, 91))
    x = 90.0 - 2 * i
    y = 2.0 * j - 126
    z = 2.0 * k - 72
    field = (
        2 * np.sin(x / 15) + np.cos(y / 20) * np.sin(z / 18) + x / 60 + y / 80 - z / 100
    )
    return field.astype(np.float32), affine


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("name", ["narps", "smooth"])
def test_it_equals_workbench(shared, name, side):
    volume, affine = _volume(shared, name)
    reference = np.load(shared / f"data/real/surfaces/reference/wb_{name}_S1200.npz")
    whole = VoxelPlaces(Grid(volume.shape, affine), np.arange(volume.size))
    sampling = PointSampling.between(whole, _vertices(shared, side))
    sampled = sampling.apply(volume.reshape(1, -1))[0]
    assert sampling.whole.all()
    np.testing.assert_allclose(sampled, reference[f"trilinear_{side}"], atol=1e-4)
