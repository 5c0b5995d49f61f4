"""Pictures of maps: axial slices on the template's brain, one row a map."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.grid import Grid

_SLICES_MM = (-20, -4, 12, 28, 44, 60)
_WIDTH_INCHES, _ROW_INCHES, _TITLE_INCHES = 9.0, 1.9, 0.4
_COLOURS = "RdBu_r"


def draw_maps(
    rows: Mapping[str, NDArray[np.floating]],
    mask: NDArray[np.bool_],
    grid: Grid,
    *,
    title: str,
    units: str,
) -> bytes | None:
    """Draw maps under each other on one colour scale.

    Parameters
    ----------
    rows
        Title of each row and its map, (voxels,) over the mask.
    mask, grid
        Where the maps lie.
    title
        Above the picture.
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
        volume = np.zeros(grid.shape, np.float32)
        volume[mask] = values
        plot_stat_map(
            nib.Nifti1Image(volume, grid.affine),  # type: ignore[no-untyped-call]
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
