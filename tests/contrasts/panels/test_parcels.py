"""Maps of parcels on pages: each value is at its vertex or voxel, in the file and drawn."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.contrasts.panels.drawn_maps import BELOW, ParcelMaps, relative_size
from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import SIDES, read_template
from bids_dtg.report.contents import MapFile
from bids_dtg.report.pictures import Volume, draw_surfaces

_cifti: Any = nib.cifti2
LEFT, RIGHT = "CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"
MESH_SIZE = 32_492
# Stored from right to left, 2 mm; all slices below the cortex lie in planes of voxels.
SHAPE = (11, 12, 21)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0, -20], [0, 0, 2, -26], [0, 0, 0, 1]])
SLICE_GAP, PART_GAP = 6, 8  # pixels between slices, and below each part of the picture


def parcels(*, voxels: bool = True) -> ParcelPlaces:
    """Return a parcel of both sides, one of the left, and one of voxels alone."""
    parcel_voxels = (
        np.array([[3, 4, 5], [0, 1, 2]]) if voxels else np.zeros((0, 3), int)
    )
    none = np.zeros((0, 3), int)
    volume = {"affine": AFFINE, "volume_shape": SHAPE} if voxels else {}
    axis = _cifti.ParcelsAxis(
        ["both", "left", "below"],
        [parcel_voxels[:1], none, parcel_voxels[1:]],
        [
            {RIGHT: np.array([7, 2]), LEFT: np.array([9, 1])},
            {LEFT: np.array([4, 30])},
            {},
        ],
        nvertices={LEFT: MESH_SIZE, RIGHT: MESH_SIZE},
        **volume,
    )
    return ParcelPlaces.of_axis(axis)


def one_a_place(*voxels_mm: tuple[float, float, float]) -> ParcelPlaces:
    """Return a parcel of the left cortex, one of a vertex of the right, and one of each voxel."""
    points = np.array(voxels_mm).reshape(-1, 3)
    voxels = np.rint((points - AFFINE[:3, 3]) / np.diag(AFFINE)[:3]).astype(int)
    left_vertices = np.flatnonzero(read_template("fsLR").cortex["L"])
    right = np.flatnonzero(read_template("fsLR").cortex["R"])[:1]
    none = np.zeros((0, 3), int)
    volume = {"affine": AFFINE, "volume_shape": SHAPE} if len(voxels) else {}
    axis = _cifti.ParcelsAxis(
        ["left", "right", *(f"v{n}" for n in range(len(voxels)))],
        [none, none, *(voxel[None] for voxel in voxels)],
        [{LEFT: left_vertices}, {RIGHT: right}, *({} for _ in voxels)],
        nvertices={LEFT: MESH_SIZE, RIGHT: MESH_SIZE},
        **volume,
    )
    return ParcelPlaces.of_axis(axis)


def map_of(path, places: ParcelPlaces, *values: float) -> tuple[ParcelMaps, np.ndarray]:
    """Write a map of parcels; return it opened, and its values."""
    path.write_bytes(places.encode_maps(np.array([values], np.float32), ["a"]))
    shown = MapFile("a", path, {})
    held = ParcelMaps(shown, anatomy(), {})
    return held, held.read(shown)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.pscalar.nii"


def anatomy() -> Volume:
    return Volume(np.full(SHAPE, 0.5, np.float32), AFFINE)


def slices_of(picture: np.ndarray, above: np.ndarray) -> list[np.ndarray]:
    """Cut what is drawn below the surfaces into slices, as numbers that can be subtracted."""
    height, width = 2 * SHAPE[1] - 1, 2 * SHAPE[0] - 1  # pixels of 1 mm
    below = picture[len(above) + PART_GAP :].astype(int)
    assert len(below) == height + PART_GAP
    whole = len(BELOW) * width + (len(BELOW) - 1) * SLICE_GAP
    start = (picture.shape[1] - whole) // 2
    step = width + SLICE_GAP
    return [
        below[:height, start + number * step :][:, :width]
        for number in range(len(BELOW))
    ]


def pixel_of(cut: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return a pixel by its place: the person's left is on the left, the front on top."""
    low_x, high_y = AFFINE[0, 3] - 2 * (SHAPE[0] - 1), AFFINE[1, 3] + 2 * (SHAPE[1] - 1)
    return cut[int(high_y - y), int(x - low_x)]


