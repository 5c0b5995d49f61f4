"""Columns of tables explained by patterns of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})
Meanings = Mapping[str, str]  # pattern of names -> meaning; {0} is what the pattern's group matched


def explain(
    columns: Iterable[str], meanings: Meanings, own: Mapping[str, str] = _NONE
) -> dict[str, dict[str, str]]:
    """Return what columns mean, as a sidecar of BIDS says it.

    Parameters
    ----------
    columns
        Names.
    meanings
        By patterns of names, of which the first that fits counts.
    own
        What ``{own}`` stands for in the meaning of a column; "name of the" column where absent.

    Raises
    ------
    KeyError
        No pattern fits a column.

    Examples
    --------
    >>> explain(["rt_faces"], {"rt_(.+)": "response time in the task {0}, s"})
    {'rt_faces': {'Description': 'response time in the task faces, s'}}
    """
    return {
        column: {
            "Description": _meaning(column, meanings, own.get(column, f"name of the {column}"))
        }
        for column in columns
    }


def _meaning(column: str, meanings: Meanings, own: str) -> str:
    for pattern, text in meanings.items():
        if found := re.fullmatch(pattern, column):
            groups = [group for group in found.groups() if group is not None]
            return text.format(*groups, own=own)
    raise KeyError(f"no meaning of the column {column}")
