"""Evaluate a network on the people it was fitted to: simulations and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import chain, compress
from typing import Any

import numpy as np

from bids_dtg.array_types import Floats
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import DynamicsAnalysis
from bids_dtg.dynamics.analyses.evaluate import (
    SCORES,
    TEXT,
    say_scores,
    score_section,
    score_table,
    score_warnings,
)
from bids_dtg.dynamics.analyses.parameters import (
    FEATURES_FILE,
    PARAMETERS,
    parameter_results,
)
from bids_dtg.dynamics.analyses.session_means import SessionMeans, compared
from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.judging.predictions import (
    ANOTHER,
    MODEL,
    REFERENCES,
    SAME,
    Judge,
    Person,
    Prediction,
    Scored,
    prediction_of_simulations,
    read_people,
    score_references,
    score_row,
)
from bids_dtg.dynamics.judging.predictive import (
    CHECKS,
    OUTSIDE_P,
    check_person,
    summarise,
)
from bids_dtg.dynamics.linear import (
    FIXED,
    GroupSums,
    LinearModel,
    Shrinkage,
    covariances_of,
)
from bids_dtg.dynamics.measures import bounded
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.options import DynamicsOptions
from bids_dtg.dynamics.panels.words import PURPOSE_OF_NETWORKS
from bids_dtg.dynamics.simulation import Inputs, simulate
from bids_dtg.files.columns import Column
from bids_dtg.inputs.cortex import read_region_maps
from bids_dtg.notices import counted, say
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import BETTER, TOO_FEW

Row = dict[str, Any]
# Name, words, and each person's predictions.
SimulatedRow = tuple[str, str, Iterable[tuple[str, Sequence[Prediction]]]]

OTHER_CONNECTOME = "other_connectome"
_MOST_CONNECTOMES = 5  # other people's connectomes with which each person is simulated
# Simulations without some inputs, as published: their first states are drawn from the prior.
ABLATIONS: Mapping[str, tuple[Inputs, str]] = {
    "prior": ("both", "the model, with first states from the prior"),
    "external_only": ("external", "the model without connections between regions"),
    "network_only": ("network", "the model without the external input"),
    "no_input": ("none", "the model without either input"),
}
FEW_SIMULATIONS = 20  # of each person with other inputs or connections, as published
# Simulations of each person for predictive checks; more would take long, because of FCD.
CHECKED_SIMULATIONS = 20
# r between the functional connectivity of training people and of single simulations: the published
# value, and the least to expect of a fully trained network.
PUBLISHED_FIT, EXPECTED_FIT = 0.53, 0.4
_CHECKS_FILE = "desc-predictive_checks"
_CHECKS = (
    Column("measure", "Name of the measure"),
    Column("unit", "Unit of observed, simulated, low and high"),
    Column("people", "Number of people"),
    Column("observed", "Value in people's own sessions, mean over people"),
    Column("simulated", "Mean over simulations and people"),
    Column(
        "low",
        "Lower end of the middle 90 % of simulations, mean over people",
        "5th percentile",
    ),
    Column(
        "high",
        "Upper end of the middle 90 % of simulations, mean over people",
        "95th percentile",
    ),
    Column(
        "outside",
        "Share of people outside the middle 90 % of their simulations",
        "share of people outside",
        interval="95 % interval (Wilson)",
    ),
)


# Long, as it lists what an evaluation writes: tables, sections and warnings.
def run_network_evaluation(settings: Settings) -> int:
    """Evaluate the network of `--model` on its training participants.

    Returns
    -------
    How many participants' simulations all diverged.

    Raises
    ------
    DtgError
        Wrong options, files or model.
    """
    analysis = DynamicsAnalysis.prepare(
        settings, "evaluation", SCORES, _CHECKS_FILE, PARAMETERS, FEATURES_FILE
    )
    labels = analysis.training_people()
    bundle = analysis.model
    options, seed = settings.part(DynamicsOptions), settings.modelling.seed
    maps = read_region_maps(options.region_maps, analysis.people.regions)
    if settings.behaviour.dry_run:
        return analysis.print_plan("scores, tables and a page", labels)
    with analysis.writing():
        model = bundle.model()
        row_labels = analysis.row_labels
        sessions = analysis.sessions(labels, analysis.people.networks)
        session_read, networks = next(iter(sessions.items()))
        inferred = infer(model, networks, row_labels)
        people = _read_people(networks)
        means = {person.label: person.mean for person in people}
        judges = [
            Judge(name, ANOTHER if number else SAME, measured, means)
            for number, (name, measured) in enumerate(sessions.items())
        ]
        sessions_of_each = counted(options.simulations, "session")
        say(f"simulating: {sessions_of_each} of {counted(labels, 'participant')}")
        simulations = simulate(
            model, networks, inferred, simulations=options.simulations, seed=seed
        )
        scored, simulated, checked = _scored_model(simulations, networks, judges)
        few = min(options.simulations, FEW_SIMULATIONS)
        simulate_few = partial(simulate, model, simulations=few, seed=seed)
        for name, words, predictions in chain(
            _without_inputs(simulate_few, model, networks, inferred),
            _with_other_connectomes(simulate_few, model, networks, row_labels),
        ):
            say(f"simulating: {words}")
            scored += score_row(name, words, predictions, judges)
        scored += score_references(people, judges, REFERENCES, seed)
        scores = score_table(scored, simulated=True)
        checks = summarise(checked)
        say_scores(scores)
        parameters, sections = parameter_results(
            model, sessions, inferred, row_labels, maps
        )
        tables = {
            SCORES: scores,
            _CHECKS_FILE: ResultTable(
                _CHECKS,
                checks,
                "People's own sessions compared with simulated ones: one row per measure",
            ),
            **parameters,
        }
        analysis.write_page(
            tables,
            f"{bundle.title}, evaluated on "
            f"{counted(labels, 'participant')} of its training set ({analysis.data_set}), "
            f"sessions {', '.join(sessions)}. The unit of inference is the person. "
            f"{PURPOSE_OF_NETWORKS}",
            (
                *(_section(scores, judge, session_read) for judge in judges),
                compared(networks, simulated),
                _checks_section(tables[_CHECKS_FILE]),
                *sections,
            ),
            [
                below_publication(scores),
                _diverged(scored[0], options.simulations),
                *score_warnings(scores, len(np.unique(networks.kin))),
                same_by_another(scores),
                outside_simulations(checks),
            ],
        )
        say(f"tables: {analysis.results.path}")
    return len(labels) - simulated.people


def _read_people(networks: Networks) -> list[Person]:
    """Return what each person is predicted from, with a linear core of other families.

    It is empty if somebody is of everybody's family.
    """
    if not networks.apart.any(axis=1).all():
        return []
    people = [covariances_of(networks, row) for row in range(len(networks.people))]
    everybody = GroupSums.over(people)
    cores = []
    for is_relative in ~networks.apart:
        relatives = compress(people, is_relative)  # the person included
        without_relatives = reduce(GroupSums.without, relatives, everybody)
        cores.append(LinearModel.of(without_relatives, Shrinkage(*FIXED)))
    return read_people(networks, cores)


def _scored_model(
    simulations: Iterable[Floats], networks: Networks, judges: Sequence[Judge]
) -> tuple[list[Scored], SessionMeans, list[dict[str, Floats]]]:
    """Return scores, means and predictive checks of each person's simulations by the model."""
    means = SessionMeans(networks.tr_seconds)
    checked: list[dict[str, Floats]] = []

    def predictions() -> Iterator[tuple[str, Sequence[Prediction]]]:
        people = zip(networks.people, networks.series, simulations, strict=True)
        for label, measured, simulated in people:
            means.add(simulated)
            shown = simulated[bounded(simulated)][:CHECKED_SIMULATIONS]
            if len(shown):
                checked.append(check_person(measured, shown, networks.tr_seconds))
            else:
                say(f"error: sub-{label}: all simulations diverged")
            yield label, [prediction_of_simulations(simulated)]

    scored = score_row(MODEL, "the network model", predictions(), judges)
    return scored, means, checked


