"""Slices and surfaces of maps on one colour scale, as PDF and SVG.

Words, axes, outlines and the colour bar are lines and letters; voxels and triangles are pixels.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.gifti import Hemisphere
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.sampling import PointSampling
from bids_dtg.imaging.surfaces.templates import SIDES, Template, read_template

FORMATS = ("pdf", "svg")
_SLICES_MM = (-20, -4, 12, 28, 44, 60)
_COLOURS = "RdBu_r"  # clear in print, and to those who see red and green alike
_MM = 1 / 25.4  # inches
_WIDTH_MM, _ROW_MM, _FOOT_MM = 180.0, 30.0, 14.0  # two columns of a journal
_SLICES_SHARE, _MARGIN = 0.68, 0.012  # of the width
_LETTERS = 60  # of a line at the foot
_DOTS_PER_INCH = 300  # of what are pixels
# Of the boxes of surfaces, which overlap: nothing of a brain lies at their ends.
_TALL, _ZOOM = 0.9, 1.0
_WEAK = 0.1  # of the end of the scale: smaller values are not drawn
_SETTINGS: Any = {
    "font.size": 7,
    "font.family": "sans-serif",
    "pdf.fonttype": 42,  # letters that can be edited
    "svg.fonttype": "none",
    "svg.hashsalt": "bids_dtg",  # the same bytes for the same maps
}
# Of a surface: side, view as nilearn calls it, and its place among two by two.
_VIEWS: tuple[tuple[Hemisphere, str, int, int], ...] = (
    ("L", "lateral", 0, 0),
    ("R", "lateral", 1, 0),
    ("L", "medial", 0, 1),
    ("R", "medial", 1, 1),
)
_NAMES = {"L": "left", "R": "right"}


@dataclass(frozen=True, eq=False)
class MapRow:
    """A map to be drawn."""

    title: str
    values: NDArray[np.float32]  # (voxels,)
    half_width: NDArray[np.float32] | None = None  # (voxels,), of its intervals; None: none


def draw_figure(
    rows: Sequence[MapRow], places: VoxelPlaces, units: str, note: str = ""
) -> dict[str, bytes]:
    """Draw maps under each other, each in slices and on surfaces.

    Parameters
    ----------
    rows
        The maps; where a half-width is known, a line surrounds what lies beyond it.
    places
        Voxels of the maps.
    units
        Of the maps, at the colour bar.
    note
        A sentence at the foot, on maps that are not for science.

    Returns
    -------
    dict
        The bytes of a file of each of `FORMATS`.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    limit = max(float(np.quantile(np.abs(row.values), 0.99)) for row in rows) or 1.0
    surfaces = _vertices(rows, places)
    height = _FOOT_MM + _ROW_MM * len(rows)
    with mpl.rc_context(_SETTINGS):
        figure = plt.figure(figsize=(_WIDTH_MM * _MM, height * _MM))
        for number, row in enumerate(rows):
            bottom = (height - (number + 1) * _ROW_MM) / height
            tall = _ROW_MM / height
            figure.text(_MARGIN / 2, bottom + 0.9 * tall, row.title, weight="bold")
            _draw_slices(
                figure, (_MARGIN, bottom, _SLICES_SHARE - _MARGIN, 0.86 * tall), row, places, limit
            )
            _draw_surfaces(
                figure, (_SLICES_SHARE, bottom, 1 - _SLICES_SHARE, tall), surfaces[number], limit
            )
        _draw_bar(figure, (0.3, 9.0 / height, 0.4, 2.5 / height), limit, units)
        figure.text(_MARGIN / 2, 1.5 / height, textwrap.fill(note, _LETTERS), size=5)
        found = {kind: _encoded(figure, kind) for kind in FORMATS}
        plt.close(figure)
    return found


Box = tuple[float, float, float, float]  # left, bottom, width, height, as shares of the figure


