"""Find fixed points of a network model's activity, in single regions and whole networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import NetworkAnalysis
from bids_dtg.dynamics.analyses.evaluate import Judged, notices
from bids_dtg.dynamics.analyses.parameters import PARTICIPANT, table_of
from bids_dtg.dynamics.fixed_points import (
    FixedPoints,
    network_fixed_points,
    network_settling,
    node_fixed_points,
)
from bids_dtg.notices import counted, say
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings

Row = dict[str, Any]
Values = NDArray[np.floating[Any]]

LEVELS = (-1.0, 0.0, 1.0)  # of each input of a single region
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
        "with one, stable as a flow",
    ),
    Column("several_points", "Cases with several fixed points", "with several"),
    Column("no_point", "Cases without a fixed point", "with none"),
    Column("points", "Number of fixed points", "points in all"),
    Column(
        "stable_flow",
        "Fixed points where all eigenvalues have real parts below 0",
        "stable as a flow",
    ),
    Column(
        "stable_map",
        "Fixed points where all of 1 + eigenvalue lie inside the unit circle",
        "stable as a map",
    ),
    Column("complex_eigenvalues", "Fixed points with complex eigenvalues", "points that rotate"),
    Column("largest_real_part", "Largest real part of all eigenvalues"),
    Column("largest_map_modulus", "Largest modulus of all of 1 + eigenvalue"),
)
_SETTLING = Column(
    "settling", "Cases that come to rest as a map, from a random state without noise"
)
_NOT_ON_PAGE = ("largest_real_part", "largest_map_modulus")  # of any size; they are in the files
_DRAWS, _NETWORK_STARTS = 4, 100  # of each person's parameters, and of the search; as published


def run_fixed_points(settings: Settings) -> int:
    """Find the fixed points of `--model` for its training participants; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model.
    """
    analysis = NetworkAnalysis.prepare(settings, "fixed-points", _REGIONS, _NETWORKS)
    judged = Judged(analysis, analysis.known())
    if settings.behaviour.dry_run:
        return analysis.print_plan("fixed points", judged.labels)
    with analysis.results.begun():
        analysis.describe()
        seed = settings.modelling.seed
        regions, networks = _of_regions(judged, seed), _of_networks(judged, seed)
        analysis.write({_REGIONS: regions, _NETWORKS: networks}, _page(judged, regions, networks))
    return 0


def _of_regions(judged: Judged, seed: int) -> ResultTable:
    """Search fixed points of single regions for each combination of inputs."""
    people = min(_NODE_PEOPLE, len(judged.labels))
    regions = len(judged.networks.regions)
    say(f"fixed points of {counted(regions, 'region')} of {counted(people, 'participant')}")
    inferred, rng = judged.inferred, np.random.default_rng(seed)
    own = inferred.draw_region(rng)[:people], inferred.draw_person(rng)[:people]
    points = node_fixed_points(judged.model, *own, levels=LEVELS, starts=_NODE_STARTS, seed=seed)
    externals = LEVELS if points.shape[3] > 1 else (0.0,)
    return ResultTable(
        (*_INPUTS, *_SUMMARY),
        _by_inputs(points, externals),
        "Fixed points of single regions: a row a combination of inputs",
    )


def _regions_section(counts: ResultTable) -> PageSection:
    """Return the part of the page on single regions."""
    return PageSection(
        title="Single regions",
        text=(
            "Fixed points of the transition with both inputs held. As a flow, a point "
            "is stable where all eigenvalues of the derivatives have real parts below "
            "0, as published; the model that was trained is a map from frame to frame, "
            "which is stable where all of 1 + eigenvalue lie inside the unit circle. A "
            "point rotates where eigenvalues are complex. A case is a region of a person.",
        ),
        tables=(table_of("Regions, by their inputs", _shown(counts), _NOT_ON_PAGE),),
    )


def _by_inputs(points: FixedPoints, externals: Sequence[float]) -> list[Row]:
    """Count fixed points of single regions, a row for each combination of inputs."""
    rows = []
    for u, network in enumerate(LEVELS):
        for number, external in enumerate(externals):
            cases = np.zeros(points.shape, bool)
            cases[:, :, u, number] = True
            rows.append(
                {
                    "network_input": network,
                    "external_input": external,
                    **_summary(points, cases),
                }
            )
    return rows


def _of_networks(judged: Judged, seed: int) -> ResultTable:
    """Search fixed points of each person's network, and follow networks without noise."""
    people = counted(len(judged.labels), "participant")
    say(f"fixed points of the networks of {people}, {_DRAWS} draws of parameters each")
    inferred, rng = judged.inferred, np.random.default_rng(seed)
    parameters = (
        np.moveaxis(inferred.draw_region(rng, _DRAWS), 0, 1),
        np.moveaxis(inferred.draw_person(rng, _DRAWS), 0, 1),
    )
    given = (judged.model, judged.networks.weights, *parameters)
    points = network_fixed_points(*given, starts=_NETWORK_STARTS, seed=seed)
    settled = network_settling(*given, seed=seed)
    return ResultTable(
        (PARTICIPANT, *_SUMMARY, _SETTLING),
        _by_person(judged.labels, points, settled),
        "Fixed points of people's networks: a row a participant",
    )


