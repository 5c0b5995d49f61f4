"""Slices, surfaces, glass brains and colours show the values of the map."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.meshes import SIDES, read_template
from bids_dtg.report.pictures import (
    AMOUNT,
    AXIAL,
    CORONAL,
    NEGATIVE,
    POSITIVE,
    SAGITTAL,
    SIGNED,
    Backdrop,
    Volume,
    box_around,
    draw_glass_brain,
    draw_maps,
    draw_matrix,
    draw_surfaces,
    encode,
    standard_anatomy,
    surface_views,
)

# Storage from right to left, as FSL's templates have it.
AFFINE = np.array([[-2.0, 0, 0, 18], [0, 2, 0, -20], [0, 0, 2, -10], [0, 0, 0, 1]])
GRID = Grid((19, 21, 11), AFFINE)


def marked(mm: tuple[float, float, float]) -> Volume:
    values = np.zeros(GRID.shape, np.float32)
    index = np.linalg.solve(AFFINE, [*mm, 1])[:3].round().astype(int)
    values[tuple(index)] = 1
    return Volume(values, AFFINE)


@pytest.mark.parametrize(
    ("view", "left", "up"),
    [
        ((AXIAL, -4), -12, 16),  # left of the picture: left; top: front
        ((CORONAL, 16), -12, -4),  # top: up
        ((SAGITTAL, -12), 16, -4),
    ],
)
def test_a_point_is_where_it_belongs(view, left, up):
    box = box_around(GRID)
    cut = marked((-12, 16, -4)).cut(box, view)
    row, column = np.unravel_index(int(np.argmax(cut)), cut.shape)
    across, upward = [axis for axis in range(3) if axis != view[0]]
    assert box[0][across] + column == left
    assert box[1][upward] - row == up


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(
    "mm", [2.0, 2.7, 40.0]
)  # in a plane of voxels, between two, outside
def test_values_are_those_of_interpolation_by_scipy(mm, order):
    values = np.random.default_rng(1).random((11, 19, 21)).astype(np.float32)
    # Stored along z, x and y, and from right to left.
    affine = AFFINE[:, [2, 0, 1, 3]]
    box = np.array([[-20.0, -21, -10], [18.5, 20, 12]])
    cut = Volume(values, affine).cut(box, (AXIAL, mm), order=order)
    y, x = np.mgrid[-21:21, -20:19].astype(float)
    points = np.stack([x, y[::-1], np.full_like(x, mm), np.ones_like(x)])
    indices = np.tensordot(np.linalg.inv(affine), points, 1)[:3].round(9)
    expected = map_coordinates(values, indices, order=order, prefilter=False)
    # A point that is equally near to two voxels may be either's.
    between = np.isclose(indices % 1, 0.5).any(axis=0) & (order == 0)
    np.testing.assert_allclose(cut[~between], expected[~between], atol=1e-5)
    assert (mm == 40) == (not cut.any())


def test_maps_are_warm_above_zero_and_cold_below():
    anatomy = Volume(np.ones(GRID.shape, np.float32), AFFINE)
    backdrop = Backdrop(anatomy, box_around(GRID), [(AXIAL, 0)])
    warm, cold = (
        backdrop.draw_map(Volume(sign * anatomy.values, AFFINE), 1.0)[5, 5]
        for sign in (1, -1)
    )
    assert warm[0] > warm[2]
    assert cold[2] > cold[0]
    grey = backdrop.draw_map(Volume(0 * anatomy.values, AFFINE), 1.0)[5, 5]
    assert len(set(grey[:3].tolist())) == 1


@pytest.mark.parametrize(
    "scale", [POSITIVE, NEGATIVE, AMOUNT, SIGNED], ids=lambda s: s.name
)
def test_scales_begin_and_end_with_their_colours(scale):
    table = scale.table
    assert ["#{:02x}{:02x}{:02x}".format(*table[i]) for i in (0, -1)] == [
        scale.stops[0],
        scale.stops[-1],
    ]


def test_pictures_come_back_from_their_files(tmp_path):
    path = tmp_path / "m.webp"
    path.write_bytes(draw_matrix(np.array([[-1.0, 1], [1, -1]]), SIGNED, -1, 1))
    pixels = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(pixels[0, 0], SIGNED.table[0])
    np.testing.assert_array_equal(pixels[0, 1], SIGNED.table[-1])
    path.write_bytes(encode(np.zeros((4, 5, 4), np.uint8)))
    assert Image.open(path).size == (5, 4)


def test_the_template_lies_in_mni_space():
    anatomy = standard_anatomy()
    centre = anatomy.cut(np.array([[-1.0, -20, 9], [1.0, -18, 11]]), (AXIAL, 10))
    assert centre.min() > 0.1
    assert float(anatomy.values.max()) == 1.0


ROWS_AFFINE = np.array([[-2.0, 0, 0, 12], [0, 2, 0, -30], [0, 0, 2, -6], [0, 0, 0, 1]])
PLACES_OF_ROWS = VoxelPlaces(Grid((10, 12, 9), ROWS_AFFINE), np.arange(100, 900))


@dataclass
class Plotting:
    """Stands for nilearn's plotting, whose import alone takes seconds.

    It fills the axes with the colour of the map's mean. The slow tests of the demo draw with
    nilearn's own.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)

    def plot_stat_map(
        self, image: Any, *, axes: Any, vmax: float, cmap: str, **options: Any
    ) -> None:
        values = np.asarray(image.dataobj)
        written = [text.get_text() for text in axes.figure.texts]
        self.rows.append(
            {
                "values": values,
                "affine": image.affine,
                "vmax": vmax,
                "written": written,
                **options,
            }
        )
        mean = np.full((2, 2), values[values != 0].mean() if values.any() else 0.0)
        axes.imshow(mean, cmap=cmap, vmin=-vmax, vmax=vmax, aspect="auto")
        axes.set_axis_off()


