"""Evaluate models of regional time series: one table for linear cores and networks.

Linear cores are evaluated on people they were not trained on, or by cross-validation over people;
networks on the people they were fitted to (`analyses.network_evaluation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from bids_dtg.cohort.recognised_participants import (
    EXCLUDED,
    left_out_table,
    seen_on_page,
)
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.splits import FOLDS, draw_folds
from bids_dtg.connectome.parcels import finite_mean
from bids_dtg.dynamics.analyses.analysis import DynamicsAnalysis
from bids_dtg.dynamics.analyses.linear_training import TrainingPeople, require_enough
from bids_dtg.dynamics.judging.predictions import (
    ANOTHER,
    CORE,
    FCD_SIMULATIONS,
    HALF,
    MODEL,
    REFERENCES,
    SAME,
    Judge,
    Scored,
    read_people,
    score_references,
)
from bids_dtg.dynamics.linear import LinearModel, fit_core
from bids_dtg.dynamics.measures import FCD_FRAMES, FCD_STRIDE
from bids_dtg.dynamics.networks import PeopleSeries, standardised
from bids_dtg.dynamics.panels.words import PURPOSE_OF_CORES
from bids_dtg.errors import DatasetError
from bids_dtg.files.columns import BY_PEOPLE, T_INTERVAL, Column
from bids_dtg.notices import counted, say
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings
from bids_dtg.stats.paired import Interval, bootstrap_interval, wilson_interval
from bids_dtg.stats.verdict import RULE, WORSE, judge_differences, too_few

Some = TypeVar("Some", bound=PeopleSeries)

SCORES = "desc-evaluation_scores"
TEXT = (  # above the first table
    "Each row predicts from one session of a person (or half a session), from the mean of other "
    "people, or from both. It predicts functional connectivity (FC), the next frame, and the "
    f"dynamics of FC (FCD: the similarity of FC between windows of {FCD_FRAMES} frames, "
    f"{FCD_STRIDE} frames apart). FC that is predicted better than by the model is marked; {RULE}."
)
_OF_CORES = (
    "A core predicts FC as a weighted mean of the person's own FC and that of other people. It "
    "predicts next frames and FCD by its process, which is shrunk more strongly. Compare these "
    "with the row of the mean, which uses no data of the person."
)
_ON_PAGE = (
    "words",
    "fit",
    "fit_single",
    "residual",
    "identified",
    "r2",
    "nll",
    "fcd",
    "verdict_fit",
)
_OF_MEAN_FC = "FC r (of simulations: that of their mean FC)"  # heading of their fit
# Columns for a model that predicts by simulations.
_OF_SIMULATIONS = (
    Column(
        "fit_single",
        "The same r for single simulations, as published: mean over simulations, then over people",
        "FC r, single simulations",
        interval=BY_PEOPLE,
    ),
    Column("diverged", "Simulations that diverged and were left out"),
)
_COLUMNS = (
    Column("name", "Name of the model, or of what it is compared with"),
    Column("words", "Description of the row", "predicted by"),
    Column("session", "Session that is predicted"),
    Column(
        "relation",
        f"Its relation to the session that is read: {SAME}, {ANOTHER}, or {HALF}",
    ),
    Column("people", "Number of people"),
    Column(
        "fit",
        "Pearson r between the predicted functional connectivity (FC) and that of the session, "
        "over pairs of regions, mean over people; for simulations, the prediction is their mean FC",
        "FC r",
        interval=BY_PEOPLE,
    ),
    Column(
        "advantage_fit",
        "Fit of the model minus fit of this row; above 0: the model is better",
        interval=T_INTERVAL,
    ),
    Column(
        "advantage_fit_p", "Two-sided p of the advantage, by sign flips over people"
    ),
    Column(
        "verdict_fit",
        f"Verdict on the model compared with this: {RULE}",
        "model against this, FC",
    ),
    Column(
        "residual",
        "The same r, for deviations of predictions from the mean prediction and of sessions from "
        "their mean FC, over the people judged; n/a where everybody's prediction is the same",
        "residual r",
        interval=BY_PEOPLE,
    ),
    Column(
        "identified",
        "Share of people whose session is closer to their own prediction than to that of anybody "
        "else",
        interval="95 % interval (Wilson)",
    ),
    Column(
        "r2",
        "Share of the session's variance predicted one frame ahead, mean over people",
        "R²",
    ),
    Column(
        "nll",
        "Negative log density of a frame given the frames before it, all regions together, mean "
        "over people; less is better",
        unit="nats per region and frame",
    ),
    Column(
        "fcd",
        "Kolmogorov-Smirnov distance between the distribution of FCD in the session and that in "
        f"{FCD_SIMULATIONS} simulations of each person, or in a measured session; mean over "
        "people; 0: the same",
        "FCD distance",
        interval=BY_PEOPLE,
    ),
)


def run_evaluation(settings: Settings) -> int:
    """Evaluate the linear core of ``--model``, or cross-validate with ``--folds``; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model, or nobody to evaluate on.
    """
    if settings.statistics.folds is not None:
        return _by_folds(settings)
    return _evaluate_model(settings)


def _evaluate_model(settings: Settings) -> int:
    """Evaluate a linear core on people it was not trained on."""
    analysis = DynamicsAnalysis.prepare(settings, "evaluation", SCORES, EXCLUDED)
    labels, seen = analysis.new_people(), analysis.seen
    bundle = analysis.model
    if not labels:
        raise DatasetError(
            f"{bundle.name} was trained on all of these participants",
            expected="people outside its training set, to evaluate it on",
            remedy="give other people, or --folds N instead of --model",
        )
    if settings.behaviour.dry_run:
        return analysis.print_plan("scores and a page", labels)
    with analysis.writing():
        if seen:
            analysis.results.table(EXCLUDED, left_out_table(seen))
        sessions = analysis.sessions(labels, analysis.people.series)
        models = dict.fromkeys(labels, bundle.model())
        ending = f"outside its training set.{seen_on_page(seen)}"
        _judge(analysis, sessions, models, f"{bundle.title}, evaluated on", ending)
    return 0


def _by_folds(settings: Settings) -> int:
    """Train on all folds of people but one, evaluate on that one, and so for each fold."""
    analysis = DynamicsAnalysis.prepare(settings, FOLDS, SCORES)
    people = analysis.people
    labels = people.labels_in(analysis.session, people.split.everybody)
    groups = draw_folds(settings, labels, people.families)
    fewest = len(labels) - max(len(group) for group in groups)
    words = f"to train on outside a fold ({len(groups)} folds)"
    require_enough(fewest, words, remedy="add people, or use more folds")
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"scores of {len(groups)} folds and a page", labels)
    with analysis.writing():
        sessions = analysis.sessions(labels, people.series)
        name, *further = sessions
        people_again = {session: sessions[session].people for session in further}

        def some_people(session: str, some: Sequence[str]) -> PeopleSeries:
            return sessions[session].of(list(some))

        models: dict[str, LinearModel] = {}
        for number, group in enumerate(groups, 1):
            training = [label for label in labels if label not in group]
            trained_on = TrainingPeople(some_people, name, training, people_again)
            model = fit_core(trained_on, people.tr_seconds)
            models |= dict.fromkeys(group, model)
            frames = f"{model.shrinkage.process:g} and {model.shrinkage.connectivity:g} frames"
            say(
                f"fold {number}: {counted(training, 'participant')}, shrinkage {frames}"
            )
        opening = f"Linear cores of {len(groups)} folds,"
        _judge(analysis, sessions, models, opening, f"of {analysis.data_set}.")
    return 0


def _predictors_and_judge(
    sessions: Mapping[str, PeopleSeries],
) -> tuple[PeopleSeries, Judge, str]:
    """Return the session to predict from, the session that judges, and a sentence on the two.

    They are the first two sessions that some people have both of, or the halves of one session.
    """
    (name, first), *further = sessions.items()
    for name_again, again in further:
        labels = [label for label in first.people if label in again.people]
        if labels:
            if lost := len(first.people) - len(labels):
                people = counted(lost, "participant")
                say(f"left out: {people} without session {name_again}")
            judge = Judge(name_again, ANOTHER, again.of(labels), {})
            words = f"Predictions are made from {name} and judged on {name_again}."
            return first.of(labels), judge, words
    half = first.frames // 2
    judge = Judge(f"second half of {name}", HALF, _part(first, slice(half, None)), {})
    words = (
        f"Predictions are made from the first half of {name} and judged on the second half, as "
        "there is no other session."
    )
    return _part(first, slice(half)), judge, words


def _part(people: PeopleSeries, frames: slice) -> PeopleSeries:
    # The degrees of freedom in a part are not known; `dof` is that of all frames.
    keep = None if people.keep is None else people.keep[:, frames]
    series = standardised(people.series[..., frames])
    return replace(people, series=series, keep=keep, dof=None)


def _judge(
    analysis: DynamicsAnalysis,
    sessions: Mapping[str, PeopleSeries],
    models: Mapping[str, LinearModel],
    opening: str,
    ending: str,
) -> None:
    """Score linear cores and simpler models, and write the table and the page.

    `models` has a core without the person for each label. The number of people stands on the page
    between `opening` and `ending`.
    """
    predictors, judge, sentence = _predictors_and_judge(sessions)
    number = counted(predictors.people, "participant")
    say(f"evaluating on {number}")
    people = read_people(predictors, [models[label] for label in predictors.people])
    judge = replace(judge, means={person.label: person.mean for person in people})
    shares = [
        person.core.shrinkage.own_share(person.covariances.frames) for person in people
    ]
    ends = dict.fromkeys([f"{min(shares):.2f}", f"{max(shares):.2f}"])
    words = f"{CORE.words}: {' to '.join(ends)} of the person's own FC, and its process"
    rows = (replace(CORE, words=words), *REFERENCES)
    seed = analysis.settings.modelling.seed
    table = score_table(score_references(people, [judge], rows, seed))
    say_scores(table)
    analysis.write_page(
        {SCORES: table},
        f"{opening} {number} {ending} {sentence} The unit of inference is the person. "
        f"{PURPOSE_OF_CORES}",
        (score_section(table, judge, TEXT, _OF_CORES),),
        score_warnings(table, len(np.unique(judge.people.kin))),
    )
    say(f"tables: {analysis.results.path}")


def score_table(scored: Sequence[Scored], *, simulated: bool = False) -> ResultTable:
    """Return the table of an evaluation, a row for each item of `scored`, with verdicts.

    Parameters
    ----------
    scored
        Scored rows; each judge has one of the model.
    simulated
        Whether the model predicts by simulations, which have additional columns.
    """
    models = [row for row in scored if row.name == MODEL]
    rows = []
    for model in models:
        session_rows = [row for row in scored if row.judge.name == model.judge.name]
        rows += [_score(row, model, simulated=simulated) for row in session_rows]
    columns: tuple[Column, ...] = _COLUMNS
    if simulated:
        named = (
            replace(column, heading=_OF_MEAN_FC) if column.name == "fit" else column
            for column in _COLUMNS
        )
        columns = (*named, *_OF_SIMULATIONS)
    description = (
        "How well a session of a person is predicted: one row per model and session"
    )
    return ResultTable(columns, rows, description)


def _score(scored: Scored, model: Scored, *, simulated: bool) -> dict[str, Any]:
    judge, figures = scored.judge, scored.figures
    finite = np.isfinite(figures["fit"])
    row: dict[str, Any] = {
        "name": scored.name,
        "words": scored.words,
        "session": judge.name,
        "relation": judge.relation,
        "people": int(finite.sum()),
    }
    person_values = {**figures, "residual": scored.residual}
    for name in ("fit", "residual", "fcd"):
        row[name] = bootstrap_interval(person_values[name])
    for name in ("r2", "nll"):
        row[name] = float(finite_mean(figures[name]))
    if len(finite) > 1:  # a single person cannot be confused with anybody
        row["identified"] = wilson_interval(scored.identified, len(finite))
    if scored is not model:
        advantage = model.figures["fit"] - figures["fit"]
        verdict = judge_differences(advantage, judge.people.kin)
        row |= {**verdict.columns("advantage_fit"), "verdict_fit": verdict.word}
    if simulated:
        row["fit_single"] = bootstrap_interval(figures["fit_single"])
        row["diverged"] = scored.diverged
    return row


def score_section(table: ResultTable, judge: Judge, *text: str) -> Section:
    """Return the page's section on one judge.

    Parameters
    ----------
    table
        Result of `score_table`.
    judge
        The judge whose rows are shown.
    text
        Paragraphs above the table.
    """
    rows = [{**row} for row in table.rows if row["session"] == judge.name]
    (model,) = (str(row["words"]) for row in rows if row["name"] == MODEL)
    names = {column.name for column in table.columns}
    better = [
        (str(row["words"]), "fit") for row in rows if row.get("verdict_fit") == WORSE
    ]
    shown = ResultTable(table.columns, rows).on_page(
        f"{judge.name} of the same people",
        [name for name in _ON_PAGE if name in names],
        model=model,
        better=better,
    )
    return Section(
        title=f"Prediction of {judge.name} ({judge.relation})",
        text=text,
        tables=(shown,),
    )


def score_warnings(table: ResultTable, people: int) -> list[str]:
    """Return warnings that a reader of the scores must see first.

    Parameters
    ----------
    table
        Result of `score_table`.
    people
        Number of people, counting a family as one.
    """
    better = [
        f"{row['words']} ({row['session']})"
        for row in table.rows
        if row.get("verdict_fit") == WORSE
    ]
    warnings = []
    if few := too_few(people):
        warnings.append(f"{few}: values may not hold for other people")
    if better:
        text = "Functional connectivity is predicted better than by the model by "
        warnings.append(text + "; ".join(better))
    return warnings


def say_scores(table: ResultTable) -> None:
    """Report the fit of each row."""
    for row in table.rows:
        fit, single = row["fit"], row.get("fit_single")
        assert isinstance(fit, Interval)
        r = f"r = {fit.mean:.3f}"
        if isinstance(single, Interval) and np.isfinite(single.mean):
            r = f"r of single simulations = {single.mean:.3f}, of their mean FC = {fit.mean:.3f}"
        say(f"functional connectivity in {row['session']}, {row['words']}: {r}")
