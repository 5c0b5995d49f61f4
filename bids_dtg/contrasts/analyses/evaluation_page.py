"""The files of an evaluation, and its page.

The page has verdicts first, then scores, contrasts, people and measured maps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from bids_dtg.cohort.recognised_participants import seen_on_page
from bids_dtg.contrasts.analyses.cohort import CohortArrays
from bids_dtg.contrasts.analyses.judge import Evaluation, evaluate, write_scores
from bids_dtg.contrasts.analyses.measured import QUALITY_TABLE, TARGETS_TABLE
from bids_dtg.contrasts.analyses.simple_models import SimpleModels
from bids_dtg.contrasts.bundle.bundle import ASYMMETRY
from bids_dtg.contrasts.judging.scores import GROUP_AVERAGE, LINEAR, Scores
from bids_dtg.contrasts.judging.tables import (
    INDIVIDUAL,
    MODEL_COLUMNS,
    NO_VERDICT,
    WORTH_USING,
)
from bids_dtg.notices import counted
from bids_dtg.report import figures
from bids_dtg.report.flags import Flag, Level
from bids_dtg.report.page import Page, Section
from bids_dtg.report.participant import MODEL_PAGE
from bids_dtg.report.tables import number_text
from bids_dtg.stats.verdict import BETTER, FEWEST, RULE, TOO_FEW, WORSE, too_few

_MAIN = 8  # columns of the models' table that the page shows first
_COMPARISON_COLUMNS = ("against", "score", "people", "difference", "p", "verdict")
_ASYMMETRY_COLUMNS = (
    "contrast",
    "people",
    "r",
    "group_r",
    "residual_r",
    "identification",
    "verdict",
    "index_r",
    "index_verdict",
)
# An average over this many people has an r 0.016 below the true mean map's (simulated, 8 mm).
_FEW = 40
# The colour scale of differences in r ends at this value or above, so that negligible differences
# do not look large.
_LEAST_DIFFERENCE = 0.02
_QUESTIONS = {
    INDIVIDUAL: "Individual? Each person's own prediction compared with another person's",
    WORTH_USING: "Worth using? Predictions compared with their own mean, one map for everybody",
}
_CURVES = {
    "loss": "training loss",
    "validation_loss": "validation loss",
    "validation_r": "validation r",
    "validation_residual_r": "validation residual r",
}


def write_evaluation(
    cohort: CohortArrays,
    scores: Scores,
    simple: SimpleModels,
    judged: str,
    *,
    record: Mapping[str, Any] = MappingProxyType({}),
    sections: Callable[[], Sequence[Section]] = list,
) -> Evaluation:
    """Compute the tables of scores; write them, and the page where reports are made.

    Parameters
    ----------
    cohort, scores, simple, judged, record
        As for `evaluate`.
    sections
        Makes further parts of the page, above the others; called once tables are written.
    """
    evaluation = evaluate(cohort, scores, simple, judged, record)
    write_scores(cohort, evaluation)
    if cohort.plan.results.has_pages:
        parts = [*sections(), *_sections(cohort, evaluation)]
        _write_page(cohort, evaluation, parts)
    return evaluation


def _write_page(
    cohort: CohortArrays, evaluation: Evaluation, sections: Sequence[Section]
) -> None:
    plan = cohort.plan
    contrasts = counted(cohort.files.contrasts, "contrast")
    people = counted(evaluation.people, "participant")
    same = evaluation.same_for_all
    verdicts = flags(
        evaluation.comparisons.rows,
        evaluation.simple.people,
        f"{len(same)} of {contrasts}",
        same,
    )
    card = plan.bundle.card
    if not card.for_science:
        verdicts = [Flag("warning", card.notice), *verdicts]
    page = Page(
        plan.results.title,
        f"{people} of {plan.request.dataset.name}, {contrasts}.",
        verdicts,
        sections,
    )
    plan.results.page(page, MODEL_PAGE)


def _sections(cohort: CohortArrays, evaluation: Evaluation) -> list[Section]:
    """Return the parts of the page; those without content are not shown."""
    facts = _facts(cohort, evaluation)
    # Parcels are of no tissue: there is one row, which the scores have too.
    tissues = evaluation.tables["parts"]
    by_tissue = []
    if len(tissues.rows) > 1:
        by_tissue = [tissues.on_page("The model by tissue")]
    sides = evaluation.tables.get(ASYMMETRY)
    by_contrast = "Left minus right: means over participants, with 95 % intervals"
    r_of_contrasts = _dots(evaluation.tables["contrasts"].rows, evaluation.judged)
    return [
        _scores_section(evaluation, facts),
        Section(
            "Contrasts",
            template="contrasts/judged_contrasts.html",
            facts=facts,
            figures=[r_of_contrasts],
        ),
        Section("Tissues", tables=by_tissue),
        Section(
            "Left and right",
            tables=[]
            if sides is None
            else [sides.on_page(by_contrast, _ASYMMETRY_COLUMNS)],
        ),
        Section(
            "People",
            template="contrasts/judged_people.html",
            figures=_matrices(evaluation.scores),
        ),
        Section("Training", figures=_curves(evaluation.record.get("network", {}))),
        Section(
            "Measured maps",
            cohort.findings,
            template="contrasts/judged_files.html",
            facts=facts,
        ),
    ]


def _facts(cohort: CohortArrays, evaluation: Evaluation) -> dict[str, Any]:
    """Return what the templates say of the evaluation."""
    fits = np.atleast_1d(evaluation.simple.record[LINEAR])  # one, or one a fold
    words = f"{evaluation.simple.words}{seen_on_page(cohort.files.left_out)}"
    return {
        "sessions": cohort.files.sessions_in_words,
        "words": words.strip(),
        "form": cohort.plan.form.words,
        "parcels": sorted({fit["parcels"] for fit in fits}),
        "columns": [(column.title, column.meaning) for column in MODEL_COLUMNS[1:]],
        "rule": RULE,
        "folded": "cross_validation" in evaluation.record,
        "ceilings": evaluation.ceilings,
        "fewest": FEWEST,
        "tables": (f"{TARGETS_TABLE}.tsv", f"{QUALITY_TABLE}.tsv"),
    }


def _scores_section(evaluation: Evaluation, facts: Mapping[str, Any]) -> Section:
    """Return the tables of models and of comparisons."""
    models = evaluation.tables["models"]
    model, *scores = [column.name for column in MODEL_COLUMNS]
    main, further = scores[: _MAIN - 1], scores[_MAIN - 1 :]
    # Models without scores of individuality have no further scores.
    individual = [row for row in models.rows if "product" in row]
    return Section(
        "Scores",
        template="contrasts/judged_scores.html",
        facts=facts,
        tables=[
            models.on_page(
                "Means over participants and contrasts, with 95 % intervals",
                [model, *main],
            ),
            evaluation.comparisons.on_page(
                "The model compared with others", _COMPARISON_COLUMNS
            ),
            dataclasses.replace(models, rows=individual).on_page(
                "More scores", [model, *further]
            ),
        ],
    )


def flags(
    comparisons: Sequence[Mapping[str, Any]],
    fitted_on: int,
    share: str,
    same: Sequence[str],
) -> list[Flag]:
    """Return what a reader must know first: the verdicts, and their limits.

    Parameters
    ----------
    comparisons
        Rows of comparisons (`comparison_rows`).
    fitted_on
        Number of people that each simple model was fitted on.
    share, same
        How many contrasts, and which ones, have the same predicted map for everybody.
    """
    notices = []
    if same:
        text = f"The predicted map is the same for everybody in {share}"
        notices.append(Flag("warning", f"{text}: {', '.join(same)}"))
    decided = [row for row in comparisons if row["verdict"] != TOO_FEW]
    if not decided:
        people = max((int(row["people"]) for row in comparisons), default=0)
        text = f"{too_few(people)}: differences may not hold in other people"
        return [Flag("note", text), *notices]
    notices += [flag for row in decided for flag in _verdict_flags(row)]
    against_simple = {
        row["verdict"] for row in decided if not row["question"] and row["score"] == "r"
    }
    worth_using = {row["verdict"] for row in decided if row["question"] == WORTH_USING}
    is_above = bool(against_simple & {BETTER, NO_VERDICT})
    if NO_VERDICT in against_simple or (is_above and fitted_on < _FEW):
        text = (
            f"Simple models were fitted on {fitted_on} people: the fewer, the noisier their "
            "average, and the easier it is for a map without individual information to be better"
        )
        notices.append(Flag("note", text))
    if is_above and worth_using and BETTER not in worth_using:
        text = (
            "The model is better than simple models, but not shown to predict individuals: it is "
            "not shown to be better than its own mean prediction, one map for everybody"
        )
        notices.append(Flag("note", text))
    return notices


def _verdict_flags(row: Mapping[str, Any]) -> list[Flag]:
    """Return the flag of a comparison: of a question, or of what is worse; tables have the rest."""
    text = f"{row['verdict']} ({_figures(row)})"
    if row["question"]:
        level: Level = "good" if row["verdict"] == BETTER else "warning"
        return [Flag(level, f"{_QUESTIONS[row['question']]}: {text}")]
    if row["verdict"] == WORSE:
        score = row["score"].replace("_", " ")
        return [Flag("warning", f"{score} against {row['against']}: {text}")]
    return []


def _figures(row: Mapping[str, Any]) -> str:
    """Write a difference with its interval and p."""
    interval = row["difference"]
    # Small differences may be significant, so they are shown with enough digits.
    digits = 4 if 0 < max(map(abs, interval)) < 0.01 else 3
    mean, low, high = (number_text(value, digits) for value in interval)
    p = "p < 0.001" if row["p"] < 0.001 else f"p {row['p']:.3f}"
    return f"{mean}, 95 % from {low} to {high}, {p}"


def _dots(rows: Sequence[Mapping[str, Any]], judged: str) -> figures.Figure | None:
    """Plot r by contrast, one dot per model, with the judged model's best contrast at the top."""
    scores = pd.DataFrame(rows)
    r = scores.pivot(index="contrast", columns="model", values="r")
    r["noise ceiling"] = scores.groupby("contrast")["ceiling"].first()
    first = [judged, GROUP_AVERAGE, "noise ceiling"]
    later = [name for name in scores["model"].unique() if name not in first]
    r = r.sort_values(judged, ascending=False)[[*first, *later]]
    r = r.dropna(axis=1, how="all")
    return figures.dots(
        "Mean r by contrast and model",
        "r of predicted and measured map",
        list(r.index),
        {str(name): values.to_numpy(np.float64) for name, values in r.items()},
    )


