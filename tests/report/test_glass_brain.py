"""Maps seen through the brain: what is drawn is what the map holds."""

from __future__ import annotations

import io

import numpy as np
import pytest

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.report.pictures import draw_glass_brain

AFFINE = np.array([[-8.0, 0, 0, 70], [0, 8, 0, -100], [0, 0, 8, -60], [0, 0, 0, 1]])
PLACES = VoxelPlaces.within(Grid((18, 22, 18), AFFINE), np.ones((18, 22, 18), bool))


def sides_of(values: np.ndarray, **more) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of the brain, and of the colour bar at its right."""
    from PIL import Image

    drawn = draw_glass_brain(values, PLACES, units="z", **more)
    with Image.open(io.BytesIO(drawn)) as picture:
        whole = np.asarray(picture.convert("RGB"), int)
    brain, bar = np.split(whole, [int(0.87 * whole.shape[1])], axis=1)
    return brain, bar


def pixels(values: np.ndarray, **more) -> np.ndarray:
    return sides_of(values, **more)[0]


def amount_of(picture: np.ndarray) -> tuple[int, int]:
    """Count red and blue pixels."""
    warmth = picture[..., 0] - picture[..., 2]
    return int((warmth > 60).sum()), int((warmth < -60).sum())


@pytest.mark.slow
def test_positive_is_red_and_negative_is_blue_and_gaps_stay_empty():
    height = PLACES.points[:, 2]
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
    nothing, bar = sides_of(np.zeros(PLACES.number))
    assert amount_of(nothing) == (0, 0)
    assert amount_of(bar) == (0, 0)  # no colours stand for values that are not there
    # Below the brain stand words.
    bottom = slice(int(0.9 * len(nothing)), None)
    assert (nothing[bottom].min(axis=2) < 200).sum() > 100
    first, again = (draw_glass_brain(PLACES.points[:, 2], PLACES) for _ in range(2))
    assert first == again


@pytest.mark.slow
def test_a_line_is_around_what_is_outlined_and_the_rest_is_drawn():
    values = np.where(PLACES.points[:, 2] > 10, 3.0, -1.0)
    inside = np.linalg.norm(PLACES.points - [0, -20, 40], axis=1) < 30
    plain, outlined = pixels(values), pixels(values, outlined=inside)
    dark = [int((picture.max(axis=2) < 60).sum()) for picture in (plain, outlined)]
    assert dark[1] > dark[0] + 500
    assert amount_of(outlined)[1] > 1000
    assert (pixels(values, outlined=np.zeros_like(inside)) == plain).all()
