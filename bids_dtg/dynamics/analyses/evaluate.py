"""Judge a network model by people's series: simulations, parameters, held-out series, baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.analyses.analysis import NetworkAnalysis
from bids_dtg.dynamics.analyses.connectivity import (
    ABLATION_SIMULATIONS,
    CHECKED_SIMULATIONS,
    MODEL,
    Kept,
    Sessions,
    ablation_rows,
    baseline_rows,
    measured,
    model_simulations,
    page_spectra,
)
from bids_dtg.dynamics.analyses.latents import (
    alignment_of,
    feature_rows,
    kl_rows,
    positions_of,
    retest_rows,
    role_rows,
)
from bids_dtg.dynamics.analyses.unseen import few_people_notices, unseen_rows, unseen_sections
from bids_dtg.dynamics.features import features_of
from bids_dtg.dynamics.inference import Inferred, elbo_of, infer
from bids_dtg.dynamics.judging.predictive import check
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.panels.presentation import PRESENTATION
from bids_dtg.dynamics.parameters import Alignment
from bids_dtg.dynamics.roles import roles
from bids_dtg.inputs.regions.maps import read_region_maps
from bids_dtg.notices import counted, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import (
    AnalysisPageFacts,
    Matrices,
    PageSection,
    Table,
    write_analysis_page,
)
from bids_dtg.report.pages.index import INDEX, write_index
from bids_dtg.settings import Settings
from bids_dtg.stats.verdict import RULE, WORSE

Row = dict[str, Any]
Values = NDArray[np.floating[Any]]

_WORDS = ("words",)  # a column of tables that a page has no room for
_FEWEST_RETESTED = 2  # people that an agreement needs


@dataclass(frozen=True, eq=False)
class Judged:
    """A model, people whom it was fitted to, and their sessions."""

    analysis: NetworkAnalysis
    labels: tuple[str, ...]

    @cached_property
    def model(self) -> GenerativeModel:
        """The model, on the CPU."""
        assert self.analysis.bundle is not None
        return self.analysis.bundle.model()

    @cached_property
    def known(self) -> tuple[str, ...]:
        """Who is in each row of the model's tables."""
        assert self.analysis.bundle is not None
        return self.analysis.bundle.known(self.analysis.people.labels, self.analysis.data_set)

    @cached_property
    def sessions(self) -> Mapping[str, Networks]:
        """People's networks by session, that of the model first, each of whoever has it."""
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
        """What the model infers of that session."""
        return infer(self.model, self.networks, self.known)

    @cached_property
    def alignment(self) -> Alignment:
        """Order and signs in which parameters are compared."""
        return alignment_of(self.model.recipe, self.inferred, self.networks)

    @cached_property
    def theta(self) -> Values:
        """(people, regions, parameters), aligned."""
        return self.alignment.apply(self.inferred.region.mean)


def run_evaluation(settings: Settings) -> int:
    """Judge `--model` by the people whom it was fitted to; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model.
    """
    analysis = NetworkAnalysis.prepare(settings, "evaluation")
    if unseen := analysis.unseen():
        return _judge_unseen(settings, Judged(analysis, unseen))
    judged = Judged(analysis, analysis.known())
    maps = read_region_maps(settings.dynamics.region_maps, analysis.people.regions)
    if settings.behaviour.dry_run:
        return analysis.print_plan("scores, tables and a page", judged.labels)
    with analysis.results.begun():
        analysis.describe()
        rows, simulated = _simulated(judged, settings)
        sections = (*simulated, *_parameters(judged, maps), *_held_out(judged))
        _write_page(
            judged,
            sections,
            (*notices(judged), *_unbounded(rows), *_above(tuple(judged.sessions)[-1], rows)),
        )
    return 0


def _judge_unseen(settings: Settings, judged: Judged) -> int:
    """Judge an amortised model by people whom it was not fitted to; return 0."""
    analysis = judged.analysis
    if settings.behaviour.dry_run:
        return analysis.print_plan("scores, a table and a page", judged.labels)
    with analysis.results.begun():
        analysis.describe()
        rows = unseen_rows(
            judged.model,
            _of_all(judged),
            simulations=settings.dynamics.simulations,
            seed=settings.modelling.seed,
        )
        analysis.write_table("desc-unseen_scores", rows)
        flags = [*_notice(judged), *few_people_notices(len(judged.labels))]
        _write_page(judged, unseen_sections(rows), flags, whom="whom it was not fitted to")
    return 0


def _of_all(judged: Judged) -> Sessions:
    """Return the sessions that all people have: so each figure is of the same people."""
    everybody = judged.networks.people
    kept = {name: own for name, own in judged.sessions.items() if own.people == everybody}
    if missing := [name for name in judged.sessions if name not in kept]:
        say(f"left out, as not everybody has it: session {', '.join(missing)}")
    return kept


