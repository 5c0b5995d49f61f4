"""Evaluate a linear core on people it has not seen, or by folds over people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import BY_PEOPLE, T_INTERVAL, Column
from bids_dtg.cohort.folds import FOLDS, draw_folds
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.seen_people import EXCLUDED, left_out_table, seen_on_page
from bids_dtg.dynamics.analyses.analysis import LinearAnalysis, few_people_notices
from bids_dtg.dynamics.analyses.linear_training import TrainingPeople, require_enough
from bids_dtg.dynamics.judging.describers import (
    DESCRIBERS,
    MODEL,
    SIMULATIONS,
    STEPS,
    JudgedPerson,
    identified,
    judge_people,
)
from bids_dtg.dynamics.linear import fit_core
from bids_dtg.dynamics.networks import PeopleSeries, standardised
from bids_dtg.errors import DatasetError
from bids_dtg.notices import counted, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings
from bids_dtg.stats.paired import bootstrap_interval, wilson_interval
from bids_dtg.stats.splits import family_numbers
from bids_dtg.stats.verdict import RULE, WORSE, judge_differences

_SCORES = "desc-another_session_scores"
_COLUMNS = (
    Column("name", "Name of the model, or of what it is compared with"),
    Column("words", "Description of it", "by"),
    Column("what", "model, baseline, or measured"),
    Column("people", "Number of people"),
    Column(
        "fit",
        "Pearson r between functional connectivity and that of the person's other session, mean "
        "over people",
        "FC r",
        interval=BY_PEOPLE,
    ),
    Column(
        "advantage_fit",
        "Difference of this to the model's; above 0: the model is better",
        interval=T_INTERVAL,
    ),
    Column("advantage_fit_p", "Two-sided p of the advantage, by sign flips over people"),
    Column("verdict_fit", f"Verdict on the model compared with this: {RULE}"),
    Column(
        "residual",
        "The same r, of differences from the training people's mean",
        "residual r",
        interval=BY_PEOPLE,
    ),
    Column(
        "identified",
        "Share of people whose other session is closer to what is said of them than to what is "
        "said of anybody else",
        "identified",
        interval="95 % interval (Wilson)",
    ),
    *Column(
        "r2_{}", "Share of the other session's variance {} frames ahead, mean over people", "R², {}"
    ).each(STEPS),
    Column(
        "nll_1",
        "Negative log density of a frame given those before it, all regions together, mean over "
        "people",
        "nll",
        unit="nats a region a frame",
    ),
    Column(
        "fcd",
        "Kolmogorov-Smirnov distance between distributions of FCD of the other session and of "
        f"simulations ({SIMULATIONS} of each person) or measured sessions, mean over people",
        "FCD distance",
        interval=BY_PEOPLE,
    ),
)
_ON_PAGE = ("words", "fit", "residual", "identified", "r2_1", "r2_2", "r2_5", "nll_1", "fcd")


def run_linear_evaluation(settings: Settings) -> int:
    """Evaluate ``--model`` on people it has not seen, or a model of each fold; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model, or nobody to be judged.
    """
    if settings.statistics.folds is not None:
        return _by_folds(settings)
    analysis = LinearAnalysis.prepare(settings, "evaluation", _SCORES, EXCLUDED)
    labels, seen = analysis.others()
    bundle = analysis.bundle
    assert bundle is not None
    if not labels:
        raise DatasetError(
            f"{bundle.card.name} was trained on everybody at hand",
            expected="people outside its training set: it is judged by nobody else",
            remedy="give other people, or --folds N in place of --model",
        )
    if settings.behaviour.dry_run:
        return analysis.print_plan("scores and a page", labels)
    with analysis.results.begun():
        analysis.describe()
        first, again, which = _both(list(analysis.sessions(labels).items()))
        say(f"judging {counted(len(first.people), 'participant')}")
        judged = [*judge_people(bundle.model(), first, again, seed=settings.modelling.seed)]
        if seen:
            analysis.results.table(EXCLUDED, left_out_table(seen))
        who = f"{bundle.card.name} {bundle.card.version}, evaluated on "
        who += f"{counted(len(judged), 'participant')} outside its training set"
        notice = [Flag("warning", bundle.card.notice)] if bundle.card.notice else []
        _write(analysis, judged, f"{who}.{seen_on_page(seen)} {which}", notice)
    return 0


def _by_folds(settings: Settings) -> int:
    """Train on all folds of people but one, and judge by that one, in turn."""
    analysis = LinearAnalysis.prepare(settings, FOLDS, _SCORES)
    people = analysis.people
    there = frozenset(people.of_session(analysis.session))
    labels = tuple(label for label in people.split.everybody if label in there)
    groups = draw_folds(settings, labels, people.families)
    fewest = len(labels) - max(len(group) for group in groups)
    who = f"to be trained on beside a fold ({len(groups)} folds)"
    require_enough(fewest, who, remedy="scan more people, or give more folds")
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"scores of {len(groups)} folds and a page", labels)
    with analysis.results.begun():
        analysis.describe()
        sessions = analysis.sessions(labels)
        first, again, which = _both(list(sessions.items()))
        name, *further = sessions
        others = {session: sessions[session].people for session in further}

        def read(session: str, some: Sequence[str]) -> PeopleSeries:
            return sessions[session].of(list(some))

        judged: list[JudgedPerson] = []
        for number, group in enumerate(groups, 1):
            training = [label for label in labels if label not in group]
            model = fit_core(TrainingPeople(read, name, training, others), people.tr_seconds)
            strengths = model.strengths
            say(
                f"fold {number}: {counted(len(training), 'participant')}, "
                f"{strengths.transition:g} and {strengths.covariance:g} frames"
            )
            here = [label for label in group if label in first.people]
            seed = settings.modelling.seed
            judged += judge_people(model, first.of(here), again.of(here), seed=seed)
        who = f"Linear cores of {len(groups)} folds, {counted(len(judged), 'participant')}"
        _write(analysis, judged, f"{who} of {analysis.data_set}. {which}", [])
    return 0


def _both(sessions: Sequence[tuple[str, PeopleSeries]]) -> tuple[PeopleSeries, PeopleSeries, str]:
    """Return what is read and what judges, of the same people, and a sentence on both.

    They are the first two sessions, of people who have both; of a single session its halves.
    """
    name, own = sessions[0]
    for other, again in sessions[1:]:
        both = [label for label in own.people if label in again.people]
        if both:
            if len(both) < len(own.people):
                lost = len(own.people) - len(both)
                say(f"left out: {counted(lost, 'participant')} without session {other}")
            return own.of(both), again.of(both), f"{name} is read, and {other} judges."
    half = own.frames // 2
    return (
        _part(own, slice(half)),
        _part(own, slice(half, None)),
        f"The first half of {name} is read, and the second judges: there is no other session.",
    )


def _part(people: PeopleSeries, frames: slice) -> PeopleSeries:
    # Degrees of freedom are those of all frames.
    kept = None if people.kept is None else people.kept[:, frames]
    return replace(people, series=standardised(people.series[..., frames]), kept=kept, dof=None)


def _rows(judged: Sequence[JudgedPerson], kin: NDArray[np.intp]) -> list[dict[str, Any]]:
    """Return a row of each describer that all people have; `kin`: numbers of their families."""
    rows = []
    ours = np.array([person.scores[MODEL].fit for person in judged])
    for describer in DESCRIBERS:
        if any(describer.name not in person.scores for person in judged):
            continue
        scores = [person.scores[describer.name] for person in judged]
        fits = np.array([own.fit for own in scores])
        residuals = np.array([own.residual for own in scores])
        row: dict[str, Any] = {"name": describer.name, "words": describer.words}
        row |= {"what": describer.what, "people": len(judged), "fit": bootstrap_interval(fits)}
        if describer.name != MODEL:
            found = judge_differences(ours - fits, kin)
            row |= {**found.columns("advantage_fit"), "verdict_fit": found.word}
        if np.isfinite(residuals).all():  # the mean differs from itself in nothing
            row["residual"] = bootstrap_interval(residuals)
        if len(judged) > 1:  # nobody can be mixed up with nobody else
            row["identified"] = wilson_interval(identified(judged, describer.name), len(judged))
        for number, step in enumerate(STEPS):
            row[f"r2_{step}"] = float(np.mean([own.r2[number] for own in scores]))
        row["nll_1"] = float(np.mean([own.nll for own in scores]))
        distances = np.array([own.fcd for own in scores])
        if np.isfinite(distances).all():
            row["fcd"] = bootstrap_interval(distances)
        rows.append(row)
    return rows


def _write(
    analysis: LinearAnalysis, judged: Sequence[JudgedPerson], lead: str, flags: list[Flag]
) -> None:
    """Write tables and a page; `lead`: the page's first sentences."""
    families = analysis.people.families.by_label
    kin = family_numbers([person.label for person in judged], families)
    rows = _rows(judged, kin)
    table = ResultTable(_COLUMNS, rows, "What is said of another session: a row a model")
    for row in rows:
        say(f"functional connectivity of another session, {row['words']}: {row['fit'].mean:.3f}")
    better = [(row["words"], "fit") for row in rows if row.get("verdict_fit") == WORSE]
    analysis.write(
        {_SCORES: table},
        AnalysisPageFacts(
            title=analysis.results.title,
            index=f"../../{INDEX}",
            lead=f"{lead} The unit of inference is the person.",
            flags=[*flags, *few_people_notices(len(np.unique(kin)))],
            sections=(
                PageSection(
                    title="Another session",
                    text=(
                        "Each row reads one session of a person and the training people's mean, "
                        "and is judged by the person's other session: functional connectivity "
                        "(FC), next frames, and the dynamics of connectivity (FCD; distance, 0: "
                        f"the same). What fits FC better than the model is marked: {RULE}.",
                    ),
                    tables=(
                        table.on_page(
                            "What is said of another session",
                            _ON_PAGE,
                            highlight=[row["words"] for row in rows if row["what"] != "model"],
                            model=str(rows[0]["words"]),
                            better=better,
                        ),
                    ),
                ),
            ),
        ),
    )
    say(f"tables: {analysis.results.path}")
