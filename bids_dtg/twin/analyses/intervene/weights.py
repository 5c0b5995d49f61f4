"""Moves of networks' weights along the published direction, beside permuted figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.report.pages.analysis import PageSection, Table
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.twin.analyses.intervene.study import mean_known
from bids_dtg.twin.analyses.intervene.tables import MOVED, figures_of_move, in_ms, words
from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.interventions.attribution import p_of
from bids_dtg.twin.interventions.moves import Move
from bids_dtg.twin.interventions.weights import (
    DOSE,
    MOVED_PERMUTATIONS,
    WeightCorrelations,
    WeightDirection,
    flat_weights,
    moves_along,
    permuted_directions,
    weight_correlations,
    weight_moves,
)
from bids_dtg.twin.judging.cohort import targets_of, targets_of_people
from bids_dtg.twin.traces import Segments

Row = dict[str, Any]
_GIVEN = "n/a for figures that are not meant"
_WEIGHTS = (
    *MOVED,
    Column(
        "null_lowest",
        "Lowest mean change along directions of weights that go with the figure given to other "
        f"people; {_GIVEN}",
    ),
    Column("null_highest", f"Highest mean change along such directions; {_GIVEN}"),
    Column("p_change", "p of a change as large along such directions"),
    Column(
        "r_in_sample", "r of people's scores on the direction with their own figure, who made it"
    ),
    Column(
        "p_in_sample", "p of an r_in_sample as negative where figures are given to other people"
    ),
    Column("r_left_out", "r of people left out of making it; the model may know them"),
    Column("p_left_out", "p of an r_left_out as negative where figures are given to other people"),
)
Array = NDArray[np.float64]
_MS = 1000.0


@dataclass(frozen=True, eq=False)
class WeightMove:
    """A move of everybody's weights that is meant to lower a figure."""

    move: Move
    null: Array  # (permutations,): mean change of the figure along directions of permuted figures
    correlations: WeightCorrelations  # of people's scores on the direction with the figure


def move_weights(
    fitted: Fitted, connectomes: NDArray[np.floating], segments: Segments, *, seed: int
) -> tuple[dict[str, WeightMove], tuple[str, ...]]:
    """Move networks' weights by what goes with people's own figures.

    Parameters
    ----------
    fitted
        The twin.
    connectomes, segments
        Of people, and what they saw and did.
    seed
        Of permutations.

    Returns
    -------
    tuple
        By the figure that is meant to be lowered; and sentences on figures without a direction.
    """
    flat, observed = flat_weights(fitted.twin, connectomes), targets_of_people(segments)
    found, notes = {}, []
    for number, target in enumerate(target.name for target in targets_of(segments.tasks)):
        own = observed[:, number]
        try:
            direction = WeightDirection.lowering(flat, own)
            correlations = weight_correlations(flat, own, seed=seed)
        except ValueError as err:
            notes.append(f"no direction of weights for {words(target)}: {err}")
            continue
        (move,) = weight_moves(fitted, connectomes, segments, direction, (DOSE,))
        null = moves_along(fitted, connectomes, segments, permuted_directions(flat, own, seed=seed))
        changes = np.array([mean_known(each.change(target)) for each in null])
        found[target] = WeightMove(move, changes, correlations)
    return found, tuple(notes)


def weight_rows(found: Mapping[str, WeightMove]) -> Iterator[Row]:
    """Yield what each move of weights changes, a row a figure.

    Parameters
    ----------
    found
        Of `move_weights`.
    """
    for lowers, of in found.items():
        for figure, unit, before, after in figures_of_move(of.move):
            change, meant = bootstrap_interval(after - before), figure == lowers
            row = {
                "direction": f"lower {lowers}",
                "dose": of.move.dose,
                "figure": figure,
                "intended": meant,
                "unit": unit,
                "before": mean_known(before),
                "after": mean_known(after),
                "change": change,
            }
            yield row | _null(of, change.mean) if meant else row


def weight_table(found: Mapping[str, WeightMove]) -> ResultTable:
    """Return the table of what moves of weights change."""
    return ResultTable(
        _WEIGHTS, list(weight_rows(found)), "Moves of weights: a row a direction and figure"
    )


def _null(of: WeightMove, change: float) -> Row:
    """Return the null of a move and of its direction."""
    return {
        "null_lowest": float(of.null.min()),
        "null_highest": float(of.null.max()),
        "p_change": p_of(abs(change), np.abs(of.null)),
        "r_in_sample": of.correlations.in_sample.observed,
        "p_in_sample": of.correlations.in_sample.p,
        "r_left_out": of.correlations.cross_validated.observed,
        "p_left_out": of.correlations.cross_validated.p,
    }


def weight_section(
    found: Mapping[str, WeightMove], notes: tuple[str, ...], *, known: int = 0
) -> PageSection:
    """Return the part of the page on moves of weights.

    Parameters
    ----------
    found, notes
        Of `move_weights`.
    known
        How many of the people the model was fitted to.
    """
    rows = [row for row in weight_rows(found) if row["intended"]]
    return PageSection(
        title="Moves of the weights",
        text=(
            "The published intervention: everybody's weights are moved by 2 standard deviations "
            "along the direction that goes with people's own figure (partial least squares, one "
            "component). There are many more weights than people: in the people by whom it was "
            "found any figure goes with some direction. r of people left out says whether it "
            f"tells anything; the null are {MOVED_PERMUTATIONS} directions of the figure given to "
            "other people. What such a move would be in a person is not known.",
            *_caution(known),
            *notes,
        ),
        tables=(
            Table(
                f"Change at {DOSE:g} SD (ms), and r of scores with the figure",
                (
                    "direction",
                    *("change", "null, lowest", "null, highest", "p of the change"),
                    *("r in sample", "p", "r left out", "p left out"),
                ),
                [
                    (
                        f"lower {words(row['figure'])}",
                        in_ms(row["change"]),
                        _MS * row["null_lowest"],
                        _MS * row["null_highest"],
                        row["p_change"],
                        row["r_in_sample"],
                        row["p_in_sample"],
                        row["r_left_out"],
                        row["p_left_out"],
                    )
                    for row in rows
                ],
            ),
        )
        if rows
        else (),
    )


def _caution(known: int) -> Iterator[str]:
    """Say that weights know figures of people whom the model was fitted to."""
    if known:
        yield (
            f"The model was fitted to {known} of these people: their weights know their own "
            "figures, and r of people left out is higher than of people whom it has not met."
        )
