"""Registration of a run that was read at vertices: outlines of the surface on its mean image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.grid import Grid, Points
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import SIDES, read_template
from bids_dtg.imaging.surfaces.vertices import parcels_of_vertices
from bids_dtg.report.figures import Figure, Picture
from bids_dtg.report.page import sentences
from bids_dtg.report.pictures import Volume, encode, join_pictures
from bids_dtg.report.presentation import Canvas

OUTLINES = "SurfaceOutlines"  # key in the image's sidecar
_AXES = "xyz"
# Where the surface is cut along x, y and z, as shares of its extent: through the left hemisphere,
# the temporal lobes, and above the ventricles.
_CUTS = (0.27, 0.55, 0.62)
_MM = 2.0  # voxels of the image
_AROUND_MM = 12.0  # beyond the surface
_GAP = 6  # pixels before and after a cut
# Pixels a mm of the picture, and of lines before they are made smooth.
_SCALE, _FINE = 2, 8
_LINE = (255, 209, 64)
_LINE_MM = 1.0  # width
_SURFACES = {"own": "the person's own surface", "template": "the template's surface"}


def image_grid(points: Points) -> Grid:
    """Return a grid along x, y and z around the vertices of a surface (vertices, 3)."""
    low = np.floor(points.min(axis=0) - _AROUND_MM)
    i, j, k = np.ceil((points.max(axis=0) + _AROUND_MM - low) / _MM).astype(int) + 1
    affine = np.diag([_MM, _MM, _MM, 1.0])
    affine[:3, 3] = low
    return Grid((int(i), int(j), int(k)), affine)


def outlines_of(points: Points, places: ParcelPlaces) -> list[dict[str, Any]]:
    """Cut a surface in three planes.

    Parameters
    ----------
    points
        Vertices that are in parcels, (vertices, 3) in RAS+ mm of the run, as `cortex_in_run` gives.
    places
        The parcels.

    Returns
    -------
    Of each cut: `Axis`, `Position` in mm, and `Segments`, numbers as text. A segment has four: the
    other two coordinates of its ends.
    """
    faces = _faces(places)
    low, high = points.min(axis=0), points.max(axis=0)
    cuts = []
    for axis, share in enumerate(_CUTS):
        position = round(float(low[axis] + share * (high[axis] - low[axis])))
        segments = cut_mesh(points, faces, axis, position)
        numbers = " ".join(f"{number:.1f}" for number in segments.ravel())
        cut = {"Axis": _AXES[axis], "Position": position, "Segments": numbers}
        cuts.append(cut)
    return cuts


def _faces(places: ParcelPlaces) -> NDArray[np.intp]:
    """Return the triangles (faces, 3) between vertices in parcels, which are counted alone."""
    of_sides = parcels_of_vertices(places)
    template = read_template("fsLR")
    faces, first = [], 0
    for side in SIDES:
        in_parcel = of_sides[side] >= 0
        rank = np.where(in_parcel, first + np.cumsum(in_parcel) - 1, -1)
        of_side = rank[template.faces[side]]
        faces.append(of_side[(of_side >= 0).all(axis=1)])
        first += int(in_parcel.sum())
    return np.concatenate(faces)


def cut_mesh(
    points: Points, faces: NDArray[np.intp], axis: int, position: float
) -> NDArray[np.float64]:
    """Return where the triangles of a mesh cross a plane, (segments, 2 ends, 2 coordinates).

    Examples
    --------
    >>> points = np.array([[0.0, 0, 0], [2, 0, 0], [2, 4, 6]])
    >>> cut_mesh(points, np.array([[0, 1, 2]]), 0, 1.0).tolist()
    [[[0.0, 0.0], [2.0, 3.0]]]
    """
    corners = np.asarray(points, np.float64)[faces]
    above = corners[..., axis] > position
    number_above = above.sum(axis=1)
    crosses = (number_above > 0) & (number_above < 3)
    corners, above = corners[crosses], above[crosses]
    is_one = number_above[crosses] == 1
    # The corner that is alone on its side.
    alone = np.where(is_one, above.argmax(axis=1), (~above).argmax(axis=1))
    rows = np.arange(len(corners))
    start = corners[rows, alone]
    ends = []
    for step in (1, 2):
        end = corners[rows, (alone + step) % 3]
        along = (position - start[:, axis]) / (end[:, axis] - start[:, axis])
        ends.append(start + along[:, None] * (end - start))
    return np.delete(np.stack(ends, axis=1), axis, axis=2)


def draw_cortex(bold: Volume, facts: Mapping[str, Any], canvas: Canvas) -> Figure:
    """Draw cuts through the mean image with the outlines of the surface, from its sidecar."""
    bright = bold.values[bold.values > 0]
    top = float(np.quantile(bright, 0.99)) if bright.size else 1.0
    greys, lines = [], []
    for cut in facts[OUTLINES]:
        axis = _AXES.index(cut["Axis"])
        plane = bold.cut(bold.box, (axis, float(cut["Position"])))
        grey = 255 * np.clip(plane / top, 0, 1) ** 0.9
        greys.append(grey.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1))
        corner = np.delete(bold.box[0], axis)
        numbers = np.array(cut["Segments"].split(), np.float64).reshape(-1, 2)
        lines.append(_draw_lines(numbers - corner, plane.shape))
    grey = join_pictures(greys, 1, _GAP, _GAP)
    pixels = np.repeat(grey[..., None].astype(np.uint8), 3, axis=2)
    opacity = join_pictures(lines, 1, _GAP, _GAP)
    above = np.zeros((*opacity.shape, 4), np.uint8)
    above[opacity > 0, :3] = _LINE
    above[..., 3] = opacity
    cuts = ", ".join(f"{cut['Axis']} = {cut['Position']}" for cut in facts[OUTLINES])
    surface = _SURFACES[facts["Surface"]]
    over = canvas("outlines", encode(above)), f"Outline of {surface}", "Outline"
    picture = Picture(
        canvas("registration", encode(pixels)),
        f"Mean BOLD in {len(greys)} cuts",
        over=over,
    )
    caption = sentences(
        "contrasts/run_captions.html",
        panel="surface",
        surface=surface,
        cuts=cuts.replace("-", "\N{MINUS SIGN}"),
    )
    colour = "#{:02x}{:02x}{:02x}".format(*_LINE)
    keys = ((colour, f"middle of the cortex, {surface}"),)
    return Figure(caption=caption, parts=[picture], keys=keys)


def _draw_lines(ends: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.uint8]:
    """Draw segments, given by their ends in mm from the lower left corner, with smooth edges."""
    from PIL import Image, ImageDraw

    rows, columns = shape
    image = Image.new("L", (columns * _FINE, rows * _FINE))
    draw = ImageDraw.Draw(image)
    across = (ends[:, 0] + 0.5) * _FINE
    down = (rows - 0.5 - ends[:, 1]) * _FINE
    places = np.stack([across, down], axis=1).reshape(-1, 4)
    for segment in places.tolist():
        draw.line(segment, fill=255, width=round(_LINE_MM * _FINE))
    smooth = image.resize((columns * _SCALE, rows * _SCALE), Image.Resampling.BOX)
    return np.asarray(smooth, np.uint8)
