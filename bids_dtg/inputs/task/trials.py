"""What an event file says of the trials of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import plain_number
from bids_dtg.inputs.events import read_events

_NOT_KNOWN = ("", "n/a", "nan")


@dataclass(frozen=True, eq=False)
class Trials:
    """The trials of a run whose condition is known, in the order of their file."""

    onset_s: NDArray[np.float64]  # (trials,), seconds from the first frame
    duration_s: NDArray[np.float64]  # (trials,), seconds; 0: an impulse
    condition: tuple[str, ...]  # (trials,)
    repeated: int = 0  # rows left out: another has the same onset, duration and condition
    unnamed: int = 0  # rows left out: the cell of the condition is empty, not n/a

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of trials of each condition."""
        return Counter(self.condition)

    def chosen(self, which: NDArray[np.bool_]) -> Trials:
        """Return some of the trials; `which` is (trials,)."""
        conditions = np.array(self.condition, object)[which]
        return replace(
            self,
            onset_s=self.onset_s[which],
            duration_s=self.duration_s[which],
            condition=tuple(conditions),
        )


def read_trials(path: Path, column: str, ignored: Collection[str] = ()) -> Trials:
    """Read the trials of an event file.

    Parameters
    ----------
    path
        Path of a BIDS ``*_events.tsv`` file.
    column
        That names the conditions; rows of n/a are no trials. Of rows with the same onset, duration
        and condition, the first is one.
    ignored
        Conditions that are part of the baseline.

    Raises
    ------
    RunError
        It cannot be read, lacks a column, has no trial, or an onset or a duration that is none.
    """
    rows = read_events(path)
    if rows and (absent := [name for name in ("onset", "duration", column) if name not in rows[0]]):
        raise RunError(
            f"{path} has no column {' or '.join(absent)}; it has {', '.join(rows[0])}",
            expected="onset, duration and the column of conditions",
            remedy="separate columns by tabs" if len(rows[0]) == 1 else "correct the header",
        )
    kept = [
        (number, row)
        for number, row in enumerate(rows, 1)
        if row[column].strip().lower() not in _NOT_KNOWN and row[column].strip() not in ignored
    ]
    if not kept:
        raise RunError(
            f"{path} has no trial: {len(rows)} rows, none with a condition in {column}",
            expected="a row a trial",
        )
    onset_s = _seconds(path, kept, "onset", -np.inf)
    duration_s = _seconds(path, kept, "duration", 0.0)
    condition = tuple(row[column].strip() for _, row in kept)
    # Equal trials would add up to a response of twice the height, and effects be half as large.
    first = list(dict.fromkeys(zip(onset_s, duration_s, condition, strict=True)))
    return Trials(
        onset_s=np.array([onset for onset, _, _ in first]),
        duration_s=np.array([duration for _, duration, _ in first]),
        condition=tuple(name for _, _, name in first),
        repeated=len(kept) - len(first),
        unnamed=sum(not row[column].strip() for row in rows),
    )


def _seconds(
    path: Path, rows: list[tuple[int, dict[str, str]]], column: str, least: float
) -> NDArray[np.float64]:
    values = np.empty(len(rows))
    for place, (number, row) in enumerate(rows):
        value = plain_number(row[column].strip())
        if value is None or value < least:
            raise RunError(
                f"{path} has the {column} {row[column]!r} in row {number}",
                expected="seconds, as 12.5" + " (0 for an impulse)" * (column == "duration"),
                remedy="correct the event file, or leave that trial type out (ignore)",
            )
        values[place] = value
    return values
