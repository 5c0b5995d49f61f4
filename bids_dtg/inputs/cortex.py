"""Cortical regions: tables of maps by region, positions of regions, and their hemispheres."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float64
from bids_dtg.errors import SettingsError
from bids_dtg.files.foreign import plain_number, read_table, reading
from bids_dtg.files.text import read_packaged
from bids_dtg.notices import counted, named

_OPTION = "--region-maps"


def read_region_maps(
    path: Path | None, regions: Sequence[str]
) -> Mapping[str, Float64]:
    """Read a table of maps with one value per region; return none if no table is given.

    Parameters
    ----------
    path
        Table with tabs or commas. The first column has the names of regions, and each further
        column holds the numbers of one map. Rows of other regions are ignored.
    regions
        Names of the regions that are needed.

    Returns
    -------
    Mapping
        Values (regions,) by the names of the maps.

    Raises
    ------
    SettingsError
        The table cannot be read, or lacks a region or a number.
    """
    if path is None:
        return {}
    with reading(path, SettingsError):
        table = read_table(path, None)
    rows = {row[0].strip(): row for row in table.rows}
    is_unique = len(rows) == len(table.rows) and not table.twice()
    if len(table.header) < 2 or not is_unique:
        raise SettingsError(
            f"{path} has {counted(table.header, 'column')} ({named(table.header)}) and names "
            f"{len(rows)} regions in {counted(table.rows, 'row')}",
            expected=f"{_OPTION}: a column of unique region names, and one column per map",
        )
    if missing := [name for name in regions if name not in rows]:
        raise SettingsError(
            f"{path} lacks {counted(missing, 'region')} ({named(missing)}); its first column "
            f"has {named(list(rows))}",
            expected=f"{_OPTION}: the names of the regions of --input-arrays",
        )
    maps = {}
    for number, name in enumerate(table.header[1:], 1):
        values = []
        for region in regions:
            cell = rows[region][number]
            value = plain_number(cell.strip())
            if value is None:
                raise SettingsError(
                    f"{path} has '{cell}' for {region} under {name}",
                    expected="a number",
                )
            values.append(value)
        maps[name] = np.array(values, np.float64)
    return maps


_TABLE = "dk68_positions.tsv"


def read_region_positions(regions: Sequence[str]) -> Float64 | None:
    """Return positions of the regions of the Desikan-Killiany atlas on the template fsaverage.

    Parameters
    ----------
    regions
        Names with their hemisphere: ``ctx-lh-insula``, ``lh_insula``, ``L_insula`` or
        ``lh.insula``, in upper or lower case.

    Returns
    -------
    numpy.ndarray or None
        (regions, 3), RAS+ coordinates of fsaverage (MNI305) in mm. None if a name is not in this
        atlas.

    Notes
    -----
    Atlas: Desikan et al. 2006, NeuroImage 31: 968. `scripts/dk68_positions.py` makes the table
    and defines the positions; `dk68_positions.json` gives source and licences.

    Examples
    --------
    >>> read_region_positions(["ctx-lh-insula", "R_insula"])
    array([[-36.2,  -3.2,   1.3],
           [ 37.1,  -1.6,   0.6]])
    >>> read_region_positions(["ctx-lh-insula", "Brain-Stem"]) is None
    True
    """
    lines = read_packaged("bids_dtg.inputs", _TABLE).splitlines()[1:]
    positions = {}
    for line in lines:
        name, *position = line.split("\t")
        positions[_key(name)] = position
    keys = [_key(name) for name in regions]
    if not positions.keys() >= {*keys}:
        return None
    texts = [positions[key] for key in keys]
    return np.array(texts, np.float64).reshape(-1, 3)


def _key(name: str) -> tuple[str, str]:
    """Return the hemisphere and the plain region in a name, as (left, insula) of ctx-lh-insula."""
    name = name.lower()
    region = re.sub("[^a-z0-9]", "", _SIDE.sub("", name, count=1))
    return hemisphere(name), region.removeprefix("ctx")


_PAIRS = (
    ("lh", "rh"),
    ("left", "right"),
    ("Left", "Right"),
    ("LH", "RH"),
    ("L", "R"),
    ("l", "r"),
)
_OPPOSITE = dict(_PAIRS) | {word: opposite for opposite, word in _PAIRS}
# A word for a side, with no letter directly before or after it.
_SIDE = re.compile(f"(?<![^\\W\\d_])({'|'.join(_OPPOSITE)})(?![^\\W\\d_])")


def homotopic_pairs(regions: Sequence[str]) -> list[tuple[int, int]]:
    """Return the indices of homotopic regions as pairs (left, right).

    Their names differ only by ``lh`` and ``rh``, ``L`` and ``R``, or ``left`` and ``right``, with
    no letter directly before or after these.

    Examples
    --------
    >>> homotopic_pairs(["ctx-lh-cuneus", "ctx-lh-insula", "ctx-rh-cuneus"])
    [(0, 2)]
    """
    number = {name: index for index, name in enumerate(regions)}
    pairs = []
    for name, index in number.items():
        opposite = number.get(other_side(name) or "")
        if opposite is not None and hemisphere(name) == "left":
            pairs.append((index, opposite))
    return pairs


def hemisphere(name: str) -> str:
    """Return the hemisphere in a region's name: left, right, or an empty text.

    Examples
    --------
    >>> hemisphere("ctx-rh-insula"), hemisphere("7Networks_LH_Vis_1"), hemisphere("brainstem")
    ('right', 'left', '')
    """
    side = _SIDE.search(name)
    if side is None:
        return ""
    return "left" if side[0].lower().startswith("l") else "right"


def other_side(name: str) -> str | None:
    """Return the name of the homotopic region; None if the name has no hemisphere."""
    side = _SIDE.search(name)
    if side is None:
        return None
    before = name[: side.start()]
    after = name[side.end() :]
    return before + _OPPOSITE[side[0]] + after
