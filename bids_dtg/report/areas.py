"""Full names of the cortical areas of HCP-MMP1, for pages.

`glasser_areas.tsv` has the 180 areas of Glasser et al. 2016 (Nature 536: 171), with names and
sections after their supplementary neuroanatomical results.
"""

from __future__ import annotations

import functools
import re

from bids_dtg.files.text import read_packaged

_TABLE = "glasser_areas.tsv"
_PARCEL = re.compile("([LR])_(.+?)(?:_ROI)?")
_SIDES = {"L": "left", "R": "right"}


@functools.cache
def _areas() -> dict[str, tuple[str, str]]:
    """Return name and section of each area, by its short name."""
    rows = read_packaged(__package__, _TABLE).splitlines()[1:]
    areas = {}
    for row in rows:
        area, name, section = row.split("\t")
        areas[area] = name, section
    return areas


@functools.cache
def area_in_words(parcel: str) -> str:
    """Return a parcel's full name; names of other atlases stay as they are.

    Examples
    --------
    >>> area_in_words("R_FFC_ROI"), area_in_words("L_45_ROI")
    ('right FFC (fusiform face complex, ventral stream visual)', 'left 45 (inferior frontal)')
    >>> area_in_words("7Networks_LH_Vis_1")
    '7Networks_LH_Vis_1'
    """
    side, area = _split(parcel)
    if not side:
        return parcel
    name, section = _areas()[area]
    # "Area 45" says no more than the short name does.
    words = section if name == f"area {area}" else f"{name}, {section}"
    return f"{side} {area} ({words})"


def short_area(parcel: str) -> str:
    """Return a parcel's hemisphere in words and its short name, as `area_in_words` begins.

    Examples
    --------
    >>> short_area("L_PFop_ROI"), short_area("P001")
    ('left PFop', 'P001')
    """
    side, area = _split(parcel)
    return f"{side} {area}" if side else parcel


def _split(parcel: str) -> tuple[str, str]:
    """Return the hemisphere in words and the area; "" twice for other atlases' parcels."""
    match = _PARCEL.fullmatch(parcel)
    if match is None or match[2] not in _areas():
        return "", ""
    return _SIDES[match[1]], match[2]
