"""Fit a model of a kind to people, and re-centre it on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.training_distribution.distribution import (
    LEAST_PEOPLE,
    LEAST_SEGMENTS,
    TrainingDistribution,
)
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.bundle.part import GAIN_DIGITS
from bids_dtg.contrasts.kind import FitPlan, FitTask, ModelSpace
from bids_dtg.contrasts.people import Array, MapModel, Person, maps_by_segments, predicted_maps
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.contrasts.recentring import Correction, RecentringSums
from bids_dtg.errors import DatasetError
from bids_dtg.imaging.places import ListedPlaces, Places
from bids_dtg.notices import counted, say
from bids_dtg.settings import ModellingOptions
from bids_dtg.stats.conformal import Calibration, block_edge
from bids_dtg.stats.deviation import LEAST_PEOPLE as LEAST_APART
from bids_dtg.stats.deviation import Deviation, PeopleSums
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
    calibration: Calibration | None = None  # of intervals around its maps; None: none
    words: str = ""  # what the page says of the fit, in a sentence; empty: nothing

    def predict(self, person: Person) -> Array:
        """Predict a person's maps: the mean over segments, corrected."""
        *_, last = self.by_segments(person)
        return last

    def by_segments(self, person: Person) -> Iterator[Array]:
        """Yield a person's maps from the first segment of rest, the first two, and so on."""
        for maps in maps_by_segments(self.model, person):
            yield maps if self.correction is None else self.correction.apply(maps)


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
    return FittedModel(
        kind=kind.name,
        tensors=fitted.tensors,
        model=fitted.model,
        correction=correction,
        record=record,
        left_out_in_turn=fitted.correction is not None,
        same_for_all=same,
        words=fitted.words,
    )


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


def learn_distribution(
    people: Sequence[Person], bundle: ModelBundle
) -> TrainingDistribution | None:
    """Learn the training distribution, which runs of new people are compared to.

    Returns None, and reports it, for too few people or segments. Models at places that have names
    alone have none, as no run of images is compared with them.

    """
    if isinstance(bundle.places, ListedPlaces):
        return None
    rest = [person.rest for person in people if person.rest is not None]
    segments = sum(len(run) for own in rest for run in own.segments)
    found = f"{counted(len(rest), 'participant')} with {counted(segments, 'segment')} of rest"
    if len(rest) < LEAST_PEOPLE or segments < LEAST_SEGMENTS:
        say(
            f"no training statistics: {found} are too few (at least {LEAST_PEOPLE} with "
            f"{LEAST_SEGMENTS}); runs will be judged by the checks alone"
        )
        return None
    learned = TrainingDistribution.learn(rest, block_edge(bundle.places.spacing_mm))
    statistics = learned.statistics
    unit = "s" if statistics.by_time else "effective degrees of freedom"
    say(
        f"training statistics: {found}, cut and joined to {statistics.lowest:.0f} to "
        f"{statistics.highest:.0f} {unit}"
    )
    return learned


def sums_over(places: Places) -> PeopleSums:
    """Return empty sums over people, in blocks of the default size."""
    return PeopleSums(places.lattice(block_edge(places.spacing_mm)))


def mean_segments(people: Sequence[Person]) -> int:
    """Return the mean number of segments of rest per person, rounded."""
    return round(float(np.mean([len(person.connectomes) for person in people])))


def learn_deviation(
    people: Sequence[Person], predict: Callable[[Person], Array], places: Places, of: str
) -> Deviation | None:
    """Compute mean and spread of predicted maps; None, and a report, for too few people."""
    if len(people) < LEAST_APART:
        say(
            f"no deviations: {counted(len(people), 'participant')} are too few for a person's "
            f"deviation from the mean (at least {LEAST_APART}); --analysis deviation makes them"
        )
        return None
    sums = sums_over(places)
    for person in people:
        sums.add(predict(person))
    return sums.deviation(segments=mean_segments(people), of=of)
