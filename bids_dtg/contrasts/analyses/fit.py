"""Fit a model of a kind to people, and re-centre it on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.bundle.part import GAIN_DIGITS
from bids_dtg.contrasts.half_width import (
    LEAST_PEOPLE,
    HalfWidths,
    LeftOutErrors,
    block_edge,
)
from bids_dtg.contrasts.people import Array, FittedModel, Person, mean_maps, mean_segments
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.contrasts.recentring import recentre
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.imaging.places import Places
from bids_dtg.notices import counted
from bids_dtg.report.contents import LEVEL
from bids_dtg.stats.splits import Split


def check_fit(kind: MapsKind, cohort: Cohort, split: Split) -> None:
    """Check, before anybody's data are read, that a kind can be fitted to these people.

    Raises
    ------
    DtgError
        There are too few.
    """
    people = (*split.training, *split.validation)
    maps, number = cohort.maps, len(cohort.contrasts)
    incomplete = {label for label in people if len(maps[label].target) != number}
    numbers = len(split.training), len(split.validation)
    kind.module().check(cohort.settings.modelling, *numbers, incomplete, cohort.bundle.places)


def fit_model(
    kind: MapsKind,
    cohort: Cohort,
    split: Split,
    *,
    folder: Path,
    report: Callable[[str], None],
) -> FittedModel:
    """Fit a kind, and re-centre it unless the recipe leaves its maps uncorrected."""
    options, places = cohort.settings.modelling, cohort.bundle.places
    people = cohort.of(split.training), cohort.of(split.validation)
    labels = [contrast.label for contrast in cohort.contrasts]
    # A linear model makes many small products, for which threads wait for each other.
    with nullcontext() if kind.is_network else one_blas_thread():
        fitted: FittedModel = kind.module().fit(
            people, places, cohort.form, cohort.settings, folder, report
        )
    record = {"recipe": options.recipe, "seed": options.seed, **fitted.record}
    fitted = replace(fitted, record=record)
    if fitted.correction is None:
        return recentred(fitted, people, labels, places, options.recipe, report)
    individual = fitted.correction.gains.round(GAIN_DIGITS) > 0
    return replace(fitted, same_for_all=_same_for_all(individual, labels, report))


def recentred(
    fitted: FittedModel,
    people: tuple[Sequence[Person], Sequence[Person]],
    contrasts: Sequence[str],
    places: Places,
    recipe: str,
    report: Callable[[str], None],
) -> FittedModel:
    """Find a model's error in the mean map, and its half-widths, on the validation people.

    Maps stay uncorrected where the recipe leaves them so. The labels of contrasts whose corrected
    maps are the same for everybody are reported, too.
    """
    training, validation = people
    pairs = ((fitted.predict(person), person.maps) for person in validation)
    correction, individual = recentre(pairs, mean_maps(training))
    if find_recipe(recipe).recentred:
        # As in the card: a gain that is rounded to 0 is 0 in use.
        individual &= correction.gains.round(GAIN_DIGITS) > 0
        fitted = replace(fitted, correction=correction)
    fitted = replace(fitted, same_for_all=_same_for_all(individual, contrasts, report))
    if len(validation) < LEAST_PEOPLE:
        return fitted
    errors = LeftOutErrors(len(contrasts), places.lattice(block_edge(places.spacing_mm)))
    for person in validation:
        errors.add(fitted.predict(person), person.maps)
    return replace(fitted, half_widths=errors.half_widths(segments=mean_segments(validation)))


def half_width_words(found: HalfWidths | None, units: str) -> str:
    """Say how wide the intervals of a model are, and who is behind them; or why there are none."""
    if found is None:
        return f"no half-widths: a network has them with {LEAST_PEOPLE} validation people or more"
    people = counted(found.people, "participant")
    who = f"{people}, each left out of the fit" if found.left_out_in_turn else f"{people} apart"
    widths = found.at_places
    median = float(np.nanmedian(widths)) if np.isfinite(widths).any() else float("nan")
    return f"half-widths of {LEVEL} % intervals: median {median:.2f} {units}, by {who}"


def _same_for_all(
    individual: NDArray[np.bool_], contrasts: Sequence[str], report: Callable[[str], None]
) -> tuple[str, ...]:
    """Report and return the labels of contrasts whose maps do not differ between people."""
    pairs = zip(contrasts, individual, strict=True)
    same = tuple(label for label, differs in pairs if not differs)
    if same:
        report(
            f"the same map for everybody in {len(same)} of {counted(len(individual), 'contrast')}, "
            f"nothing individual was found: {', '.join(same)}"
        )
    return same


def mean_prediction(people: Sequence[Person], predict: Callable[[Person], Array]) -> Array:
    """Return the mean of the maps that a model predicts for people, (contrasts, places)."""
    first, *others = people
    total = predict(first).astype(np.float64)
    for person in others:
        total += predict(person)
    return (total / len(people)).astype(np.float32)
