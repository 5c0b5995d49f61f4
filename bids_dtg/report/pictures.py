"""Pictures of maps and matrices (slices, surfaces, glass brains), and their colour scales."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Mask, Values
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_nilearn_template, read_volume
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.meshes import Hemisphere, read_template

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Scale:
    """A colour scale as a list of colours at equal steps, with interpolation between them."""

    name: str  # its name in the viewer
    stops: tuple[str, ...]  # as #rrggbb, from the lowest to the highest value

    @functools.cached_property
    def table(self) -> Pixels:
        """(256, 3) red, green, blue."""
        steps = np.linspace(0, len(self.stops) - 1, 256)
        stops = np.array(
            [[*bytes.fromhex(stop[1:])] for stop in self.stops], np.float64
        )
        columns = [np.interp(steps, range(len(stops)), channel) for channel in stops.T]
        return np.rint(np.stack(columns, axis=1)).astype(np.uint8)

    def paint(self, values: Floats) -> Pixels:
        """Turn values from 0 to 1 (clipped) into colours, (..., 3)."""
        shares = np.clip(np.nan_to_num(values), 0, 1)
        return self.table[np.rint(shares * 255).astype(np.intp)]

    @property
    def css(self) -> str:
        """The scale as a CSS gradient from left to right."""
        return f"linear-gradient(to right, {', '.join(self.stops)})"


POSITIVE = Scale(
    "dtg-positive", ("#8c1526", "#c9302a", "#ee6c2d", "#fba53c", "#ffe9a0")
)
NEGATIVE = Scale(
    "dtg-negative", ("#20307c", "#2456b8", "#2f8bd8", "#5cc0ea", "#c8f1fb")
)
# Of a map: from the strongest negative colour through 0 to the strongest positive one.
MAP_COLOURS = Scale("", (*NEGATIVE.stops[::-1], *POSITIVE.stops))
# For values from 0 upward.
AMOUNT = Scale(
    "dtg-amount", ("#2d2a5a", "#3c4f8a", "#2f7d8e", "#3aa876", "#a5cf4c", "#f6e85b")
)
# Correlations from -1 to 1.
SIGNED = Scale(
    "dtg-signed",
    ("#16396b", "#2f6fb0", "#8fbcdc", "#f3f3f1", "#f0b08c", "#cf5a43", "#7b1128"),
)
# Series, from low to high.
GREYS = Scale("dtg-greys", ("#101010", "#808080", "#f0f0f0"))
# As CSS, for colour bars. That of a map runs from the strongest negative colour through 0 to the
# strongest positive one.
GRADIENTS = {
    "negative_reversed": Scale("", NEGATIVE.stops[::-1]).css,
    "positive": POSITIVE.css,
    "amount": AMOUNT.css,
}

# A slice: its axis, and the position on that axis in RAS+ mm.
View = tuple[int, float]
SAGITTAL = 0
CORONAL = 1
AXIAL = 2
MAP_VIEWS: tuple[View, ...] = tuple((AXIAL, mm) for mm in (-18, 2, 26, 50))
_GAP = 6  # pixels between slices


# A box in space: its lowest and its highest x, y and z, (2, 3) in RAS+ mm.
Box = Float64


def box_around(grid: Grid) -> Box:
    """Return the smallest box that holds the centres of a grid's voxels."""
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.asarray(grid.shape) - 1)
    points = corners @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return np.array([points.min(axis=0), points.max(axis=0)])


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume and its position in space."""

    values: Floats  # (i, j, k)
    affine: Float64  # (4, 4), voxel indices to RAS+ mm

    @classmethod
    def read(cls, path: Path) -> Volume:
        """Read an image; NaN becomes 0.

        Raises
        ------
        RunError
            The image is missing or damaged.
        """
        values, affine = read_volume(path)
        return cls(np.nan_to_num(np.asarray(values, np.float32)), affine)

    @property
    def box(self) -> Box:
        """The smallest box that holds the centres of its voxels."""
        i, j, k = self.values.shape
        return box_around(Grid((i, j, k), self.affine))

    def cut(self, box: Box, view: View, *, order: int = 1) -> Float32:
        """Return a slice (rows, columns), linear (order 1) or nearest (0); 0 outside the volume.

        The volume's axes must be those of space, in any order and direction.
        """
        # Positions of pixels on x, y and z; the lower of the two in-plane axes runs along columns.
        sides = [np.arange(low, high + 0.5) for low, high in box.T]
        sides[view[0]] = np.array([view[1]], float)
        # The axis of space of each axis of the array.
        toward = np.abs(self.affine[:3, :3]).argmax(axis=0)
        weights, voxels = [], []
        for axis, space_axis in enumerate(toward):
            from_origin = sides[space_axis] - self.affine[space_axis, 3]
            places = from_origin / self.affine[space_axis, axis]
            voxel_weights = _weights(places, self.values.shape[axis], order)
            weighted = np.flatnonzero(voxel_weights.any(axis=0))
            voxels.append(weighted)
            weights.append(voxel_weights[:, weighted])
        part = self.values[np.ix_(*voxels)]
        sampled = np.einsum("ijk,ai,bj,ck->abc", part, *weights, optimize=True)
        plane = sampled.transpose(np.argsort(toward)).squeeze(view[0])
        # (columns, rows), rows upward -> top row first
        return np.ascontiguousarray(plane.T[::-1])

    def row(self, box: Box, views: Sequence[View], *, order: int = 1) -> Float32:
        """Return slices of one axis side by side."""
        return beside([self.cut(box, view, order=order) for view in views])


def _weights(places: Float64, size: int, order: int) -> Float32:
    """Return weights (places, voxels) for positions in voxels; 0 beyond the outermost centres."""
    # Rounded, so that ties between two voxels always have the same outcome.
    places = places.round(6)
    near = places if order else np.floor(places + 0.5)
    distances = np.abs(near[:, None] - np.arange(size))
    weights: Float64 = np.clip(1 - distances, 0, None)
    weights[(places < 0) | (places > size - 1)] = 0
    return weights.astype(np.float32)


def join_pictures(
    parts: Sequence[Values], axis: int, before: int, after: int
) -> Values:
    """Put pictures (rows, columns, ...) below (axis 0) or beside (1) each other, centred.

    Each has some pixels of 0 before and after it.
    """
    most = max(part.shape[1 - axis] for part in parts)
    padded = []
    for part in parts:
        missing = most - part.shape[1 - axis]
        widths = [(0, 0)] * part.ndim
        widths[1 - axis] = (missing // 2, missing - missing // 2)
        widths[axis] = (before, after)
        padded.append(np.pad(part, widths))
    return np.concatenate(padded, axis)


def beside(slices: Sequence[Float32]) -> Float32:
    """Put slices (rows, columns) side by side, with gaps between them."""
    return join_pictures(slices, 1, 0, _GAP)[:, :-_GAP]


# The 99.5th percentile within the template's brain; computing it takes as long as reading the file.
_WHITE = np.float32(234) / np.float32(255)


@functools.cache
def standard_anatomy() -> Volume:
    """Return nilearn's T1 template without skull, at 1 mm: brightness from 0 to 1, 0 outside.

    It is the symmetric template of 2009, and only for orientation, as maps are on another one.
    """
    values, affine = read_nilearn_template("t1")
    values /= _WHITE
    return Volume(np.clip(values, 0, 1, out=values), affine)


PICTURE = ".webp"
_QUALITY = 82  # of WebP for pictures without lines and text
# The fastest WebP method: files are 5 % larger than with the next one, in two thirds of the time.
# All 256 steps of opacity would double the time and add half the size, with no visible gain.
_METHOD, _OPACITY_QUALITY = 0, 70
# Of parcels, which are smooth: a page has many small pictures of them. Method 4 takes twice the
# time for files that are 4 % smaller.
_SMALL_QUALITY, _SMALL_METHOD = 60, 2
# Below this share of the scale's end, a map fades out with the square of its value.
_FADE = 0.5
_BRAIN = 0.12  # share of the brightest anatomy; darker voxels are not brain


def encode(pixels: Pixels, *, lossless: bool = False, small: bool = False) -> bytes:
    """Encode (rows, columns, 3 or 4) pixels as WebP; a small file takes longer to encode."""
    from PIL import Image, WebPImagePlugin  # noqa: F401 (else all formats are imported)

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer,
        "webp",
        quality=_SMALL_QUALITY if small else _QUALITY,
        alpha_quality=100 if lossless else _OPACITY_QUALITY,
        method=_SMALL_METHOD if small else _METHOD,
        lossless=lossless,
    )
    return buffer.getvalue()


def inline(picture: bytes) -> str:
    """Return a data URI of a picture, PNG or WebP, to embed it in the page."""
    kind = "png" if picture.startswith(b"\x89PNG") else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def draw_matrix(matrix: Floats, scale: Scale, low: float, high: float) -> bytes:
    """Draw a matrix with one pixel per cell; the page enlarges it without smoothing.

    Unknown values are transparent.
    """
    painted = scale.paint((matrix - low) / (high - low))
    finite = np.isfinite(matrix)
    if not finite.all():
        opacity = 255 * finite[..., None].astype(np.uint8)
        painted = np.concatenate([painted, opacity], axis=2)
    return encode(painted, lossless=True)


class Backdrop:
    """Slices of anatomy on which maps are drawn."""

    def __init__(self, anatomy: Volume, box: Box, views: Sequence[View]) -> None:
        self._box, self._views = box, tuple(views)
        self._grey = anatomy.row(box, self._views)
        # The brain has a soft edge, and its surroundings are transparent.
        self._inside = np.clip(self._grey / _BRAIN, 0, 1)

    def draw_map(
        self, volume: Volume, limit: float, opacity: Volume | None = None
    ) -> Pixels:
        """Draw a map, warm above 0 and cold below.

        Parameters
        ----------
        volume
            (i, j, k), values of the map.
        limit
            Absolute value of the brightest colours.
        opacity
            (i, j, k), from 0 to 1; None: weak values fade.

        Returns
        -------
        (rows, columns, 4) pixels.
        """
        colours, shown = _paint(volume.row(self._box, self._views) / max(limit, 1e-12))
        if opacity is not None:
            shown = np.clip(opacity.row(self._box, self._views), 0, 1)
        return self._blend(colours, shown)

    def draw_labels(
        self, labels: Volume, colours: Mapping[int, tuple[int, int, int]]
    ) -> Pixels:
        """Tint the voxels of labels; (rows, columns, 4)."""
        cut = labels.row(self._box, self._views, order=0)
        painted = np.zeros((*cut.shape, 3), np.uint8)
        for label, colour in colours.items():
            painted[cut == label] = colour
        return self._blend(painted, 0.62 * np.isin(cut, [*colours]))

    def _blend(self, colours: Pixels, opacity: Floats) -> Pixels:
        # Anatomy in middle greys, so that bright colours stand out on any page.
        grey = 40 + 165 * np.clip(self._grey, 0, 1)
        return _mix(grey, colours, opacity, 255 * np.maximum(self._inside, opacity))


def _paint(values: Floats) -> tuple[Pixels, Floats]:
    """Return colours (..., 3) and opacity of values, whose limits are -1 and 1."""
    values = np.clip(values, -1, 1)
    table = np.concatenate([NEGATIVE.table[::-1], POSITIVE.table])
    level = np.rint(255 * values).astype(np.intp) + np.where(values > 0, 256, 255)
    return table.take(level, axis=0), np.clip(np.abs(values) / _FADE, 0, 1) ** 2


def _mix(
    grey: Floats,
    colours: Values,
    opacity: Floats,
    alpha: Values,
) -> Pixels:
    """Lay colours (rows, columns, 3) over greys; (rows, columns, 4)."""
    pixels = np.empty((*grey.shape, 4), np.uint8)
    faded = grey * (1 - opacity)
    for channel in range(3):
        pixels[..., channel] = faded + colours[..., channel] * opacity
    pixels[..., 3] = alpha
    return pixels


# Views of the template's fsLR midthickness surface, for all participants: hemisphere, and whether
# the view is lateral.
_SIDES: tuple[tuple[Hemisphere, bool], ...] = (
    ("L", True),
    ("L", False),
    ("R", False),
    ("R", True),
)
_PIXELS_A_MM = 1.25
_RIM, _BESIDE = 3, 5  # pixels
_STEPS = 4  # points along an edge of a triangle
# Grey of triangles that face away; range to those in front.
_DARKEST, _LIGHT = 70.0, 120.0


def draw_surfaces(
    values: Mapping[Hemisphere, Floats],
    limit: float,
    opacity: Mapping[Hemisphere, Floats] | None = None,
) -> NDArray[np.uint8]:
    """Draw a map in lateral and medial views of its hemispheres, in a row, lit from the front.

    Parameters
    ----------
    values
        (vertices,), for the whole mesh of one hemisphere or both; NaN: no value.
    limit
        Absolute value of the brightest colours, which are warm above 0 and cold below.
    opacity
        (vertices,), from 0 to 1, likewise; None: weak values fade.

    Returns
    -------
    (rows, columns, 4) pixels; transparent where there is no brain.
    """
    drawn = []
    for (side, _), (vertex, light) in zip(_SIDES, surface_views(), strict=True):
        if side not in values:
            continue
        share = np.where(vertex >= 0, values[side][vertex], np.nan) / max(limit, 1e-12)
        colours, shown = _paint(np.where(np.isfinite(share), share, 0.0))
        if opacity is not None:
            shown = np.where(np.isfinite(share), opacity[side][vertex], 0.0)
        # Shading stays visible under the colours.
        shaded = colours * (0.55 + 0.45 * light[..., None])
        drawn.append(
            _mix(_DARKEST + _LIGHT * light, shaded, shown, 255 * (vertex >= 0))
        )
    return join_pictures(drawn, 1, _BESIDE, _BESIDE)


@functools.cache
def surface_views() -> tuple[tuple[Indices, Float32], ...]:
    """Return vertex and light of each pixel, for each view of `_SIDES`.

    Each is (rows, columns): the number of the vertex on the mesh, or -1, and the light, 0 to 1.
    """
    return tuple(_vertices_in_view(side, outside) for side, outside in _SIDES)


def _vertices_in_view(side: Hemisphere, outside: bool) -> tuple[Indices, Float32]:
    """Find the vertex nearest to the viewer, and the light, for each pixel."""
    template = read_template("fsLR")
    points, faces = template.points[side], template.faces[side]
    toward = -1.0 if (side == "L") == outside else 1.0  # along x, to the viewer
    # In the viewer's view, y runs to the right from the right side, and to the left from the left.
    across = toward * points[:, 1]
    up = points[:, 2]
    depth = toward * points[:, 0]
    column = (across - across.min()) * _PIXELS_A_MM + _RIM
    row = (up.max() - up) * _PIXELS_A_MM + _RIM
    shape = int(row.max()) + _RIM + 2, int(column.max()) + _RIM + 2
    first, second, third = np.moveaxis(points[faces], 1, 0)
    normals = np.cross(second - first, third - first)
    facing = np.abs(normals[:, 0]) / np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
    # Points of each triangle, as weights of its corners.
    weights = np.array(
        [
            (i / _STEPS, j / _STEPS, (_STEPS - i - j) / _STEPS)
            for i in range(_STEPS + 1)
            for j in range(_STEPS + 1 - i)
        ]
    )
    down = np.rint(row[faces] @ weights.T).astype(np.intp)
    right = np.rint(column[faces] @ weights.T).astype(np.intp)
    flat = (down * shape[1] + right).ravel()
    order = np.lexsort(((depth[faces] @ weights.T).ravel(), flat))
    # The last point of each pixel in this order is the nearest.
    last = order[np.append(np.diff(flat[order]) > 0, True)]
    triangle, point = np.divmod(last, len(weights))
    vertex = np.full(shape, -1, np.intp)
    light = np.zeros(shape, np.float32)
    vertex.ravel()[flat[last]] = faces[triangle, weights.argmax(axis=1)[point]]
    light.ravel()[flat[last]] = facing[triangle]
    return vertex, light


# Layout of rows of maps, and of glass brains.
_SLICES_MM = (-20, -4, 12, 28, 44, 60)
_WIDTH_INCHES = 9.0
_ROW_INCHES, _TITLE_INCHES = 1.9, 0.4
_GLASS_VIEWS, _GLASS_INCHES = "lyrz", (9.0, 2.5)  # left, from behind, right, from above
_STYLE = {"cmap": "RdBu_r", "black_bg": False}


def draw_maps(
    rows: Mapping[str, Floats],
    places: VoxelPlaces,
    *,
    title: str,
    units: str,
) -> bytes:
    """Draw maps below each other on one colour scale, as a PNG file.

    Parameters
    ----------
    rows
        Title of each row and its map, (voxels,).
    places
        Voxels of the maps.
    title
        Text above the picture.
    units
        Units of the maps, for the title.
    """
    from matplotlib.figure import Figure
    from nilearn.plotting import plot_stat_map

    # One scale for all rows, so that they can be compared, without the extremes.
    limit = max(float(np.quantile(np.abs(values), 0.99)) for values in rows.values())
    height = _TITLE_INCHES + len(rows) * _ROW_INCHES
    figure = Figure((_WIDTH_INCHES, height))
    words = f"{title} ({units})" if units else title
    figure.text(0.01, 1 - 0.5 * _TITLE_INCHES / height, words, fontsize=11, va="center")
    for number, (name, values) in enumerate(rows.items()):
        bottom = (len(rows) - 1 - number) * _ROW_INCHES / height
        plot_stat_map(
            _image(values, places),
            axes=figure.add_axes((0.0, bottom, 1.0, 0.84 * _ROW_INCHES / height)),
            display_mode="z",
            cut_coords=list(_SLICES_MM),
            vmax=limit,
            threshold=limit / 10,
            **_STYLE,
        )
        figure.text(0.01, bottom + 0.86 * _ROW_INCHES / height, name, fontsize=10)
    return _png(figure)


def draw_glass_brain(
    values: Floats,
    places: VoxelPlaces,
    *,
    units: str = "",
    outlined: Mask | None = None,
) -> bytes:
    """Draw the strongest value along each line of sight, red above 0 and blue below.

    Parameters
    ----------
    values
        The map, (places,); NaN is not drawn.
    places
        Its voxels, in a template's space.
    units
        Units of the values, shown below the brains.
    outlined
        (places,), true for voxels that get a black outline, e.g. significant ones.

    Returns
    -------
    bytes
        A PNG file. If all values are 0, it shows the empty brain with a note, and no colour bar.

    Notes
    -----
    Drawn by nilearn's `plot_glass_brain`; the outline is the MNI152 brain's.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.grid import Grid
    >>> affine = np.array([[-8.0, 0, 0, 70], [0, 8, 0, -100], [0, 0, 8, -60], [0, 0, 0, 1]])
    >>> places = VoxelPlaces.within(Grid((18, 22, 18), affine), np.ones((18, 22, 18), bool))
    >>> picture = draw_glass_brain(places.points[:, 0], places, units="mm")
    >>> picture[1:4]
    b'PNG'
    """
    from matplotlib.figure import Figure
    from nilearn.plotting import plot_glass_brain

    shown = np.nan_to_num(np.asarray(values, np.float32), posinf=0.0, neginf=0.0)
    end = float(np.abs(shown).max(initial=0))
    figure = Figure(_GLASS_INCHES)
    words = units if end else "no value to draw"
    figure.text(0.5, 0.02, words, fontsize=9, ha="center")
    drawn = plot_glass_brain(
        _image(shown, places) if end else None,  # the empty brain
        axes=figure.add_axes((0.0, 0.06, 1.0, 0.84)),
        display_mode=_GLASS_VIEWS,
        plot_abs=False,
        threshold=1e-6 * end,  # zeros are not drawn
        vmax=end or 1.0,
        colorbar=end > 0,
        **_STYLE,
    )
    if outlined is not None and outlined.any():
        around = _image(outlined.astype(np.float32), places)
        drawn.add_contours(around, levels=[0.5], colors="black", linewidths=1.2)
    return _png(figure)


def _image(values: Floats, places: VoxelPlaces) -> Any:
    volume = places.volume(np.asarray(values, np.float32))
    return nib.Nifti1Image(volume, places.grid.affine)


def _png(figure: Any) -> bytes:
    """Return a figure as a PNG file, without a software version, so that bytes are reproducible."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
