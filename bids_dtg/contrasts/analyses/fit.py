"""Fit a model of a kind to people, and re-centre it on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.bundle.part import GAIN_DIGITS
from bids_dtg.contrasts.kind import FitPlan, FitTask, ModelSpace
from bids_dtg.contrasts.people import Array, MapModel, Person, predicted_maps
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.contrasts.recentring import Correction, RecentringSums
from bids_dtg.errors import DatasetError
from bids_dtg.notices import counted
from bids_dtg.settings import ModellingOptions
from bids_dtg.stats.half_width import (
    LEAST_PEOPLE,
    LEVEL,
    HalfWidths,
    LeftOutErrors,
    block_edge,
)
from bids_dtg.stats.splits import Split


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model, and what its bundle needs."""

    kind: str  # its kind
    tensors: Mapping[str, NDArray[Any]]  # of its weights
    model: MapModel  # before the correction
    correction: Correction | None  # of its maps; None: none
    record: Mapping[str, Any]  # how it was fitted, for the card
    # Whether the correction was found with each training person left out in turn; else on the
    # validation people.
    left_out_in_turn: bool = False
    # Labels of the contrasts whose corrected map is the same for everybody.
    same_for_all: tuple[str, ...] = ()
    half_widths: HalfWidths | None = None  # of intervals around its maps; None: none
    words: str = ""  # what the page says of the fit, in a sentence; empty: nothing

    def predict(self, person: Person) -> Array:
        """Predict a person's maps: the mean over segments, corrected."""
        maps = predicted_maps(self.model, person)
        return maps if self.correction is None else self.correction.apply(maps)


def model_space(bundle: ModelBundle, form: Form = MARGINAL) -> ModelSpace:
    """Return where models of the same space as a bundle read and predict, and which form."""
    *_, places, maps = (bundle.card.files[name] for name in bundle.card.part.of_geometry)
    return ModelSpace(
        places=bundle.places,
        roi_maps=bundle.place_roi_maps,
        model=bundle.identity,
        mask_sha256=places,
        roi_maps_sha256=maps,
        form=form,
        joins_runs=bundle.card.part.of_sessions,
    )


def fit_plan(
    options: ModellingOptions, space: ModelSpace, plan: CohortPlan, split: Split
) -> FitPlan:
    """Return the facts that a kind checks before anybody's data are read."""
    people = (*split.training, *split.validation)
    return FitPlan(
        options=options,
        space=space,
        contrasts=tuple(contrast.label for contrast in plan.contrasts),
        training=len(split.training),
        incomplete=tuple(set(people) - set(plan.complete(people))),
    )


def fit_task(
    options: ModellingOptions,
    space: ModelSpace,
    sets: tuple[Sequence[Person], Sequence[Person]],
    contrasts: Sequence[str],
    *,
    folder: Path,
    device: str,
    report: Callable[[str], None],
) -> FitTask:
    """Return the task of fitting a kind; `sets` are training and validation people."""
    training, validation = sets
    return FitTask(
        options=options,
        space=space,
        contrasts=tuple(contrasts),
        training=training,
        validation=validation,
        device=device,
        folder=folder,
        report=report,
    )


def fit_model(kind: MapsKind, task: FitTask) -> FittedModel:
    """Fit a kind, and re-centre it unless the recipe leaves its maps uncorrected."""
    require_people(task.options, task.training, task.validation if kind.needs_validation else None)
    fitted = kind.module().fit(task)
    record = {"recipe": task.options.recipe, "seed": task.options.seed, **fitted.record.to_json()}
    if fitted.correction is None:
        correction, same = judged_by_validation(fitted.model, task)
    else:
        correction = fitted.correction
        same = _same_for_all(correction.gains.round(GAIN_DIGITS) > 0, task)
    made = FittedModel(
        kind=kind.name,
        tensors=fitted.tensors,
        model=fitted.model,
        correction=correction,
        record=record,
        left_out_in_turn=fitted.correction is not None,
        same_for_all=same,
        half_widths=fitted.half_widths,
        words=fitted.words,
    )
    return with_half_widths(made, task) if kind.needs_validation else made


