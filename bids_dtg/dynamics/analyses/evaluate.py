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
from bids_dtg.dynamics.analyses.latents import (
    RETEST,
    effect_table,
    feature_table,
    held_out_words,
    in_words,
    kl_table,
    positions_of,
    retest_rows,
)
from bids_dtg.dynamics.features import features_of
from bids_dtg.dynamics.inference import Inferred, alignment_of, elbo_of, infer
from bids_dtg.dynamics.judging.predictive import CHECKED, OUTSIDE_P, Check, check
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.parameter_effects import parameter_effects
from bids_dtg.dynamics.parameters import Alignment
from bids_dtg.dynamics.recipe import Recipe
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
_WORDS = ("words",)  # a column that is left out of pages
_FEWEST_RETESTED = 2  # people that an agreement needs


@dataclass(frozen=True, eq=False)
class Judged:
    """A model, people, and their sessions."""

    analysis: NetworkAnalysis
    labels: tuple[str, ...]

    @cached_property
    def model(self) -> NetworkModel:
        """The model, on the CPU."""
        return self.analysis.network.model()

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

    @cached_property
    def alignment(self) -> Alignment:
        """Order and signs in which parameters are compared."""
        return alignment_of(self.inferred, self.networks)

    @cached_property
    def theta(self) -> Values:
        """(people, regions, parameters), aligned."""
        return self.alignment.apply(self.inferred.region.mean)


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
        sections = (*simulated.sections, *_parameters(judged, maps), *_held_out(judged))
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


def _parameters(judged: Judged, maps: Mapping[str, Values]) -> tuple[PageSection, ...]:
    """Evaluate parameters: their use, features and maps, agreement between sessions."""
    analysis, networks = judged.analysis, judged.networks
    say("comparing parameters with features and maps")
    kl = kl_table(judged.inferred.region, judged.alignment)
    features = feature_table(networks, judged.theta, maps, positions_of(networks.regions))
    effects = effect_table(parameter_effects(judged.model, networks), judged.alignment)
    retest = ResultTable(RETEST, _retest(judged), "The same people in another session")
    for name, table in {
        "desc-parameters_kl": kl,
        "desc-features_regressions": features,
        "desc-parameters_roles": effects,
        "desc-parameters_retest": retest,
    }.items():
        analysis.results.table(name, table)
    return (
        PageSection(
            title="Parameters",
            text=(
                "Parameters in the order of their use by the training set; signs such that there "
                "the first rises with zero-crossings, the second with the correlation with the "
                "mean signal, the third with that with the network input.",
                "R² over pairs treats each region of each person as independent, as "
                "published; R² over regions is of means over people, with p from surrogate maps "
                "that are as smooth within hemispheres (Moran spectral randomisation). The R² of "
                "three raw features is what zero-crossings, the correlation with the mean signal "
                "and that with the network input explain without any model.",
                "Effects: Spearman's rho and slopes of 1,000 simulated regions with parameters "
                "drawn from the prior, all with the same network input.",
                *_person_words(judged.model.recipe),
            ),
            tables=(
                table_of(
                    "Use of the parameters (KL from the prior, nats)", in_words(kl, "parameter")
                ),
                table_of(
                    "Features and maps explained by all parameters together",
                    in_words(features, "feature"),
                    _of_single_parameters(features),
                ),
                table_of("Effect of each parameter on a single region", effects, ("figure",)),
                table_of(
                    "The same people in another session",
                    in_words(retest, "value"),
                ),
            ),
        ),
    )


def _person_words(recipe: Recipe) -> tuple[str, ...]:
    """Explain why people's parameters stay at the prior, where the recipe has it so."""
    if not recipe.person_parameters or recipe.person_penalty <= 1:
        return ()
    return (
        "The recipe has people's parameters in name only: their divergence from the prior counts "
        f"{recipe.person_penalty:g} times, so all are close to 0.",
    )


def _of_single_parameters(features: ResultTable) -> tuple[str, ...]:
    """Return the columns that are in the file alone: four for each parameter, and words."""
    names = [column.name for column in features.columns]
    return (*_WORDS, *(name for name in names if "_theta" in name))


def _retest(judged: Judged) -> list[Row]:
    """Return how parameters and features agree between sessions."""
    names = [f"theta{n}" for n in range(1, judged.theta.shape[-1] + 1)]
    rows: list[Row] = []
    for session, networks in list(judged.sessions.items())[1:]:
        if len(networks.people) < _FEWEST_RETESTED:
            say(f"parameters of session {session} are not compared: 1 participant has it")
            continue
        first = judged.networks.of(networks.people)
        rows_of = [judged.networks.people.index(label) for label in networks.people]
        again = infer(judged.model, networks, judged.known).region.mean
        both = [
            (judged.theta[rows_of], features_of(first)),
            (judged.alignment.apply(again), features_of(networks)),
        ]
        features = list(both[0][1])
        one, other = (
            np.concatenate((theta, np.stack([own[name] for name in features], -1)), -1)
            for theta, own in both
        )
        found = retest_rows(one, other, [*names, *features])
        rows += [{"session": session, **row} for row in found]
    return rows


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


def table_of(caption: str, table: ResultTable, without: Sequence[str] = ()) -> Table:
    """Return a page's table of all columns except some."""
    shown = [column.name for column in table.columns if column.name not in without]
    return table.on_page(caption, shown)


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
