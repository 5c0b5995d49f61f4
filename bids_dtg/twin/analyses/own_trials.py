"""Predictions of unseen people's later trials from their first ones: table and section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bids_dtg.cohort.column import BY_PEOPLE, Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.report.pages.analysis import PageSection
from bids_dtg.stats.verdict import RULE, Verdict
from bids_dtg.twin.few_shot.judging import BOTH, CONNECTOME, TRIALS, KnownByScore, OwnTrialsScore
from bids_dtg.twin.own_trials import ROWS, Own

OWN_TRIALS = "desc-own_trials_scores"
_WORDS = {
    CONNECTOME: "twin: connectome alone",
    TRIALS: "twin: own trials alone",
    BOTH: "twin: connectome and own trials",
    **{row.name: row.words for row in ROWS},
}
SCORE_COLUMNS = (
    Column(
        "score",
        "crps: of responses, where a miss is never, s; crps_answered: of answered trials, s; log: "
        "log density, larger is better; brier: of correct, wrong and miss",
    ),
    Column("value", "Mean over people", interval=BY_PEOPLE),
    Column("people", "How many people"),
    Column(
        "advantage",
        "Advantage of the twin that knows most over this prediction; above 0 the twin is better",
        interval="95 % interval (Student's t)",
    ),
    Column("advantage_p", "Two-sided p of the advantage by sign flips over people"),
    Column("verdict", f"Verdict on that twin against this prediction: {RULE}", "the twin is"),
)
_COLUMNS = (
    Column("task", "Task of the trials"),
    Column(
        "model",
        "What predicts: twin_connectome, twin_trials, twin_both (all that is known), or a closed "
        "form without a network",
        "prediction",
    ),
    *SCORE_COLUMNS,
)


def known_words(own: Own) -> str:
    """Describe the trials that are known of a person.

    Examples
    --------
    >>> known_words(20), known_words("half")
    ('the first 20 trials of each task', 'the first half of each run')
    """
    return "the first half of each run" if own == "half" else f"the first {own} trials of each task"


def own_trials_table(scores: Sequence[OwnTrialsScore]) -> ResultTable:
    """Return the scores as a table."""
    rows: list[dict[str, Any]] = [
        {"task": score.task, "model": score.name, **score_cells(score)} for score in scores
    ]
    title = "Scores of later trials, from first trials: a row a task, prediction and score"
    return ResultTable(_COLUMNS, rows, title)


def score_cells(score: OwnTrialsScore | KnownByScore) -> dict[str, Any]:
    """Return the cells of `SCORE_COLUMNS`."""
    return {
        "score": score.score,
        "value": score.value,
        "people": score.people,
        **(score.verdict or Verdict.unknown(0)).columns("advantage"),
        "verdict": score.verdict.word if score.verdict else "n/a",
    }


def own_trials_section(scores: Sequence[OwnTrialsScore], own: Own) -> PageSection:
    """Return the section of the page."""
    table = own_trials_table(scores)
    tasks = list(dict.fromkeys(score.task for score in scores))
    tables = []
    for task in tasks:
        rows = [
            {**row, "model": _WORDS[str(row["model"])]}
            for row in table.rows
            if (row["task"], row["score"]) == (task, "crps")
        ]
        tables.append(
            ResultTable(_COLUMNS, rows).on_page(
                f"CRPS of later responses: {task}",
                ("model", "value", "people", "verdict"),
                headings={"value": "CRPS (s), 95 % interval over people"},
            )
        )
    return PageSection(
        title="With a person's own trials",
        text=(
            f"People are outside the training set, but {known_words(own)} are known of each: these "
            "rows predict the trials after those alone. The code of a person's network is the "
            "posterior given the own trials; its prior is the connectome's prediction, or the "
            "group. Closed forms know the same trials, and need no network. Verdicts are on the "
            "twin that knows most. A miss counts as never, and lower is better.",
        ),
        tables=tuple(tables),
    )
