"""Evaluate a network model: simulations, parameters, held-out series, baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import NetworkAnalysis, few_people_notices
from bids_dtg.dynamics.analyses.connectivity import (
    ABLATION_SIMULATIONS,
    CHECKED_SIMULATIONS,
    MODEL,
    MODEL_WORDS,
    Kept,
    ablation_rows,
    baseline_rows,
    mean_fit,
    measured,
    model_simulations,
    other_connectome_rows,
    page_spectra,
    same_by_another,
    score_columns,
)
from bids_dtg.dynamics.analyses.fcd import FcdDistances, fcd_section
from bids_dtg.dynamics.analyses.parameters import held_out_words, parameter_results, table_of
from bids_dtg.dynamics.inference import Inferred, elbo_of, infer
from bids_dtg.dynamics.judging.predictive import CHECKED, OUTSIDE_P, Check, check
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.inputs.regions.maps import read_region_maps
from bids_dtg.notices import counted, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import (
    AnalysisPageFacts,
    Matrices,
    PageSection,
    Table,
)
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings
from bids_dtg.stats.verdict import RULE, WORSE

Row = dict[str, Any]
Values = NDArray[np.floating[Any]]

_CAN_WRITE = (
    *("desc-connectivity_scores", "desc-predictive_checks", "desc-parameters_kl"),
    *("desc-features_regressions", "desc-parameters_roles", "desc-parameters_retest"),
    *("desc-series_elbo", "desc-fcd_distances"),
)
_CHECKS = (
    Column("measure", "Name of the measure"),
    Column("unit", "Unit of observed, simulated, low and high"),
    Column("people", "Number of people"),
    Column("observed", "Value of people's own sessions, mean over people"),
    Column("simulated", "Mean over simulations and people"),
    Column("low", "Lower end of the middle 90 % of simulations, mean over people", "5 % of these"),
    Column(
        "high", "Upper end of the middle 90 % of simulations, mean over people", "95 % of these"
    ),
    Column("median_p", "Median over people of the two-sided predictive p", "median p"),
    Column(
        "outside",
        "Share of people outside the middle 90 % of their simulations",
        "share of people outside",
        interval="95 % interval (Wilson)",
    ),
)
_ELBO = (
    Column("session", "Session of the series"),
    Column("series", "Kind of series: trained on or held out"),
    Column("number", "Number of series"),
    Column("elbo_mean", "ELBO, mean over series", "ELBO, mean", unit="nats"),
    Column("elbo_sd", "Its standard deviation over series", "ELBO, sd", unit="nats"),
)


@dataclass(frozen=True, eq=False)
class Judged:
    """A model, people, and their sessions."""

    analysis: NetworkAnalysis
    labels: tuple[str, ...]

    @cached_property
    def model(self) -> NetworkModel:
        """The model, on the CPU."""
        assert self.analysis.bundle is not None
        return self.analysis.bundle.model()

    @cached_property
    def known(self) -> tuple[str, ...]:
        """Labels of the rows of the model's tables."""
        return self.analysis.row_labels

    @cached_property
    def sessions(self) -> Mapping[str, Networks]:
        """People's networks by session, the model's session first, for people who have it."""
        people, first = self.analysis.people, self.analysis.session
        names = (first, *(name for name in people.sessions if name != first))
        return {
            name or "rest": people.networks(name, self.labels)
            for name in names
            if not set(self.labels).isdisjoint(people.of_session(name))
        }

    @property
    def networks(self) -> Networks:
        """People's networks in the session of the model."""
        return next(iter(self.sessions.values()))

    @cached_property
    def inferred(self) -> Inferred:
        """What the model infers from that session."""
        return infer(self.model, self.networks, self.known)


def run_evaluation(settings: Settings) -> int:
    """Evaluate `--model` on its training participants; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model.
    """
    analysis = NetworkAnalysis.prepare(settings, "evaluation", *_CAN_WRITE)
    judged = Judged(analysis, analysis.known())
    maps = read_region_maps(settings.dynamics.region_maps, analysis.people.regions)
    if settings.behaviour.dry_run:
        return analysis.print_plan("scores, tables and a page", judged.labels)
    with analysis.results.begun():
        analysis.describe()
        simulated = _simulated(judged, settings)
        given = judged.model, judged.sessions, judged.inferred, judged.known
        tables, of_parameters = parameter_results(*given, maps)
        for name, table in tables.items():
            analysis.results.table(name, table)
        sections = (*simulated.sections, *of_parameters, *_held_out(judged))
        rows = simulated.rows
        flags = [
            *notices(judged),
            *_unbounded(rows),
            *_above(tuple(judged.sessions)[-1], rows),
            *same_by_another(tuple(judged.sessions)[-1], rows),
            *outside_simulations(simulated.checks),
        ]
        _write_page(judged, sections, flags)
    return 0


