"""Predictions of people who are known by their trials of another task: table and section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.report.pages.analysis import PageSection
from bids_dtg.twin.analyses.own_trials import (
    SCORE_COLUMNS,
    best_sentence,
    crps_table,
    known_words,
    score_cells,
)
from bids_dtg.twin.few_shot.judging import GROUP, KnownByScore
from bids_dtg.twin.few_shot.other_task import BOTH, FORMS, NOTHING, OTHER, OWN, TWIN
from bids_dtg.twin.own_trials import BEST, RIVAL, Own
from bids_dtg.twin.tasks import Task

KNOWN_BY = "desc-known_by_scores"
_FORMS = {GROUP: "group, by trial", **FORMS}
_IN_SENTENCES = {
    GROUP: '"group, by trial"',
    TWIN: "the twin",
    BEST: '"level, practice and condition"',
    RIVAL: '"level alone"',
}
_KNOWN = {
    NOTHING: "nothing",
    OTHER: "the other task",
    OWN: "own trials",
    BOTH: "the other task and own trials",
}
_COLUMNS = (
    Column("task", "Task of the trials that are predicted"),
    Column("known_by", "Other task, whose trials are known"),
    Column(
        "model",
        "What predicts: twin, by codes of its network; person_effects and shifted_scale, closed "
        "forms of the same trials without a network; group_trials, the group's same trial",
        "prediction",
    ),
    Column(
        "known",
        "What it knows of the person: nothing, other_task, own_trials (first trials of the task), "
        "or both",
        "knows",
    ),
    *SCORE_COLUMNS,
)


def require_task(asked: str, tasks: Sequence[Task], model: str) -> None:
    """Refuse a task by which nobody can be known.

    Parameters
    ----------
    asked
        Value of ``--known-by``.
    tasks
        Tasks of the model.
    model
        Its name.

    Raises
    ------
    SettingsError
        The model has one task, or others than this.
    """
    names = [task.name for task in tasks]
    if len(names) < 2:
        raise SettingsError(
            f"--known-by was given, and the model {model} has one task ({names[0]})",
            expected="a model of two tasks or more: one is known, others are predicted",
        )
    if asked not in names:
        raise SettingsError(
            f"--known-by is '{asked}'",
            expected=f"a task of the model {model}: {', '.join(names)}",
            remedy=did_you_mean(asked, names),
        )


def known_by_table(scores: Sequence[KnownByScore], known_by: str) -> ResultTable:
    """Return the scores as a table."""
    rows: list[dict[str, Any]] = [
        {
            "task": score.task,
            "known_by": known_by,
            "model": score.name,
            "known": score.known,
            **score_cells(score),
        }
        for score in scores
    ]
    title = "Scores of trials of people known by another task: a row a task, prediction and score"
    return ResultTable(_COLUMNS, rows, title)


def best_sentences(scores: Sequence[KnownByScore], known_by: str) -> tuple[str, ...]:
    """Return a sentence a task: which prediction has the lowest CRPS, and where the twin is."""
    return tuple(
        best_sentence(
            f"CRPS of {task} by {known_by}",
            [score for score in scores if (score.task, score.score) == (task, "crps")],
            _noun,
            (TWIN,),
        )
        for task in dict.fromkeys(score.task for score in scores)
    )


def _noun(score: KnownByScore) -> str:
    words = _IN_SENTENCES[score.name]
    return words if score.known == NOTHING else f"{words} by {_KNOWN[score.known]}"


def known_by_section(scores: Sequence[KnownByScore], known_by: str, own: Own | None) -> PageSection:
    """Return the section of the page; it begins with who is best."""
    table = known_by_table(scores, known_by)
    tables = [
        crps_table(task, _COLUMNS, table.rows, ("model", "known"), _named)
        for task in dict.fromkeys(score.task for score in scores)
    ]
    more = "" if own is None else f", and by {known_words(own)}"
    return PageSection(
        title=f"Known by {known_by}",
        text=(
            *best_sentences(scores, known_by),
            f"People are outside the training set and known by all their trials of {known_by}"
            f"{more}; the other trials are predicted. Effects of both tasks vary together over "
            "training participants. Every form gets the same trials, and misses are one model for "
            "all. Connectomes are not used here. Verdicts are on the twin that knows most, by the "
            "CRPS of all trials: a miss counts as never, and lower is better. The CRPS of answered "
            "trials leaves out misses.",
        ),
        tables=tuple(tables),
    )


def _named(row: Mapping[str, Any]) -> dict[str, str]:
    return {"model": _FORMS[row["model"]], "known": _KNOWN[row["known"]]}
