"""The sheet that pictures of demos are drawn on: a title above two rows."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

_WIDTH_INCHES, _DPI = 13.0, 110


def draw_two_rows(
    draw: Callable[[SubFigure, SubFigure], None],
    *,
    title: str,
    height_inches: float,
    heights: tuple[float, float],
) -> bytes | None:
    """Draw a picture of two rows.

    Parameters
    ----------
    draw
        Fills the upper and the lower row.
    title
        Above the picture.
    height_inches
        Of the whole picture.
    heights
        Of the rows, relative to each other.

    Returns
    -------
    bytes or None
        A PNG file; None if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    grid = figure.add_gridspec(2, 1, height_ratios=heights)
    draw(figure.add_subfigure(grid[0, 0]), figure.add_subfigure(grid[1, 0]))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    plt.close(figure)
    return buffer.getvalue()