@pytest.fixture
def plotting(monkeypatch):
    module, recorder = ModuleType("nilearn.plotting"), Plotting()
    monkeypatch.setattr(module, "plot_stat_map", recorder.plot_stat_map, raising=False)
    monkeypatch.setitem(sys.modules, "nilearn.plotting", module)
    return recorder


def test_each_map_has_a_row_and_all_have_one_scale(plotting):
    from matplotlib import pyplot as plt

    weak, strong = (
        np.full(PLACES_OF_ROWS.number, 1.0),
        np.full(PLACES_OF_ROWS.number, -3.0),
    )
    strong[:4] = 50.0  # extremes, which would hide the rest
    before = plt.get_fignums()
    drawn = draw_maps(
        {"truth": weak, "predicted": strong}, PLACES_OF_ROWS, title="wm2bk", units="z"
    )
    assert plt.get_fignums() == before  # no figure is left in memory
    first, second = plotting.rows
    assert first["vmax"] == second["vmax"] == pytest.approx(3.0)
    assert first["threshold"] == second["threshold"] == pytest.approx(0.3)
    # The map of each row lies where its voxels are.
    np.testing.assert_array_equal(
        PLACES_OF_ROWS.volume(weak.astype(np.float32)), first["values"]
    )
    np.testing.assert_array_equal(
        second["values"].ravel()[[100, 103, 104, 899]], [50, 50, -3, -3]
    )
    np.testing.assert_array_equal(first["affine"], ROWS_AFFINE)
    # What was there when a map was drawn: the title, and names of the rows above it.
    assert [row["written"] for row in plotting.rows] == [
        ["wm2bk (z)"],
        ["wm2bk (z)", "truth"],
    ]
    picture = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"), int)
    assert picture.shape == (462, 990, 3)  # rows of 1.9 inches below a title of 0.4
    upper, lower = picture[169, 495], picture[378, 495]
    assert upper[0] > upper[2]  # the first map, above 0, is on top and warm
    assert lower[2] > lower[0]


GLASS_AFFINE = np.array(
    [[-8.0, 0, 0, 70], [0, 8, 0, -100], [0, 0, 8, -60], [0, 0, 0, 1]]
)
GLASS_PLACES = VoxelPlaces.within(
    Grid((18, 22, 18), GLASS_AFFINE), np.ones((18, 22, 18), bool)
)