@dataclass(frozen=True, eq=False)
class _Simulated:
    """Scores of simulated sessions, the model first, and their sections of the page."""

    rows: Sequence[Row]
    checks: Sequence[Check]
    sections: tuple[PageSection, ...]


def _simulated(judged: Judged, settings: Settings) -> _Simulated:
    """Evaluate simulated sessions: functional connectivity, its dynamics, spectra, checks."""
    analysis, seed = judged.analysis, settings.modelling.seed
    simulations = settings.dynamics.simulations
    people = counted(len(judged.labels), "participant")
    say(f"simulating: {counted(simulations, 'session')} of {people}")
    kept, own = Kept(), measured(judged.networks)
    fcd, fewer = FcdDistances(judged.sessions), min(simulations, ABLATION_SIMULATIONS)
    pairs = model_simulations(
        judged.model,
        judged.networks,
        judged.inferred,
        kept,
        fcd,
        simulations=simulations,
        seed=seed,
    )
    checked = check(pairs, judged.networks.tr_seconds)
    checks = ResultTable(
        _CHECKS,
        [row.row() for row in checked],
        "People's own sessions compared with simulated ones: a row a measure",
    )
    rows = [
        kept.row(MODEL, MODEL_WORDS, "model", simulations),
        *other_connectome_rows(
            judged.model,
            judged.networks,
            judged.known,
            kept,
            fcd,
            simulations=fewer,
            seed=seed,
        ),
        *ablation_rows(
            judged.model,
            judged.networks,
            judged.inferred,
            judged.sessions,
            kept,
            simulations=fewer,
            seed=seed,
        ),
        *baseline_rows(judged.networks, kept, fcd, seed=seed),
    ]
    words = "Functional connectivity of simulations: a row a model"
    scores = ResultTable(score_columns(judged.sessions), rows, words)
    analysis.results.table("desc-connectivity_scores", scores)
    analysis.results.table("desc-predictive_checks", checks)
    for row in rows:
        if row["unbounded"]:
            total = row["simulations"] * row["people"]
            say(f"{row['name']}: {row['unbounded']} of {total} simulations diverged")
        fits = ", ".join(f"{name} {mean_fit(row, name):.3f}" for name in judged.sessions)
        say(f"fit of functional connectivity, {row['name']}: {fits}")
    distances = fcd.table(MODEL)
    analysis.results.table("desc-fcd_distances", distances)
    of_fcd = [fcd_section(distances, judged.sessions, MODEL_WORDS)] if distances.rows else []
    sections = (
        PageSection(
            title="Functional connectivity",
            text=(
                "Pearson r between the upper triangles of a person's measured functional "
                "connectivity and that of a simulated session as long, a mean over simulations, "
                "then over people; 95 % intervals by drawing people again. Baselines are fitted on "
                f"{next(iter(judged.sessions))} of each person, and other people are those "
                f"evaluated here. They are marked where they are better than the model: {RULE}.",
            ),
            tables=(_fit_table(scores, tuple(judged.sessions)),),
            matrices=(
                Matrices(
                    "Functional connectivity, mean over people",
                    {"measured": own.mean_connectivity, "simulated": kept.mean_connectivity},
                ),
            ),
            spectra=page_spectra({"measured": own, "simulated": kept}),
        ),
        *of_fcd,
        PageSection(
            title="Predictive checks",
            text=(
                "Where a person's own session lies among sessions that the model simulates for the "
                f"person ({min(simulations, CHECKED_SIMULATIONS)} of them). A right "
                "model has at most 10 % of people outside the middle 90 %.",
            ),
            tables=(table_of("Own session compared with simulated ones", _named(checks)),),
        ),
    )
    return _Simulated(rows, checked, sections)


def _named(checks: ResultTable) -> ResultTable:
    """Return the checks with their measures in words."""
    words = {figure.name: figure.words for figure in CHECKED}
    rows = [{**row, "measure": words[str(row["measure"])]} for row in checks.rows]
    return ResultTable(checks.columns, rows, checks.description)


def outside_simulations(checks: Sequence[Check]) -> list[Flag]:
    """Report the predictive checks in which more people are outside than of a right model.

    Parameters
    ----------
    checks
        Of people's own sessions. One fails where the 95 % interval of the share of people outside
        is above the 10 % of a right model.
    """
    failed = [
        f"{one.of.words} ({one.outside.mean:.0%} of people)".replace("%", " %")
        for one in checks
        if one.outside.low > OUTSIDE_P
    ]
    if not failed:
        return []
    text = (
        f"The model does not describe these people's sessions: {len(failed)} of "
        f"{counted(len(checks), 'predictive check')} {'fails' if len(failed) == 1 else 'fail'}, as "
        "more people are outside the middle 90 % of their simulations than the 10 % of a right "
        f"model: {'; '.join(failed)}"
    )
    return [Flag("warning", text)]


