"""The tables of interventions in twins, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import BY_PEOPLE, Column, interval_of
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.stats.verdict import NO_DIFFERENCE, TOO_FEW, not_computable
from bids_dtg.twin.analyses.intervene.study import TABLE_STEP_SIZE, Study, mean_known, rms
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.interventions.attribution import map_correlations, region_means
from bids_dtg.twin.interventions.perturbations import Perturbation
from bids_dtg.twin.judging.cohort import RT

Row = dict[str, Any]
Array = NDArray[np.float64]
Ends = tuple[float, float, float]
_MS = 1000.0
_FIGURE = Column("figure", "Figure of a task: response time (rt), effect, or share of its trials")
_UNIT = Column("unit", "Unit of the figure: s, or share of trials")
_STEP_SIZE = Column(
    "step_size",
    "Step size in standard deviations between people of the figure as predicted by twins",
)
_CHANGE = Column(
    "change",
    "Mean over people of the figure after the perturbation less before",
    interval=BY_PEOPLE,
)
_SIZES = (
    Column("perturbation_rms", "Root mean square over edges of the perturbation, Fisher z"),
    Column(
        "between_people_rms",
        "Difference of two people's connectomes, root mean square over edges and pairs, Fisher z",
    ),
)
_PERTURBATIONS = (
    Column("direction", "Direction of the perturbation: the figure that it should change"),
    _STEP_SIZE,
    _FIGURE,
    Column("intended", "Whether the direction should change this figure"),
    _UNIT,
    Column("before", "Mean over people, before the perturbation"),
    Column("after", "Mean over people, after the perturbation"),
    _CHANGE,
    Column("people", "How many people"),
    Column(
        "calibrated_change",
        "The change times the slope of observed on predicted figures, over people outside the "
        "training set; n/a with fewer than 10 of them",
        interval="95 % interval",
    ),
    *_SIZES,
)
_EVIDENCE = Column(
    "evidence",
    "The change times r of predicted and observed figures over people outside the training set; "
    "the change itself with fewer than 10 of them",
    unit="s",
)
_CONTROLS = (
    Column("permutation", "Number of the permutation of behaviour over training participants"),
    *(_STEP_SIZE, _FIGURE),
    Column(
        "change",
        "Mean change of the figure along the direction that lowers it, both by the twin that was "
        "refitted to permuted behaviour",
        unit="s",
    ),
    _EVIDENCE,
)
_JUDGED = (
    Column("figure", "Figure that the direction should lower"),
    _STEP_SIZE,
    Column(
        "verdict",
        f"lower, higher, or {NO_DIFFERENCE}, by the one rule; else {TOO_FEW}, or not computable",
    ),
    Column("why", "What is missing for lower or higher"),
    Column(
        "lowered",
        "By how much the figure falls along the direction, calibrated with 10 people or more "
        "outside the training set, with an interval over refits to halves of the training "
        "participants",
        interval="95 % interval over refits",
        unit="s",
    ),
    Column(
        "lowered_p",
        "p of as much evidence by twins of permuted behaviour, each along its own direction; "
        "corrected for the number of figures",
    ),
    _EVIDENCE,
    Column("permuted_as_large", "Number of twins of permuted behaviour with as much evidence"),
    Column("permutations", "Permutations of behaviour over people"),
    Column("refits_lower", "Number of refits to halves in which the figure falls"),
    Column("refits", "Refits to halves of the training participants"),
    Column("r_refits", "Mean r over edges of attributions of twins refitted to two halves"),
    Column("predicted", "Mean over people of the figure, by their twins", unit="s"),
    Column("observed", "Mean over people of the figure, observed", unit="s"),
)
_SIMPLE = (
    Column("figure", "Figure that the direction should lower"),
    Column(
        "direction",
        "What predicts the figure, twin or ridge; the direction is the difference between people "
        "whose predicted figure differs",
    ),
    _STEP_SIZE,
    Column("twin_change", "Mean change of the figure, by twins", unit="s"),
    Column("ridge_change", "Change of the figure, by ridge regression on edges", unit="s"),
    Column(
        "ridge_calibrated_change",
        "The ridge's change times the slope of observed on predicted figures, over people outside "
        "the training set; n/a with fewer than 10 of them",
        interval="95 % interval",
        unit="s",
    ),
)
_TARGET = Column(
    "target",
    "Figure that is attributed: mean response time (rt), or that in the second condition less the "
    "first (effect)",
)
# What needs no network, of the training participants' observed figure.
_BESIDE = (
    Column(
        "ridge_seconds_per_z",
        "The same by ridge regression on edges: weights; n/a without training participants",
    ),
    Column(
        "covariance",
        "Covariance of edges with the figure over people, in units of the length of the whole map",
    ),
)
_EDGES = (
    _TARGET,
    Column("rank", "Rank by size, 1 the largest"),
    Column("edge", "Number of the edge: pairs of regions row by row, from 1"),
    *Column("region_{}", "Region {} of the edge").each((1, 2)),
    Column(
        "seconds_per_z",
        "Change of the figure in seconds with a unit of Fisher z of the edge, mean over people and "
        "noisy copies (SmoothGrad)",
    ),
    *_BESIDE,
)
_REGIONS = (
    _TARGET,
    Column("region", "Name of the region"),
    Column(
        "seconds_per_z",
        "Change of the figure in seconds with a unit of Fisher z, mean over the region's edges, "
        "people and noisy copies (SmoothGrad)",
    ),
    *_BESIDE,
)
_MAPS = (
    _TARGET,
    Column("r_ridge", "r over edges with the weights of a ridge regression of the observed figure"),
    Column("r_covariance", "r over edges with the covariance of edges and the observed figure"),
)
STRONGEST = 200  # edges of each figure in the table
CORRECT, UNANSWERED = "correct", "unanswered"  # figures of tasks, as shares of trials


def intervention_tables(found: Study, regions: Sequence[str]) -> dict[str, ResultTable]:
    """Return all tables by the names of their files; without region names, edges are no pairs."""
    return {
        "desc-doses_response": ResultTable(
            _PERTURBATIONS,
            list(perturbation_rows(found)),
            "Perturbations of connectomes: a row a direction, step size and figure",
        ),
        "desc-moves_judged": ResultTable(
            _JUDGED, list(judged_rows(found)), "Verdicts over refits and nulls: a row a figure"
        ),
        "desc-moves_simple": ResultTable(
            _SIMPLE,
            list(simple_rows(found)),
            "The same without a network: a row a figure and direction",
        ),
        "desc-controls_response": ResultTable(
            _CONTROLS,
            list(_control_rows(found)),
            "The same procedure with permuted behaviour: a row a permutation and figure",
        ),
        "desc-edges_attribution": ResultTable(
            _EDGES,
            list(_edge_rows(found, regions)),
            "The edges with the largest attribution of each figure",
        ),
        "desc-regions_attribution": ResultTable(
            _REGIONS, list(region_rows(found, regions)), "Means over the edges of each region"
        ),
        "desc-maps_attribution": ResultTable(
            _MAPS,
            list(map_rows(found)),
            "The whole attribution of each figure beside what needs no network",
        ),
    }


def region_names(bundle: TwinBundle, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the model's regions: those at hand if they fit, else its own."""
    number = bundle.part.regions
    if len(names) == number:
        return tuple(names)
    return bundle.regions or tuple(f"region {place}" for place in range(1, number + 1))