def sides_of(values: np.ndarray, **options) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of the brain, and of the colour bar at its right."""
    drawn = draw_glass_brain(values, GLASS_PLACES, units="z", **options)
    with Image.open(io.BytesIO(drawn)) as picture:
        whole = np.asarray(picture.convert("RGB"), int)
    brain, bar = np.split(whole, [int(0.93 * whole.shape[1])], axis=1)
    return brain, bar


def pixels(values: np.ndarray, **options) -> np.ndarray:
    return sides_of(values, **options)[0]


def amount_of(picture: np.ndarray) -> tuple[int, int]:
    """Count red and blue pixels."""
    warmth = picture[..., 0] - picture[..., 2]
    return int((warmth > 60).sum()), int((warmth < -60).sum())


@pytest.mark.slow
def test_positive_is_red_and_negative_is_blue_and_gaps_stay_empty():
    height = GLASS_PLACES.points[:, 2]
    values = np.select([height > 30, height < -20], [2.0, -2.0], np.nan)
    picture = pixels(values)
    sides = picture[:, : int(0.75 * picture.shape[1])]  # without the view from above
    above, _, below = np.array_split(sides, [len(sides) // 2, int(0.6 * len(sides))])
    assert amount_of(above)[0] > 1000
    assert amount_of(above)[1] == 0
    assert amount_of(below)[0] == 0
    assert amount_of(below)[1] > 1000


@pytest.mark.slow
def test_the_empty_brain_says_so_and_the_same_map_makes_the_same_file():
    nothing, bar = sides_of(np.zeros(GLASS_PLACES.number))
    assert amount_of(nothing) == (0, 0)
    assert amount_of(bar) == (0, 0)  # no colours stand for values that are not there
    # Below the brain stand words.
    bottom = slice(int(0.9 * len(nothing)), None)
    assert (nothing[bottom].min(axis=2) < 200).sum() > 100
    first, again = (
        draw_glass_brain(GLASS_PLACES.points[:, 2], GLASS_PLACES) for _ in range(2)
    )
    assert first == again


@pytest.mark.slow
def test_a_line_is_around_what_is_outlined_and_the_rest_is_drawn():
    values = np.where(GLASS_PLACES.points[:, 2] > 10, 3.0, -1.0)
    inside = np.linalg.norm(GLASS_PLACES.points - [0, -20, 40], axis=1) < 30
    plain, outlined = pixels(values), pixels(values, outlined=inside)
    dark = [int((picture.max(axis=2) < 60).sum()) for picture in (plain, outlined)]
    assert dark[1] > dark[0] + 500
    assert amount_of(outlined)[1] > 1000
    assert (pixels(values, outlined=np.zeros_like(inside)) == plain).all()


PIXELS_A_MM = 1.25
RIM = 3
GAP = 10
VERTICES = 32_492
SIDE = "LLRR"  # of each view


def on_cortex(left: float, right: float) -> dict[str, np.ndarray]:
    """Make a map of one value a side, without values on the medial wall."""
    cortex = read_template("fsLR").cortex
    return {
        side: np.where(cortex[side], value, np.nan)
        for side, value in zip(SIDES, (left, right), strict=True)
    }


def parts(picture: np.ndarray) -> list[np.ndarray]:
    """Cut a picture into its views, as numbers that can be subtracted."""
    cut, start = [], 0
    for vertex, _ in surface_views():
        rows, columns = vertex.shape
        above = (len(picture) - rows) // 2
        start += GAP // 2
        cut.append(picture[above : above + rows, start : start + columns].astype(int))
        start += columns + GAP // 2
    assert start == picture.shape[1]
    return cut


def grey_of(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])


def places_of(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows and columns of the pixels that show brain, and where their vertices lie."""
    vertex, _ = surface_views()[number]
    rows, columns = np.nonzero(vertex >= 0)
    return (
        rows,
        columns,
        read_template("fsLR").points[SIDE[number]][vertex[rows, columns]],
    )


def toward_viewer(number: int) -> float:
    """Return the direction of the viewer on x: the left's outer side is seen from the left."""
    return (-1.0, 1.0, -1.0, 1.0)[number]


@pytest.mark.slow
def test_the_left_is_seen_from_outside_and_inside_and_then_the_right():
    assert surface_views() is surface_views()  # looked for once
    for number in range(4):
        rows, columns, points = places_of(number)
        # Up is up. The front is at the left where the viewer looks from the person's left.
        assert np.corrcoef(rows, points[:, 2])[0, 1] < -0.999
        assert np.corrcoef(columns, points[:, 1])[0, 1] * toward_viewer(number) > 0.999
    wall = ~read_template("fsLR").cortex["L"]
    shown = [np.unique(vertex[vertex >= 0]) for vertex, _ in surface_views()[:2]]
    assert [bool(wall[vertices].sum() > 1000) for vertices in shown] == [False, True]


