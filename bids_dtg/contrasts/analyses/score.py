"""Score several models on the same people."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.baselines import (
    GROUP_AVERAGE,
    LINEAR,
    Predict,
    SimpleModels,
    SimplePlan,
    baselines,
)
from bids_dtg.contrasts.fitted import FittedModel
from bids_dtg.contrasts.judging.model_scores import (
    ModelScores,
    score_judged,
    score_maps,
)
from bids_dtg.contrasts.linear import LinearModel
from bids_dtg.contrasts.people import Person, mean_maps
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.stats.splits import family_numbers

Array = NDArray[np.float32]
Tissues = Mapping[str, NDArray[np.bool_]]  # places of each tissue, by name
RETEST, BEFORE = "retest", "before tuning"
SIMPLE = (GROUP_AVERAGE, LINEAR, BEFORE)  # compared with the model
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
    tissues: Tissues,
    report: Callable[[str], None],
) -> tuple[list[ModelScores], SimpleModels]:
    """Score a model, called "model", and simple ones of the same training people, on others."""
    mean = mean_maps(training)
    simple = baselines(training, mean, plan)
    models = {**simple.models, "model": fitted.predict}
    models |= _without_a_step(fitted) | retest_maps(test)
    scoring = Scoring(
        "model", plan.store, report, training_mean=mean, tissues=tissues, families=plan.families
    )
    return score_models(models, test, scoring), simple


def _without_a_step(fitted: FittedModel) -> dict[str, Predict]:
    """Return the model without its correction, if that is no part of it."""
    if isinstance(fitted.model, LinearModel) or fitted.correction is None:
        return {}
    return {"model, not re-centred": dataclasses.replace(fitted, correction=None).predict}


@dataclass(frozen=True, eq=False)
class Scoring:
    """How models are scored."""

    judged: str  # name of the evaluated model: its own mean and another's prediction follow it
    store: ArrayStore  # of predictions while they are scored: memory does not grow with people
    report: Callable[[str], None]  # receives a line for each model
    # Mean maps of training people, (contrasts, places); None if not known.
    training_mean: NDArray[np.float32] | None = None
    # Models that were fitted for each person on all other people: their predictions for others
    # contain a person's own map.
    leave_one_out: Collection[str] = ()
    # In which the judged model and the group average are scored, too.
    tissues: Tissues = field(default_factory=dict)
    # Label -> family: relatives are not who a person is compared with as others.
    families: Mapping[str, str] = field(default_factory=dict)


def score_models(
    models: Mapping[str, Predict], people: Sequence[Person], scoring: Scoring
) -> list[ModelScores]:
    """Predict everybody's maps by each model and score them, a contrast at a time.

    Parameters
    ----------
    models
        Models by name; each predicts each person once.
    people
        People; their first session is the measured one.
    scoring
        Which model is judged, and how.
    """
    contrasts, voxels = people[0].maps.shape
    measured = scoring.store.create("work/measured", (contrasts, len(people), voxels), np.float32)
    for n, person in enumerate(people):
        measured[:, n] = person.maps
    predicted = scoring.store.create("work/predicted", measured.shape, np.float32)
    # On disk, a contrast is contiguous; scores have people first.
    maps, own, mean = predicted.swapaxes(0, 1), measured.swapaxes(0, 1), scoring.training_mean
    found: list[ModelScores] = []
    families = family_numbers([person.label for person in people], scoring.families)
    for name, predict in models.items():
        scoring.report(f"scoring {name}")
        for n, person in enumerate(people):
            predicted[:, n] = predict(person)
        tissues = {}
        if name in (scoring.judged, GROUP_AVERAGE):
            tissues = _in_tissues(name, (predicted, measured), scoring, families)
        if name == scoring.judged:
            judged, *derived = score_judged(name, maps, own, mean, families)
            found += [dataclasses.replace(judged, tissues=tissues), *derived]
            continue
        scored = dataclasses.replace(score_maps(name, maps, own, mean, families), tissues=tissues)
        if name in scoring.leave_one_out:
            scored = dataclasses.replace(
                scored, matrices={}, has_individuality=False, leave_one_out=True
            )
        found.append(scored)
    labels = tuple(person.label for person in people)
    return [dataclasses.replace(scored, labels=labels) for scored in found]


def _in_tissues(
    name: str, both: tuple[Array, Array], scoring: Scoring, families: NDArray[np.intp]
) -> dict[str, ModelScores]:
    """Score predicted and measured maps (contrasts, people, places) over each tissue's places.

    A tissue that people's maps do not share in any place is left out.
    """
    found = {}
    for tissue, here in scoring.tissues.items():
        cut = []
        for what, maps in zip(("predicted", "measured"), both, strict=True):
            shape = (*maps.shape[:2], int(here.sum()))
            cut.append(scoring.store.create(f"work/{what}_in_tissue", shape, np.float32))
            for own, values in zip(cut[-1], maps, strict=True):
                own[:] = values[:, here]
        try:
            predicted, measured = (maps.swapaxes(0, 1) for maps in cut)
            found[tissue] = score_maps(name, predicted, measured, None, families)
        except ValueError:
            continue
    return found
