"""What an event file says of the trials of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.inputs.events import read_events

_NOT_KNOWN = ("", "n/a", "nan")


@dataclass(frozen=True, eq=False)
class Trials:
    """The trials of a run whose condition is known, in the order of their file."""

    onset_s: NDArray[np.float64]  # (trials,), seconds from the first frame
    duration_s: NDArray[np.float64]  # (trials,), seconds; 0: an impulse
    condition: tuple[str, ...]  # (trials,)

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of trials of each condition."""
        return Counter(self.condition)

    def during(self, seconds: float) -> Trials:
        """Return those that begin before the end of a run that lasts so long."""
        return self._of(self.onset_s < seconds)

    def _of(self, chosen: NDArray[np.bool_]) -> Trials:
        conditions = np.array(self.condition, object)[chosen]
        return Trials(self.onset_s[chosen], self.duration_s[chosen], tuple(conditions))


def read_trials(path: Path, column: str, ignored: Collection[str] = ()) -> Trials:
    """Read the trials of an event file.

    Parameters
    ----------
    path
        Path of a BIDS ``*_events.tsv`` file.
    column
        That names the conditions; rows of n/a are no trials.
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
            expected="onset, duration and the column of conditions (trial_type in --glm-model)",
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
    return Trials(
        onset_s=_seconds(path, kept, "onset", -np.inf),
        duration_s=_seconds(path, kept, "duration", 0.0),
        condition=tuple(row[column].strip() for _, row in kept),
    )


def _seconds(
    path: Path, rows: list[tuple[int, dict[str, str]]], column: str, least: float
) -> NDArray[np.float64]:
    values = np.empty(len(rows))
    for place, (number, row) in enumerate(rows):
        try:
            values[place] = float(row[column])
        except ValueError:
            values[place] = np.nan
        if not np.isfinite(values[place]) or values[place] < least:
            raise RunError(
                f"{path} has the {column} {row[column]!r} in row {number}",
                expected="seconds" + " (0 for an impulse)" * (column == "duration"),
                remedy="correct the event file, or leave that trial type out (ignore)",
            )
    return values
