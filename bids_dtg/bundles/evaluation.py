"""The scores in a bundle's card, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Key of a row and heading of its column; a figure is one number, or a mean and its interval.
_COLUMNS = {
    "r": "R",
    "r_minus_group_average": "R - GROUP'S",
    "index": "INDEX",
    "product": "PRODUCT",
    "ratio": "RATIO",
    "identification": "IDENTIFIED",
    "residual_r": "RESIDUAL R",
}


def score_table(evaluation: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """Return headings and rows, one a model; nothing where the card has no such scores.

    Parameters
    ----------
    evaluation
        As a card has it: nobody has checked what is in it.
    """
    rows = (evaluation or {}).get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        return []
    table = [("MODEL", *_COLUMNS.values())]
    for row in rows:
        table.append((str(row.get("model", "")), *(_cell(row.get(key)) for key in _COLUMNS)))
    return table


def _cell(figure: object) -> str:
    match figure:
        case float() | int():
            return f"{figure:.3f}"
        case [float() | int() as mean, float() | int() as low, float() | int() as high]:
            return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
        case _:
            return ""
