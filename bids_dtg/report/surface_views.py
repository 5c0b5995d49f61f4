"""Pictures of values at vertices of fsLR's mesh: both sides of each hemisphere, lit from the front.

The mesh is the template's midthickness that the program ships: group anatomy, whoever is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.surfaces.meshes import Hemisphere, read_template
from bids_dtg.report.colours import NEGATIVE, POSITIVE

# Side, and whether it is seen from outside: the left's from its left, then both from the middle.
_VIEWS: tuple[tuple[Hemisphere, bool], ...] = (
    *(("L", True), ("L", False)),
    *(("R", False), ("R", True)),
)
_PIXELS_A_MM, _RIM, _GAP = 1.25, 3, 10  # pixels
_STEPS = 4  # points along an edge of a triangle
_FADE = 0.5  # below this share of the scale's end a map fades out, in proportion to its square
_DARKEST, _LIGHT = 70.0, 120.0  # grey of what faces away, and how much brighter the front is


@dataclass(frozen=True, eq=False)
class SurfaceView:
    """What each pixel of a picture shows."""

    side: Hemisphere
    vertex: NDArray[np.intp]  # (rows, columns), number on the mesh; -1: nothing
    light: NDArray[np.float32]  # (rows, columns), 0 to 1


def surface_row(
    values: Mapping[Hemisphere, NDArray[np.floating]], limit: float
) -> NDArray[np.uint8]:
    """Draw a map on both sides of both hemispheres, beside each other.

    Parameters
    ----------
    values
        (vertices,) of each side's whole mesh; NaN: no value.
    limit
        Value of the brightest colour, and minus that: colours are warm above 0 and cold below.

    Returns
    -------
    (rows, columns, 4) pixels; transparent where there is no brain.
    """
    drawn = [_draw(view, values[view.side], limit) for view in surface_views()]
    rows = max(len(part) for part in drawn)
    padded = []
    for part in drawn:
        above = (rows - len(part)) // 2
        sides = ((above, rows - len(part) - above), (_GAP // 2, _GAP // 2), (0, 0))
        padded.append(np.pad(part, sides))
    return np.concatenate(padded, axis=1)


@cache
def surface_views() -> tuple[SurfaceView, ...]:
    """Return which vertex each pixel shows: the left from outside and inside, then the right."""
    return tuple(_look(side, outside) for side, outside in _VIEWS)


def _draw(view: SurfaceView, values: NDArray[np.floating], limit: float) -> NDArray[np.uint8]:
    share = np.where(view.vertex >= 0, values[view.vertex], np.nan) / max(limit, 1e-12)
    known = np.isfinite(share)
    share = np.where(known, share, 0.0)
    strength = np.abs(share)
    colours = np.where((share > 0)[..., None], POSITIVE.paint(strength), NEGATIVE.paint(strength))
    opacity = np.clip(strength / _FADE, 0, 1) ** 2
    grey = (_DARKEST + _LIGHT * view.light)[..., None]
    # Folds stay visible below the colours.
    tinted = colours * (0.55 + 0.45 * view.light[..., None])
    mixed = grey * (1 - opacity[..., None]) + tinted * opacity[..., None]
    alpha = np.where(view.vertex >= 0, 255, 0)[..., None]
    return np.concatenate([mixed, alpha], axis=2).astype(np.uint8)


def _look(side: Hemisphere, outside: bool) -> SurfaceView:
    """Find the vertex and the light of each pixel: what lies nearest to the viewer."""
    template = read_template("fsLR")
    points, faces = template.points[side], template.faces[side]
    toward = -1.0 if (side == "L") == outside else 1.0  # along x, to the viewer
    # As seen by the viewer: y runs to the right from the right, and to the left from the left.
    across, up, depth = toward * points[:, 1], points[:, 2], toward * points[:, 0]
    column = (across - across.min()) * _PIXELS_A_MM + _RIM
    row = (up.max() - up) * _PIXELS_A_MM + _RIM
    shape = int(row.max()) + _RIM + 2, int(column.max()) + _RIM + 2
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = np.abs(normals[:, 0]) / np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
    weights = np.array(
        [
            (i / _STEPS, j / _STEPS, (_STEPS - i - j) / _STEPS)
            for i in range(_STEPS + 1)
            for j in range(_STEPS + 1 - i)
        ]
    )
    pixel, near = [], []
    for number in (row, column):
        pixel.append(np.rint(number[faces] @ weights.T).astype(np.intp))
    near = depth[faces] @ weights.T  # (triangles, points)
    flat = (pixel[0] * shape[1] + pixel[1]).ravel()
    order = np.lexsort((near.ravel(), flat))  # of a pixel's points the nearest is last
    last = order[np.append(np.flatnonzero(np.diff(flat[order])), len(order) - 1)]
    triangle, point = np.divmod(last, len(weights))
    vertex = np.full(shape, -1, np.intp)
    light = np.zeros(shape, np.float32)
    vertex.ravel()[flat[last]] = faces[triangle, weights.argmax(axis=1)[point]]
    light.ravel()[flat[last]] = facing[triangle]
    return SurfaceView(side, vertex, light)
