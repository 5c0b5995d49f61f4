"""Score several models on the same people."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.baselines import (
    GROUP_AVERAGE,
    KERNEL_RIDGE,
    LINEAR,
    WHOLE_BRAIN,
    Predict,
    SimpleModels,
    SimplePlan,
    baselines,
)
from bids_dtg.contrasts.analyses.fit import FittedModel
from bids_dtg.contrasts.judging.model_scores import (
    ModelScores,
    score_judged,
    score_maps,
)
from bids_dtg.contrasts.people import Person, mean_maps
from bids_dtg.contrasts.weighted_linear import WeightedLinear
from bids_dtg.files.array_store import ArrayStore

RETEST, BEFORE = "retest", "before tuning"
WITHOUT_AMPLITUDE = "model, amplitude of the shape"
SIMPLE = (GROUP_AVERAGE, LINEAR, WHOLE_BRAIN, KERNEL_RIDGE, BEFORE)  # compared with the model
PUBLISHED_OPPONENTS = (GROUP_AVERAGE, LINEAR, RETEST)  # those of Serin et al. 2025


def retest_maps(people: Sequence[Person]) -> dict[str, Predict]:
    """Return the retest maps as a model, if everybody has them.

    Voxels outside the retest's field of view stay NaN.
    """
    if not all(len(person.sessions) > 1 for person in people):
        return {}
    return {RETEST: lambda person: person.sessions[1]}


def score_fit(
    plan: SimplePlan,
    fitted: FittedModel,
    training: Sequence[Person],
    test: Sequence[Person],
    *,
    report: Callable[[str], None],
) -> tuple[list[ModelScores], SimpleModels]:
    """Score a model, called "model", and simple ones of the same training people, on others."""
    mean = mean_maps(training)
    simple = baselines(training, mean, plan)
    models = {**simple.models, "model": fitted.predict}
    models |= _without_a_step(fitted) | retest_maps(test)
    found = score_models(models, test, "model", training_mean=mean, store=plan.store, report=report)
    return found, simple


def _without_a_step(fitted: FittedModel) -> dict[str, Predict]:
    """Return the model without its correction or, if that is a part of it, without amplitude."""
    if isinstance(fitted.model, WeightedLinear):
        if fitted.model.amplitude is None:
            return {}
        of_shape = dataclasses.replace(fitted.model, amplitude=None)
        return {WITHOUT_AMPLITUDE: dataclasses.replace(fitted, model=of_shape).predict}
    if fitted.correction is None:
        return {}
    return {"model, not re-centred": dataclasses.replace(fitted, correction=None).predict}


def score_models(
    models: Mapping[str, Predict],
    people: Sequence[Person],
    judged: str,
    *,
    training_mean: NDArray[np.float32] | None,
    store: ArrayStore,
    report: Callable[[str], None],
    leave_one_out: Collection[str] = (),
) -> list[ModelScores]:
    """Predict everybody's maps by each model and score them, a contrast at a time.

    Parameters
    ----------
    models
        Models by name; each predicts each person once.
    people
        People; their first session is the measured one.
    judged
        Name of the evaluated model: its own mean prediction and another person's
        prediction follow it.
    training_mean
        Mean maps of training people, (contrasts, voxels); None if not known.
    store
        Where predictions are kept while they are scored: memory does not grow with people.
    report
        Receives a line for each model.
    leave_one_out
        Names of models that were fitted for each person on all other people: their predictions
        for others contain a person's own map.
    """
    contrasts, voxels = people[0].maps.shape
    measured = store.create("work/measured", (contrasts, len(people), voxels), np.float32)
    for n, person in enumerate(people):
        measured[:, n] = person.maps
    predicted = store.create("work/predicted", measured.shape, np.float32)
    # On disk, a contrast is contiguous; scores have people first.
    maps, own = predicted.swapaxes(0, 1), measured.swapaxes(0, 1)
    found: list[ModelScores] = []
    for name, predict in models.items():
        report(f"scoring {name}")
        for n, person in enumerate(people):
            predicted[:, n] = predict(person)
        if name == judged:
            found += score_judged(name, maps, own, training_mean)
            continue
        scored = score_maps(name, maps, own, training_mean)
        if name in leave_one_out:
            scored = dataclasses.replace(
                scored, matrices={}, has_individuality=False, leave_one_out=True
            )
        found.append(scored)
    return found