def test_maps_are_found_by_the_names_of_their_contrasts(path):
    values = np.array([[1.5, np.nan, -2.0], [1, 2, 3]], np.float32)
    path.write_bytes(parcels().encode_maps(values, ["faces", "shapes"]))
    faces = MapFile("faces", path, {})
    held = ParcelMaps(faces, anatomy(), {})
    np.testing.assert_array_equal(held.read(faces), [1.5, 0, -2])
    assert held.peak(held.read(faces)) == (-2, "in below", None)
    with pytest.raises(
        RunError, match=r"a\.pscalar\.nii has no map gone\. Expected: the maps of"
    ):
        held.read(MapFile("gone", path, {}))


@pytest.mark.parametrize("content", [None, b"", b"no CIFTI at all"])
def test_files_that_are_no_maps_are_refused_by_name(path, content):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"a\.pscalar\.nii"):
        ParcelMaps(MapFile("a", path, {}), anatomy(), {})


def test_each_vertex_and_voxel_has_the_value_of_its_parcel(path):
    held, values = map_of(path, parcels(), 1, 2, 3)
    sides = {side: np.full(MESH_SIZE, np.nan, np.float32) for side in SIDES}
    sides["L"][[1, 9]] = 1
    sides["L"][[4, 30]] = 2
    sides["R"][[2, 7]] = 1
    above = draw_surfaces(sides, 3.0)
    np.testing.assert_array_equal(held.draw(values, 3.0)[: len(above)], above)


def test_a_deviation_is_as_opaque_as_it_is_large_relative_to_its_half_width(path):
    held, values = map_of(path, one_a_place((-8, 0, 2)), 3, 3, 3)
    plain = draw_surfaces(dict.fromkeys(SIDES, np.full(MESH_SIZE, np.nan)), 3.0).astype(
        int
    )
    colours = []
    for half_width in (3.0, 12.0, 1e6):
        opacity = relative_size(values, np.full(3, half_width, np.float32))
        picture = held.draw(values, 3.0, opacity).astype(int)
        colours.append(np.abs(picture[: len(plain), :, :3] - plain[..., :3]).max())
        warm = pixel_of(slices_of(picture, plain)[2], -8, 0)
        colours.append(int(warm[0] - warm[2]))
    cortex, below = colours[::2], colours[1::2]
    assert cortex[0] > 60 > cortex[1] > 10 > 1 >= cortex[2]
    assert below[0] > 50 > below[1] > 5 > below[2]


def test_what_lies_below_the_cortex_is_on_slices_with_the_left_on_the_left(path):
    held, values = map_of(path, one_a_place((-8, 0, 2), (6, -10, -8)), 0, 0, 3, -3)
    picture = held.draw(values, 3.0)
    above = draw_surfaces(dict.fromkeys(SIDES, np.full(MESH_SIZE, np.nan)), 3.0)
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


@pytest.mark.parametrize("voxels", [((0, 0, 2),), ()])
def test_values_of_each_side_are_drawn_on_that_side(path, voxels):
    held, values = map_of(path, one_a_place(*voxels), 1, -9, *(9 for _ in voxels))
    picture = held.draw(values, 1.0)
    sides = {side: np.full(MESH_SIZE, np.nan, np.float32) for side in SIDES}
    sides["L"][read_template("fsLR").cortex["L"]] = 1.0
    sides["R"][np.flatnonzero(read_template("fsLR").cortex["R"])[:1]] = -9.0
    above = draw_surfaces(sides, 1.0)
    np.testing.assert_array_equal(picture[: len(above)], above)
    assert (len(picture) > len(above)) == bool(
        voxels
    )  # without voxels there are no slices
    half = above.shape[1] // 2
    warmth = picture[: len(above), :, 0].astype(int) - picture[: len(above), :, 2]
    assert (warmth[:, :half] > 50).sum() > 10_000
    assert (warmth[:, half:] <= 0).all()