def _unbounded(rows: Sequence[Row]) -> list[Flag]:
    """Report how many of the model's simulations are left out."""
    model = rows[0]
    if not model["unbounded"]:
        return []
    total = model["simulations"] * model["people"]
    text = f"{model['unbounded']} of {total} simulations diverged, and are left out"
    return [Flag("warning", f"{text}: the model is unstable, as after a short training")]


def _above(session: str, rows: Sequence[Row]) -> list[Flag]:
    """Report baselines that fit a session better than the model."""
    better = [
        f"{row['words']} ({mean_fit(row, session):.2f})"
        for row in rows
        if row["what"] == "baseline" and row[f"verdict_{session}"] == WORSE
    ]
    if not better:
        return []
    text = f"The model's simulations fit {session} ({mean_fit(rows[0], session):.2f}) less than: "
    return [Flag("warning", text + "; ".join(better))]


def _fit_table(scores: ResultTable, sessions: Sequence[str]) -> Table:
    rows = [{**row, "name": row["words"]} for row in scores.rows]
    fits = {f"verdict_{name}": f"fit_{name}" for name in sessions}
    fits |= {f"verdict_of_mean_{name}": f"fit_of_mean_{name}" for name in sessions}
    baselines = [row for row in rows if row["what"] == "baseline"]
    return ResultTable(scores.columns, rows).on_page(
        "Fit of functional connectivity",
        ("name", *fits.values(), "strength"),
        highlight=[row["words"] for row in baselines],
        model=str(rows[0]["words"]),
        better=[
            (row["words"], fit)
            for row in baselines
            for verdict, fit in fits.items()
            if row.get(verdict) == WORSE
        ],
    )


def _held_out(judged: Judged) -> tuple[PageSection, ...]:
    """Compare the ELBO of series that were trained on with that of held-out series."""
    bundle, networks = judged.analysis.bundle, judged.networks
    assert bundle is not None
    rows = judged.analysis.rows
    trained = bundle.trained[[rows[label] for label in networks.people]]
    found: list[Row] = []
    for session, own in judged.sessions.items():
        if not _has_elbo(judged, own):
            say(f"no ELBO of session {session}: the model has the external input of another one")
            continue
        say(f"ELBO of session {session}")
        elbo = elbo_of(judged.model, own, judged.known)
        which = bundle.trained[[rows[label] for label in own.people]]
        for what, chosen in (("trained", which), ("held out", ~which)):
            if chosen.any():
                values = elbo[chosen]
                row: Row = {"session": session, "series": what, "number": int(chosen.sum())}
                row |= {"elbo_mean": float(values.mean()), "elbo_sd": float(values.std())}
                found.append(row)
    table = ResultTable(_ELBO, found, "ELBO of series: a row a session and kind of series")
    judged.analysis.results.table("desc-series_elbo", table)
    if not found:
        return ()
    return (
        PageSection(
            title="Held-out series",
            text=(
                held_out_words(trained),
                "They are of training participants, known by their other regions: this says "
                "nothing of new people. The external input is inferred frame by frame of the "
                "session that was trained on, so a model with one has no ELBO of another session.",
            ),
            tables=(table_of("ELBO a series, nats (8 samples, all terms in full)", table),),
        ),
    )


def _has_elbo(judged: Judged, networks: Networks) -> bool:
    """Return whether a session has an ELBO: an external input in a table is specific to one."""
    bundle = judged.analysis.bundle
    assert bundle is not None
    own = networks is judged.networks and judged.analysis.session == bundle.part.session
    return not bundle.part.recipe.external_inputs or (own and networks.frames == bundle.part.frames)


def notices(judged: Judged) -> list[Flag]:
    """Return the flags of the page."""
    return [*_notice(judged), *few_people_notices(len(judged.labels))]


def _notice(judged: Judged) -> list[Flag]:
    bundle = judged.analysis.bundle
    assert bundle is not None
    return [Flag("warning", bundle.card.notice)] if bundle.card.notice else []


def _write_page(
    judged: Judged,
    sections: Sequence[PageSection],
    flags: Sequence[Flag],
) -> None:
    analysis, bundle = judged.analysis, judged.analysis.bundle
    assert bundle is not None
    people = counted(len(judged.labels), "participant")
    analysis.results.page(
        AnalysisPageFacts(
            title=analysis.results.title,
            index=f"../../{INDEX}",
            lead=f"{bundle.card.name} {bundle.card.version}, evaluated on {people} of "
            f"{analysis.data_set} of its training set, sessions {', '.join(judged.sessions)}. "
            "The unit of inference is the person.",
            flags=flags,
            sections=sections,
        ),
        analysis.page_name,
    )
    say(f"tables: {analysis.results.path}")
