"""Find fixed points of a network model's activity, in single regions and whole networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from bids_dtg.array_types import Mask
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import DynamicsAnalysis
from bids_dtg.dynamics.analyses.parameters import PARTICIPANT
from bids_dtg.dynamics.fixed_points import Field, FixedPoints, find, node_field, settles
from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.files.columns import Column
from bids_dtg.notices import counted, say
from bids_dtg.report.page import Section
from bids_dtg.report.tables import with_minus
from bids_dtg.settings import Settings

Row = dict[str, Any]

LEVELS = (-1.0, 0.0, 1.0)  # constant values of each input of a single region
_NODE_PEOPLE, _NODE_STARTS = 10, 60  # as published
_REGIONS, _NETWORKS = "desc-regions_fixedpoints", "desc-networks_fixedpoints"
_INPUTS = (
    Column("network_input", "Constant value of the network input", "network input"),
    Column("external_input", "Constant value of the external input", "external input"),
)
_SUMMARY = (
    Column("cases", "Number of cases"),
    Column("one_point", "Cases with one fixed point", "with one point"),
    Column(
        "one_stable_point",
        "Cases with one fixed point, which is stable as a flow",
        "with one point, stable as a flow",
    ),
    Column("several_points", "Cases with several fixed points", "with several"),
    Column("no_point", "Cases without a fixed point", "with none"),
    Column("points", "Number of fixed points", "all points"),
    Column(
        "stable_flow",
        "Fixed points where all eigenvalues have real parts below 0",
        "points stable as a flow",
    ),
    Column(
        "stable_map",
        "Fixed points where 1 + eigenvalue is inside the unit circle for all eigenvalues",
        "points stable as a map",
    ),
    Column(
        "complex_eigenvalues",
        "Fixed points with complex eigenvalues",
        "points with rotation",
    ),
)
_SETTLING = Column(
    "settling",
    "Cases in which the map comes to rest from a random state, without noise",
)
# Draws of each person's parameters, and starts of the search for each draw; as published.
_DRAWS, _NETWORK_STARTS = 4, 100


def run_fixed_points(settings: Settings) -> int:
    """Find the fixed points of `--model` for its training participants; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model.
    """
    analysis = DynamicsAnalysis.prepare(settings, "fixed-points", _REGIONS, _NETWORKS)
    labels = analysis.training_people()
    if settings.behaviour.dry_run:
        return analysis.print_plan("fixed points", labels)
    with analysis.writing():
        networks = analysis.people.networks(analysis.session, labels)
        model = analysis.model.model()
        seed = settings.modelling.seed
        inferred = infer(model, networks, analysis.row_labels)
        regions = _region_table(model, inferred, seed)
        persons = _network_table(model, networks, inferred, seed)
        total = _sum(persons, "cases")
        single = _sum(persons, "one_stable_point")
        analysis.write_page(
            {_REGIONS: regions, _NETWORKS: persons},
            f"{counted(labels, 'participant')} of {analysis.data_set}: "
            f"{single} of {total} networks have a single fixed point that is stable as a flow.",
            _sections(regions, persons),
        )
    return 0


def _sum(table: ResultTable, column: str) -> int:
    return sum(int(str(row[column])) for row in table.rows)


def _region_table(model: NetworkModel, inferred: Inferred, seed: int) -> ResultTable:
    """Find fixed points of single regions for each combination of inputs."""
    people = min(_NODE_PEOPLE, len(inferred.region_mean))
    regions = inferred.region_mean.shape[1]
    say(
        f"fixed points of {counted(regions, 'region')} of {counted(people, 'participant')}"
    )
    rng = np.random.default_rng(seed)
    region = inferred.draw_region(rng)[:people]
    person = inferred.draw_person(rng)[:people]
    field, shape = node_field(model, region, person, LEVELS)
    points = find(field, _NODE_STARTS, seed)
    settled = settles(field, seed)
    externals = LEVELS if model.recipe.external_inputs else (0.0,)
    rows = []
    for row, network in enumerate(LEVELS):
        for column, external in enumerate(externals):
            cases = np.zeros(shape, bool)
            cases[:, :, row, column] = True
            inputs = {"network_input": network, "external_input": external}
            rows.append(inputs | _summary(points, settled, cases.ravel()))
    words = "Fixed points of single regions: one row per combination of inputs"
    return ResultTable((*_INPUTS, *_SUMMARY, _SETTLING), rows, words)


def _network_table(
    model: NetworkModel, networks: Networks, inferred: Inferred, seed: int
) -> ResultTable:
    """Find fixed points of each person's network, and test whether networks settle."""
    people = counted(networks.people, "participant")
    say(f"fixed points of the networks of {people}, {_DRAWS} draws of parameters each")
    rng = np.random.default_rng(seed)
    # (people, draws, ...)
    region = np.moveaxis(inferred.draw_region(rng, _DRAWS), 0, 1)
    person = np.moveaxis(inferred.draw_person(rng, _DRAWS), 0, 1)
    draws = np.ones(_DRAWS, bool)
    rows = []
    for number, label in enumerate(networks.people):
        weights = networks.weights[number]
        field = Field(model, region[number], person[number], weights=weights)
        points = find(field, _NETWORK_STARTS, seed)
        counts = _summary(points, settles(field, seed), draws)
        rows.append({"participant_id": f"sub-{label}", **counts})
    words = "Fixed points of people's networks: one row per participant"
    return ResultTable((PARTICIPANT, *_SUMMARY, _SETTLING), rows, words)


def _summary(points: FixedPoints, settled: Mask, cases: Mask) -> Row:
    """Count fixed points of the selected cases by their stability, and cases that settle.

    `settled` and `cases` are masks of all cases.
    """
    here = cases[points.case]
    number = points.number()[cases]
    stable = points.number(points.stable_flow)[cases]
    return {
        "cases": int(cases.sum()),
        "one_point": int((number == 1).sum()),
        "one_stable_point": int(((number == 1) & (stable == 1)).sum()),
        "several_points": int((number > 1).sum()),
        "no_point": int((number == 0).sum()),
        "points": int(here.sum()),
        "stable_flow": int((points.stable_flow & here).sum()),
        "stable_map": int((points.stable_map & here).sum()),
        "complex_eigenvalues": int((points.rotates & here).sum()),
        "settling": int((settled & cases).sum()),
    }


def _sections(regions: ResultTable, networks: ResultTable) -> tuple[Section, ...]:
    """Return the page's sections on single regions and on people's networks."""

    def level_in_words(level: float) -> str:
        return with_minus(f"{level:g}")

    by_input = regions.in_words("network_input", level_in_words)
    return (
        Section(
            title="Single regions",
            text=(
                "Fixed points of the transition with both inputs constant. A case is a region of "
                "a person. As a flow, which is how the publication treats the model, a point is "
                "stable if all eigenvalues of the Jacobian have real parts below 0. The trained "
                "model is a map from frame to frame; as a map, a point is stable if 1 + eigenvalue "
                "is inside the unit circle for all eigenvalues. Activity rotates around points "
                "with complex eigenvalues. Settling is the number of cases in which the map comes "
                "to rest from a random state, without noise, within 1,200 frames.",
            ),
            tables=(by_input.on_page("Regions, by inputs"),),
        ),
        Section(
            title="Networks",
            text=(
                "All regions together, without external input. A case is a draw of a person's "
                f"parameters: {_DRAWS} for each person, with {_NETWORK_STARTS} starts of the "
                "search. Settling is as for single regions.",
            ),
            tables=(networks.on_page("Networks, by person"),),
        ),
    )
