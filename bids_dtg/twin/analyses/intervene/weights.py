"""Perturbations of networks' weights along the published direction, and permuted figures."""

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
from bids_dtg.twin.analyses.intervene.tables import PERTURBED, figures_of_perturbation, in_ms, words
from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.interventions.attribution import p_of
from bids_dtg.twin.interventions.perturbations import Perturbation
from bids_dtg.twin.interventions.weights import (
    PERTURBED_PERMUTATIONS,
    STEP_SIZE,
    WeightCorrelations,
    WeightDirection,
    flat_weights,
    permuted_directions,
    perturb_along,
    perturb_weights,
    weight_correlations,
)
from bids_dtg.twin.judging.cohort import targets_of, targets_of_people
from bids_dtg.twin.trial_series import Segments

Row = dict[str, Any]
_GIVEN = "n/a for figures that are not the target"
_WEIGHTS = (
    *PERTURBED,
    Column(
        "null_lowest",
        "Lowest mean change along directions of weights fitted to figures permuted over people; "
        f"{_GIVEN}",
    ),
    Column("null_highest", f"Highest mean change along such directions; {_GIVEN}"),
    Column("p_change", "p of a change as large along such directions"),
    Column("r_in_sample", "r of scores with figures, in the training set of the direction"),
    Column("p_in_sample", "p of an r_in_sample as negative under permuted figures"),
    Column(
        "r_left_out",
        "r of scores with figures, of people left out of fitting the direction; they may be in the "
        "model's training set",
    ),
    Column("p_left_out", "p of an r_left_out as negative under permuted figures"),
)
Array = NDArray[np.float64]
_MS = 1000.0


@dataclass(frozen=True, eq=False)
class WeightPerturbation:
    """A perturbation of everybody's weights that should lower a figure."""

    perturbation: Perturbation
    null: Array  # (permutations,): mean change of the figure along directions of permuted figures
    correlations: WeightCorrelations  # of people's scores on the direction with the figure


def weight_perturbations(
    fitted: Fitted, connectomes: NDArray[np.floating], segments: Segments, *, seed: int
) -> tuple[dict[str, WeightPerturbation], tuple[str, ...]]:
    """Perturb networks' weights along the direction that covaries with people's figures.

    Returns
    -------
    tuple
        Perturbations by the figure to be lowered, and sentences on figures without a direction.
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
        (perturbation,) = perturb_weights(fitted, connectomes, segments, direction, (STEP_SIZE,))
        null = perturb_along(
            fitted, connectomes, segments, permuted_directions(flat, own, seed=seed)
        )
        changes = np.array([mean_known(each.change(target)) for each in null])
        found[target] = WeightPerturbation(perturbation, changes, correlations)
    return found, tuple(notes)


def weight_rows(found: Mapping[str, WeightPerturbation]) -> Iterator[Row]:
    """Yield the changes by each perturbation of weights, a row a figure."""
    for lowers, of in found.items():
        for figure, unit, before, after in figures_of_perturbation(of.perturbation):
            change, meant = bootstrap_interval(after - before), figure == lowers
            row = {
                "direction": f"lower {lowers}",
                "step_size": of.perturbation.step_size,
                "figure": figure,
                "intended": meant,
                "unit": unit,
                "before": mean_known(before),
                "after": mean_known(after),
                "change": change,
            }
            yield row | _null(of, change.mean) if meant else row


def weight_table(found: Mapping[str, WeightPerturbation]) -> ResultTable:
    """Return the table of perturbations of weights."""
    return ResultTable(
        _WEIGHTS, list(weight_rows(found)), "Perturbations of weights: a row a direction and figure"
    )


def _null(of: WeightPerturbation, change: float) -> Row:
    """Return the null of a perturbation and of its direction."""
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
    found: Mapping[str, WeightPerturbation], notes: tuple[str, ...], *, known: int = 0
) -> PageSection:
    """Return the page's section on perturbations of weights.

    `known` is the number of people in the model's training set.
    """
    rows = [row for row in weight_rows(found) if row["intended"]]
    return PageSection(
        title="Perturbations of the weights",
        text=(
            "The published intervention: everybody's weights are changed by 2 standard deviations "
            "along the direction that covaries with people's own figure (partial least squares, "
            "one component). There are many more weights than people, so in the fitted people any "
            "figure covaries with some direction; r of left-out people shows whether the direction "
            f"generalises. The null are {PERTURBED_PERMUTATIONS} directions fitted to permuted "
            "figures. The equivalent of such a perturbation in a person is not known.",
            *_caution(known),
            *notes,
        ),
        tables=(
            Table(
                f"Change at {STEP_SIZE:g} SD (ms), and r of scores with the figure",
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
    """Warn that weights of training participants depend on their own figures."""
    if known:
        yield (
            f"{known} of these people are in the model's training set: their weights depend on "
            "their own figures, and r of left-out people is higher than in people outside it."
        )
