"""Places: voxels of a grid, and names in a list."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import ListedPlaces, VoxelPlaces
from bids_dtg.imaging.surfaces.meshes import encode_metrics, read_surface

FLIPS = st.tuples(*[st.sampled_from([-1, 1])] * 3)


def voxels(shape=(6, 5, 4), seed=0, flips=(-1, 1, 1), origin=(5.0, -8.0, 3.0)) -> VoxelPlaces:
    affine = np.diag([2.0 * flips[0], 2.0 * flips[1], 2.0 * flips[2], 1.0])
    affine[:3, 3] = origin
    mask = np.random.default_rng(seed).random(shape) < 0.7
    mask.reshape(-1)[0] = True
    return VoxelPlaces.within(Grid(shape, affine), mask)


@pytest.fixture
def places() -> VoxelPlaces:
    return voxels()


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_a_map_comes_back_from_its_file(tmp_path_factory, seed):
    places = voxels(seed=seed)
    values = np.random.default_rng(seed).normal(1.0, 3.0, places.number).astype(np.float32)
    values[values == 0] = 1.0
    path = tmp_path_factory.mktemp("map") / f"map{places.extension}"
    path.write_bytes(places.encode(values, intent="z score", description="A map"))
    np.testing.assert_array_equal(places.read(path), values)
    assert places.encode(values) == places.encode(values)


def test_zero_and_nan_in_a_file_are_no_value(places, tmp_path):
    values = np.arange(places.number, dtype=np.float32) - 3
    values[-1] = np.nan
    path = tmp_path / f"map{places.extension}"
    path.write_bytes(places.encode(values))
    found = places.read(path)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), [3, places.number - 1])
    path.write_bytes(places.encode(np.zeros(places.number)))
    with pytest.raises(RunError, match="has no value"):
        places.read(path)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 7)] * 3), FLIPS, st.integers(0, 100), st.integers(-8, 8))
def test_the_mirror_image_of_a_mirror_image_is_the_voxel_itself(shape, flips, seed, start):
    places = voxels(shape, seed, flips, (float(start), 1.0, 2.0))
    mirror = places.mirror()
    here = np.flatnonzero(mirror >= 0)
    np.testing.assert_array_equal(mirror[mirror[here]], here)
    np.testing.assert_allclose(places.points[mirror[here]], places.points[here] * [-1, 1, 1])


def test_voxels_in_any_order_go_to_their_own_positions(tmp_path):
    straight = voxels()
    order = np.random.default_rng(2).permutation(straight.number)
    mixed = VoxelPlaces(straight.grid, straight.positions[order])
    values = np.arange(1.0, straight.number + 1, dtype=np.float32)
    assert mixed.encode(values[order]) == straight.encode(values)
    np.testing.assert_array_equal(mixed.mask, straight.mask)
    np.testing.assert_array_equal(mixed.points, straight.points[order])
    np.testing.assert_array_equal(mixed.lattice(2).block_of, straight.lattice(2).block_of[order])
    np.testing.assert_array_equal(straight.volume(values)[straight.mask], values)


def test_files_that_are_no_map_of_the_surface_are_refused(tmp_path):
    path = tmp_path / "x.func.gii"
    with pytest.raises(RunError, match=r"x\.func\.gii"):
        read_surface(path)
    path.write_bytes(b"no surface")
    with pytest.raises(RunError, match="cannot be read"):
        read_surface(path)
    path.write_bytes(encode_metrics(np.ones((1, 50)), "L", names=["ones"]))
    with pytest.raises(RunError, match="no points and triangles"):
        read_surface(path)
    voxel = voxels()
    (tmp_path / "x.nii.gz").write_bytes(voxel.encode(np.ones(voxel.number)))
    with pytest.raises(RunError, match=r"cannot be read: .* a GIFTI file"):
        read_surface(tmp_path / "x.nii.gz")


def test_parts_that_do_not_fit_are_refused():
    grid = voxels().grid
    with pytest.raises(ValueError, match="within a grid"):
        VoxelPlaces(grid, np.array([10**6]))
    with pytest.raises(ValueError, match="a mask is boolean"):
        VoxelPlaces.within(grid, np.ones((2, 2, 2), bool))


def test_listed_places_share_nothing():
    assert (ListedPlaces(("a", "b")).mirror() == -1).all()
    with pytest.raises(ValueError, match="each name is of one place"):
        ListedPlaces(("a", "a"))


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
    grid = Grid((3, 1, 2), np.diag([2.0, 2.0, 2.0, 1.0]), "MNI152NLin6Asym", "2")
    places = VoxelPlaces(grid, np.array([0, 3, 4]))
    path = tmp_path / "map.nii.gz"
    path.write_bytes(places.encode_steps(np.array(values, np.float32), 0.1))
    image = nib.load(path)
    assert image.get_data_dtype() == stored
    found = image.get_fdata().reshape(-1)
    np.testing.assert_allclose(found[places.positions], values, atol=0.051)
    assert not found[[1, 2, 5]].any()
