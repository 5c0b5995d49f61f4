"""Maps of parcels on pages: each value is at its vertex or voxel, in the file and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models, parcels_axis, save_series

from bids_dtg.contrasts.panels.parcels import (
    BELOW,
    ParcelMaps,
    ParcelPictures,
    spread,
    view_text,
)
from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.grayordinates import Grayordinates
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.imaging.surfaces.templates import SIDES, read_template
from bids_dtg.report.colours import AMOUNT
from bids_dtg.report.slices import Background, Volume
from bids_dtg.report.surface_views import surface_row

_cifti: Any = nib.cifti2
LEFT, RIGHT = "CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"
OTHER = "CIFTI_STRUCTURE_OTHER"
MESH_SIZE = 32_492
# Stored from right to left, 2 mm; all slices below the cortex lie in planes of voxels.
SHAPE = (11, 12, 21)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0, -20], [0, 0, 2, -26], [0, 0, 0, 1]])
SLICE_GAP, PART_GAP = 6, 8  # pixels between slices, and below each part of the picture


def parcels(*, voxels: bool = True) -> ParcelPlaces:
    """Return a parcel of both sides, one of the left, and one of voxels alone."""
    own = np.array([[3, 4, 5], [0, 1, 2]]) if voxels else np.zeros((0, 3), int)
    none = np.zeros((0, 3), int)
    volume = {"affine": AFFINE, "volume_shape": SHAPE} if voxels else {}
    axis = _cifti.ParcelsAxis(
        ["both", "left", "below"],
        [own[:1], none, own[1:]],
        [{RIGHT: np.array([7, 2]), LEFT: np.array([9, 1])}, {LEFT: np.array([4, 30])}, {}],
        nvertices={LEFT: MESH_SIZE, RIGHT: MESH_SIZE},
        **volume,
    )
    return ParcelPlaces.of_axis(axis)


def places_with(*voxels_mm: tuple[float, float, float]) -> Grayordinates:
    """Return all of the left cortex, a vertex of the right, and voxels by where they lie."""
    points = np.array(voxels_mm).reshape(-1, 3)
    voxels = np.rint((points - AFFINE[:3, 3]) / np.diag(AFFINE)[:3]).astype(np.intp)
    left = np.flatnonzero(read_template("fsLR").cortex["L"])
    right = np.flatnonzero(read_template("fsLR").cortex["R"])[:1]
    ends = np.cumsum([len(left), len(right), len(voxels)]).tolist()
    structures = ((LEFT, slice(0, ends[0])), (RIGHT, slice(*ends[:2])), (OTHER, slice(*ends[1:])))
    return Grayordinates(
        vertices={"L": left, "R": right},
        mesh_size=MESH_SIZE,
        voxels=voxels,
        structures=structures if len(voxels) else structures[:2],
        shape=SHAPE,
        affine=AFFINE,
    )


def anatomy() -> Background:
    return Background(Volume(np.full(SHAPE, 0.5, np.float32), AFFINE), "grey")


def slices_of(picture: np.ndarray, above: np.ndarray) -> list[np.ndarray]:
    """Cut what is drawn below the surfaces into slices, as numbers that can be subtracted."""
    height, width = 2 * SHAPE[1] - 1, 2 * SHAPE[0] - 1  # pixels of 1 mm
    below = picture[len(above) + PART_GAP :].astype(int)
    assert len(below) == height + PART_GAP
    whole = len(BELOW) * width + (len(BELOW) - 1) * SLICE_GAP
    start = (picture.shape[1] - whole) // 2
    step = width + SLICE_GAP
    return [below[:height, start + number * step :][:, :width] for number in range(len(BELOW))]


def pixel_of(cut: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return a pixel by its place: the person's left is on the left, the front on top."""
    low_x, high_y = AFFINE[0, 3] - 2 * (SHAPE[0] - 1), AFFINE[1, 3] + 2 * (SHAPE[1] - 1)
    return cut[int(high_y - y), int(x - low_x)]


def test_maps_are_found_by_the_names_of_their_contrasts(tmp_path):
    path = tmp_path / "a.pscalar.nii"
    values = np.array([[1.5, np.nan, -2.0], [1, 2, 3]], np.float32)
    path.write_bytes(parcels().encode_maps(values, ["faces", "shapes"]))
    held = ParcelMaps.read(path)
    assert (list(held.by_label), held.path) == (["faces", "shapes"], path)
    assert (held.places.cortical, held.places.number) == (6, 8)
    np.testing.assert_array_equal(held.of("faces"), [1.5, 0, 1.5, 0, 1.5, 1.5, 1.5, -2])
    with pytest.raises(RunError, match=r"a\.pscalar\.nii has no map gone\. Expected: the maps of"):
        held.of("gone")


@pytest.mark.parametrize("axis", [brain_models(), parcels_axis()])
def test_series_are_no_maps_as_they_have_no_names(tmp_path, axis):
    path = save_series(tmp_path / "a.pscalar.nii", np.ones((3, len(axis)), np.float32), axis)
    with pytest.raises(RunError, match=r"a\.pscalar\.nii has no maps of parcels by their names"):
        ParcelMaps.read(path)


@pytest.mark.parametrize("content", [None, b"", b"no CIFTI at all"])
def test_files_that_are_no_maps_are_refused_by_name(tmp_path: Path, content):
    path = tmp_path / "a.pscalar.nii"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"a\.pscalar\.nii"):
        ParcelMaps.read(path)


