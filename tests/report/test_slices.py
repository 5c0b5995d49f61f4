"""Slices, outlines and colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from bids_dtg.imaging.grid import Grid
from bids_dtg.report.pictures import (
    AMOUNT,
    AXIAL,
    CORONAL,
    NEGATIVE,
    POSITIVE,
    SAGITTAL,
    SIGNED,
    Backdrop,
    Box,
    View,
    Volume,
    draw_matrix,
    encode,
    outline,
    soften,
    standard_anatomy,
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
        (View(AXIAL, -4), -12, 16),  # left of the picture: left; top: front
        (View(CORONAL, 16), -12, -4),  # top: up
        (View(SAGITTAL, -12), 16, -4),
    ],
)
def test_a_point_is_where_it_belongs(view, left, up):
    box = Box.around(GRID)
    cut = marked((-12, 16, -4)).cut(box, view)
    row, column = np.unravel_index(int(np.argmax(cut)), cut.shape)
    across, upward = [axis for axis in range(3) if axis != view.axis]
    assert box.low[across] + column == left
    assert box.high[upward] - row == up


def test_left_of_the_picture_is_left_whatever_the_storage():
    values = np.random.default_rng(0).random(GRID.shape).astype(np.float32)
    flipped = AFFINE.copy()
    flipped[0] = [2, 0, 0, -18]
    box, view = Box.around(GRID), View(AXIAL, 2)
    one = Volume(values, AFFINE).cut(box, view)
    two = Volume(values[::-1], flipped).cut(box, view)
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("turned", [0.0, 0.3])  # radians: on the pixels' axes, or across them
@pytest.mark.parametrize("mm", [2.0, 2.7, 40.0])  # in a plane of voxels, between two, outside
def test_values_are_those_of_interpolation_by_scipy(mm, turned, order):
    values = np.random.default_rng(1).random((11, 19, 21)).astype(np.float32)
    # Stored along z, x and y, and from right to left.
    affine = AFFINE[:, [2, 0, 1, 3]]
    affine[:2] = (
        np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
        @ (affine[:2])
    )
    box = Box(np.array([-20.0, -21, -10]), np.array([18.5, 20, 12]))
    cut = Volume(values, affine).cut(box, View(AXIAL, mm), order=order)
    y, x = np.mgrid[-21:21, -20:19].astype(float)
    points = np.stack([x, y[::-1], np.full_like(x, mm), np.ones_like(x)])
    indices = np.tensordot(np.linalg.inv(affine), points, 1)[:3].round(9)
    expected = map_coordinates(values, indices, order=order, prefilter=False)
    # A point that is equally near to two voxels may be either's.
    between = np.isclose(indices % 1, 0.5).any(axis=0) & (order == 0)
    np.testing.assert_allclose(cut[~between], expected[~between], atol=1e-5)
    assert (mm == 40) == (not cut.any())


def test_an_edge_is_softened_as_by_scipy():
    region = np.random.default_rng(2).random((9, 8, 7)) > 0.5
    expected = gaussian_filter(region.astype(np.float32), 0.7)
    np.testing.assert_allclose(soften(region, 0.7), expected, atol=1e-6)


def test_an_outline_is_a_thin_line_at_the_edge():
    level = np.clip((np.arange(40)[None, :] - 19.5) / 4 + 0.5, 0, 1) * np.ones((30, 1))
    line = outline(level, width=2)
    assert line[:, 19:21].min() > 0.9
    assert line[:, :16].max() == line[:, 24:].max() == 0


def test_maps_are_warm_above_zero_and_cold_below():
    anatomy = Volume(np.ones(GRID.shape, np.float32), AFFINE)
    backdrop = Backdrop(anatomy, Box.around(GRID), [View(AXIAL, 0)])
    warm, cold = (
        backdrop.draw_map(Volume(sign * anatomy.values, AFFINE), 1.0)[5, 5] for sign in (1, -1)
    )
    assert warm[0] > warm[2]
    assert cold[2] > cold[0]
    grey = backdrop.draw_map(Volume(0 * anatomy.values, AFFINE), 1.0)[5, 5]
    assert len(set(grey[:3].tolist())) == 1


@pytest.mark.parametrize("scale", [POSITIVE, NEGATIVE, AMOUNT, SIGNED], ids=lambda s: s.name)
def test_scales_begin_and_end_with_their_colours(scale):
    table = scale.table()
    assert ["#{:02x}{:02x}{:02x}".format(*table[i]) for i in (0, -1)] == [
        scale.stops[0],
        scale.stops[-1],
    ]


def test_pictures_come_back_from_their_files(tmp_path):
    path = tmp_path / "m.webp"
    path.write_bytes(draw_matrix(np.array([[-1.0, 1], [1, -1]]), SIGNED, -1, 1))
    pixels = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(pixels[0, 0], SIGNED.table()[0])
    np.testing.assert_array_equal(pixels[0, 1], SIGNED.table()[-1])
    path.write_bytes(encode(np.zeros((4, 5, 4), np.uint8)))
    assert Image.open(path).size == (5, 4)


def test_the_template_lies_in_mni_space():
    anatomy = standard_anatomy()
    centre = anatomy.cut(Box(np.array([-1.0, -20, 9]), np.array([1.0, -18, 11])), View(AXIAL, 10))
    assert centre.min() > 0.1
    assert float(anatomy.values.max()) == 1.0