def words(figure: str) -> str:
    """Return a figure's name in words.

    Examples
    --------
    >>> words("stroop_rt"), words("stroop_effect")
    ('stroop response time', 'stroop effect')
    """
    task, _, what = figure.rpartition("_")
    return f"{task} {'response time' if what == RT else what}"


def figures_of_perturbation(perturbation: Perturbation) -> Iterator[tuple[str, str, Array, Array]]:
    """Yield the name and unit of each figure, and people's values before and after."""
    for number, target in enumerate(perturbation.before.targets):
        yield (
            target,
            "s",
            perturbation.before.seconds[:, number],
            perturbation.after.seconds[:, number],
        )
    for what, before, after in (
        (CORRECT, perturbation.before.correct, perturbation.after.correct),
        (UNANSWERED, perturbation.before.unanswered, perturbation.after.unanswered),
    ):
        for number, task in enumerate(perturbation.before.tasks):
            yield f"{task}_{what}", "share", before[:, number], after[:, number]


def perturbation_rows(found: Study) -> Iterator[Row]:
    """Yield the changes by each step size along each direction, a row a figure."""
    for lowers, perturbations in found.perturbations.items():
        direction = found.directions[lowers]
        for perturbation in perturbations:
            for figure, unit, before, after in figures_of_perturbation(perturbation):
                change = bootstrap_interval(after - before)
                people = int(np.isfinite(after - before).sum())
                yield {
                    "direction": f"lower {lowers}",
                    "step_size": perturbation.step_size,
                    "figure": figure,
                    "intended": figure == lowers,
                    "unit": unit,
                    "before": mean_known(before),
                    "after": mean_known(after),
                    "change": change,
                    "people": people,
                    "calibrated_change": _calibrated(found, figure, change.mean),
                    "perturbation_rms": rms(direction.delta(perturbation.step_size)),
                    "between_people_rms": found.between_people,
                }


def _calibrated(found: Study, figure: str, change: float) -> Ends | None:
    """Return the change times the calibration slope; None where the slope is not known."""
    calibration = found.calibrations.get(figure)
    return None if calibration is None else calibration.interval(change)


