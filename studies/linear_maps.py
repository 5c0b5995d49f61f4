"""Evaluate the linear model on real people, with all of their rest or only its first minutes.

    python studies/linear_maps.py ../shared/data/real/hcp30

The data are parcels of 20 people of the Human Connectome Project, at rest and in 24 task
conditions, which give HCP's 47 contrasts. In each of five folds, 16 people train the model and 4
test it; everything that the model needs comes from the training people. About 220 variants were
tried on these people during development, so the scores are optimistic.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg import fit_linear
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.connectome.form import rows_of
from bids_dtg.contrasts.asymmetry import Homologues
from bids_dtg.contrasts.contrast import Contrast, hcp_contrasts
from bids_dtg.contrasts.fit_linear import FittedLinear
from bids_dtg.contrasts.judging.asymmetry import asymmetry_table, score_asymmetry
from bids_dtg.contrasts.judging.people_scores import score_people
from bids_dtg.contrasts.judging.scores import Scores, join_groups
from bids_dtg.contrasts.linear import tensors_of
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.stats.metrics import correlation_matrix
from bids_dtg.stats.paired import Interval, t_interval, wilson_interval

FOLDS = 5
SCORES = (
    "r - group",
    "residual r",
    "identified",
    "deviation identified",
    "another's r - group",
    "held by half-widths",
)
# Contrast names of HCP-YA, by the data's names of their conditions.
CONDITIONS = {
    "EMOTION:fear": "FACES",
    "EMOTION:neut": "SHAPES",
    "GAMBLING:win": "REWARD",
    "GAMBLING:loss": "PUNISH",
    "SOCIAL:mental": "TOM",
    "SOCIAL:rnd": "RANDOM",
    "REASONING:rel": "REL",
    "REASONING:match": "MATCH",
    **{f"MOTOR:{name}": name.upper() for name in ("cue", "lf", "rf", "lh", "rh", "t")},
    "LANGUAGE:story": "STORY",
    "LANGUAGE:math": "MATH",
}
FROM_MOVEMENTS = "minus the mean of the five movements"
# Pairs of the data's parcels, which are Glasser's: first the left ones.
PAIRS = Homologues(
    tuple(str(number) for number in range(1, 181)),
    np.arange(180),
    np.arange(180, 360),
)
# Predictions that must not be better than the group's.
ANOTHER, MIXED = "another person's rest", "rest with left and right mixed"
PICTURES = {"body": "BODY", "faces": "FACE", "places": "PLACE", "tools": "TOOL"}
Array = NDArray[np.float32]
Values = NDArray[np.float64]


def name_condition(condition: str) -> tuple[str, str]:
    """Return HCP-YA's task and contrast name of a condition of the data."""
    task, _, name = condition.partition(":")
    if task.startswith("WM"):
        return "WM", f"{task.split()[1].upper()}_{PICTURES[name]}"
    return task.replace("REASONING", "RELATIONAL"), CONDITIONS[condition]


def weights_of(task: str, name: str, conditions: Sequence[tuple[str, str]]) -> Values:
    """Return a contrast's weights of conditions (task, name), by its own name in HCP-YA.

    A difference from the average is one from the five movements, or from the other pictures.
    """
    first, _, second = name.partition("-")
    if second:
        subtracted = [second]
        if (task, second) == ("WM", "AVG"):
            subtracted = [picture for picture in PICTURES.values() if picture != first]
        weights = [weights_of(task, condition, conditions) for condition in subtracted]
        return weights_of(task, first, conditions) - np.mean(weights, axis=0)
    is_mean_of_movements = (task, name) == ("MOTOR", "AVG")
    is_part = []
    for condition_task, condition in conditions:
        is_named = name in (condition, *condition.split("_"))
        is_movement = is_mean_of_movements and condition != "CUE"
        is_part.append(condition_task == task and (is_named or is_movement))
    return np.array(is_part, np.float64) / sum(is_part)


def contrasts_of(conditions: Sequence[str]) -> tuple[tuple[Contrast, ...], Values]:
    """Return HCP's contrasts, and their weights of the data's conditions (contrasts, conditions).

    Movements are compared with the mean of all five.
    """
    named_conditions = [name_condition(condition) for condition in conditions]
    contrasts = []
    weights = []
    for contrast in hcp_contrasts():
        if contrast.task == "MOTOR" and contrast.name.endswith("-AVG"):
            movement = contrast.description.partition(" minus ")[0]
            description = f"{movement} {FROM_MOVEMENTS}"
            contrast = replace(contrast, description=description)
        contrasts.append(contrast)
        weights.append(weights_of(contrast.task, contrast.name, named_conditions))
    return tuple(contrasts), np.stack(weights)


