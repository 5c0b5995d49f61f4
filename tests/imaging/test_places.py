"""Places: voxels of a grid, their files, mirror images and blocks; names in a list."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import ListedPlaces, VoxelPlaces

SIZES = st.tuples(*[st.integers(1, 8)] * 3)
FLIPS = st.tuples(*[st.sampled_from([-1, 1])] * 3)


def voxels(
    shape=(6, 5, 4), seed=0, flips=(-1, 1, 1), origin=(5.0, -8.0, 3.0)
) -> VoxelPlaces:
    affine = np.diag([2.0 * flips[0], 2.0 * flips[1], 2.0 * flips[2], 1.0])
    affine[:3, 3] = origin
    mask = np.random.default_rng(seed).random(shape) < 0.7
    mask.reshape(-1)[0] = True
    return VoxelPlaces.within(Grid(shape, affine), mask)


PLACES = voxels()


@pytest.mark.parametrize(
    ("shape", "affine"), [((4, 3), np.eye(4)), ((4, 3, 2), np.eye(3))]
)
def test_a_grid_has_three_sizes_and_an_affine(shape, affine):
    with pytest.raises(ValueError, match="3 sizes and an affine"):
        Grid(shape, affine)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_a_map_comes_back_from_its_file(tmp_path_factory, seed):
    places = voxels(seed=seed)
    values = (
        np.random.default_rng(seed).normal(1.0, 3.0, places.number).astype(np.float32)
    )
    values[values == 0] = 1.0
    path = tmp_path_factory.mktemp("map") / f"map{places.extension}"
    path.write_bytes(places.encode(values, intent="z score", description="A map"))
    np.testing.assert_array_equal(places.read(path), values)


def test_zero_and_nan_in_a_file_are_no_value(tmp_path):
    values = np.arange(PLACES.number, dtype=np.float32) - 3
    values[-1] = np.nan
    path = tmp_path / f"map{PLACES.extension}"
    path.write_bytes(PLACES.encode(values))
    stored = PLACES.read(path)
    np.testing.assert_array_equal(
        np.flatnonzero(np.isnan(stored)), [3, PLACES.number - 1]
    )
    path.write_bytes(PLACES.encode(np.zeros(PLACES.number)))
    with pytest.raises(RunError, match="has no value"):
        PLACES.read(path)


@settings(max_examples=40, deadline=None)
@given(SIZES, FLIPS, st.integers(0, 100), st.integers(-8, 8))
def test_the_mirror_image_of_a_mirror_image_is_the_voxel_itself(
    shape, flips, seed, start
):
    places = voxels(shape, seed, flips, (float(start), 1.0, 2.0))
    mirror = places.mirror()
    here = np.flatnonzero(mirror >= 0)
    np.testing.assert_array_equal(mirror[mirror[here]], here)
    np.testing.assert_allclose(
        places.points[mirror[here]], places.points[here] * [-1, 1, 1]
    )
    mirrored = set(map(tuple, places.points * [-1, 1, 1])) & set(
        map(tuple, places.points)
    )
    assert len(here) == len(mirrored)


def test_voxels_in_any_order_go_to_their_own_positions():
    order = np.random.default_rng(2).permutation(PLACES.number)
    mixed = VoxelPlaces(PLACES.grid, PLACES.positions[order])
    values = np.arange(1.0, PLACES.number + 1, dtype=np.float32)
    assert mixed.encode(values[order]) == PLACES.encode(values)
    np.testing.assert_array_equal(mixed.mask, PLACES.mask)
    np.testing.assert_array_equal(mixed.points, PLACES.points[order])
    np.testing.assert_array_equal(
        mixed.lattice(2).block_of, PLACES.lattice(2).block_of[order]
    )
    np.testing.assert_array_equal(PLACES.volume(values)[PLACES.mask], values)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="within a grid"):
        VoxelPlaces(PLACES.grid, np.array([10**6]))
    with pytest.raises(ValueError, match="a mask is boolean"):
        VoxelPlaces.within(PLACES.grid, np.ones((2, 2, 2), bool))
    with pytest.raises(ValueError, match="each name may occur only once"):
        ListedPlaces(("a", "a"))
    assert (ListedPlaces(("a", "b")).mirror() == -1).all()


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([0.0, 2.54, 25.5], np.uint8),
        ([-12.7, 0.04, 12.7], np.int8),
        ([-12.7, 0.0, 25.5], np.float32),  # too many steps for 8 bits
        ([np.nan, 0.0, 2.54], np.float32),
    ],
)
def test_maps_in_steps_are_small_where_8_bits_hold_them(tmp_path, values, stored):
    places = VoxelPlaces(
        Grid((3, 1, 2), np.diag([2.0, 2.0, 2.0, 1.0])), np.array([0, 3, 4])
    )
    path = tmp_path / "map.nii.gz"
    path.write_bytes(places.encode_steps(np.array(values, np.float32), 0.1))
    image = nib.load(path)
    assert image.get_data_dtype() == stored
    decoded = image.get_fdata().reshape(-1)
    np.testing.assert_allclose(decoded[places.positions], values, atol=0.051)
    assert not decoded[[1, 2, 5]].any()


# --- blocks


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 12), st.integers(0, 100))
def test_blocks_are_interpolated_as_by_scipy(shape, edge, seed):
    places = voxels(shape, seed)
    lattice = places.lattice(edge)
    values = (
        np.random.default_rng(seed).normal(size=(2, *lattice.shape)).astype(np.float32)
    )
    at = ((places.index - (edge - 1) / 2) / edge).T
    expected = [map_coordinates(row, at, order=1, mode="nearest") for row in values]
    np.testing.assert_allclose(lattice.interpolate(values), expected, atol=1e-6)
    assert lattice.blocks == np.prod(lattice.shape)
    blocks = np.ravel_multi_index(tuple((places.index // edge).T), lattice.shape)
    np.testing.assert_array_equal(lattice.block_of, blocks)


# --- maps that others measured

GRID = Grid(
    (8, 9, 7), np.array([[-2.0, 0, 0, 8], [0, 2, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]])
)
WHOLE = VoxelPlaces.within(GRID, np.ones(GRID.shape, bool))


def linear(points: np.ndarray) -> np.ndarray:
    return 100.0 + points @ [1.0, 2.0, -3.0]


def save(path, values, affine):
    nib.save(nib.Nifti1Image(values.astype(np.float32), affine), path)
    return path


def test_a_map_on_another_grid_is_interpolated(tmp_path):
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-18, -18, -18]
    fine_places = VoxelPlaces(Grid((13, 13, 13), affine), np.arange(13**3))
    values = linear(fine_places.points).reshape(13, 13, 13)
    interpolated = WHOLE.read(save(tmp_path / "x.nii.gz", values, affine))
    np.testing.assert_allclose(interpolated, linear(WHOLE.points), rtol=1e-4)


@pytest.mark.parametrize("outside", [np.nan, 0.0])
def test_outside_the_brain_there_is_no_value_and_none_leaks_in(tmp_path, outside):
    values = np.full(GRID.shape, 5.0)
    values[:3] = outside
    affine = GRID.affine.copy()
    affine[0, 3] -= 0.8  # between the voxels
    volume = WHOLE.read(save(tmp_path / "x.nii", values, affine)).reshape(GRID.shape)
    np.testing.assert_allclose(volume[np.isfinite(volume)], 5.0, rtol=1e-6)
    assert np.isnan(volume[:2]).all()
    assert np.isfinite(volume[4:]).all()


def test_an_analyze_pair_with_a_fourth_axis_is_read(tmp_path):
    values = np.arange(1, 505, dtype=np.float32).reshape(*GRID.shape, 1)
    nib.save(nib.Spm2AnalyzeImage(values, GRID.affine), tmp_path / "con.img")
    grid = Grid(GRID.shape, nib.load(tmp_path / "con.hdr").affine)
    stored = VoxelPlaces(grid, WHOLE.positions).read(tmp_path / "con.hdr")
    np.testing.assert_allclose(stored, values.ravel())


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
        WHOLE.read(save(tmp_path / "x.nii", np.ones(shape), affine))


@pytest.mark.parametrize(
    "name", ["kellan/faces_sub-01_con_0006.nii.gz", "canlab_wager2008/con_00810002.hdr"]
)
def test_real_maps_of_single_people_are_read(shared, name):
    from bids_dtg.phantom.anatomy import load_anatomy

    values = load_anatomy(4).places.read(shared / "data/real/contrasts" / name)
    assert np.isfinite(values).mean() > 0.6
    assert 0.1 < np.nanstd(values) < 3