def _without_inputs(
    simulate_few: Callable[..., Iterator[Floats]],
    model: NetworkModel,
    networks: Networks,
    inferred: Inferred,
) -> Iterator[SimulatedRow]:
    """Yield rows of the model without some of its inputs."""
    for name, (inputs, words) in ABLATIONS.items():
        if inputs == "external" and not model.recipe.external_inputs:
            continue
        ablated = simulate_few(networks, inferred, first="prior", inputs=inputs)
        predictions = (
            (label, [prediction_of_simulations(simulated)])
            for label, simulated in zip(networks.people, ablated, strict=True)
        )
        yield name, words, predictions


def _with_other_connectomes(
    simulate_few: Callable[..., Iterator[Floats]],
    model: NetworkModel,
    networks: Networks,
    row_labels: tuple[str, ...],
) -> Iterator[SimulatedRow]:
    """Yield a row of the model with other people's connectomes; none where these are the same.

    The connectomes are those of other families, at most `_MOST_CONNECTOMES`. Everything else is the
    same, including the person's series and random numbers.
    """
    differ = np.ptp(networks.weights, axis=0).any()
    if not (networks.apart.any(axis=1).all() and differ):
        return

    def predictions() -> Iterator[tuple[str, Sequence[Prediction]]]:
        for label, apart in zip(networks.people, networks.apart, strict=True):
            person = networks.of([label])
            rows = np.flatnonzero(apart)
            number = min(len(rows), _MOST_CONNECTOMES)
            places = np.linspace(0, len(rows) - 1, number).round()
            of_person: list[Prediction] = []
            for row in rows[np.unique(places.astype(np.intp))]:
                swapped = replace(person, weights=networks.weights[[row]])
                sessions = simulate_few(swapped, infer(model, swapped, row_labels))
                of_person += map(prediction_of_simulations, sessions)
            yield label, of_person

    words = "the model with another person's structural connectome, mean over other families"
    yield OTHER_CONNECTOME, words, predictions()