def read_people(
    folder: Path,
) -> tuple[Array, Array, float, tuple[Contrast, ...], Values]:
    """Return rest, maps of conditions, TR, HCP's contrasts and their weights of the conditions."""
    with np.load(folder / "rest.npz") as file:
        rest, tr_seconds = file["rest"], float(file["tr_seconds"])
    with np.load(folder / "task.npz") as file:
        maps = file["beta"].astype(np.float32)
        contrasts, weights = contrasts_of(list(map(str, file["conditions"])))
    return rest, maps, tr_seconds, contrasts, weights


def measured_contrasts(maps: Array, weights: Values) -> Array:
    """Return maps of contrasts, given those of conditions; (people, contrasts, places)."""
    return np.einsum("cq,nqv->ncv", weights, maps).astype(np.float32)


def fit_contrasts(
    rest: Array, maps: Array, tr_seconds: float, weights: Values
) -> FittedLinear:
    """Fit conditions, and contrasts of several conditions as maps of their own.

    The gains of either have a common part (`fit_linear`), so each group is fitted on its own.
    """
    of_conditions = fit_linear(rest, maps, tr_seconds, homologues=PAIRS)
    single = np.count_nonzero(weights, axis=1) == 1
    roi_maps = [of_conditions.roi_maps[rows] for rows in rows_of(of_conditions.sets)]
    wanted = measured_contrasts(maps, weights[~single])
    of_contrasts = fit_linear(
        rest, wanted, tr_seconds, roi_maps=roi_maps, homologues=PAIRS
    )
    condition_of = weights[single].argmax(axis=1)

    def together(conditions: NDArray[Any], contrasts: NDArray[Any]) -> NDArray[Any]:
        """Put rows of both in the order of `weights`."""
        rows = np.empty((len(weights), *conditions.shape[1:]), conditions.dtype)
        rows[single] = conditions[condition_of]
        rows[~single] = contrasts
        return rows

    first, second = of_conditions.fit, of_contrasts.fit
    model = replace(
        first.model,
        coefficients=together(first.model.coefficients, second.model.coefficients),
    )
    correction = Correction(
        together(first.correction.gains, second.correction.gains),
        together(first.correction.offset, second.correction.offset),
    )
    widths = {
        name: replace(
            getattr(first, name),
            values=together(getattr(first, name).values, getattr(second, name).values),
        )
        for name in ("half_widths", "asymmetry_widths")
    }
    joined = replace(
        first,
        model=model,
        tensors=tensors_of(model),
        correction=correction,
        **widths,
    )
    return replace(of_conditions, fit=joined)


def score(maps: Array, measured: Array, mean: Array) -> Values:
    """Score predicted maps (people, contrasts, places); return (people, contrasts, scores).

    Deviations are those from the mean of the people tested together.
    """
    scores = []
    for contrast in range(maps.shape[1]):
        predicted, truth = maps[:, contrast], measured[:, contrast]
        _, of_people = score_people(predicted, truth)
        average = np.repeat(mean[None, contrast], len(measured), axis=0)
        group_r = score_people(average, truth)[1]["r"]
        deviations = predicted - predicted.mean(0)
        r = correlation_matrix(deviations, truth - truth.mean(0))
        # In the order of `SCORES`.
        scores.append(
            [
                of_people["r"] - group_r,
                np.nan_to_num(of_people["own_residual_r"]),
                of_people["own_identification"],
                r.argmax(axis=0) == np.arange(len(maps)),
                of_people["r"] - of_people["own_index"] - group_r,
            ]
        )
    return np.moveaxis(np.array(scores, np.float64), 2, 0)


@dataclass(frozen=True, eq=False)
class Fold:
    """Predictions for people by a model of the other people."""

    test: NDArray[np.intp]  # numbers of the people
    model: FittedLinear
    mean: Array  # of the training people's maps, (contrasts, places)
    measured: Array  # (people, contrasts, places)
    # The same for each length of rest, in frames, and for what tells nothing of a person's sides.
    predicted: Mapping[int | str, Array]

    def scores(self, length: int) -> Values:
        """Return the scores of a length of rest, (people, contrasts, scores)."""
        predicted = self.predicted[length]
        is_held = np.abs(predicted - self.measured) <= self.model.half_widths
        of_maps = score(predicted, self.measured, self.mean)
        held_share = is_held.mean(axis=2, keepdims=True)
        return np.concatenate([of_maps, held_share], axis=2)

    def asymmetry(self, length: int | str, contrasts: Sequence[Contrast]) -> Scores:
        """Return the scores of left minus right."""
        labels = [str(person) for person in self.test], [row.label for row in contrasts]
        maps = self.predicted[length], self.measured
        return score_asymmetry("model", maps, self.mean, PAIRS, None, labels)

    def asymmetry_held(self, length: int) -> Values:
        """Return whether intervals hold measured asymmetries, (people, contrasts, pairs + 1)."""
        widths = self.model.fit.asymmetry_widths
        assert widths is not None
        predicted, measured = (
            PAIRS.values(maps, self.mean)
            for maps in (self.predicted[length], self.measured)
        )
        return np.asarray(np.abs(predicted - measured) <= widths.values, np.float64)


