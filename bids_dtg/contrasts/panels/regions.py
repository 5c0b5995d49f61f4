"""A person's tables of regions, written and read, and what a card says of them.

`glasser_areas.tsv` has the 180 areas of Glasser et al. 2016 (Nature 536: 171), with names and
sections after their supplementary neuroanatomical results.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bids_dtg.array_types import Float32, Floats
from bids_dtg.contrasts.asymmetry import INDEX_PAIRS
from bids_dtg.contrasts.half_width import LEVEL
from bids_dtg.files.columns import Column
from bids_dtg.files.foreign import read_table, reading
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import name_cell, number_lines
from bids_dtg.files.text import read_packaged
from bids_dtg.report.tables import NOT_KNOWN, significant_text

PARCELS = FileKind("statmap", "parcels", ".tsv")
_WORDS = tomllib.loads(read_packaged(__package__, "regions.toml"))
_AREAS = "glasser_areas.tsv"
_AREA = re.compile("([LR])_(.+?)(?:_ROI)?")  # parcel of one hemisphere
_SIDES = {"L": "left", "R": "right"}
_LABELS = 2  # columns before the values: the contrast and the name
_MARGIN = 4.0  # percent of a strip on either side of what it shows
# The strongest value of a map on a line: the value, the ends low and high of its interval, zero and
# the group's mean. Of each, its position in percent of the line, and the number as text.
Strip: TypeAlias = Mapping[str, tuple[float, str]]


@dataclass(frozen=True)
class Regions:
    """Facts of the regions of a map."""

    strip: Strip | None  # None: the strongest value has no interval
    regions: int = 0  # with data and an interval
    differ: int = 0  # whose interval leaves out 0
    beyond: int = 0  # whose deviation from the group exceeds the half-width
    # The deviation that is largest relative to its half-width, that half-width, and its region.
    difference: str = ""
    half_width: str = ""
    place: str = ""


def _value_names(kind: FileKind) -> list[str]:
    """Return the names of a table's columns of values."""
    return [*_WORDS[str(kind.desc)]][_LABELS:]


def region_columns(kind: FileKind, units: str) -> list[Column]:
    """Return the columns of a person's table of regions, whose values have units."""
    with_units = _value_names(kind)
    return [
        Column(
            name,
            meaning.format(level=LEVEL, pairs=INDEX_PAIRS),
            unit=units if name in with_units else "",
        )
        for name, meaning in _WORDS[str(kind.desc)].items()
    ]


def region_table(
    kind: FileKind,
    names: Sequence[str],
    columns: Mapping[str, Floats],
    contrasts: Mapping[str, int],
) -> bytes:
    """Return a table with a row for each contrast and name.

    Parameters
    ----------
    kind
        Which table.
    names
        Names of the regions.
    columns
        Values of all contrasts, (contrasts, names), by column.
    contrasts
        The contrasts to write: the number of each in the columns, by label.
    """
    values = np.stack([columns[name] for name in _value_names(kind)], axis=-1)
    lines = ["\t".join(_WORDS[str(kind.desc)])]
    cells = [name_cell(name) for name in names]
    for contrast, index in contrasts.items():
        rows = zip(cells, number_lines(values[index]), strict=True)
        lines += [f"{contrast}\t{name}\t{numbers}" for name, numbers in rows]
    return ("\n".join(lines) + "\n").encode()


def read_regions(kind: FileKind, table: Path) -> dict[str, dict[str, Float32]]:
    """Read a person's table of regions: by contrast, the values (names,) of each column.

    Raises
    ------
    ForeignFileError
        It is damaged.
    """
    file = read_table(table)
    with reading(table, as_what=" as numbers"):
        place = {name: number for number, name in enumerate(file.header)}
        labels = [row[place["contrast"]] for row in file.rows]
        # Column by column, which takes two thirds of the time of `read_numbers`.
        names, columns = _value_names(kind), []
        for name in names:
            number = place[name]
            cells = [row[number] for row in file.rows]
            columns.append(
                [float("nan" if cell == NOT_KNOWN else cell) for cell in cells]
            )
    values, contrast_of_row = np.array(columns, np.float32), np.array(labels)
    return {
        label: dict(zip(names, values[:, contrast_of_row == label], strict=True))
        for label in dict.fromkeys(labels)
    }


def facts_of_regions(
    values: Floats, difference: Floats, half_widths: Floats, names: Sequence[str]
) -> Regions:
    """Compare a person's map with 0, and its deviation from the group with its error.

    Parameters
    ----------
    values
        The map, (regions,).
    difference
        Its deviation from the group's, (regions,); NaN where the run has no data.
    half_widths
        Of the prediction intervals, (regions,); NaN where there is none.
    names
        Names of the regions.

    Examples
    --------
    >>> values, deviation = np.array([5.0, -1.0]), np.array([0.5, -3.0])
    >>> facts = facts_of_regions(values, deviation, np.array([4.0, 2.0]), ["L_V1", "R_V1"])
    >>> facts.differ, facts.beyond, facts.difference, facts.half_width, facts.place
    (1, 1, '−3.0', '2.0', 'right V1')
    >>> facts.strip["zero"], facts.strip["low"][1], facts.strip["group"][1]
    ((4.0, '0'), '+1.00', '+4.50')
    """
    valid = np.isfinite(difference) & (half_widths > 0)
    if not valid.any():
        return Regions(None)
    shares = np.zeros(len(values))
    shares[valid] = np.abs(difference[valid]) / half_widths[valid]
    most = int(shares.argmax())
    peak = int(np.argmax(np.abs(values)))
    strip = None
    if valid[peak]:
        group = float(values[peak] - difference[peak])
        strip = strip_of(float(values[peak]), float(half_widths[peak]), group)
    return Regions(
        strip,
        regions=int(valid.sum()),
        differ=int((np.abs(values) > half_widths)[valid].sum()),
        beyond=int((shares > 1).sum()),
        difference=signed_text(float(difference[most]), 2),
        half_width=significant_text(float(half_widths[most]), 2),
        place=short_area(names[most]),
    )


def strip_of(value: float, half_width: float, group: float) -> Strip:
    """Lay out a value and its interval, the group's mean and 0, so that all are on the line."""
    numbers = {
        "value": value,
        "low": value - half_width,
        "high": value + half_width,
        "zero": 0.0,
        "group": group,
    }
    start = min(numbers.values())
    size = (max(numbers.values()) - start) or 1.0
    marks = {}
    for name, number in numbers.items():
        place = _MARGIN + (100 - 2 * _MARGIN) * (number - start) / size
        marks[name] = place, signed_text(number)
    return marks


def signed_text(value: float, digits: int = 3) -> str:
    """Return a number with its sign.

    Examples
    --------
    >>> signed_text(2.0), signed_text(-0.25)
    ('+2.00', '−0.250')
    """
    return "+" * (value > 0) + significant_text(value, digits)


@functools.cache
def _areas() -> dict[str, tuple[str, str]]:
    """Return name and section of each area, by its short name."""
    rows = read_packaged(__package__, _AREAS).splitlines()[1:]
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
    side, area = _side_and_area(parcel)
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
    side, area = _side_and_area(parcel)
    return f"{side} {area}" if side else parcel


def _side_and_area(parcel: str) -> tuple[str, str]:
    """Return the hemisphere in words and the area; "" twice for other atlases' parcels."""
    match = _AREA.fullmatch(parcel)
    if match is None or match[2] not in _areas():
        return "", ""
    return _SIDES[match[1]], match[2]
