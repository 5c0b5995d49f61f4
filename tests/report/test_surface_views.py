"""Maps on the cortex as pictures: which vertex a pixel shows, and in which colour."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.imaging.surfaces.meshes import SIDES, read_template
from bids_dtg.report.pictures import NEGATIVE, POSITIVE, SurfaceView, draw_surfaces, surface_views

PIXELS_A_MM, RIM, GAP = 1.25, 3, 10
VERTICES = 32_492


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
    for view in surface_views():
        rows, columns = view.vertex.shape
        above = (len(picture) - rows) // 2
        start += GAP // 2
        cut.append(picture[above : above + rows, start : start + columns].astype(int))
        start += columns + GAP // 2
    assert start == picture.shape[1]
    return cut


def grey_of(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])


def of_brain(part: np.ndarray, view: SurfaceView) -> np.ndarray:
    return part[view.vertex >= 0]


def places_of(view: SurfaceView) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows and columns of the pixels that show brain, and where their vertices lie."""
    rows, columns = np.nonzero(view.vertex >= 0)
    return rows, columns, read_template("fsLR").points[view.side][view.vertex[rows, columns]]


def toward_viewer(number: int) -> float:
    """Return the direction of the viewer on x: the left's outer side is seen from the left."""
    return (-1.0, 1.0, -1.0, 1.0)[number]


def test_the_left_is_seen_from_outside_and_inside_and_then_the_right():
    views = surface_views()
    assert [view.side for view in views] == ["L", "L", "R", "R"]
    assert surface_views() is views  # looked for once
    for number, view in enumerate(views):
        rows, columns, points = places_of(view)
        # Up is up. The front is at the left where the viewer looks from the person's left.
        assert np.corrcoef(rows, points[:, 2])[0, 1] < -0.999
        assert np.corrcoef(columns, points[:, 1])[0, 1] * toward_viewer(number) > 0.999
    wall = ~read_template("fsLR").cortex["L"]
    shown = [np.unique(view.vertex[view.vertex >= 0]) for view in views[:2]]
    assert [bool(wall[vertices].sum() > 1000) for vertices in shown] == [False, True]


@pytest.mark.parametrize("number", range(4))
def test_a_pixel_shows_what_lies_nearest_to_the_viewer(number):
    view, toward = surface_views()[number], toward_viewer(number)
    points = read_template("fsLR").points[view.side]
    across, up, depth = toward * points[:, 1], points[:, 2], toward * points[:, 0]
    column = np.rint((across - across.min()) * PIXELS_A_MM + RIM).astype(int)
    row = np.rint((up.max() - up) * PIXELS_A_MM + RIM).astype(int)
    shown = view.vertex[row, column]
    assert (shown >= 0).all()  # nothing of the mesh is left out
    # A triangle is shown as one of its corners, an edge of 5 mm away at most.
    assert (depth[shown] > depth - 5).all()
    assert np.hypot(across[shown] - across, up[shown] - up).max() < 5
    # Of the corners of a pixel's triangle it is the nearest, about a pixel away on average.
    rows, columns, _ = places_of(view)
    there = view.vertex[rows, columns]
    assert np.hypot(row[there] - rows, column[there] - columns).mean() < 1.2
    # Most vertices lie on the other side or within folds, and cannot be seen.
    assert 0.2 < np.isin(np.arange(VERTICES), view.vertex).mean() < 0.4


def test_above_zero_is_warm_and_below_cold_each_on_its_own_side():
    left, *_, right = parts(draw_surfaces(on_cortex(1.0, -1.0), 1.0))
    views = surface_views()
    for part, view, end in ((left, views[0], POSITIVE), (right, views[3], NEGATIVE)):
        known = read_template("fsLR").cortex[view.side][view.vertex] & (view.vertex >= 0)
        shade = 0.55 + 0.45 * view.light[known][:, None]
        np.testing.assert_allclose(part[known][:, :3], end.table()[-1] * shade, atol=1)
    assert (of_brain(left, views[0])[:, 0] >= of_brain(left, views[0])[:, 2]).all()
    assert (of_brain(right, views[3])[:, 2] >= of_brain(right, views[3])[:, 0]).all()


def test_one_vertex_has_the_colour_of_its_value_and_no_other():
    view = surface_views()[0]
    vertex = int(np.bincount(view.vertex[view.vertex >= 0]).argmax())
    values = on_cortex(0.0, 0.0)
    values["L"][vertex] = -2.0
    first, *others = parts(draw_surfaces(values, 2.0))
    np.testing.assert_array_equal(~grey_of(first), view.vertex == vertex)
    blue = first[view.vertex == vertex]
    assert (blue[:, 2] > blue[:, 0]).all()
    for part, other in zip(others, surface_views()[1:], strict=True):
        coloured = (other.vertex == vertex) & (other.side == "L")
        np.testing.assert_array_equal(~grey_of(part), coloured)


def test_the_medial_wall_is_grey_and_folds_are_visible_on_it():
    drawn = parts(draw_surfaces(on_cortex(1.0, 1.0), 1.0))
    for part, view in zip(drawn, surface_views(), strict=True):
        wall = ~read_template("fsLR").cortex[view.side][view.vertex] & (view.vertex >= 0)
        np.testing.assert_array_equal(grey_of(part) & (view.vertex >= 0), wall)
        if wall.any():
            np.testing.assert_allclose(part[wall][:, 0], 70 + 120 * view.light[wall], atol=1)


def test_no_value_and_infinity_and_no_effect_look_the_same():
    plain = draw_surfaces(on_cortex(0.0, 0.0), 1.0)
    assert grey_of(plain).all()
    for left, right in ((np.nan, np.nan), (np.inf, -np.inf)):
        np.testing.assert_array_equal(draw_surfaces(on_cortex(left, right), 1.0), plain)
    # A map of nothing has no largest value to be compared with.
    np.testing.assert_array_equal(draw_surfaces(on_cortex(0.0, 0.0), 0.0), plain)


def test_weak_values_fade_out_and_strong_ones_stop_at_the_limit():
    def first(value: float) -> np.ndarray:
        view = surface_views()[0]
        return of_brain(parts(draw_surfaces(on_cortex(value, value), 4.0))[0], view)

    grey = first(0.0)
    bright = [np.abs(first(value) - grey).sum() for value in (0.2, 0.5, 1.0, 2.0)]
    assert bright == sorted(set(bright))
    # A quarter of the limit is half of where nothing of the grey is left: a quarter of the colour.
    light = surface_views()[0].light[surface_views()[0].vertex >= 0][:, None]
    colour = POSITIVE.paint(np.array([0.25])) * (0.55 + 0.45 * light)
    mixed = 0.75 * (70 + 120 * light) + 0.25 * colour
    known = ~grey_of(first(1.0))
    np.testing.assert_allclose(first(1.0)[known][:, :3], mixed[known], atol=1)
    np.testing.assert_array_equal(first(9.0), first(4.0))
