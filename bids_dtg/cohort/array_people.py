"""People of array files, for analyses of all of them together."""

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
_SHOWN = 5  # people named in an error


def read_rows(
    array: PeopleArray, labels: Sequence[str], faults: Callable[[Array], list[str]], expected: str
) -> list[Array]:
    """Read people's rows; report all faults of all people in one error.

    Parameters
    ----------
    array
        Array with a row for each person.
    labels
        Labels of the people to read.
    faults
        Returns the faults of a row.
    expected
        Description of valid rows, for the error.

    Returns
    -------
    list of numpy.ndarray
        Rows, in the order of `labels`.

    Raises
    ------
    DatasetError
        A row has faults; the message names participants and faults.
    """
    # Reading backward may restart a compressed file: rows are read in their order.
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
    """Return people's values by label; report all faults of all people in one error.

    Raises
    ------
    DatasetError
        See `read_rows`.
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
    """Return the sets of a split, and a sentence on people who are in no set.

    Raises
    ------
    SettingsError
        The table cannot be used, names none of them, or splits a family.
    """
    if path is None:
        return Split(training=labels, validation=(), test=()), ()
    found = read_sets(path, SETS, labels)
    try:
        split = Split(
            **{name: tuple(label for label in labels if label in found[name]) for name in SETS}
        )
        split.require_whole_families(families.by_label)
    except ValueError as err:
        raise SettingsError(f"{path}: {err}") from err
    if not split.everybody:
        raise SettingsError(
            f"{path} has no usable participant", expected=f"labels such as {named(labels)}"
        )
    others = [label for label in labels if label not in split.everybody]
    words = f"in no set of {path}: {counted(len(others), 'participant')} ({named(others)})"
    return split, (words,) if others else ()
