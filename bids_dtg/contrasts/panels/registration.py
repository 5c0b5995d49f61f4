"""Registration of a run: outlines of the model's brain, or of the surface, on its mean image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from bids_dtg.array_types import Float64, Floats, Indices
from bids_dtg.files.names import FileKind
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.files.text import read_json
from bids_dtg.imaging.grid import Grid, Points
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import SIDES, read_template
from bids_dtg.imaging.surfaces.vertices import parcels_of_vertices
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.figures import Figure, Picture, colour_keys
from bids_dtg.report.page import sentences
from bids_dtg.report.pictures import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Box,
    Volume,
    beside,
    encode,
    join_pictures,
)
from bids_dtg.report.presentation import Canvas
from bids_dtg.report.tables import with_minus

Colour: TypeAlias = tuple[int, int, int]  # red, green, blue
CAPTIONS = "contrasts/run_captions.html"  # template
REGISTRATION_FILE = FileKind("boldref", None, ".nii.gz")
COVERAGE_FILE = FileKind("dseg", "coverage", ".nii.gz")
_VIEWS = (
    tuple((AXIAL, mm) for mm in (-40, -20, 0, 20, 40, 60)),
    tuple((SAGITTAL, mm) for mm in (-50, -25, -4, 25, 50)),
    tuple((CORONAL, mm) for mm in (-80, -58, -34, -10, 14, 40)),
)
# Sd of smoothing in pixels, without which outlines show the steps of voxels.
_EDGE = 1.4
_FLAT = 0.02  # change per pixel below which there is no edge
_LINE_PIXELS = 1.6  # width of outlines
_BRAIN_LINES: dict[str, Colour] = {
    "brain mask of the model": (255, 90, 77),
    "its grey matter": (82, 214, 255),
}
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
_SURFACE_LINE = (255, 209, 64)
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


def _faces(places: ParcelPlaces) -> Indices:
    """Return the triangles (faces, 3) between vertices in parcels, which are counted alone."""
    parcels_of_sides = parcels_of_vertices(places)
    template = read_template("fsLR")
    faces, first = [], 0
    for side in SIDES:
        in_parcel = parcels_of_sides[side] >= 0
        rank = np.where(in_parcel, first + np.cumsum(in_parcel) - 1, -1)
        side_faces = rank[template.faces[side]]
        faces.append(side_faces[(side_faces >= 0).all(axis=1)])
        first += int(in_parcel.sum())
    return np.concatenate(faces)


def cut_mesh(points: Points, faces: Indices, axis: int, position: float) -> Float64:
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


def draw_registration(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the mean BOLD with outlines of the surface, or of the brain and its grey matter.

    Raises
    ------
    RunError
        An image cannot be read.
    """
    mean, tissue = run.files.get(REGISTRATION_FILE), run.files.get(COVERAGE_FILE)
    if mean is None:
        return None
    facts = read_json(sidecar_of(mean))
    if OUTLINES in facts:
        return draw_cortex(Volume.read(mean), facts, canvas)
    if tissue is None:
        return None
    bold, labels = Volume.read(mean), Volume.read(tissue)
    lines = []
    for inside in (labels.values > 0, np.isin(labels.values, (1, 2))):
        region = Volume(inside.astype(np.float32), labels.affine)
        lines.append(_slices(region, bold.box, outline))
    directions = []
    for views in _VIEWS:
        positions = ", ".join(f"{mm:g}" for _, mm in views)
        directions.append(f"{_AXES[views[0][0]]} = {positions}")
    slices = with_minus("; ".join(directions))
    return Figure(
        caption=sentences(CAPTIONS, panel="registration", slices=slices),
        parts=[
            _outlined(
                bold,
                _slices(bold, bold.box),
                dict(zip(_BRAIN_LINES.values(), lines, strict=True)),
                f"Mean BOLD in {sum(map(len, _VIEWS))} slices",
                ("Outlines of the template's brain and grey matter", "Outlines"),
                canvas,
            )
        ],
        keys=colour_keys(_BRAIN_LINES),
    )