def _simulated(judged: Judged, settings: Settings) -> tuple[Sequence[Row], tuple[PageSection, ...]]:
    """Judge simulated sessions: functional connectivity, spectra, predictive checks.

    Returns the scores of connectivity too, a row a model.
    """
    analysis, seed = judged.analysis, settings.modelling.seed
    simulations = settings.dynamics.simulations
    people = counted(len(judged.labels), "participant")
    say(f"simulating: {counted(simulations, 'session')} of {people}")
    kept, own = Kept(), measured(judged.networks)
    pairs = model_simulations(
        judged.model,
        judged.networks,
        judged.inferred,
        judged.sessions,
        kept,
        simulations=simulations,
        seed=seed,
    )
    checks = [row.row() for row in check(pairs, judged.networks.tr_seconds)]
    rows = [
        kept.row(MODEL, "the network model", "model", simulations),
        *ablation_rows(
            judged.model,
            judged.networks,
            judged.inferred,
            judged.sessions,
            kept,
            simulations=min(simulations, ABLATION_SIMULATIONS),
            seed=seed,
        ),
        *baseline_rows(judged.networks, judged.sessions, kept, seed=seed),
    ]
    analysis.write_table("desc-connectivity_scores", rows)
    analysis.write_table("desc-predictive_checks", checks)
    for row in rows:
        if row["unbounded"]:
            total = row["simulations"] * row["people"]
            say(f"{row['name']}: {row['unbounded']} of {total} simulations grew without bounds")
        fits = ", ".join(f"{name} {row.get(f'fit_{name}', np.nan):.3f}" for name in judged.sessions)
        say(f"fit of functional connectivity, {row['name']}: {fits}")
    return rows, (
        PageSection(
            title="Functional connectivity",
            text=(
                "Pearson r between the upper triangles of a person's measured functional "
                "connectivity and that of a simulated session as long, a mean over simulations, "
                "then over people; 95 % intervals by drawing people again. Baselines are fitted on "
                f"{next(iter(judged.sessions))} of each person. They are marked where they are "
                f"better than the model: {RULE}.",
            ),
            tables=(_fit_table(rows, tuple(judged.sessions)),),
            matrices=(
                Matrices(
                    "Functional connectivity, mean over people",
                    {"measured": own.mean_connectivity, "simulated": kept.mean_connectivity},
                ),
            ),
            spectra=page_spectra({"measured": own, "simulated": kept}),
        ),
        PageSection(
            title="Predictive checks",
            text=(
                "Where a person's own session lies among sessions that the model simulates for the "
                f"person ({min(simulations, CHECKED_SIMULATIONS)} of them). A right "
                "model has at most 10 % of people outside the middle 90 %.",
            ),
            tables=(table_of("Own session among simulated ones", checks),),
        ),
    )


def _unbounded(rows: Sequence[Row]) -> list[Flag]:
    """Say how many of the model's simulations are left out."""
    model = rows[0]
    if not model["unbounded"]:
        return []
    total = model["simulations"] * model["people"]
    text = f"{model['unbounded']} of {total} simulations grew without bounds, and are left out"
    return [Flag("warning", f"{text}: the model is unstable, as after a short training")]


def _above(session: str, rows: Sequence[Row]) -> list[Flag]:
    """Say which baselines fit a session better than the model."""
    key = f"fit_{session}"
    better = [
        f"{row['words']} ({row[key]:.2f})"
        for row in rows
        if row["what"] == "baseline" and row[f"verdict_{session}"] == WORSE
    ]
    if not better:
        return []
    text = f"The model's simulations fit {session} ({rows[0][key]:.2f}) less than: "
    return [Flag("warning", text + "; ".join(better))]


def _fit_table(rows: Sequence[Row], sessions: Sequence[str]) -> Table:
    def interval(row: Row, name: str) -> Any:
        keys = (f"fit_{name}", f"fit_{name}_low", f"fit_{name}_high")
        return tuple(row[key] for key in keys) if keys[0] in row else None

    of_mean = {name: f"{name}, mean of simulations" for name in sessions}
    headings = {f"verdict_{name}": name for name in sessions}
    headings |= {f"verdict_of_mean_{name}": heading for name, heading in of_mean.items()}
    baselines = [row for row in rows if row["what"] == "baseline"]
    return Table(
        "Fit of functional connectivity",
        ("name", *sessions, *of_mean.values(), "FC strength"),
        [
            (
                row["words"],
                *(interval(row, name) for name in sessions),
                *(row.get(f"fit_of_mean_{name}") for name in sessions),
                row["strength"],
            )
            for row in rows
        ],
        highlight=[row["words"] for row in baselines],
        model=str(rows[0]["words"]),
        better=[
            (row["words"], heading)
            for row in baselines
            for key, heading in headings.items()
            if row.get(key) == WORSE
        ],
    )


