"""Maps of the cortex by region, as a table: what regional parameters are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, SettingsError
from bids_dtg.files.foreign import plain_number, read_table
from bids_dtg.notices import counted, named

_OPTION = "--region-maps"


def read_region_maps(
    path: Path | None, regions: Sequence[str]
) -> Mapping[str, NDArray[np.float64]]:
    """Read the maps of a table, a value a region; none where there is no table.

    Parameters
    ----------
    path
        With tabs or commas: a column of regions' names, the first, and a column of numbers for
        each map. Rows of other regions are left out.
    regions
        Names of the regions that are wanted.

    Returns
    -------
    Mapping
        (regions,) by the maps' names.

    Raises
    ------
    SettingsError
        The table cannot be read, lacks a region or a number.
    """
    if path is None:
        return {}
    try:
        table = read_table(path, None)
    except ForeignFileError as err:
        raise err.as_kind(SettingsError) from err
    if len(table.header) < 2 or table.twice():
        raise SettingsError(
            f"{path} has {counted(len(table.header), 'column')}: {named(table.header)}",
            expected=f"{_OPTION}: a column of regions' names, and a column a map, of other names",
        )
    rows: dict[str, dict[str, str]] = {}
    for row in table.dicts():
        name = row[table.header[0]].strip()
        if name in rows:
            raise SettingsError(f"{path} names the region {name} twice", expected="a row a region")
        rows[name] = row
    if missing := [name for name in regions if name not in rows]:
        raise SettingsError(
            f"{path} lacks {counted(len(missing), 'region')} ({named(missing)}); its first column "
            f"has {named(list(rows))}",
            expected=f"{_OPTION}: the names of the regions of --input-arrays",
        )
    found = {}
    for column in table.header[1:]:
        values = [plain_number(rows[region][column].strip()) for region in regions]
        if None in values:
            region = regions[values.index(None)]
            raise SettingsError(
                f"{path} has '{rows[region][column]}' for {region} under {column}",
                expected="a number",
            )
        found[column] = np.array(values, np.float64)
    return found