def mix_sides(series: Array, seed: int) -> Array:
    """Let left and right change places in a random half of the pairs of series (places, frames)."""
    order = np.arange(len(series))
    pairs = np.random.default_rng(seed).permutation(len(PAIRS.names))[::2]
    order[PAIRS.left[pairs]] = PAIRS.right[pairs]
    order[PAIRS.right[pairs]] = PAIRS.left[pairs]
    return series[order]


def left_out(
    rest: Array,
    maps: Array,
    tr_seconds: float,
    weights: Values,
    lengths: Sequence[int] = (),
) -> Iterator[Fold]:
    """Yield folds, in which everybody is tested once, with all rest and with its first frames."""
    order = np.random.default_rng(0).permutation(len(rest))
    measured = measured_contrasts(maps, weights)
    for fold in range(FOLDS):
        test = order[fold::FOLDS]
        training = np.setdiff1d(order, test)
        model = fit_contrasts(rest[training], maps[training], tr_seconds, weights)

        def predict(series: Array, model: FittedLinear = model) -> Array:
            return np.stack([model.predict(one) for one in series]).astype(np.float32)

        whole = rest.shape[2]
        predicted = {
            length: predict(rest[test, :, :length]) for length in (whole, *lengths)
        }
        if lengths:
            predicted[ANOTHER] = np.roll(predicted[whole], 1, axis=0)
            mixed = [mix_sides(rest[person], seed=person) for person in test]
            predicted[MIXED] = predict(np.stack(mixed))
        mean = measured[training].mean(axis=0)
        yield Fold(test, model, mean, measured[test], predicted)


def intervals(scores: Values) -> dict[str, Interval]:
    """Return the means over people of scores (people, scores), by name, with their intervals."""
    by_score = {}
    for name, people in zip(SCORES, scores.T, strict=True):
        if "identified" in name:
            by_score[name] = wilson_interval(float(people.mean()), len(people))
        else:
            by_score[name] = t_interval(people)
    return by_score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument(
        "--minutes", type=float, nargs="*", default=[7.0, 5.0], help="of test rest"
    )
    args = parser.parse_args()
    start = time.perf_counter()
    rest, maps, tr_seconds, contrasts, weights = read_people(args.folder)
    single = np.count_nonzero(weights, axis=1) == 1
    lengths = [round(60 * minutes / tr_seconds) for minutes in args.minutes]
    folds = list[Fold]()
    for fold in left_out(rest, maps, tr_seconds, weights, lengths):
        folds.append(fold)
        seconds = time.perf_counter() - start
        print(f"fold {len(folds)}: {seconds:.0f} s", flush=True)
    scores = np.empty((len(rest), len(contrasts), len(SCORES)))
    for length in (rest.shape[2], *lengths):
        for fold in folds:
            scores[fold.test] = fold.scores(length)
        print(f"{length * tr_seconds / 60:.1f} minutes of rest")
        rows = {
            "mean of 24 conditions": scores[:, single],
            "mean of 23 contrasts": scores[:, ~single],
        }
        for contrast in contrasts:
            rows[contrast.label] = scores[:, [contrast.index]]
        for name, of_row in rows.items():
            of_people = of_row.mean(axis=1)
            cells = []
            for score_name, over in intervals(of_people).items():
                digits = "+.4f" if "group" in score_name else ".3f"
                ends = f"{over.low:{digits}}, {over.high:{digits}}"
                cells.append(f"{over.mean:{digits}} [{ends}]")
            above = f"{(of_people[:, 0] > 0).mean():.0%}"
            print(" | ".join(["", name, *cells, above, ""]).strip())
        held = np.concatenate([fold.asymmetry_held(length) for fold in folds])
        print("left minus right; held by half-widths:")
        for name, values in (("pairs", held[..., :-1]), ("index", held[..., -1:])):
            over = t_interval(values.mean(axis=(1, 2)))
            print(f"{name} {over.mean:.3f} [{over.low:.3f}, {over.high:.3f}]")
        print(asymmetry_of(folds, length, contrasts).text)
    for name in (ANOTHER, MIXED):
        print(f"left minus right from {name}")
        print(asymmetry_of(folds, name, contrasts).text)


def asymmetry_of(
    folds: Sequence[Fold], length: int | str, contrasts: Sequence[Contrast]
) -> ResultTable:
    """Return the scores of left minus right, by contrast."""
    of_folds = [fold.asymmetry(length, contrasts) for fold in folds]
    scores = join_groups(of_folds, [fold.test.tolist() for fold in folds])
    return asymmetry_table(scores, "model")


if __name__ == "__main__":
    main()