def _section(scores: ResultTable, judge: Judge, session_read: str) -> Section:
    fitted = "The network was fitted to all of these people."
    if judge.relation == ANOTHER:
        words = f"Predictions are made from {session_read} and judged on {judge.name}."
        return score_section(scores, judge, f"{fitted} {words}")
    words = (
        f"{fitted} Predictions are made from {session_read} and judged on the same session. Other "
        "people are the others evaluated here. The prediction by simulations is their mean FC, "
        "which has no published counterpart: the publication averages r over single simulations."
    )
    return score_section(scores, judge, TEXT, words)


def same_by_another(scores: ResultTable) -> str:
    """Warn if simulations with other people's structural connectomes fit a session equally well.

    Parameters
    ----------
    scores
        The table of scores; its last session counts.

    Returns
    -------
    str
        Empty if people's own connectomes fit better, there is no such row, or too few people.
    """
    rows = [row for row in scores.rows if row["name"] == OTHER_CONNECTOME]
    if not rows or rows[-1]["verdict_fit"] in (BETTER, TOO_FEW):
        return ""
    return (
        f"Simulations with another person's structural connectome fit {rows[-1]['session']} "
        "equally well, so the predictions do not depend on the person's own connections"
    )


def below_publication(scores: ResultTable) -> str:
    """Warn if single simulations fit the session far less well than in the publication.

    Parameters
    ----------
    scores
        The table of scores.

    Returns
    -------
    str
        Empty if they fit as well as expected.
    """
    fit = scores.rows[0]["fit_single"]
    assert isinstance(fit, Interval)
    if not fit.mean < EXPECTED_FIT:  # also NaN
        return ""
    return (
        "Single simulations fit the functional connectivity of the training set with r = "
        f"{fit.mean:.2f} ({PUBLISHED_FIT} in the publication); more epochs may help"
    )


def _diverged(model: Scored, simulations: int) -> str:
    """Warn of simulations by the model that were left out, if any."""
    if not model.diverged:
        return ""
    total = simulations * len(model.judge.people.people)
    return (
        f"{model.diverged} of {total} simulations diverged and were left out. The model is "
        "unstable, possibly after too short a training"
    )


def outside_simulations(checks: Sequence[Row]) -> str:
    """Warn of the predictive checks that fail, if any.

    Parameters
    ----------
    checks
        Rows of the table. A check fails if the 95 % interval of the share of people outside is
        above 10 %, the share for a correct model.
    """
    failed = []
    for row in checks:
        words, *_ = CHECKS[row["measure"]]
        outside = row["outside"]
        if outside.low > OUTSIDE_P:
            failed.append(f"{words} ({100 * outside.mean:.0f} % of people)")
    if not failed:
        return ""
    return (
        f"The model does not describe these people's sessions: {len(failed)} of "
        f"{counted(checks, 'predictive check')} {'fails' if len(failed) == 1 else 'fail'}, as "
        "more than 10 % of people are outside the middle 90 % of their simulations "
        f"({'; '.join(failed)})"
    )


def _checks_section(checks: ResultTable) -> Section:
    in_words = checks.in_words("measure", lambda name: CHECKS[name][0])
    return Section(
        title="Predictive checks",
        text=(
            "Each person's own session is compared with at most "
            f"{CHECKED_SIMULATIONS} sessions that the model simulates for the person. With a "
            "correct model, at most 10 % of people are outside the middle 90 % of their "
            "simulations.",
        ),
        tables=(in_words.on_page("Own and simulated sessions"),),
    )