def _networks_section(counts: ResultTable) -> PageSection:
    """Return the part of the page on people's networks."""
    return PageSection(
        title="Networks",
        text=(
            f"All regions together, without external input; {_DRAWS} draws of the "
            f"parameters a person, {_NETWORK_STARTS} starts of the search each. "
            "Settling: how many of them come to rest from a random state without "
            "noise, within 1,200 frames. A case is a draw.",
        ),
        tables=(table_of("Networks, by person", counts, _NOT_ON_PAGE),),
    )


def _by_person(labels: Sequence[str], points: FixedPoints, settled: NDArray[np.bool_]) -> list[Row]:
    """Count fixed points of people's networks, a row for each person."""
    rows = []
    for number, label in enumerate(labels):
        cases = np.zeros(points.shape, bool)
        cases[number] = True
        rows.append(
            {
                "participant_id": f"sub-{label}",
                **_summary(points, cases),
                "settling": int(settled[number].sum()),
            }
        )
    return rows


def _summary(points: FixedPoints, cases: NDArray[np.bool_]) -> Row:
    """Count fixed points of some cases, by their stability.

    `cases` selects them, in the cases' shape.
    """
    here = cases.ravel()[points.case]
    everything, stable = points.number()[cases], points.number(points.stable_flow)[cases]
    eigenvalues = points.eigenvalues[here]
    return {
        "cases": int(cases.sum()),
        "one_point": int((everything == 1).sum()),
        "one_stable_point": int(((everything == 1) & (stable == 1)).sum()),
        "several_points": int((everything > 1).sum()),
        "no_point": int((everything == 0).sum()),
        "points": int(here.sum()),
        "stable_flow": int((points.stable_flow & here).sum()),
        "stable_map": int((points.stable_map & here).sum()),
        "complex_eigenvalues": int((points.rotates & here).sum()),
        "largest_real_part": _largest(eigenvalues.real),
        "largest_map_modulus": _largest(np.abs(1.0 + eigenvalues)),
    }


def _largest(values: Values) -> float | None:
    return float(values.max()) if values.size else None


def _shown(nodes: ResultTable) -> ResultTable:
    """Return the rows with a number as their name as pages write it."""
    rows = [
        {**row, "network_input": f"{row['network_input']:g}".replace("-", "\N{MINUS SIGN}")}
        for row in nodes.rows
    ]
    return ResultTable(nodes.columns, rows, nodes.description)


def _page(judged: Judged, regions: ResultTable, networks: ResultTable) -> AnalysisPageFacts:
    total, single = (
        sum(int(str(row[column])) for row in networks.rows)
        for column in ("cases", "one_stable_point")
    )
    return AnalysisPageFacts(
        title=judged.analysis.results.title,
        index=f"../../{INDEX}",
        lead=f"{counted(len(judged.labels), 'participant')} of {judged.analysis.data_set}: "
        f"{single} of {total} networks have one fixed point, and it is stable.",
        flags=notices(judged),
        sections=(_regions_section(regions), _networks_section(networks)),
    )
