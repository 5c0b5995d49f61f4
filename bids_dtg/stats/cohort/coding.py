"""Columns of a table of people as columns of a design: numbers as they are, words as levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Coded:
    """Columns of a design, without a constant."""

    names: tuple[str, ...]  # of the columns: of a level "site: B"
    values: NDArray[np.float64]  # (people, columns)

    def of(self, people: NDArray[np.bool_] | NDArray[np.intp]) -> Coded:
        """Return the same of some people."""
        return Coded(self.names, self.values[people])


def code(columns: Mapping[str, Sequence[float] | Sequence[str]], people: int) -> Coded:
    """Put columns side by side as numbers.

    Parameters
    ----------
    columns
        Values of each, (people,), by name: numbers, or words, each of which is a level. The first
        level in alphabetical order is the reference, and has no column.
    people
        How many there are, also where there is no column.

    Raises
    ------
    ValueError
        A column has another length, or is the same for everybody.

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
            raise ValueError(f"{name} is the same for all {people}")
        if isinstance(values[0], str):
            levels = sorted({str(value) for value in values})[1:]
            names += [f"{name}: {level}" for level in levels]
            parts.append(np.array([[value == level for level in levels] for value in values]))
        else:
            names.append(name)
            parts.append(np.asarray(values, np.float64)[:, None])
    return Coded(tuple(names), np.concatenate(parts, axis=1).astype(np.float64))
