"""Models side by side on the same people: scores, intervals and tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.people import Person
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.stats.metrics import dice_auc
from bids_dtg.stats.paired import (
    bootstrap_mean,
    cliffs_delta,
    false_discovery_rate,
    sign_flip_test,
)
from bids_dtg.stats.people_scores import PeopleScores
from bids_dtg.workflows.modelling.baselines import (
    GROUP_AVERAGE,
    KERNEL_RIDGE,
    LINEAR,
    Predict,
)

BEFORE = "before tuning"
_SIMPLE = (GROUP_AVERAGE, LINEAR, KERNEL_RIDGE, BEFORE)  # what a model has to beat
_OF_CORRELATION = ("r", "index", "product", "residual_r")
_APART = {"residual_r": "residual_r", "identification": "identified"}

CONVENTIONS = (
    "Rows of a matrix are measured maps, columns predictions; r, index (r minus the mean of the "
    "row's other entries), product (as published: index times r, a person), residual r (the "
    "training mean taken off both) and explained variance are means over participants and "
    "contrasts, ratio is index / r; intervals are 95 %, bootstrap over participants; chance of "
    "identification is 1 / participants; voxels that somebody's measured map lacks are left out; "
    "simple models that are fitted on all the others have no scores of individuality."
)


@dataclass(frozen=True, eq=False)
class ModelScores:
    """Scores of one model."""

    name: str  # for people
    scores: Mapping[str, NDArray[np.float64]]  # by name, (contrasts, people); NaN: not measured
    matrices: Mapping[int, NDArray[np.float64]]  # contrast -> (measured, predicted) people's r
    tells_apart: bool  # whether its scores of individuality mean anything


def score_models(
    models: Mapping[str, Predict | None],
    people: Sequence[Person],
    contrasts: Sequence[Contrast],
    *,
    mean_maps: NDArray[np.float32],
    store: ArrayStore,
    report: Callable[[str], None],
    r_only: Collection[str] = (),
) -> list[ModelScores]:
    """Predict everybody's maps by each model and score them, a contrast at a time.

    Parameters
    ----------
    models
        By name; each is called for each person once. None: the maps of the one before it, each
        given to another participant.
    people, contrasts
        Whose first session is the measured one.
    mean_maps
        Of training people, (contrasts, voxels).
    store
        Where predictions are kept while they are scored: memory does not grow with people.
    report
        Is given a line for each model.
    r_only
        Names of models whose predictions for others know a person's own map.
    """
    shape = len(contrasts), len(people), mean_maps.shape[1]
    measured = store.create("work/measured", shape, np.float32)
    for n, person in enumerate(people):
        measured[:, n] = person.maps
    found = []
    predicted = store.create("work/predicted", shape, np.float32)
    for name, predict in models.items():
        report(f"scoring {name}")
        if predict is None:
            _give_to_others(predicted)
        else:
            for n, person in enumerate(people):
                predicted[:, n] = predict(person)
        scored = _scored(name, predicted, measured, mean_maps)
        if name in r_only:
            scored = dataclasses.replace(scored, matrices={}, tells_apart=False)
        found.append(scored)
    return found


def _give_to_others(predicted: NDArray[np.float32]) -> None:
    """Give each participant's maps, (contrasts, people, voxels), to the one before."""
    first = predicted[:, 0].copy()
    for n in range(1, predicted.shape[1]):
        predicted[:, n - 1] = predicted[:, n]
    predicted[:, -1] = first


def _scored(
    name: str,
    predicted: NDArray[np.float32],
    measured: NDArray[np.float32],
    mean_maps: NDArray[np.float32],
) -> ModelScores:
    contrasts, people, _ = measured.shape
    scores: dict[str, NDArray[np.float64]] = {}
    matrices = {}
    for q in range(contrasts):
        # Who lacks a contrast does not count for it.
        known = np.flatnonzero([np.isfinite(measured[q, n]).any() for n in range(people)])
        if not len(known):
            continue
        all_there = len(known) == people
        p = predicted[q] if all_there else predicted[q][known]
        m = measured[q] if all_there else measured[q][known]
        scored = PeopleScores.of(p, m, mean_maps[q])
        values = scored.people() | {"dice": _dice(p, m)}
        for key, value in values.items():
            if key in _OF_CORRELATION:
                # Who predicts one value everywhere, or the mean map, knows nothing.
                value = np.nan_to_num(value)
            scores.setdefault(key, np.full((contrasts, people), np.nan))[q, known] = value
        matrices[q] = scored.matrix
    return ModelScores(name, scores, matrices, name != GROUP_AVERAGE)


