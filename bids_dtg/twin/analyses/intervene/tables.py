"""The tables of interventions in twins, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import BY_PEOPLE, Column, interval_of
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.twin.analyses.intervene.study import (
    CONTROL_STEP_SIZES,
    TABLE_STEP_SIZE,
    Study,
    mean_known,
    rms,
)
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.interventions.attribution import region_means
from bids_dtg.twin.interventions.perturbations import Perturbation
from bids_dtg.twin.interventions.significance import Chance
from bids_dtg.twin.judging.cohort import RT

Row = dict[str, Any]
Array = NDArray[np.float64]
Ends = tuple[float, float, float]
_MS = 1000.0
_P = (
    Column("p", "p of a value as large under permuted behaviour"),
    Column("p_fwe", "Family-wise p, of the largest of all values under permuted behaviour"),
)
_FIGURE = Column("figure", "Figure of a task: response time (rt), effect, or share of its trials")
_UNIT = Column("unit", "Unit of the figure: s, or share of trials")
_STEP_SIZE = Column(
    "step_size",
    "Step size in standard deviations between people: of the figure as predicted by twins; along "
    "random directions, of connectomes",
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
# Columns of each figure of a perturbation, of connectomes or of weights.
PERTURBED = (
    Column("direction", "Direction of the perturbation: the figure that it should change"),
    _STEP_SIZE,
    _FIGURE,
    Column("intended", "Whether the direction should change this figure"),
    _UNIT,
    Column("before", "Mean over people, before the perturbation"),
    Column("after", "Mean over people, after the perturbation"),
    _CHANGE,
)
_PERTURBATIONS = (
    *PERTURBED,
    Column("people", "How many people"),
    Column(
        "calibrated_change",
        "The change times the slope of observed on predicted figures, over people outside the "
        "training set; n/a with fewer than 10 of them",
        interval="95 % interval",
    ),
    *_SIZES,
    Column(
        "controls_as_large",
        "Number of random directions that change the figure as much, in either direction; n/a at "
        "step sizes without random directions",
    ),
    Column("controls", "Random directions: mixtures of people's deviations from their mean"),
)
_CONTROLS = (
    Column("control", "Number of the random direction"),
    *(_STEP_SIZE, _FIGURE, _UNIT, _CHANGE),
    *_SIZES,
)
_TARGET = Column(
    "target",
    "Figure that is attributed: mean response time (rt), or that in the second condition less the "
    "first (effect)",
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
    *_P,
)
_REGIONS = (
    _TARGET,
    Column("region", "Name of the region"),
    Column(
        "seconds_per_z",
        "Change of the figure in seconds with a unit of Fisher z, mean over the region's edges, "
        "people and noisy copies (SmoothGrad)",
    ),
    *_P,
)
_MAPS = (
    _TARGET,
    Column("length", "Root of the sum of squares of the whole attribution, s a unit of Fisher z"),
    Column(
        "tested_length",
        "Length of the attribution that is compared with the null: refitted latent factors, a "
        "subset of people, no noise",
    ),
    Column("tested_r", "r over edges of that attribution and the twin's own"),
    Column("null_length", "Mean length under the null"),
    Column("null_length_95", "95th percentile of lengths under the null"),
    Column("p_length", "p of a length as large under permuted behaviour"),
    Column(
        "spread",
        "Standard deviation of the figure that the attribution predicts from edges, over the "
        "people whose twins perform",
        unit="s",
    ),
    Column("null_spread", "Mean spread under the null", unit="s"),
    Column("null_spread_95", "95th percentile of spreads under the null", unit="s"),
    Column("p_spread", "p of a spread as large under permuted behaviour"),
    Column("permutations", "Permutations of behaviour over people"),
)
_STABILITY = (
    _TARGET,
    Column("comparison", "What differs between the attributions that are compared"),
    Column("comparisons", "How many comparisons"),
    Column("r_mean", "Mean r over edges of the two attributions"),
    Column("r_lowest", "Lowest r over edges of the two attributions"),
    Column("r_highest", "Highest r over edges of the two attributions"),
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
        "desc-controls_response": ResultTable(
            _CONTROLS, list(_control_rows(found)), "Perturbations along random directions"
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
            _MAPS, list(map_rows(found)), "The whole attribution of each figure"
        ),
        "desc-attribution_stability": ResultTable(
            _STABILITY, list(stability_rows(found)), "Correlations of attributions"
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
                    **_compare_with_controls(found, perturbation, figure, change.mean),
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


def _compare_with_controls(
    found: Study, perturbation: Perturbation, figure: str, change: float
) -> Row:
    """Count the random directions that change a figure as much; n/a at other step sizes."""
    if perturbation.step_size not in CONTROL_STEP_SIZES or not np.isfinite(change):
        return {"controls_as_large": None, "controls": None}
    changes = control_changes(found, figure, perturbation.step_size)
    return {
        "controls_as_large": int((np.abs(changes) >= abs(change)).sum()),
        "controls": len(changes),
    }


def control_changes(found: Study, figure: str, step_size: float = TABLE_STEP_SIZE) -> Array:
    """Return the mean change of a figure along each random direction, (controls,)."""
    return np.array(
        [
            mean_known(after - before)
            for perturbations in found.controls
            for perturbation in perturbations
            if perturbation.step_size == step_size
            for name, _, before, after in figures_of_perturbation(perturbation)
            if name == figure
        ]
    )


def _control_rows(found: Study) -> Iterator[Row]:
    for number, (perturbations, direction) in enumerate(
        zip(found.controls, found.control_directions, strict=True), 1
    ):
        for perturbation in perturbations:
            for figure, unit, before, after in figures_of_perturbation(perturbation):
                change = bootstrap_interval(after - before)
                yield {
                    "control": number,
                    "step_size": perturbation.step_size,
                    "figure": figure,
                    "unit": unit,
                    "change": change,
                    "perturbation_rms": rms(direction.delta(perturbation.step_size)),
                    "between_people_rms": found.between_people,
                }


def _edge_rows(found: Study, regions: Sequence[str]) -> Iterator[Row]:
    first, second = np.triu_indices(len(regions), 1)
    chance = None if found.null is None else found.null.edges
    for number, target in enumerate(found.targets):
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
                **_chances(chance, number, int(edge)),
            }


def region_rows(found: Study, regions: Sequence[str]) -> Iterator[Row]:
    """Yield the mean attribution of each region's edges, a row each figure and region."""
    chance = None if found.null is None else found.null.regions
    for number, target in enumerate(found.targets if len(regions) else ()):
        means = region_means(found.gradients.of(target), len(regions))
        for place, region in enumerate(regions):
            yield {
                "target": target,
                "region": region,
                "seconds_per_z": float(means[place]),
                **_chances(chance, number, place),
            }


