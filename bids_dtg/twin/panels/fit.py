"""Fit: how well networks predict a person's responses, written to and read from sidecars.

The cross-entropy of buttons over all steps is lower where responses were more likely. The
continuous ranked probability score of response times (Gneiting & Raftery, 2007,
doi:10.1198/016214506000001437) is lower where they are predicted better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIT = "FitToOwnResponses"  # key of the sidecar of behaviour


@dataclass(frozen=True)
class TaskFit:
    """How well a person's responses in a task are predicted; unknown values are None."""

    task: str  # name
    trials: int  # scored, of the person's own runs
    cross_entropy: float  # of the person's responses, by the network of the own connectome
    group_cross_entropy: float | None  # by the network of the group; None: there is none
    chance_cross_entropy: float | None  # by a constant rate of presses; None: not computed
    crps_seconds: float | None  # of the response times, s; None: no response
    group_crps_seconds: float | None  # likewise by the network of the group


_KEYS = {
    "cross_entropy": "CrossEntropy",
    "group_cross_entropy": "CrossEntropyOfGroup",
    "chance_cross_entropy": "CrossEntropyOfChance",
    "crps_seconds": "CRPS",
    "group_crps_seconds": "CRPSOfGroup",
}


def fit_facts(fits: Iterable[TaskFit]) -> dict[str, Any]:
    """Return the sidecar fields of the fit; empty without responses of the person.

    Examples
    --------
    >>> fits = (TaskFit("go", 54, 0.12, 0.13, 0.4, 0.08, None),)
    >>> read_fits(fit_facts(fits)) == fits, fit_facts([])
    (True, {})
    """
    rows = [
        {
            "Task": fit.task,
            "Trials": fit.trials,
            **{key: getattr(fit, name) for name, key in _KEYS.items()},
        }
        for fit in fits
    ]
    return {FIT: rows} if rows else {}


def read_fits(facts: Mapping[str, Any]) -> tuple[TaskFit, ...]:
    """Read the fit from a sidecar; damaged entries are skipped."""
    rows = facts.get(FIT)
    found = (_fit(row) for row in (rows if isinstance(rows, list) else ()))
    return tuple(fit for fit in found if fit is not None)


def _fit(row: Any) -> TaskFit | None:
    if not isinstance(row, dict):
        return None
    task, trials = row.get("Task"), row.get("Trials")
    values = {name: _number(row.get(key)) for name, key in _KEYS.items()}
    own = values.pop("cross_entropy")
    if not isinstance(task, str) or not isinstance(trials, int) or own is None:
        return None
    return TaskFit(task, trials, own, **values)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value == value else None
