"""Pictures of maps and matrices: files that browsers show, and maps under each other as a PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.report.colours import NEGATIVE, POSITIVE, Scale
from bids_dtg.report.slices import AXIAL, Box, View, Volume, beside, outline

MAP_VIEWS = tuple(View(AXIAL, mm) for mm in (-18, 2, 26, 50))
PICTURE = ".webp"
_QUALITY = 82  # of WebP; lines and text are not in it
# The fastest: files a twentieth larger than by the next method, in two thirds of the time. Steps of
# opacity: all 256 take as long again, and half as many bytes again, for edges that look the same.
_METHOD, _OPACITY_QUALITY = 0, 70
# Below this share of the scale's end a map fades out, in proportion to its square.
_FADE = 0.5
_BRAIN = 0.12  # of the brightest anatomy: what is darker is not brain
# Of the picture of maps under each other, row by row.
_SLICES_MM = (-20, -4, 12, 28, 44, 60)
_WIDTH_INCHES, _ROW_INCHES, _TITLE_INCHES = 9.0, 1.9, 0.4
_COLOURS = "RdBu_r"


def encode(pixels: NDArray[np.uint8], *, lossless: bool = False) -> bytes:
    """Encode (rows, columns, 3 or 4) pixels as WebP."""
    from PIL import Image, WebPImagePlugin  # noqa: F401 (else all formats are imported)

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer,
        "webp",
        quality=_QUALITY,
        alpha_quality=100 if lossless else _OPACITY_QUALITY,
        method=_METHOD,
        lossless=lossless,
        exact=False,
    )
    return buffer.getvalue()


class Backdrop:
    """Slices of anatomy that maps are drawn on, cut once."""

    def __init__(self, anatomy: Volume, box: Box, views: Sequence[View]) -> None:
        self._box, self._views = box, tuple(views)
        self._grey = anatomy.row(box, self._views)
        # A soft edge; the page shows around it.
        self._inside = np.clip(self._grey / _BRAIN, 0, 1)

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows and columns of the pictures."""
        rows, columns = self._grey.shape
        return rows, columns

    def draw_map(self, volume: Volume, limit: float) -> NDArray[np.uint8]:
        """Draw a map, warm above 0 and cold below; weak values fade.

        Parameters
        ----------
        volume
            (i, j, k), values of the map.
        limit
            Value of the brightest colour, and minus that.

        Returns
        -------
        (rows, columns, 4) pixels.
        """
        cut = np.clip(volume.row(self._box, self._views) / max(limit, 1e-12), -1, 1)
        level = np.rint(255 * cut).astype(np.intp)
        both = np.concatenate([NEGATIVE.table()[::-1], POSITIVE.table()])
        colours = both.take(level + np.where(cut > 0, 256, 255), axis=0)
        return self._blend(colours, np.clip(np.abs(cut) / _FADE, 0, 1) ** 2)

    def draw_labels(
        self, labels: Volume, colours: dict[int, tuple[int, int, int]]
    ) -> NDArray[np.uint8]:
        """Tint the voxels of labels; (rows, columns, 4)."""
        cut = labels.row(self._box, self._views, order=0)
        painted = np.zeros((*cut.shape, 3), np.uint8)
        opacity = np.zeros(cut.shape, np.float32)
        for label, colour in colours.items():
            painted[cut == label] = colour
            opacity[cut == label] = 0.62
        return self._blend(painted, opacity)

    def _blend(
        self, colours: NDArray[np.uint8], opacity: NDArray[np.floating]
    ) -> NDArray[np.uint8]:
        # Anatomy in the middle greys: bright colours stand out from it on any page.
        faded = (40 + 165 * np.clip(self._grey, 0, 1)) * (1 - opacity)
        pixels = np.empty((*self.sizes, 4), np.uint8)
        for channel in range(3):
            pixels[..., channel] = faded + colours[..., channel] * opacity
        pixels[..., 3] = np.maximum(self._inside, opacity) * 255
        return pixels


