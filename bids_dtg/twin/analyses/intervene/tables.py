"""The tables of interventions in twins, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
STRONGEST = 200  # edges of each figure in the table
CORRECT, UNANSWERED = "correct", "unanswered"  # figures of tasks, as shares of trials


def intervention_tables(found: Study, regions: Sequence[str]) -> dict[str, list[Row]]:
    """Return the rows of all tables, by name.

    Parameters
    ----------
    found
        What interventions come to.
    regions
        Names, whose pairs edges are; none: edges are no pairs.
    """
    return {
        "desc-doses_response": list(dose_rows(found)),
        "desc-controls_response": list(_control_rows(found)),
        "desc-edges_attribution": list(_edge_rows(found, regions)),
        "desc-regions_attribution": list(region_rows(found, regions)),
        "desc-maps_attribution": list(map_rows(found)),
        "desc-attribution_stability": list(stability_rows(found)),
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
                    "change": change.mean,
                    "change_low": change.low,
                    "change_high": change.high,
                    "people": people,
                    **_calibrated(found, figure, change.mean),
                    "move_rms": rms(direction.delta(move.dose)),
                    "between_people_rms": found.between_people,
                    **_beside_controls(found, move, figure, change.mean),
                }


def _calibrated(found: Study, figure: str, change: float) -> Row:
    """Return the change as unseen people show it; n/a where that is not known."""
    columns = ("calibrated_change", "calibrated_change_low", "calibrated_change_high")
    calibration = found.calibrations.get(figure)
    values = (None,) * 3 if calibration is None else calibration.interval(change)
    return dict(zip(columns, values, strict=True))


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
                    "change": change.mean,
                    "change_low": change.low,
                    "change_high": change.high,
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
