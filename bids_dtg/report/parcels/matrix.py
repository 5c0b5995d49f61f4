"""A matrix between parcels: the picture, ordered by network or hemisphere, and words on it."""

from __future__ import annotations

import numpy as np

from bids_dtg.report.colours import Scale
from bids_dtg.report.panels.panel import Canvas, Lanes
from bids_dtg.report.parcels.files import Floats
from bids_dtg.report.parcels.regions import Arrangement
from bids_dtg.report.pictures import draw_matrix


def draw_between(
    values: Floats,
    arranged: Arrangement,
    canvas: Canvas,
    names: tuple[str, str],
    scale: tuple[Scale, float, float],
) -> Lanes:
    """Draw a value between each two parcels.

    Parameters
    ----------
    values
        (parcels, parcels), in the order of the atlas; NaN is blank.
    arranged
        In what order they are drawn.
    canvas
        Canvas of the page: it keeps the picture.
    names
        Of the picture's file, and of what is drawn, for those who cannot see it.
    scale
        Colours, and the values at their ends.
    """
    ordered = values[np.ix_(arranged.order, arranged.order)]
    file, words = names
    picture = canvas.write(file, draw_matrix(ordered, *scale))
    words = f"{words} of {len(values)} parcels"
    return Lanes(arranged.labels, words, picture, parts=arranged.parts)


def in_order(arranged: Arrangement) -> str:
    """Say in what order parcels are drawn, after a comma.

    Examples
    --------
    >>> from bids_dtg.report.parcels.regions import arrange
    >>> in_order(arrange(["LH_Vis_1", "RH_Vis_1"])), in_order(arrange(["a", "b"]))
    (', by network', ', in the order of the atlas')
    """
    return f", by {arranged.words}" if arranged.words else ", in the order of the atlas"
