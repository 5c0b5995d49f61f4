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
    CONTROL_DOSES,
    TABLE_DOSE,
    Study,
    mean_known,
    rms,
)
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.interventions.attribution import region_means
from bids_dtg.twin.interventions.moves import Move
from bids_dtg.twin.interventions.significance import Chance
from bids_dtg.twin.judging.cohort import RT

Row = dict[str, Any]
Array = NDArray[np.float64]
Ends = tuple[float, float, float]
_MS = 1000.0
_P = (
    Column("p", "p of a value as large where people's behaviour is permuted"),
    Column("p_fwe", "The same of the largest of all values (family-wise)"),
)
_FIGURE = Column("figure", "Figure of a task: response time (rt), effect, or share of its trials")
_UNIT = Column("unit", "Unit of the figure: s, or share of trials")
_DOSE = Column(
    "dose",
    "Size of the move: how often people differ in the figure by one standard deviation, as twins "
    "have it, or of random directions in connectomes",
)
_CHANGE = Column(
    "change", "Mean over people of the figure after the move less before", interval=BY_PEOPLE
)
_SIZES = (
    Column("move_rms", "Size of the move: root mean square over edges, Fisher z"),
    Column(
        "between_people_rms",
        "Difference of two people's connectomes, root mean square over edges and pairs, Fisher z",
    ),
)
# What is said of each figure of a move, of connectomes or of weights.
MOVED = (
    Column("direction", "Direction of the move: the figure that it is meant to change"),
    _DOSE,
    _FIGURE,
    Column("intended", "Whether the direction is meant to change this figure"),
    _UNIT,
    Column("before", "Mean over people, before the move"),
    Column("after", "Mean over people, after the move"),
    _CHANGE,
)
_DOSES = (
    *MOVED,
    Column("people", "How many people"),
    Column(
        "calibrated_change",
        "The change times the slope of people's observed on their twins' figures, over people to "
        "whom the model was not fitted; n/a with fewer than 10 of them",
        interval="95 % interval",
    ),
    *_SIZES,
    Column(
        "controls_as_large",
        "Random directions that change the figure as much, either way; n/a at doses by which they "
        "are not moved",
    ),
    Column("controls", "Random directions: mixtures of people's deviations from their mean"),
)
_CONTROLS = (
    Column("control", "Number of the random direction"),
    *(_DOSE, _FIGURE, _UNIT, _CHANGE),
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
        "By how many seconds the figure changes with a unit of Fisher z of the edge; over people "
        "and noisy copies (SmoothGrad)",
    ),
    *_P,
)
_REGIONS = (
    _TARGET,
    Column("region", "Name of the region"),
    Column(
        "seconds_per_z",
        "By how many seconds the figure changes with a unit of Fisher z: mean over the region's "
        "edges; over people and noisy copies (SmoothGrad)",
    ),
    *_P,
)
_MAPS = (
    _TARGET,
    Column("length", "Root of the sum of squares of the whole attribution, s a unit of Fisher z"),
    Column(
        "tested_length",
        "Length of the attribution that is compared with the null: codes found again, some people, "
        "no noise",
    ),
    Column("tested_r", "r over edges of that attribution and the twin's own"),
    Column("null_length", "Mean length under the null"),
    Column("null_length_95", "95th percentile of lengths under the null"),
    Column("p_length", "p of a length as large where people's behaviour is permuted"),
    Column(
        "spread",
        "Standard deviation, over people whose twins perform, of the figure along the attribution: "
        "by how much it differs between them if it depends on edges so",
        unit="s",
    ),
    Column("null_spread", "Mean spread under the null", unit="s"),
    Column("null_spread_95", "95th percentile of spreads under the null", unit="s"),
    Column("p_spread", "p of a spread as large where people's behaviour is permuted"),
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
    """Return all tables, by the names of their files.

    Parameters
    ----------
    found
        What interventions come to.
    regions
        Names, whose pairs edges are; none: edges are no pairs.
    """
    return {
        "desc-doses_response": ResultTable(
            _DOSES, list(dose_rows(found)), "Moves of connectomes: a row a direction, dose, figure"
        ),
        "desc-controls_response": ResultTable(
            _CONTROLS, list(_control_rows(found)), "Moves along random directions"
        ),
        "desc-edges_attribution": ResultTable(
            _EDGES, list(_edge_rows(found, regions)), "The edges that each figure depends on most"
        ),
        "desc-regions_attribution": ResultTable(
            _REGIONS, list(region_rows(found, regions)), "Means over the edges of each region"
        ),
        "desc-maps_attribution": ResultTable(
            _MAPS, list(map_rows(found)), "The whole attribution of each figure"
        ),
        "desc-attribution_stability": ResultTable(
            _STABILITY, list(stability_rows(found)), "How alike attributions are"
        ),
    }


def region_names(bundle: TwinBundle, names: Sequence[str]) -> tuple[str, ...]:
    """Return names of the regions whose pairs edges are; none where edges are no pairs.

    Parameters
    ----------
    bundle
        The model.
    names
        Those at hand, which may be none.
    """
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


def figures_of_move(move: Move) -> Iterator[tuple[str, str, Array, Array]]:
    """Yield each figure of a move: its name, its unit, and people's values before and after.

    Parameters
    ----------
    move
        Of some people.
    """
    for number, target in enumerate(move.before.targets):
        yield target, "s", move.before.seconds[:, number], move.after.seconds[:, number]
    for what, before, after in (
        (CORRECT, move.before.correct, move.after.correct),
        (UNANSWERED, move.before.unanswered, move.after.unanswered),
    ):
        for number, task in enumerate(move.before.tasks):
            yield f"{task}_{what}", "share", before[:, number], after[:, number]


def dose_rows(found: Study) -> Iterator[Row]:
    """Yield what each dose of each direction changes, a row a figure.

    Parameters
    ----------
    found
        What interventions come to.
    """
    for lowers, moves in found.moves.items():
        direction = found.directions[lowers]
        for move in moves:
            for figure, unit, before, after in figures_of_move(move):
                change = bootstrap_interval(after - before)
                people = int(np.isfinite(after - before).sum())
                yield {
                    "direction": f"lower {lowers}",
                    "dose": move.dose,
                    "figure": figure,
                    "intended": figure == lowers,
                    "unit": unit,
                    "before": mean_known(before),
                    "after": mean_known(after),
                    "change": change,
                    "people": people,
                    "calibrated_change": _calibrated(found, figure, change.mean),
                    "move_rms": rms(direction.delta(move.dose)),
                    "between_people_rms": found.between_people,
                    **_beside_controls(found, move, figure, change.mean),
                }


def _calibrated(found: Study, figure: str, change: float) -> Ends | None:
    """Return the change as unseen people show it; None where that is not known."""
    calibration = found.calibrations.get(figure)
    return None if calibration is None else calibration.interval(change)


def in_ms(change: object) -> Ends | None:
    """Return a change and the ends of its interval, in ms; None where it is not known."""
    ends = interval_of(change)
    if ends is None:
        return None
    mean, low, high = (_MS * value for value in ends)
    return mean, low, high


def _beside_controls(found: Study, move: Move, figure: str, change: float) -> Row:
    """Return how many random directions change a figure as much at this dose; n/a elsewhere."""
    if move.dose not in CONTROL_DOSES or not np.isfinite(change):
        return {"controls_as_large": None, "controls": None}
    changes = control_changes(found, figure, move.dose)
    return {
        "controls_as_large": int((np.abs(changes) >= abs(change)).sum()),
        "controls": len(changes),
    }


def control_changes(found: Study, figure: str, dose: float = TABLE_DOSE) -> Array:
    """Return the mean change of a figure by each random direction, (controls,).

    Parameters
    ----------
    found
        What interventions come to.
    figure
        A target, or a share of a task.
    dose
        In standard deviations of people.
    """
    return np.array(
        [
            mean_known(after - before)
            for moves in found.controls
            for move in moves
            if move.dose == dose
            for name, _, before, after in figures_of_move(move)
            if name == figure
        ]
    )


def _control_rows(found: Study) -> Iterator[Row]:
    for number, (moves, direction) in enumerate(
        zip(found.controls, found.control_directions, strict=True), 1
    ):
        for move in moves:
            for figure, unit, before, after in figures_of_move(move):
                change = bootstrap_interval(after - before)
                yield {
                    "control": number,
                    "dose": move.dose,
                    "figure": figure,
                    "unit": unit,
                    "change": change,
                    "move_rms": rms(direction.delta(move.dose)),
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
    """Yield the mean attribution of each region's edges, a row each figure and region.

    Parameters
    ----------
    found
        What interventions come to.
    regions
        Names; none: edges are no pairs.
    """
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
    """Yield the length of each figure's whole attribution, beside the null's if there is one.

    Parameters
    ----------
    found
        What interventions come to.
    """
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
    """Yield how alike attributions are, a row each comparison and figure.

    Parameters
    ----------
    found
        What interventions come to.
    """
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
