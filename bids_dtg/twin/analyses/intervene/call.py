"""Perturb people's connectomes in a twin, and attribute its figures to edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bids_dtg.cohort.seen_people import (
    EXCLUDED,
    RELATED,
    TRAINED,
    left_out_table,
    say_left_out,
    seen_on_page,
)
from bids_dtg.errors import DatasetError
from bids_dtg.files.array_store import write_npz
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import Settings
from bids_dtg.twin.analyses.analysis import TwinAnalysis, refuse_training_options
from bids_dtg.twin.analyses.intervene.page import intervention_page
from bids_dtg.twin.analyses.intervene.study import People, Plan, Study, study
from bids_dtg.twin.analyses.intervene.tables import intervention_tables, region_names
from bids_dtg.twin.interventions.attribution import PERMUTATIONS

_FEWEST = 2  # people: step sizes are in standard deviations of people
_FEWEST_FITTED = 3  # training participants, for ridge and covariance
_FEWEST_UNSEEN = 10  # fewer people would dominate the directions individually
DIRECTIONS = "desc-directions_edges.npz"
_CAN_WRITE = (
    *("desc-*_response", "desc-*_attribution", "desc-directions_edges", "desc-moves_*"),
    EXCLUDED,
)


def run_interventions(settings: Settings) -> int:
    """Intervene in the twins of `--model`; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model, or fewer than two people.
    """
    refuse_training_options(settings)
    analysis = TwinAnalysis.prepare(settings, "intervention", *_CAN_WRITE)
    plan = _planned(analysis)
    if settings.behaviour.dry_run:
        return _print_plan(analysis, plan)
    performers = _people(analysis, plan.performers)
    if not np.ptp(performers.connectomes, axis=0).any():
        raise DatasetError(
            f"the connectomes of {named(plan.performers)} are the same",
            expected="connectomes that differ: step sizes are in standard deviations of people",
        )
    fitted = _people(analysis, plan.fitted) if len(plan.fitted) >= _FEWEST_FITTED else None
    with analysis.results.begun():
        analysis.describe()
        for line in _words(plan):
            say(line)
        if left_out := _left_out(analysis, plan):
            analysis.results.table(EXCLUDED, left_out_table(left_out))
        found = study(plan, performers, fitted)
        _write(analysis, plan, found)
        _write_page(analysis, plan, found)
    return 0


def _planned(analysis: TwinAnalysis) -> Plan:
    bundle, labels = analysis.bundle, analysis.people.labels
    permutations = analysis.settings.statistics.permutations
    assert bundle is not None
    unseen, seen = analysis.divided()
    performers = unseen if len(unseen) >= _FEWEST_UNSEEN else labels
    if len(performers) < _FEWEST:
        raise DatasetError(
            f"{counted(len(performers), 'participant')} has a connectome and events here "
            f"({named(performers)})",
            expected=f"{_FEWEST} or more: step sizes are in standard deviations of people",
        )
    if performers is unseen:
        related = dict.fromkeys(analysis.relatives, RELATED)
        say_left_out({**related, **dict.fromkeys(seen, TRAINED)})
    return Plan(
        bundle=bundle,
        performers=performers,
        fitted=seen,
        permutations=PERMUTATIONS if permutations is None else permutations,
        seed=analysis.settings.modelling.seed,
    )


def _left_out(analysis: TwinAnalysis, plan: Plan) -> dict[str, str]:
    """Return why twins of some people do not perform, by label."""
    why = analysis.why_not(plan.fitted)
    return {label: reason for label, reason in why.items() if label not in set(plan.performers)}


def _people(analysis: TwinAnalysis, labels: tuple[str, ...]) -> People:
    people, bundle = analysis.people, analysis.bundle
    assert bundle is not None
    segments = people.segments(labels)
    connectomes, covariates = analysis.adjusted(labels)
    return People(labels, connectomes, segments, covariates)


def _print_plan(analysis: TwinAnalysis, plan: Plan) -> int:
    for line in _words(plan):
        say(line)
    null = "" if plan.without_null else f", a null of {counted(plan.permutations, 'permutation')}"
    what = f"attributions, perturbations of connectomes{null}, tables and a page"
    return analysis.print_plan(what, plan.performers)


def _words(plan: Plan) -> Iterator[str]:
    """Yield lines on the people whose twins perform, and on what is left out."""
    yield from (line for line in (_who(plan), plan.without_null, plan.refits) if line)


def _who(plan: Plan) -> str:
    """Describe the people whose twins perform: how many are in the training set."""
    people, name = counted(len(plan.performers), "participant"), plan.bundle.card.name
    known = plan.known
    if not known:
        return f"twins of {people} outside the training set of {name} perform"
    return (
        f"twins of {people} perform; {known} of them are in the training set of {name}, as fewer "
        f"than {_FEWEST_UNSEEN} others have files here"
    )


def _write(analysis: TwinAnalysis, plan: Plan, found: Study) -> None:
    """Write tables and directions."""
    regions = region_names(plan.bundle, analysis.people.regions)
    for name, table in intervention_tables(found, regions).items():
        analysis.results.table(name, table)
    write_npz(
        analysis.results.add(DIRECTIONS),
        {
            "targets": np.array(found.targets, dtype=np.str_),
            "gradient": found.gradients.edges,
            "moved": np.array(list(found.directions), dtype=np.str_),
            "unit": np.array([direction.unit for direction in found.directions.values()]),
            "length": np.array([direction.length for direction in found.directions.values()]),
            "places": np.array(regions, dtype=np.str_),
        },
    )


def _write_page(analysis: TwinAnalysis, plan: Plan, found: Study) -> None:
    facts = intervention_page(analysis, plan, found, _who(plan))
    lead = facts.lead + seen_on_page(_left_out(analysis, plan))
    analysis.results.page(replace(facts, lead=lead), analysis.page_name)
