"""Predictions of people who are known by their trials of another task: table and section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.report.numbers import figure
from bids_dtg.report.pages.analysis import PageSection
from bids_dtg.stats.verdict import BETTER, TOO_FEW, WORSE
from bids_dtg.twin.analyses.own_trials import SCORE_COLUMNS, known_words, score_cells
from bids_dtg.twin.few_shot.judging import GROUP, KnownByScore
from bids_dtg.twin.few_shot.other_task import BOTH, FORMS, NOTHING, OTHER, OWN, TWIN
from bids_dtg.twin.own_trials import Own
from bids_dtg.twin.tasks import Task

KNOWN_BY = "desc-known_by_scores"
_MS = 1000.0
_FORMS = {GROUP: "group, by trial", **FORMS}
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
    found = []
    for task in dict.fromkeys(score.task for score in scores):
        rows = [score for score in scores if (score.task, score.score) == (task, "crps")]
        best = min(rows, key=lambda score: score.value.mean)
        twin = next(score for score in rows if score.verdict is None)
        rivals = [score for score in rows if score.name != TWIN]
        rival = min(rivals, key=lambda score: score.value.mean)
        assert rival.verdict is not None
        verdict = rival.verdict
        word = TOO_FEW if verdict.word == TOO_FEW else verdict.named(BETTER, WORSE)
        known = f"; {_words(twin)} {_value(twin)}" if best is not twin else ""
        beside = f"; {_words(rival)} {_value(rival)}" if best is not rival else ""
        found.append(
            f"CRPS of {task} by {known_by}: best is {_words(best)} "
            f"({_value(best)}{known}{beside}). The twin that knows most, against that rival "
            f"without a network: {word}."
        )
    return tuple(found)


def _value(score: KnownByScore) -> str:
    return f"{figure(_MS * score.value.mean, 1)} ms"


def _words(score: KnownByScore) -> str:
    return f"{score.name.replace('_', ' ')} by {_KNOWN[score.known]}"


def known_by_section(scores: Sequence[KnownByScore], known_by: str, own: Own | None) -> PageSection:
    """Return the section of the page; it begins with who is best."""
    table = known_by_table(scores, known_by)
    tables = []
    for task in dict.fromkeys(score.task for score in scores):
        rows = [
            {
                **row,
                "model": _FORMS[str(row["model"])],
                "known": _KNOWN[str(row["known"])],
            }
            for row in table.rows
            if (row["task"], row["score"]) == (task, "crps")
        ]
        tables.append(
            ResultTable(_COLUMNS, rows).on_page(
                f"CRPS of responses: {task}",
                ("model", "known", "value", "people", "verdict"),
                headings={"value": "CRPS (s), 95 % interval over people"},
            )
        )
    more = "" if own is None else f", and by {known_words(own)}"
    return PageSection(
        title=f"Known by {known_by}",
        text=(
            *best_sentences(scores, known_by),
            f"People are outside the training set and known by all their trials of {known_by}"
            f"{more}; the other trials are predicted. Effects of both tasks vary together over "
            "training participants. Every form gets the same trials, and misses are one model for "
            "all. Connectomes are not used here. Verdicts are on the twin that knows most. A miss "
            "counts as never, and lower is better.",
        ),
        tables=tuple(tables),
    )