def _chances(chance: Chance | None, target: int, place: int) -> Row:
    """Return p of a value; n/a where there is no null."""
    if chance is None:
        return {"p": None, "p_fwe": None}
    return {"p": float(chance.p[target, place]), "p_fwe": float(chance.p_fwe[target, place])}


def map_rows(found: Study) -> Iterator[Row]:
    """Yield the length and spread of each figure's whole attribution, with its null if any."""
    null, r = found.null, found.refitted_r
    for number, target in enumerate(found.targets):
        row: Row = {
            "target": target,
            "length": float(np.linalg.norm(found.gradients.of(target))),
        }
        columns = (
            *("tested_length", "tested_r", "null_length", "null_length_95", "p_length"),
            *("spread", "null_spread", "null_spread_95", "p_spread"),
        )
        if null is None or r is None:
            yield row | dict.fromkeys((*columns, "permutations"))
            continue
        lengths, spreads = null.null_length[:, number], null.null_spread[:, number]
        values = (
            null.length[number],
            r[number],
            lengths.mean(),
            np.percentile(lengths, 95),
            null.length_p[number],
            null.spread[number],
            spreads.mean(),
            np.percentile(spreads, 95),
            null.spread_p[number],
        )
        yield (
            row
            | dict(zip(columns, map(float, values), strict=True))
            | {"permutations": null.permutations}
        )


def stability_rows(found: Study) -> Iterator[Row]:
    """Yield the correlations of attributions, a row for each comparison and figure."""
    for kind in found.stability:
        for number, target in enumerate(found.targets):
            values = kind.r[:, number]
            known = values[np.isfinite(values)]
            yield {
                "target": target,
                "comparison": kind.comparison,
                "comparisons": len(known),
                "r_mean": mean_known(values),
                "r_lowest": float(known.min()) if known.size else None,
                "r_highest": float(known.max()) if known.size else None,
            }