def _parameters(judged: Judged, maps: Mapping[str, Values]) -> tuple[PageSection, ...]:
    """Judge parameters: their use, features and maps, the other sessions."""
    analysis, networks = judged.analysis, judged.networks
    say("comparing parameters with features and maps")
    kl = kl_rows(judged.inferred.region)
    features = feature_rows(networks, judged.theta, maps, positions_of(networks.regions))
    analysis.write_table("desc-parameters_kl", kl)
    analysis.write_table("desc-features_regressions", features)
    role = role_rows(roles(judged.model, networks), judged.alignment)
    analysis.write_table("desc-parameters_roles", role)
    retest = _retest(judged)
    analysis.write_table("desc-parameters_retest", retest)
    return (
        PageSection(
            title="Parameters",
            text=(
                "Parameters in the order of their use; signs such that the first rises with "
                "zero-crossings, the second with the correlation with the mean signal, the third "
                "with that with the network input.",
                "R² over pairs counts each region of each person as if they were independent, as "
                "published; R² over regions is of means over people, with p from surrogate maps "
                "that are as smooth within hemispheres (Moran spectral randomisation). The R² of "
                "three raw features is what zero-crossings, the correlation with the mean signal "
                "and that with the network input explain without any model.",
                "Roles: Spearman's rho and slopes of 1,000 simulated regions with parameters of "
                "the prior, all given the same network input.",
            ),
            tables=(
                table_of("Use of the parameters (KL from the prior, nats)", kl),
                *(
                    (table_of("Features and maps explained by the parameters", features, _WORDS),)
                    if features
                    else ()
                ),
                table_of("What each parameter does to a region alone", role, ("figure",)),
                *((table_of("The same people in another session", retest),) if retest else ()),
            ),
        ),
    )


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
    """Compare the ELBO of series that were trained on with that of others, of the same people."""
    bundle, networks = judged.analysis.bundle, judged.networks
    assert bundle is not None
    rows = bundle.rows(networks.people, judged.analysis.data_set)
    trained = bundle.trained[[rows[label] for label in networks.people]]
    table: list[Row] = []
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
                table.append(row)
    judged.analysis.write_table("desc-series_elbo", table)
    if not table:
        return ()
    return (
        PageSection(
            title="Held-out series",
            text=(
                f"{int((~trained).sum())} of {trained.size} series were not trained on. They are "
                "of people whom the model knows by their other regions: this says nothing of new "
                "people. The external input is inferred frame by frame of the session that was "
                "trained on, so a model with one has no ELBO of another session.",
            ),
            tables=(table_of("ELBO a series, nats (8 samples, all terms in full)", table),),
        ),
    )


def _has_elbo(judged: Judged, networks: Networks) -> bool:
    """Return whether a session has an ELBO: what is inferred of the external input is its own."""
    bundle = judged.analysis.bundle
    assert bundle is not None
    own = networks is judged.networks and judged.analysis.session == bundle.part.session
    return not bundle.part.recipe.external_inputs or (own and networks.frames == bundle.part.frames)


def table_of(caption: str, rows: Sequence[Row], without: Sequence[str] = ()) -> Table:
    """Return a table of all keys of its rows but some."""
    columns = [c for c in dict.fromkeys(key for row in rows for key in row) if c not in without]
    cells = [tuple(row.get(column) for column in columns) for row in rows]
    return Table(caption, columns, cells)


def notices(judged: Judged) -> list[Flag]:
    """Return what a reader must know before all figures."""
    return [*_notice(judged), *few_people_notices(len(judged.labels))]


def _notice(judged: Judged) -> list[Flag]:
    bundle = judged.analysis.bundle
    assert bundle is not None
    return [Flag("warning", bundle.card.notice)] if bundle.card.notice else []


def _write_page(
    judged: Judged,
    sections: Sequence[PageSection],
    flags: Sequence[Flag],
    whom: str = "whom it was fitted to",
) -> None:
    analysis, bundle = judged.analysis, judged.analysis.bundle
    assert bundle is not None
    people = counted(len(judged.labels), "participant")
    page = analysis.results.path / PRESENTATION.analysis_page
    trouble = write_analysis_page(
        page,
        AnalysisPageFacts(
            title=analysis.results.path.name,
            index=f"../../{INDEX}",
            lead=f"{bundle.card.name} {bundle.card.version}, judged by {people} of "
            f"{analysis.data_set} {whom}, sessions {', '.join(judged.sessions)}. "
            "The unit of inference is the person.",
            flags=flags,
            sections=sections,
        ),
    )
    say(trouble or f"page: {page}")
    say(f"tables: {analysis.results.path}")
    write_index(analysis.results.output)