def draw_cortex(bold: Volume, facts: Mapping[str, Any], canvas: Canvas) -> Figure:
    """Draw cuts through the mean image with the outlines of the surface, from its sidecar."""
    planes, lines = [], []
    for cut in facts[OUTLINES]:
        axis = _AXES.index(cut["Axis"])
        plane = bold.cut(bold.box, (axis, float(cut["Position"])))
        planes.append(plane.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1))
        corner = np.delete(bold.box[0], axis)
        numbers = np.array(cut["Segments"].split(), np.float64).reshape(-1, 2)
        lines.append(_draw_lines(numbers - corner, plane.shape))
    cuts = ", ".join(f"{cut['Axis']} = {cut['Position']}" for cut in facts[OUTLINES])
    surface = _SURFACES[facts["Surface"]]
    picture = _outlined(
        bold,
        join_pictures(planes, 1, _GAP, _GAP),
        {_SURFACE_LINE: join_pictures(lines, 1, _GAP, _GAP)},
        f"Mean BOLD in {len(planes)} cuts",
        (f"Outline of {surface}", "Outline"),
        canvas,
    )
    caption = sentences(
        CAPTIONS,
        panel="surface",
        surface=surface,
        cuts=with_minus(cuts),
    )
    keys = colour_keys({f"middle of the cortex, {surface}": _SURFACE_LINE})
    return Figure(caption=caption, parts=[picture], keys=keys)


def _outlined(
    bold: Volume,
    slices: Floats,
    lines: Mapping[Colour, Floats],
    words: str,
    over: tuple[str, str],
    canvas: Canvas,
) -> Picture:
    """Draw slices (rows, columns) of a mean image in greys, and lines over them.

    Parameters
    ----------
    bold
        The image, for its brightness.
    lines
        Opacity of the lines by colour, (rows, columns) from 0 to 1, from the front to the back.
    words
        Alternative text.
    over
        That of the lines, and the name of the button that hides them.
    """
    bright = bold.values[bold.values > 0]
    top = float(np.quantile(bright, 0.99)) if bright.size else 1.0
    grey = 255 * np.clip(slices / top, 0, 1) ** 0.9
    below = np.repeat(grey[..., None].astype(np.uint8), 3, axis=2)
    above = np.zeros((*grey.shape, 4), np.uint8)
    for colour, opacity in reversed([*lines.items()]):
        above[opacity > 0, :3] = colour
        above[..., 3] = np.maximum(above[..., 3], 255 * opacity)
    address = canvas("outlines", encode(above, lossless=True))
    return Picture(canvas("registration", encode(below)), words, over=(address, *over))


def _slices(
    volume: Volume, box: Box, drawn: Callable[[Floats], Floats] = lambda cut: cut
) -> Floats:
    """Return slices in all directions, a row each, as `drawn` makes them of cuts."""
    rows = [
        beside([drawn(volume.cut(box, view)) for view in views]) for views in _VIEWS
    ]
    return join_pictures(rows, 0, 3, 3)


def outline(region: Floats) -> Floats:
    """Draw the edge of a region (0 to 1) as a line with smooth edges, from 0 to 1."""
    from PIL import Image, ImageFilter

    image = Image.fromarray(np.rint(255 * region).astype(np.uint8))
    level = np.asarray(image.filter(ImageFilter.GaussianBlur(_EDGE)), np.float32) / 255
    slope = np.hypot(*np.gradient(level))
    # Distance to the contour in pixels, from the slope of the values; flat parts are far from it.
    distance = np.abs(level - 0.5) / np.maximum(slope, 1e-3)
    return np.clip(_LINE_PIXELS / 2 + 0.5 - distance, 0, 1) * (slope > _FLAT)


def _draw_lines(ends: Float64, shape: Sequence[int]) -> Floats:
    """Draw segments as lines with smooth edges, from 0 to 1.

    They are given by their ends in mm from the lower left corner.
    """
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
    return np.asarray(smooth, np.float32) / 255
