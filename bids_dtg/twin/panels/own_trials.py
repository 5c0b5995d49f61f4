"""Own trials that are known, and what later ones are predicted from: fields of the sidecar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

OWN_TRIALS = "OwnTrials"  # key of the sidecar of behaviour
# Where the documentation has what a network adds to own trials.
EVIDENCE = "docs/tried.md, digital twins"
# By values of the column predicted_from, for people.
WORDS: Mapping[str, str] = {
    "connectome": "connectome",
    "trials": "own trials",
    "both": "both",
    "closed_form": "own trials, no network",
}


@dataclass(frozen=True)
class OwnTrialsOfTask:
    """The trials of a task that are known, and those that are predicted from them."""

    task: str  # name
    known: int  # number of trials
    predicted: int  # number of trials
    sources: tuple[str, ...]  # what predictions are made from, as in the column predicted_from


def own_trials_facts(found: Iterable[OwnTrialsOfTask]) -> dict[str, Any]:
    """Return the sidecar fields; empty where no own trials are known.

    Examples
    --------
    >>> found = (OwnTrialsOfTask("go", 20, 34, ("trials", "closed_form")),)
    >>> read_own_trials(own_trials_facts(found)) == found, own_trials_facts([])
    (True, {})
    """
    rows = [
        {
            "Task": own.task,
            "Known": own.known,
            "Predicted": own.predicted,
            "PredictedFrom": [*own.sources],
        }
        for own in found
    ]
    return {OWN_TRIALS: rows} if rows else {}


def read_own_trials(facts: Mapping[str, Any]) -> tuple[OwnTrialsOfTask, ...]:
    """Read the fields of a sidecar; damaged entries are skipped."""
    rows = facts.get(OWN_TRIALS)
    found = (_task(row) for row in (rows if isinstance(rows, list) else ()))
    return tuple(own for own in found if own is not None)


def _task(row: Any) -> OwnTrialsOfTask | None:
    if not isinstance(row, dict):
        return None
    task, numbers = row.get("Task"), (row.get("Known"), row.get("Predicted"))
    sources = row.get("PredictedFrom")
    known, predicted = (number if type(number) is int else None for number in numbers)
    if not isinstance(task, str) or known is None or predicted is None:
        return None
    if not isinstance(sources, list) or not all(isinstance(own, str) for own in sources):
        return None
    return OwnTrialsOfTask(task, known, predicted, tuple(sources))