def with_half_widths(fitted: FittedModel, task: FitTask) -> FittedModel:
    """Return a model with half-widths from its validation people, if these are enough."""
    if len(task.validation) < LEAST_PEOPLE:
        return fitted
    places = task.space.places
    errors = LeftOutErrors(len(task.contrasts), places.lattice(block_edge(places.spacing_mm)))
    for person in task.validation:
        errors.add(fitted.predict(person), person.maps)
    found = errors.half_widths(segments=mean_segments(task.validation))
    return replace(fitted, half_widths=found)


def half_width_words(found: HalfWidths | None, units: str) -> str:
    """Say how wide the intervals of a model are, and who is behind them; or why there are none."""
    if found is None:
        return f"no half-widths: a network has them with {LEAST_PEOPLE} validation people or more"
    people = counted(found.people, "participant")
    who = f"{people}, each left out of the fit" if found.left_out_in_turn else f"{people} apart"
    widths = found.at_places
    median = float(np.nanmedian(widths)) if np.isfinite(widths).any() else float("nan")
    return f"half-widths of {LEVEL} % intervals: median {median:.2f} {units}, by {who}"


def require_people(
    options: ModellingOptions, training: Sequence[object], validation: Sequence[object] | None
) -> None:
    """Refuse too few people before a fit that may last days.

    Raises
    ------
    DatasetError
        Re-centring and the CR-R loss compare people: they need two.
    """
    if validation is not None and len(validation) < 2:
        raise DatasetError(
            f"only {counted(len(validation), 'validation participant')}: too few to choose and "
            "re-centre by",
            expected="2 or more",
            remedy="give --held-out larger shares, or a --split-file; a split that an earlier call "
            "has kept is taken until it is removed",
        )
    if find_recipe(options.recipe).loss == "crr" and min(len(training), options.network_batch) < 2:
        raise DatasetError(
            f"only {counted(len(training), 'training participant')} in batches of "
            f"{options.network_batch}: too few for the CR-R loss, which compares people",
            expected="2 or more",
        )


def judged_by_validation(
    model: MapModel, task: FitTask
) -> tuple[Correction | None, tuple[str, ...]]:
    """Find on the validation people the model's error in the mean map.

    Returns
    -------
    The correction (None if the recipe leaves maps uncorrected), and the labels of the
    contrasts whose corrected maps are the same for everybody, which are also reported.
    """
    sums = RecentringSums()
    for person in task.validation:
        sums.add(predicted_maps(model, person), person.maps)
    individual, correction = sums.varying(), None
    if find_recipe(task.options.recipe).recentred:
        correction = sums.correction(task.mean)
        # As in the card: a gain that is rounded to 0 is 0 in use.
        individual &= correction.gains.round(GAIN_DIGITS) > 0
    return correction, _same_for_all(individual, task)


def _same_for_all(individual: NDArray[np.bool_], task: FitTask) -> tuple[str, ...]:
    """Report and return the labels of contrasts whose maps do not differ between people."""
    pairs = zip(task.contrasts, individual, strict=True)
    same = tuple(label for label, differs in pairs if not differs)
    if same:
        task.report(
            f"the same map for everybody in {len(same)} of {counted(len(individual), 'contrast')}, "
            f"nothing individual was found: {', '.join(same)}"
        )
    return same


def mean_segments(people: Sequence[Person]) -> int:
    """Return the mean number of segments of rest per person, rounded."""
    return round(float(np.mean([len(person.connectomes) for person in people])))


def mean_prediction(people: Sequence[Person], predict: Callable[[Person], Array]) -> Array:
    """Return the mean of the maps that a model predicts for people, (contrasts, places)."""
    first, *others = people
    total = predict(first).astype(np.float64)
    for person in others:
        total += predict(person)
    return (total / len(people)).astype(np.float32)
