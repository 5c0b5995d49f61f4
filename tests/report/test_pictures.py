"""Maps under each other as a PNG: one scale, a row each, and the voxels where they lie."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.report.pictures import draw_maps

AFFINE = np.array([[-2.0, 0, 0, 12], [0, 2, 0, -30], [0, 0, 2, -6], [0, 0, 0, 1]])
PLACES = VoxelPlaces(Grid((10, 12, 9), AFFINE), np.arange(100, 900))
DOTS_AN_INCH, TITLE_INCHES, ROW_INCHES = 120, 0.4, 1.9


@dataclass
class Plotting:
    """Stands for nilearn's plotting, whose import alone takes seconds.

    It fills the axes with the colour of the map's mean. The slow tests of the demo draw with
    nilearn's own.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)

    def plot_stat_map(self, image: Any, *, axes: Any, vmax: float, cmap: str, **more: Any) -> None:
        values = np.asarray(image.dataobj)
        written = [text.get_text() for text in axes.figure.texts]
        self.rows.append(
            {"values": values, "affine": image.affine, "vmax": vmax, "written": written, **more}
        )
        mean = np.full((2, 2), values[values != 0].mean() if values.any() else 0.0)
        axes.imshow(mean, cmap=cmap, vmin=-vmax, vmax=vmax, aspect="auto")
        axes.set_axis_off()


@pytest.fixture
def plotting(monkeypatch):
    module, kept = ModuleType("nilearn.plotting"), Plotting()
    monkeypatch.setattr(module, "plot_stat_map", kept.plot_stat_map, raising=False)
    monkeypatch.setitem(sys.modules, "nilearn.plotting", module)
    return kept


def pixels_of(picture: bytes) -> np.ndarray:
    from PIL import Image

    assert picture.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(picture)) as opened:
        return np.asarray(opened.convert("RGB"), int)


def test_each_map_has_a_row_and_all_have_one_scale(plotting):
    from matplotlib import pyplot as plt

    weak, strong = np.full(PLACES.number, 1.0), np.full(PLACES.number, -3.0)
    strong[:4] = 50.0  # extremes, which would hide the rest
    before = plt.get_fignums()
    drawn = draw_maps({"truth": weak, "predicted": strong}, PLACES, title="wm2bk", units="z")
    assert plt.get_fignums() == before  # no figure is left in memory
    first, second = plotting.rows
    assert first["vmax"] == second["vmax"] == pytest.approx(3.0)
    assert first["threshold"] == second["threshold"] == pytest.approx(0.3)
    # The map of each row lies where its voxels are.
    np.testing.assert_array_equal(PLACES.volume(weak.astype(np.float32)), first["values"])
    np.testing.assert_array_equal(second["values"].ravel()[[100, 103, 104, 899]], [50, 50, -3, -3])
    np.testing.assert_array_equal(first["affine"], AFFINE)
    picture = pixels_of(drawn)
    inches = TITLE_INCHES + 2 * ROW_INCHES
    assert picture.shape == (round(inches * DOTS_AN_INCH), 9 * DOTS_AN_INCH, 3)
    middles = [
        int((TITLE_INCHES + (number + 0.6) * ROW_INCHES) * DOTS_AN_INCH) for number in range(2)
    ]
    upper, lower = (picture[middle, picture.shape[1] // 2] for middle in middles)
    assert upper[0] > upper[2]  # the first map, above 0, is on top and warm
    assert lower[2] > lower[0]


def test_title_names_and_units_are_written(plotting):
    rows = {"truth": np.ones(PLACES.number), "predicted": np.ones(PLACES.number)}
    named = draw_maps(rows, PLACES, title="wm2bk, SIMULATED", units="z")
    # What was there when a map was drawn: the title, and names of the rows above it.
    assert [row["written"] for row in plotting.rows] == [
        ["wm2bk, SIMULATED"],
        ["wm2bk, SIMULATED", "truth"],
    ]
    other = draw_maps(
        {"truth": rows["truth"], "other": rows["predicted"]}, PLACES, title="demo", units="T"
    )
    unlike = (pixels_of(named) != pixels_of(other)).any(axis=2)
    height, width = unlike.shape
    title_ends = int(TITLE_INCHES * DOTS_AN_INCH)
    name = slice(title_ends + int(ROW_INCHES * DOTS_AN_INCH), int(0.65 * height))
    units = slice(int(0.93 * width), None)  # at the bar, right of the maps
    for place in ((slice(title_ends), slice(width // 2)), (name, slice(width // 2)), (..., units)):
        assert unlike[place].any()
        unlike[place] = False
    assert not unlike.any()
