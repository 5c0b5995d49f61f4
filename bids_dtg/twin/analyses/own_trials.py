"""Predictions of unseen people's later trials from their first ones: table and section."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from bids_dtg.cohort.column import BY_PEOPLE, Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError
from bids_dtg.report.numbers import figure
from bids_dtg.report.pages.analysis import PageSection, Table
from bids_dtg.stats.verdict import BETTER, RULE, WORSE, Verdict
from bids_dtg.twin.few_shot.judging import (
    BOTH,
    CONNECTOME,
    NETWORK,
    TRIALS,
    OwnTrialsScore,
)
from bids_dtg.twin.own_trials import ROWS, Own
from bids_dtg.twin.own_trials.first_trials import first_trials
from bids_dtg.twin.trial_series import Segments

OWN_TRIALS = "desc-own_trials_scores"
_MS = 1000.0
_NETWORKS = frozenset((CONNECTOME, TRIALS, BOTH, NETWORK))
_WORDS = {
    CONNECTOME: "twin: connectome alone",
    TRIALS: "twin: own trials alone",
    BOTH: "twin: connectome and own trials",
    NETWORK: "group's network, nothing known",
    **{row.name: f"no network: {row.words}" for row in ROWS},
}
_IN_SENTENCES = {
    CONNECTOME: "the twin by the connectome alone",
    TRIALS: "the twin by own trials",
    BOTH: "the twin by connectome and own trials",
    NETWORK: "the group's network",
    **{row.name: f'"{row.words}"' for row in ROWS},
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
_ANSWERED = Column("answered", "Mean over people", "of answered trials (s)", interval=BY_PEOPLE)
_COLUMNS = (
    Column("task", "Task of the trials"),
    Column(
        "model",
        "What predicts: twin_connectome, twin_trials, twin_both (all that is known), group_network "
        "(which knows own misses and errors alone), or a closed form without a network",
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


def require_later(people: Segments, own: Own) -> tuple[str, ...]:
    """Refuse own trials that leave none to predict in any task.

    Parameters
    ----------
    people
        What the people to judge saw and did.
    own
        Which trials are known.

    Returns
    -------
    A sentence on each task that is lost: nobody has a trial after the own ones.

    Raises
    ------
    DatasetError
        All tasks are.
    """
    lost, judged = [], 0
    for number in range(len(people.tasks.tasks)):
        if people.of_task(number).any():
            try:
                first_trials(people, number, own)
                judged += 1
            except ValueError as err:
                lost.append(str(err))
    if lost and not judged:
        raise DatasetError(f"--own-trials was given, and {'; '.join(lost)}")
    return tuple(f"Not judged by own trials: {found}." for found in lost)


def own_trials_table(scores: Sequence[OwnTrialsScore]) -> ResultTable:
    """Return the scores as a table."""
    rows: list[dict[str, Any]] = [
        {"task": score.task, "model": score.name, **score_cells(score)} for score in scores
    ]
    title = "Scores of later trials, from first trials: a row a task, prediction and score"
    return ResultTable(_COLUMNS, rows, title)


def score_cells(score: OwnTrialsScore) -> dict[str, Any]:
    """Return the cells of `SCORE_COLUMNS`."""
    return {
        "score": score.score,
        "value": score.value,
        "people": score.people,
        **(score.verdict or Verdict.unknown(0)).columns("advantage"),
        "verdict": score.verdict.word if score.verdict else "n/a",
    }


def best_sentences(scores: Sequence[OwnTrialsScore]) -> tuple[str, ...]:
    """Return a sentence a task: which prediction of later trials is best, and where the twin is."""
    return tuple(
        best_sentence(
            f"CRPS of later responses, {task}",
            [score for score in scores if (score.task, score.score) == (task, "crps")],
            lambda score: _IN_SENTENCES[score.name],
            _NETWORKS,
        )
        for task in _tasks(scores)
    )


def best_sentence(
    what: str,
    scores: Sequence[OwnTrialsScore],
    words: Callable[[OwnTrialsScore], str],
    networks: Container[str],
) -> str:
    """Say which prediction has the lowest CRPS, and how the twin that knows most is beside it.

    Parameters
    ----------
    what
        What is predicted.
    scores
        CRPS of predictions of the same trials; the twin that knows most has no verdict.
    words
        Returns a noun for a prediction; that of a twin begins with "the".
    networks
        Names of predictions that need a network.
    """

    def ms(score: OwnTrialsScore) -> str:
        return f"{figure(_MS * score.value.mean, 1)} ms"

    best = min(scores, key=lambda score: score.value.mean)
    twin = next(score for score in scores if score.verdict is None)
    rival = min(
        (score for score in scores if score.name not in networks),
        key=lambda score: score.value.mean,
    )
    assert rival.verdict is not None
    word = rival.verdict.named(BETTER, WORSE)
    of_twin = f"The{words(twin).removeprefix('the')} ({ms(twin)}) against"
    if best is rival:
        found = f"{words(best)}, without a network, is best ({ms(best)}). {of_twin} it"
    else:
        against = "Against" if best is twin else of_twin
        found = (
            f"{words(best)} is best ({ms(best)}). {against} {words(rival)} ({ms(rival)}), the best "
            "without a network"
        )
    return f"{what}: {found}: {word}."


def crps_table(
    task: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    named: Sequence[str],
    words: Callable[[Mapping[str, Any]], Mapping[str, str]],
) -> Table:
    """Return a task's table of the page: CRPS of all trials and of answered ones.

    Parameters
    ----------
    task
        Name of the task.
    columns, rows
        Those of the table of scores.
    named
        Columns that name a prediction.
    words
        Returns what the page shows in these columns, for a row.
    """
    of_task = [row for row in rows if row["task"] == task]
    answered = {
        tuple(row[name] for name in named): row["value"]
        for row in of_task
        if row["score"] == "crps_answered"
    }
    shown = [
        {
            **row,
            **words(row),
            _ANSWERED.name: answered[tuple(row[name] for name in named)],
            "verdict": "itself" if row["verdict"] == "n/a" else row["verdict"],
        }
        for row in of_task
        if row["score"] == "crps"
    ]
    return ResultTable((*columns, _ANSWERED), shown).on_page(
        f"CRPS of responses: {task}",
        (*named, "value", _ANSWERED.name, "people", "verdict"),
        headings={"value": "CRPS (s), 95 % interval over people"},
    )


def own_trials_section(
    scores: Sequence[OwnTrialsScore],
    own: Own,
    *,
    rivals: bool = True,
    folds: bool = False,
    lost: Sequence[str] = (),
) -> PageSection:
    """Return the section of the page; it begins with who is best.

    Parameters
    ----------
    scores
        The scores.
    own
        Which trials are known.
    rivals
        Whether rivals were fitted to training participants in the files.
    folds
        Whether people are those of folds, each predicted by fits to the others.
    lost
        Sentences on tasks that are not judged.
    """
    table = own_trials_table(scores)
    fits = (
        "Closed forms know the same trials, and need no network."
        if rivals
        else "The closed form knows the same trials, and needs no network; it is the one that the "
        "model keeps, as the files have too few training participants to fit others."
    )
    who = "People are outside the training set"
    same = ""
    if folds:
        who = "Each fold's people are predicted by fits to the others"
        same = (
            " In folds whose connectomes predict nobody, the connectome alone has no prediction, "
            "and with own trials it is these alone."
        )
    return PageSection(
        title="With a person's own trials",
        text=(
            *best_sentences(scores),
            f"{who}, but {known_words(own)} are known of each: these "
            "rows predict the trials after those alone. The code of a person's network is the "
            "posterior given the own trials; its prior is the connectome's prediction, or the "
            f"group. {fits} Verdicts are on the twin that knows most, by the CRPS of all trials: a "
            "miss counts as never, and lower is better. The CRPS of answered trials leaves out "
            f"misses.{same}",
            *lost,
        ),
        tables=tuple(
            crps_table(
                task, _COLUMNS, table.rows, ("model",), lambda row: {"model": _WORDS[row["model"]]}
            )
            for task in _tasks(scores)
        ),
    )


def _tasks(scores: Iterable[OwnTrialsScore]) -> list[str]:
    return list(dict.fromkeys(score.task for score in scores))