def _dice(predicted: NDArray[np.float32], measured: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the area under Dice overlap of each person, over the voxels of the own map."""
    found = []
    for p, m in zip(predicted, measured, strict=True):
        known = np.isfinite(m)
        found.append(float(dice_auc(p[known][None], m[known][None])[0]))
    return np.array(found)


def summary_row(one: ModelScores, group: ModelScores | None) -> dict[str, Any]:
    """Return a model's row of the table, as a bundle's card has it."""
    r = one.scores["r"]
    row: dict[str, Any] = {"model": one.name, "r": _interval(r)}
    by_contrast = mean_over(r, axis=1)
    row["r_sd_over_contrasts"] = _number(float(by_contrast[np.isfinite(by_contrast)].std()))
    row["dice"], row["explained"] = (
        _interval(one.scores["dice"]),
        _interval(one.scores["explained"]),
    )
    if one.name == GROUP_AVERAGE:
        return row
    if group is not None:
        row["r_minus_group_average"] = _interval(r - group.scores["r"])
    if not one.tells_apart:
        return row
    for key in ("index", "product", "residual_r"):
        row[key] = _interval(one.scores[key])
    row["ratio"] = _number(_mean(one.scores["index"]) / _mean(r))
    row["identification"] = _number(_mean(one.scores["identified"]))
    return row


def paired_rows(models: Sequence[ModelScores], judged: str) -> list[dict[str, Any]]:
    """Return how much better a model is than each simple one, with intervals over people.

    Scores of individuality are compared with models that have them; the group average has none.
    """
    model = next(scores for scores in models if scores.name == judged)
    rows: list[dict[str, Any]] = []
    for other in models:
        if other.name not in _SIMPLE:
            continue
        keys = ("r", "residual_r", "identified") if other.tells_apart else ("r",)
        differences = {key: _interval(model.scores[key] - other.scores[key]) for key in keys}
        rows.append({"model": other.name, **differences})
    return rows


def contrast_rows(
    models: Sequence[ModelScores], against: ModelScores, contrasts: Sequence[Contrast]
) -> list[dict[str, Any]]:
    """Compare models with one of them, a row a contrast and model.

    p is of sign flips over people; q is adjusted for all contrasts of a model.
    """
    rows = []
    for scores in models:
        if scores is against:
            continue
        difference = scores.scores["r"] - against.scores["r"]
        p = sign_flip_test(difference)
        q = false_discovery_rate(p)
        for contrast in contrasts:
            n = contrast.index
            rows.append(
                {
                    "contrast": contrast.label,
                    "model": scores.name,
                    "against": against.name,
                    "people": int(np.isfinite(difference[n]).sum()),
                    "r": _number(_mean(scores.scores["r"][n])),
                    "difference": _number(_mean(difference[n])),
                    "p": _number(float(p[n]), 5),
                    "q": _number(float(q[n]), 5),
                    "cliffs_delta": _number(
                        cliffs_delta(scores.scores["r"][n], against.scores["r"][n])
                    ),
                    **{
                        name: _number(_mean(scores.scores[key][n])) if scores.tells_apart else None
                        for name, key in _APART.items()
                    },
                }
            )
    return rows


def _interval(values: NDArray[np.float64]) -> list[float | None]:
    """Return the mean over people of scores (contrasts, people), and its 95 % interval."""
    found = bootstrap_mean(mean_over(values, axis=0))
    return [_number(x) for x in (found.mean, found.low, found.high)]


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def mean_over(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return means of what is known along an axis, NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _number(value: float, digits: int = 4) -> float | None:
    """Return a number as JSON has it."""
    return round(float(value), digits) if np.isfinite(value) else None