def in_ms(change: object) -> Ends | None:
    """Return a change and the ends of its interval, in ms; None where it is not known."""
    ends = interval_of(change)
    if ends is None:
        return None
    mean, low, high = (_MS * value for value in ends)
    return mean, low, high


def permuted_changes(found: Study, figure: str) -> Array | None:
    """Return mean changes of a figure by twins of permuted behaviour; None without a null."""
    if found.moves is None:
        return None
    number = found.targets.index(figure)
    return np.array([of.predicted[number] for of in found.moves.permuted])


def judged_rows(found: Study) -> Iterator[Row]:
    """Yield the verdict on the direction that lowers each figure, a row each."""
    r = found.refits_r
    for number, figure in enumerate(found.targets):
        yield {
            "figure": figure,
            "step_size": TABLE_STEP_SIZE,
            **_judged(found, number),
            "r_refits": None if r is None else mean_known(r[:, number]),
            "predicted": mean_known(found.outcomes.of(figure)),
            "observed": mean_known(found.observed[:, number]),
        }


def _judged(found: Study, number: int) -> Row:
    if found.moves is None:
        return {"verdict": not_computable("no refits or no null"), "why": found.without_moves}
    verdict, moves = found.moves.verdicts[number], found.moves
    evidence = float(moves.own.evidence[number])
    permuted = np.array([of.evidence[number] for of in moves.permuted])
    return {
        "verdict": verdict.named("lower", "higher"),
        "why": verdict.why,
        **verdict.columns("lowered"),
        "evidence": evidence,
        "permuted_as_large": int((permuted <= evidence).sum()),
        "permutations": len(permuted),
        "refits_lower": sum(bool(of.calibrated[number] < 0) for of in moves.refitted),
        "refits": len(moves.refitted),
    }


def simple_rows(found: Study) -> Iterator[Row]:
    """Yield changes by twins and by a ridge along the directions of both."""
    for move in found.simple:
        yield {
            "figure": move.target,
            "direction": move.direction,
            "step_size": TABLE_STEP_SIZE,
            "twin_change": move.by_twin,
            "ridge_change": move.by_ridge,
            "ridge_calibrated_change": move.calibrated,
        }


def _control_rows(found: Study) -> Iterator[Row]:
    changes = () if found.moves is None else found.moves.permuted
    for permutation, own in enumerate(changes, 1):
        for number, figure in enumerate(found.targets):
            yield {
                "permutation": permutation,
                "step_size": TABLE_STEP_SIZE,
                "figure": figure,
                "change": float(own.predicted[number]),
                "evidence": float(own.evidence[number]),
            }


def _edge_rows(found: Study, regions: Sequence[str]) -> Iterator[Row]:
    first, second = np.triu_indices(len(regions), 1)
    for target in found.targets:
        edges = found.gradients.of(target)
        strongest = np.argsort(-np.abs(edges), kind="stable")[:STRONGEST]
        for rank, edge in enumerate(strongest, 1):
            yield {
                "target": target,
                "rank": rank,
                "edge": int(edge) + 1,
                "region_1": regions[first[edge]] if len(regions) else None,
                "region_2": regions[second[edge]] if len(regions) else None,
                "seconds_per_z": float(edges[edge]),
                **{name: float(values[edge]) for name, values in _beside(found, target).items()},
            }


def region_rows(found: Study, regions: Sequence[str]) -> Iterator[Row]:
    """Yield the mean attribution of each region's edges, a row each figure and region."""
    for target in found.targets if len(regions) else ():
        means = region_means(found.gradients.of(target), len(regions))
        beside = {
            name: region_means(values, len(regions))
            for name, values in _beside(found, target).items()
        }
        for place, region in enumerate(regions):
            yield {
                "target": target,
                "region": region,
                "seconds_per_z": float(means[place]),
                **{name: float(values[place]) for name, values in beside.items()},
            }


def _beside(found: Study, target: str) -> dict[str, Array]:
    """Return maps of edges without a network, (edges,), by column; none without these."""
    linear = found.linear.get(target)
    if linear is None:
        return {}
    return {"ridge_seconds_per_z": linear.ridge, "covariance": linear.covariance}


def map_rows(found: Study) -> Iterator[Row]:
    """Yield r of each figure's whole attribution with maps that need no network."""
    for target in found.targets:
        yield {"target": target, **_linear_r(found, target)}


def _linear_r(found: Study, target: str) -> Row:
    """Return r of an attribution with maps that need no network; n/a without these."""
    linear = found.linear.get(target)
    if linear is None:
        return {"r_ridge": None, "r_covariance": None}
    maps = np.stack([linear.ridge, linear.covariance])
    own = np.broadcast_to(found.gradients.of(target), maps.shape)
    ridge, covariance = map_correlations(own, maps)
    return {"r_ridge": float(ridge), "r_covariance": float(covariance)}
