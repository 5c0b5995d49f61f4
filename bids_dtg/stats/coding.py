"""Design columns from a participants table: numbers as they are, words as dummy variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Float64, Floats, Mask

_NOTHING = 1e-8  # a residual below this share of the column is rounding error
_ROUNDING = 1e-9  # a spread below this share of the column's size is rounding error


@dataclass(frozen=True, eq=False)
class Coded:
    """Columns of a design, without a constant."""

    names: tuple[str, ...]  # of the columns; a level's column is called "site: B"
    values: Float64  # (people, columns)


def code(columns: Mapping[str, Sequence[float] | Sequence[str]], people: int) -> Coded:
    """Code columns as numbers and join them.

    Parameters
    ----------
    columns
        Values of each column, (people,), by name: numbers, or words, which are levels. The first
        level in alphabetical order is the reference and gets no column.
    people
        Number of people, needed where there are no columns.

    Raises
    ------
    ValueError
        A column has another length, or has the same value for everybody.

    Examples
    --------
    >>> coded = code({"age": [20.0, 30.0, 25.0], "site": ["A", "B", "A"]}, 3)
    >>> coded.names
    ('age', 'site: B')
    >>> coded.values[:, 1]
    array([0., 1., 0.])
    """
    names: list[str] = []
    parts = [np.empty((people, 0))]
    for name, values in columns.items():
        if len(values) != people:
            raise ValueError(f"{name} has {len(values)} values, expected {people}")
        if len(set(values)) < 2:
            raise ValueError(f"{name} is the same for all {people} people")
        if isinstance(values[0], str):
            levels = sorted({str(value) for value in values})[1:]
            names += [f"{name}: {level}" for level in levels]
            dummies = [[value == level for level in levels] for value in values]
            parts.append(np.array(dummies))
        else:
            names.append(name)
            parts.append(np.asarray(values, np.float64)[:, None])
    return Coded(tuple(names), np.concatenate(parts, axis=1).astype(np.float64))


def scaled(columns: Float64, people: Mask | slice = slice(None)) -> Float64:
    """Return centred columns divided by their ranges; 0 where values only differ by rounding.

    Whole numbers, such as times in ms, are exact: they differ by more than that.

    Parameters
    ----------
    columns
        (people, columns).
    people
        Rows by whose means and ranges all are scaled.

    Examples
    --------
    >>> scaled(np.array([[1.0, 0.3], [3.0, 0.1 + 0.2]])).tolist()
    [[-0.5, 0.0], [0.5, 0.0]]
    """
    some = columns[people]
    span = np.ptp(some, axis=0)
    is_whole = (some == np.round(some)).all(axis=0)
    least = np.where(is_whole, 0.0, _ROUNDING * np.abs(some).max(axis=0, initial=0.0))
    differs = span > least
    centred = columns - some.mean(axis=0)
    return np.where(differs, centred / np.where(differs, span, 1), 0.0)


def add_levels(coded: Coded, name: str, levels: Sequence[str], tested: Floats) -> Coded:
    """Add the levels of a column to a design, except levels that its columns already determine.

    Parameters
    ----------
    coded
        The design, of any rank.
    name, levels
        The column's name, and the level of each person.
    tested
        (people,), the column that is tested.

    Raises
    ------
    ValueError
        The levels explain all of the tested column, or leave no degree of freedom.

    Examples
    --------
    >>> age = code({"age": [20.0, 30.0, 25.0, 31.0, 22.0]}, 5)
    >>> sites = ["A", "B", "A", "B", "B"]
    >>> add_levels(age, "site", sites, np.array([0.0, 1.0, 1.0, 1.0, 0.0])).names
    ('age', 'site: B')
    >>> add_levels(age, "site", sites, np.array([0.0, 1.0, 0.0, 1.0, 1.0]))
    Traceback (most recent call last):
      ...
    ValueError: it is the same for all people of a site
    """
    basis = _orthonormal(np.column_stack([np.ones(len(levels)), scaled(coded.values)]))
    names = list(coded.names)
    columns = [coded.values]
    for level in sorted(set(levels))[1:]:
        column = np.array([label == level for label in levels], np.float64)
        wider_basis = _orthonormal(np.column_stack([basis, column]))
        if wider_basis.shape[1] == basis.shape[1] + 1:
            basis = wider_basis
            names.append(f"{name}: {level}")
            columns.append(column[:, None])
    residual = tested - basis @ (basis.T @ tested)
    size = np.linalg.norm(tested - tested.mean())
    if np.linalg.norm(residual) <= _NOTHING * size:
        raise ValueError(f"it is the same for all people of a {name}")
    if len(levels) - basis.shape[1] - 1 < 1:
        raise ValueError(
            f"{len(levels)} people are too few for {basis.shape[1] + 1} columns"
        )
    return Coded(tuple(names), np.concatenate(columns, axis=1))


def _orthonormal(columns: Float64) -> Float64:
    """Return an orthonormal basis of the columns, (people, rank)."""
    vectors, values, _ = np.linalg.svd(columns, full_matrices=False)
    return vectors[:, values > _NOTHING * values.max()]