def _matrices(scores: Scores) -> list[figures.Figure | None]:
    """Plot each model's matrix, mean over contrasts, as it is and minus the mean of each row."""
    means, differences = {}, {}
    for name, matrices in scores.matrices.items():
        mean = np.ma.masked_invalid(matrices).mean(axis=0)
        means[name] = mean.filled(np.nan)
        row_mean = mean.mean(axis=1, keepdims=True)
        differences[name] = (mean - row_mean).filled(np.nan)
    largest = max(
        (np.nanmax(np.abs(matrix), initial=0.0) for matrix in differences.values()),
        default=0.0,
    )
    # Rounded up, as the scale prints it.
    limit = max(math.ceil(100 * float(largest)) / 100, _LEAST_DIFFERENCE)
    return [
        figures.matrices(
            "r of measured maps (rows) with predicted ones (columns)", means
        ),
        figures.matrices(
            "The same minus the mean of each row", differences, (-limit, limit)
        ),
    ]


def _curves(training: Mapping[str, Any]) -> list[figures.Figure | None]:
    """Plot the learning curves of a trained network."""
    epochs = training.get("history", ())
    if len(epochs) < 2:
        return []
    curves = []
    for key, title in _CURVES.items():
        if all(key in epoch for epoch in epochs):
            values = np.array([epoch[key] for epoch in epochs])
            curves.append(figures.curves(title, "epoch", title, {title: values}))
    return curves