@pytest.mark.parametrize("number", range(4))
def test_a_pixel_shows_what_lies_nearest_to_the_viewer(number):
    (vertex, _), toward = surface_views()[number], toward_viewer(number)
    points = read_template("fsLR").points[SIDE[number]]
    across = toward * points[:, 1]
    up = points[:, 2]
    depth = toward * points[:, 0]
    column = np.rint((across - across.min()) * PIXELS_A_MM + RIM).astype(int)
    row = np.rint((up.max() - up) * PIXELS_A_MM + RIM).astype(int)
    shown = vertex[row, column]
    assert (shown >= 0).all()  # nothing of the mesh is left out
    # A triangle is shown as one of its corners, an edge of 5 mm away at most.
    assert (depth[shown] > depth - 5).all()
    assert np.hypot(across[shown] - across, up[shown] - up).max() < 5
    # Of the corners of a pixel's triangle it is the nearest, about a pixel away on average.
    rows, columns, _ = places_of(number)
    on_mesh = vertex[rows, columns]
    assert np.hypot(row[on_mesh] - rows, column[on_mesh] - columns).mean() < 1.2
    # Most vertices lie on the other side or within folds, and cannot be seen.
    assert 0.2 < np.isin(np.arange(VERTICES), vertex).mean() < 0.4


def test_above_zero_is_warm_and_below_cold_each_on_its_own_side_and_the_wall_is_grey():
    drawn = parts(draw_surfaces(on_cortex(1.0, -1.0), 1.0))
    for number, (part, (vertex, light)) in enumerate(
        zip(drawn, surface_views(), strict=True)
    ):
        end = POSITIVE if number < 2 else NEGATIVE
        cortex = read_template("fsLR").cortex[SIDE[number]][vertex]
        with_value, wall = cortex & (vertex >= 0), ~cortex & (vertex >= 0)
        shade = 0.55 + 0.45 * light[with_value][:, None]
        np.testing.assert_allclose(
            part[with_value][:, :3], end.table[-1] * shade, atol=1
        )
        # Folds are visible where there is no value.
        grey = np.repeat(70 + 120 * light[wall][:, None], 3, axis=1)
        np.testing.assert_allclose(part[wall][:, :3], grey, atol=1)


def test_one_vertex_has_the_colour_of_its_value_and_no_other():
    vertex, _ = surface_views()[0]
    most = int(np.bincount(vertex[vertex >= 0]).argmax())
    values = on_cortex(0.0, 0.0)
    values["L"][most] = -2.0
    first, *other_parts = parts(draw_surfaces(values, 2.0))
    np.testing.assert_array_equal(~grey_of(first), vertex == most)
    blue = first[vertex == most]
    assert (blue[:, 2] > blue[:, 0]).all()
    assert grey_of(
        np.concatenate([part.reshape(-1, 4) for part in other_parts[1:]])
    ).all()


def test_no_value_and_infinity_and_no_effect_look_the_same():
    plain = draw_surfaces(on_cortex(0.0, 0.0), 1.0)
    assert grey_of(plain).all()
    for left, right in ((np.nan, np.nan), (np.inf, -np.inf)):
        np.testing.assert_array_equal(draw_surfaces(on_cortex(left, right), 1.0), plain)
    # A map of nothing has no largest value to be compared with.
    np.testing.assert_array_equal(draw_surfaces(on_cortex(0.0, 0.0), 0.0), plain)


def test_weak_values_fade_out_and_strong_ones_stop_at_the_limit():
    (vertex, light), *_ = surface_views()

    def first(value: float) -> np.ndarray:
        return parts(draw_surfaces(on_cortex(value, value), 4.0))[0][vertex >= 0]

    grey = first(0.0)
    bright = [np.abs(first(value) - grey).sum() for value in (0.2, 0.5, 1.0, 2.0)]
    assert bright == sorted(set(bright))
    # A quarter of the limit is half of where nothing of the grey is left: a quarter of the colour.
    shade = light[vertex >= 0][:, None]
    colour = POSITIVE.paint(np.array([0.25])) * (0.55 + 0.45 * shade)
    mixed = 0.75 * (70 + 120 * shade) + 0.25 * colour
    coloured = ~grey_of(first(1.0))
    np.testing.assert_allclose(first(1.0)[coloured][:, :3], mixed[coloured], atol=1)
    np.testing.assert_array_equal(first(9.0), first(4.0))
