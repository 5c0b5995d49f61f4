"""Trial time series: the mean trial of each condition, of the twin, the person and the group.

They are kept in a table of the average, which this module writes and reads: a page needs no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.names import FileKind
from bids_dtg.files.text import encoded, read_rows, tsv_text
from bids_dtg.report.panels.panel import Kept
from bids_dtg.report.quality import number

Values = NDArray[np.floating[Any]]
# Source of a curve: the network of the person's connectome, the person, or the group's network.
Of = Literal["twin", "person", "group"]

FILE = FileKind("behaviour", "traces", ".tsv")
_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    # Not "task": pybids takes a sidecar's key of that name for the entity, and refuses.
    "task_name": {"Description": "Task, by its name in the model or in the task file"},
    "condition": {"Description": "Condition of the trials that are averaged"},
    "of": {
        "Description": "Source of the curve",
        "Levels": {
            "twin": "network made from the person's connectome: predicted, not measured",
            "person": "the person: share of the scored trials",
            "group": "network of the group, without a connectome: predicted",
        },
    },
    "trials": {"Description": "Number of trials that are averaged"},
    "seconds": {"Description": "Time since the onset of a trial", "Units": "s"},
    "answered": {"Description": "Share of trials answered by this time, 0 to 1"},
    "correct": {
        "Description": "Share of trials answered with the correct button by this time; n/a where "
        "no trial has a correct button"
    },
}


@dataclass(frozen=True, eq=False)
class Curve:
    """Share of the mean trial of a condition that is answered by each time."""

    task: str  # name
    condition: str  # name
    of: Of
    trials: int  # number of averaged trials
    seconds: Values  # (times,), from the onset
    answered: Values  # (times,), 0 to 1
    correct: Values  # (times,), likewise with the correct button; NaN where it is not known


def keep_trial_series(curves: Iterable[Curve], facts: Mapping[str, Any] | None = None) -> Kept:
    r"""Return the table of an average's curves for `write_kept`.

    Parameters
    ----------
    curves
        Curves in the order of the page: by task and condition.
    facts
        Further content of the sidecar, as its sources.

    Examples
    --------
    >>> curve = Curve("go", "all", "twin", 9, np.array([0, 0.08]), np.array([0, 0.5]),
    ...     np.array([0, np.nan]))
    >>> keep_trial_series([curve]).content.decode().splitlines()[2].split("\t")
    ['go', 'all', 'twin', '9', '0.08', '0.5', 'n/a']
    """
    return Kept(
        FILE,
        encoded(tsv_text(list(_COLUMNS), _rows(curves))),
        sidecar={
            "Description": "Share of the mean trial of each condition that is answered by each "
            "time: predicted by networks, and observed where the person has responses. Predictions "
            "are estimates, not measurements",
            **(facts or {}),
            **_COLUMNS,
        },
    )


def read_trial_series(path: Path) -> tuple[Curve, ...]:
    """Read a table of curves without damaged rows; no curves where it is absent or damaged."""
    found: dict[tuple[str, str, Of, int], list[tuple[float, float, float]]] = {}
    for row in read_rows(path):
        key, values = _key(row), [_value(row.get(name)) for name in _NUMBERS]
        if key is not None and np.isfinite(values[:2]).all():
            found.setdefault(key, []).append((values[0], values[1], values[2]))
    return tuple(Curve(*key, *np.array(values).T) for key, values in found.items())


_NUMBERS = ("seconds", "answered", "correct")


def _rows(curves: Iterable[Curve]) -> Iterator[tuple[object, ...]]:
    for curve in curves:
        for values in zip(curve.seconds, curve.answered, curve.correct, strict=True):
            cells = (f"{value:.4g}" if np.isfinite(value) else None for value in values)
            yield (curve.task, curve.condition, curve.of, curve.trials, *cells)


def _key(row: Mapping[str, str]) -> tuple[str, str, Of, int] | None:
    """Return the key of a row's curve; None where the row is damaged."""
    task, condition, trials = row.get("task_name"), row.get("condition"), number(row.get("trials"))
    of: Of | None = next((of for of in get_args(Of) if of == row.get("of")), None)
    if not task or not condition or of is None or trials is None or not trials.is_integer():
        return None
    return task, condition, of, int(trials)


def _value(text: str | None) -> float:
    found = number(text)
    return float("nan") if found is None else found