def test_each_vertex_and_voxel_has_the_value_of_its_parcel():
    places, values = spread(parcels(), np.array([[1, 2, 3], [10, 20, 30]], np.float32))
    # Both sides in order of their vertices, whatever the parcels' order, then the voxels.
    assert {side: places.vertices[side].tolist() for side in SIDES} == {
        "L": [1, 4, 9, 30],
        "R": [2, 7],
    }
    assert places.voxels.tolist() == [[3, 4, 5], [0, 1, 2]]
    np.testing.assert_array_equal(values[0], [1, 2, 1, 2, 1, 1, 1, 3])
    np.testing.assert_array_equal(values[1], 10 * values[0])
    assert places.structures == (
        *((LEFT, slice(0, 4)), (RIGHT, slice(4, 6))),
        (OTHER, slice(6, 8)),
    )
    assert (places.shape, places.mesh_size) == (SHAPE, MESH_SIZE)
    np.testing.assert_array_equal(places.affine, AFFINE)


def test_parcels_of_one_side_alone_make_places_without_the_rest():
    axis = parcels(voxels=False).axis[1:2]
    places, values = spread(ParcelPlaces.of_axis(axis), np.array([[-2.5]], np.float32))
    assert places.structures == ((LEFT, slice(0, 2)),)
    assert (len(places.vertices["R"]), places.voxels.shape) == (0, (0, 3))
    np.testing.assert_array_equal(values, [[-2.5, -2.5]])


def test_what_lies_below_the_cortex_is_on_slices_with_the_left_on_the_left():
    places = places_with((-8, 0, 2), (6, -10, -8))
    values = np.zeros(places.number, np.float32)
    values[-2:] = 3.0, -3.0
    picture = ParcelPictures(places, anatomy()).draw(values, 3.0)
    above = surface_row(dict.fromkeys(SIDES, np.full(MESH_SIZE, np.nan)), 3.0)
    # The cortex has no effect, and is grey.
    np.testing.assert_array_equal(picture[: len(above)], above)
    _, lower, upper, _ = slices = slices_of(picture, above)
    warm, cold = pixel_of(upper, -8, 0), pixel_of(lower, 6, -10)
    assert warm[0] > warm[2] + 50
    assert cold[2] > cold[0] + 50
    for cut, x, y in ((upper, 8, 0), (lower, -6, -10), (upper, 6, -10), (lower, -8, 0)):
        grey = pixel_of(cut, x, y)
        assert grey[0] == grey[1] == grey[2]
    assert all((cut[..., 3] == 255).all() for cut in slices)
    coloured = [int((cut[..., 0] != cut[..., 2]).sum()) for cut in slices]
    assert coloured[0] == coloured[3] == 0
    assert not picture[len(above) :][:PART_GAP].any()  # nothing between both parts


def test_values_of_each_side_are_drawn_on_that_side():
    places = places_with((0, 0, 2))
    values = np.zeros(places.number, np.float32)
    values[places.cortical - 1], values[-1] = -9.0, 9.0  # the vertex of the right, and the voxel
    left = len(places.vertices["L"])
    values[:left] = 1.0
    picture = ParcelPictures(places, anatomy()).draw(values, 1.0)
    sides = {side: np.full(MESH_SIZE, np.nan, np.float32) for side in SIDES}
    sides["L"][read_template("fsLR").cortex["L"]] = 1.0
    sides["R"][places.vertices["R"]] = -9.0
    above = surface_row(sides, 1.0)
    np.testing.assert_array_equal(picture[: len(above)], above)
    half = above.shape[1] // 2
    warmth = picture[: len(above), :, 0].astype(int) - picture[: len(above), :, 2]
    assert (warmth[:, :half] > 50).sum() > 10_000
    assert (warmth[:, half:] <= 0).all()


def test_without_voxels_there_are_no_slices():
    places = places_with()
    values = np.linspace(-1, 1, places.number, dtype=np.float32)
    picture = ParcelPictures(places, anatomy()).draw(values, 1.0)
    sides = {side: np.full(MESH_SIZE, np.nan, np.float32) for side in SIDES}
    sides["L"][places.vertices["L"]], sides["R"][places.vertices["R"]] = values[:-1], values[-1]
    np.testing.assert_array_equal(picture, surface_row(sides, 1.0))


def test_amounts_are_coloured_from_nothing_on_where_there_are_voxels():
    places = places_with((-8, 0, 2), (8, 0, 2))
    values = np.zeros(places.number, np.float32)
    values[-2:] = 0.0, 2.0
    picture = ParcelPictures(places, anatomy()).draw(values, 2.0, amount=AMOUNT)
    above = surface_row(dict.fromkeys(SIDES, np.full(MESH_SIZE, np.nan)), 2.0)
    cut = slices_of(picture, above)[2]
    behind = 40 + 165 * 0.5
    for x, colour in ((-8, AMOUNT.table()[0]), (8, AMOUNT.table()[-1])):
        mixed = 0.08 * behind + 0.92 * colour
        np.testing.assert_allclose(pixel_of(cut, x, 0)[:3], mixed, atol=1)
    assert len(set(pixel_of(cut, 0, 0)[:3].tolist())) == 1  # no place of the map: anatomy alone
    # All of the left cortex has a value, if of 0, and of the right a vertex alone.
    half = above.shape[1] // 2
    coloured = picture[: len(above), :, 0] != picture[: len(above), :, 2]
    assert coloured[:, :half].sum() > 10_000
    assert coloured[:, half:].sum() < 100


def test_the_words_name_every_slice_and_the_order_of_the_sides():
    text = view_text()
    assert "z = \N{MINUS SIGN}24, \N{MINUS SIGN}8, 2, 12 mm" in text
    assert text.startswith("Left hemisphere from outside and inside, right from inside and outside")
    assert "the person's left on the left" in text