def draw_grey(volume: Volume, box: Box, rows: Sequence[Sequence[View]]) -> NDArray[np.uint8]:
    """Draw a volume in greys from 0 to its 99th percentile; (rows, columns, 3)."""
    bright = volume.values[volume.values > 0]
    top = float(np.quantile(bright, 0.99)) if bright.size else 1.0
    cut = np.clip(_stack([volume.row(box, views) for views in rows]) / top, 0, 1)
    return np.repeat((cut[..., None] ** 0.9 * 255).astype(np.uint8), 3, axis=2)


def draw_outlines(
    regions: Sequence[tuple[Volume, tuple[int, int, int]]],
    box: Box,
    rows: Sequence[Sequence[View]],
) -> NDArray[np.uint8]:
    """Draw the outlines of regions (0 to 1) as coloured lines on nothing; (rows, columns, 4)."""
    pixels: NDArray[np.float32] | None = None
    for volume, colour in regions:
        line = _stack(
            [beside([outline(volume.cut(box, view)) for view in views]) for views in rows]
        )
        if pixels is None:
            pixels = np.zeros((*line.shape, 4), np.float32)
        pixels[line > 0, :3] = colour
        pixels[..., 3] = np.maximum(pixels[..., 3], 255 * line)
    assert pixels is not None
    return pixels.astype(np.uint8)


def draw_matrix(matrix: NDArray[np.floating], scale: Scale, low: float, high: float) -> bytes:
    """Draw a matrix, a pixel a cell; the page enlarges it without smoothing.

    Where a value is not known, the page shows through.
    """
    painted, known = scale.paint((matrix - low) / (high - low)), np.isfinite(matrix)
    if not known.all():
        painted = np.concatenate([painted, 255 * known[..., None].astype(np.uint8)], axis=2)
    return encode(painted, lossless=True)


def inline(picture: bytes) -> str:
    """Return the address of a picture, PNG or WebP, that lies in the page itself."""
    kind = "png" if picture.startswith(b"\x89PNG") else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def draw_maps(
    rows: Mapping[str, NDArray[np.floating]],
    places: VoxelPlaces,
    *,
    title: str,
    units: str,
) -> bytes | None:
    """Draw maps under each other on one colour scale.

    Parameters
    ----------
    rows
        Title of each row and its map, (voxels,).
    places
        Voxels of the maps.
    title
        Text above the picture.
    units
        Of the maps, at the colour bar.

    Returns
    -------
    The bytes of a PNG file; None if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    import nibabel as nib
    from matplotlib import pyplot as plt
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from nilearn.plotting import plot_stat_map

    # One scale for all rows, so that they can be compared; extremes would hide the rest.
    limit = max(float(np.quantile(np.abs(values), 0.99)) for values in rows.values())
    height = _TITLE_INCHES + len(rows) * _ROW_INCHES
    figure = plt.figure(figsize=(_WIDTH_INCHES, height))
    figure.text(0.01, 1 - 0.5 * _TITLE_INCHES / height, title, fontsize=11, va="center")
    for number, (name, values) in enumerate(rows.items()):
        bottom = (len(rows) - 1 - number) * _ROW_INCHES / height
        axes = figure.add_axes((0.0, bottom, 0.9, 0.84 * _ROW_INCHES / height))
        volume = places.volume(np.asarray(values, np.float32))
        plot_stat_map(
            nib.Nifti1Image(volume, places.grid.affine),  # type: ignore[no-untyped-call]
            axes=axes,
            display_mode="z",
            cut_coords=list(_SLICES_MM),
            vmax=limit,
            threshold=limit / 10,
            cmap=_COLOURS,
            colorbar=False,
            black_bg=False,
        )
        figure.text(0.01, bottom + 0.86 * _ROW_INCHES / height, name, fontsize=10)
    bar = figure.add_axes((0.925, 0.2, 0.015, 0.5))
    figure.colorbar(ScalarMappable(Normalize(-limit, limit), _COLOURS), cax=bar, label=units)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    plt.close(figure)
    return buffer.getvalue()


def _stack(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Put rows of slices under each other, centred."""
    width = max(row.shape[1] for row in rows)
    padded = []
    for row in rows:
        left = (width - row.shape[1]) // 2
        padded.append(np.pad(row, ((3, 3), (left, width - row.shape[1] - left))))
    return np.concatenate(padded)
