"""People of files of arrays, as analyses need them that work on all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.inputs.arrays import PeopleArray
from bids_dtg.inputs.splits_file import Families, read_sets
from bids_dtg.notices import counted, named
from bids_dtg.stats.splits import SETS, Split

Array = NDArray[np.float64]
_SHOWN = 5  # people whose values cannot be used


def read_rows(
    array: PeopleArray, labels: Sequence[str], faults: Callable[[Array], list[str]], expected: str
) -> list[Array]:
    """Read people's rows; refuse what is wrong with any of them, all at once.

    Parameters
    ----------
    array
        That has the rows.
    labels
        Whose rows are read.
    faults
        Says what is wrong with a row.
    expected
        What rows should be, for the error.

    Returns
    -------
    list of numpy.ndarray
        In the order of `labels`.

    Raises
    ------
    DatasetError
        Something is wrong with somebody's row: with the participants, and what it is.
    """
    # Back may be from the start: so rows are read in their order.
    in_order = sorted(labels, key=lambda label: array.rows[label])
    rows = ((label, array.of(label).astype(np.float64)) for label in in_order)
    values = require_usable(rows, array.stored.title, faults, expected)
    return [values[label] for label in labels]


def require_usable(
    rows: Iterable[tuple[str, Array]],
    title: str,
    faults: Callable[[Array], list[str]],
    expected: str,
) -> dict[str, Array]:
    """Return people's values by label; refuse what is wrong with any of them, all at once.

    Parameters
    ----------
    rows
        Labels and values.
    title
        What errors call all of them.
    faults, expected
        As for `read_rows`.

    Raises
    ------
    DatasetError
        As `read_rows`.
    """
    values: dict[str, Array] = {}
    wrong = []
    for label, row in rows:
        values[label] = row
        if found := faults(row):
            wrong.append(f"sub-{label}: {named(found)}")
    if wrong:
        raise DatasetError(
            f"{title} cannot be used for {counted(len(wrong), 'participant')}: "
            + "; ".join([*wrong[:_SHOWN], *(["..."] if len(wrong) > _SHOWN else [])]),
            expected=expected,
            remedy="leave the region out for everybody, or name the other participants with "
            "--participant-label",
        )
    return values


def given_split(
    path: Path | None, labels: tuple[str, ...], families: Families
) -> tuple[Split, tuple[str, ...]]:
    """Return who is for what, and a sentence on who is for nothing.

    Parameters
    ----------
    path
        Of ``--split-file``; None: everybody trains.
    labels
        Who can be used: nobody else is in a set.
    families
        Who is related.

    Raises
    ------
    SettingsError
        The table cannot be used, has nobody of them, or a family on two sides.
    """
    if path is None:
        return Split(training=labels, validation=(), test=()), ()
    found = read_sets(path, SETS)
    try:
        split = Split(
            **{name: tuple(label for label in labels if label in found[name]) for name in SETS}
        )
        split.require_whole_families(families.by_label)
    except ValueError as err:
        raise SettingsError(f"{path}: {err}") from err
    if not split.everybody:
        raise SettingsError(
            f"{path} has nobody who can be used", expected=f"labels such as {named(labels)}"
        )
    others = [label for label in labels if label not in split.everybody]
    words = f"in no set of {path}: {counted(len(others), 'participant')} ({named(others)})"
    return split, (words,) if others else ()