def _draw_slices(figure: Any, box: Box, row: MapRow, places: VoxelPlaces, limit: float) -> None:
    import nibabel as nib
    from nilearn.plotting import plot_stat_map

    def image(values: NDArray[np.float32]) -> Any:
        return nib.Nifti1Image(places.volume(values), places.grid.affine)  # type: ignore[no-untyped-call]

    shown = plot_stat_map(
        image(row.values),
        axes=figure.add_axes(box),
        display_mode="z",
        cut_coords=list(_SLICES_MM),
        vmax=limit,
        threshold=_WEAK * limit,
        cmap=_COLOURS,
        colorbar=False,
        black_bg=False,
        annotate=False,
    )
    shown.annotate(left_right=False, size=6)
    # Once for all slices: their sides are the same.
    first = next(iter(shown.axes.values())).ax
    for place, side in ((0.0, "L"), (1.0, "R")):
        first.text(place, 0.95, side, size=6, ha="center", transform=first.transAxes)
    if row.half_width is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.nan_to_num(np.abs(row.values) / row.half_width, posinf=0.0).astype(
                np.float32
            )
        if (times > 1).any():
            shown.add_contours(image(times), levels=[1.0], colors="black", linewidths=0.5)


def _draw_surfaces(
    figure: Any, box: Box, vertices: Mapping[Hemisphere, NDArray[np.float32]], limit: float
) -> None:
    from nilearn.plotting import plot_surf_stat_map

    template = read_template("fsaverage")
    left, bottom, width, height = box
    for side, view, column, line in _VIEWS:
        place = (
            left + column * width / 2,
            bottom + (0.69 - 0.46 * line - _TALL / 2) * height,
            width / 2,
            _TALL * height,
        )
        axes = figure.add_axes(place, projection="3d")
        plot_surf_stat_map(
            [template.points[side].copy(), template.faces[side]],  # nilearn moves points in place
            np.nan_to_num(vertices[side]),
            bg_map=_folds(template, side),
            hemi=_NAMES[side],
            view=view,
            vmax=limit,
            threshold=_WEAK * limit,
            cmap=_COLOURS,
            colorbar=False,
            axes=axes,
            figure=figure,
            engine="matplotlib",
        )
        axes.patch.set_alpha(0)
        axes.set_box_aspect(None, zoom=_ZOOM)
        if view == "lateral":
            middle = left + (column + 0.5) * width / 2
            figure.text(middle, bottom + 0.93 * height, _NAMES[side], size=6, ha="center")
        for triangles in axes.collections:
            triangles.set_rasterized(True)


def _draw_bar(figure: Any, box: Box, limit: float, units: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(-limit, limit), _COLOURS)
    bar = figure.colorbar(scale, cax=figure.add_axes(box), orientation="horizontal", label=units)
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(width=0.4, length=2)
    bar.solids.set_rasterized(True)


def _encoded(figure: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    figure.savefig(buffer, format=kind, dpi=_DOTS_PER_INCH, metadata=dates[kind])
    return buffer.getvalue()


def _vertices(
    rows: Sequence[MapRow], places: VoxelPlaces
) -> list[dict[Hemisphere, NDArray[np.float32]]]:
    """Return the maps at the vertices of each side; NaN where there is no value."""
    template = read_template("fsaverage")
    points = np.concatenate([template.points[side] for side in SIDES])
    values = PointSampling.between(places, points).apply(np.stack([row.values for row in rows]))
    first = len(template.points["L"])
    found = []
    for row in values:
        sides = dict(zip(SIDES, (row[:first], row[first:]), strict=True))
        for side in SIDES:
            sides[side][~template.cortex[side]] = np.nan
        found.append(sides)
    return found


def _folds(template: Template, side: Hemisphere) -> NDArray[np.float64]:
    """Return how far vertices lie below their neighbours, (vertices,): high in folds."""
    points, faces = template.points[side], template.faces[side]
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    own = np.zeros_like(points)
    around, count = np.zeros_like(points), np.zeros(len(points))
    for first in range(3):
        np.add.at(own, faces[:, first], normals)
        for other in {0, 1, 2} - {first}:
            np.add.at(around, faces[:, first], points[faces[:, other]])
            np.add.at(count, faces[:, first], 1)
    own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
    depth = np.einsum("ij,ij->i", around / np.maximum(count, 1)[:, None] - points, own)
    low, high = np.quantile(depth, (0.02, 0.98))
    folds: NDArray[np.float64] = np.clip(depth, low, high)
    return folds
