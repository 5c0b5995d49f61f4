"""A map of voxels, seen through the brain from the left, from behind, from the right and above."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.places import VoxelPlaces

_VIEWS = "lyrz"  # left, from behind, right, from above
_WIDTH_INCHES, _HEIGHT_INCHES, _DPI = 9.0, 2.5, 110
_TITLE_SIZE = 11
_COLOURS, _WORDS, _OUTLINE = "RdBu_r", "#555555", "black"
_PALETTE = 256  # colours of the file: a third of the bytes, and no difference is seen


def draw_glass_brain(
    values: NDArray[np.floating[Any]],
    places: VoxelPlaces,
    *,
    title: str,
    threshold: float | None = None,
    outlined: NDArray[np.bool_] | None = None,
    units: str = "",
    limit: float | None = None,
) -> bytes | None:
    """Draw the strongest value along each line of sight, red above 0 and blue below.

    Parameters
    ----------
    values
        The map, (places,); NaN is not drawn.
    places
        Where it lies, in a template's space.
    title
        Text above the picture.
    threshold
        What is nearer to 0 is not drawn; None: all is drawn.
    outlined
        (places,), true where a black line is drawn around, as of significant voxels.
    units
        Of the values, at the colour bar.
    limit
        Value of the strongest colour, so that pictures can be compared; None: the map's largest.

    Returns
    -------
    bytes or None
        A PNG file; None if matplotlib is not installed. Without a value that is not 0, there is
        the empty brain, with words that say so, and no colour bar.

    Raises
    ------
    ValueError
        The values, or what is outlined, do not fit the places.

    Notes
    -----
    Drawn by nilearn's `plot_glass_brain`; the outline is the MNI152 brain's.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.grid import Grid
    >>> affine = np.array([[-8.0, 0, 0, 70], [0, 8, 0, -100], [0, 0, 8, -60], [0, 0, 0, 1]])
    >>> places = VoxelPlaces.within(Grid((18, 22, 18), affine), np.ones((18, 22, 18), bool))
    >>> picture = draw_glass_brain(places.points[:, 0], places, title="x", units="mm")
    >>> picture[1:4]
    b'PNG'
    """
    if np.shape(values) != (places.number,):
        raise ValueError(f"{places.number} places, and values {np.shape(values)}")
    if outlined is not None and np.shape(outlined) != (places.number,):
        raise ValueError(f"{places.number} places, and outlined {np.shape(outlined)}")
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = np.nan_to_num(np.asarray(values, np.float32), posinf=0.0, neginf=0.0)
    if threshold is not None:
        shown = np.where(np.abs(shown) < threshold, np.float32(0), shown)
    end = limit or float(np.abs(shown).max(initial=0)) or 1.0
    figure = plt.figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES))
    try:
        figure.text(0.01, 0.97, title, fontsize=_TITLE_SIZE, va="top")
        _draw_brain(figure, places, shown, end, outlined)
        if shown.any():
            _draw_bar(figure, end, units)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI)
    finally:
        plt.close(figure)
    return _with_palette(buffer)


def _draw_brain(
    figure: Any,
    places: VoxelPlaces,
    shown: NDArray[np.float32],
    end: float,
    outlined: NDArray[np.bool_] | None,
) -> None:
    import nibabel as nib
    from nilearn.plotting import plot_glass_brain

    def image(values: NDArray[np.float32]) -> Any:
        return nib.Nifti1Image(places.volume(values), places.grid.affine)  # type: ignore[no-untyped-call]

    if not shown.any():
        figure.text(0.45, 0.02, "no value to draw", fontsize=9, ha="center", color=_WORDS)
    drawn = plot_glass_brain(
        image(shown) if shown.any() else None,  # the empty brain
        axes=figure.add_axes((0.0, 0.04, 0.89, 0.84)),
        display_mode=_VIEWS,
        plot_abs=False,
        threshold=1e-6 * end,  # what is 0 is no value
        vmax=end,
        cmap=_COLOURS,
        colorbar=False,
        annotate=True,
        black_bg=False,
    )
    if outlined is not None and outlined.any():
        drawn.add_contours(
            image(outlined.astype(np.float32)), levels=[0.5], colors=_OUTLINE, linewidths=1.2
        )


def _draw_bar(figure: Any, end: float, units: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.add_axes((0.905, 0.14, 0.012, 0.66))
    figure.colorbar(ScalarMappable(Normalize(-end, end), _COLOURS), cax=bar, label=units)


def _with_palette(png: io.BytesIO) -> bytes:
    """Encode a PNG again with a palette; without a date or version, so that bytes repeat."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(png) as picture:
        few = picture.convert("RGB").quantize(_PALETTE, kmeans=2, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True)
    return buffer.getvalue()
