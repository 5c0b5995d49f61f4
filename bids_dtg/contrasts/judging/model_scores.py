"""Scores of a model on all its contrasts, and of maps derived from its own predictions.

`score_maps` takes the maps of any model as arrays and returns all scores; rows of tables,
comparisons and tests are computed from its result (`bids_dtg.contrasts.judging.model_table`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.stats.metrics import dice_auc

Maps = NDArray[np.floating[Any]]
Values = NDArray[np.float64]

OWN_MEAN, ANOTHER = "own mean prediction", "another person's prediction"


@dataclass(frozen=True, eq=False)
class ModelScores:
    """Scores of one model.

    The mean of a score over people is the score; its spread over people is valid for intervals and
    tests, even if the score of a person depends on the others (`PeopleScores.values`).
    """

    name: str  # for tables and pages
    scores: Mapping[str, Values]  # by name, (contrasts, people): as `PeopleScores`, dice
    measured: NDArray[np.bool_]  # (contrasts, people), who has a map of the contrast
    matrices: Mapping[int, Values]  # contrast -> r, (measured people, predicted people)
    has_individuality: bool = True  # whether its scores of individuality are defined
    leave_one_out: bool = False  # whether it was fitted for each person on all other people
    # (people,), number of the group in which each was judged; None: all were judged together.
    groups: NDArray[np.intp] | None = None
    labels: tuple[str, ...] = ()  # of the people; empty: not known
    # (people,), number of each person's family, by which verdicts count; None: nobody has relatives
    families: NDArray[np.intp] | None = None
    # The same over the places of tissues, by name.
    tissues: Mapping[str, ModelScores] = field(default_factory=dict)
    places: int = 0  # how many there are

    @property
    def same_for_all(self) -> NDArray[np.bool_]:
        """(contrasts,), whether all people were given the same map (two people or more).

        False for models that have no scores of individuality.
        """
        if "residual_r" not in self.scores:
            return np.zeros(len(self.measured), bool)
        no_deviation = ~np.isfinite(self.scores["residual_r"]).any(axis=1)
        return np.asarray(no_deviation & (self.measured.sum(axis=1) > 1))

    def by_person(self, score: str) -> Values:
        """Return a score's means over contrasts, (people,).

        Where a contrast has no residual r, because all people's predictions are the same, it
        counts as 0; where none has one, all are NaN.
        """
        return mean_over(self.counted(score), axis=0)

    def counted(self, score: str) -> Values:
        """Return a score, (contrasts, people), with 0 for contrasts without it."""
        values = self.scores[score]
        if not np.isfinite(values).any():
            return values
        return np.where(self.measured & ~np.isfinite(values), 0.0, values)


def score_maps(
    name: str,
    predicted: Maps,
    measured: Maps,
    training_mean: Maps | None = None,
    families: NDArray[np.intp] | None = None,
) -> ModelScores:
    """Score the predictions of one model.

    Parameters
    ----------
    name
        Name of the model, for tables and pages.
    predicted, measured
        (people, contrasts, voxels), the same people; in memory or memory-mapped, read a
        contrast at a time. People without a finite value in a contrast, in either, do not count for
        it; voxels that are NaN for somebody who counts are left out of r and all scores derived
        from it.
    training_mean
        (contrasts, voxels), mean maps of the training people, for the score
        `residual_r_training_mean`, which is NaN without them.
    families
        (people,), number of each person's family; None: nobody has relatives.

    Raises
    ------
    ValueError
        If shapes do not match, or the people who count have no voxel in common.

    Examples
    --------
    >>> import numpy as np
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> found = score_maps("itself", measured, measured)
    >>> found.scores["r"].shape, float(found.by_person("identification").mean())
    ((2, 8), 1.0)
    """
    if predicted.ndim != 3 or predicted.shape != measured.shape:
        raise ValueError(
            f"maps are (people, contrasts, voxels) of one shape, found {predicted.shape} and "
            f"{measured.shape}"
        )
    people, contrasts, _ = measured.shape
    scores: dict[str, Values] = {}
    there = np.zeros((contrasts, people), bool)
    matrices = {}
    for q in range(contrasts):
        p, m = predicted[:, q], measured[:, q]
        there[q] = [
            np.isfinite(one).any() and np.isfinite(own).any() for one, own in zip(p, m, strict=True)
        ]
        if not there[q].any():
            continue
        of = families
        if not there[q].all():
            p, m = p[there[q]], m[there[q]]
            of = None if families is None else families[there[q]]
        mean = None if training_mean is None else training_mean[q]
        scored = PeopleScores.of(p, m, mean, families=of)
        for key, value in {**scored.values(), **scored.own(), "dice": _dice(p, m)}.items():
            scores.setdefault(key, np.full((contrasts, people), np.nan))[q, there[q]] = value
        matrices[q] = scored.matrix
    return ModelScores(name, scores, there, matrices, places=predicted.shape[2], families=families)


def score_judged(
    name: str,
    predicted: Maps,
    measured: Maps,
    training_mean: Maps | None = None,
    families: NDArray[np.intp] | None = None,
) -> tuple[ModelScores, ModelScores, ModelScores]:
    """Score a model, its own mean prediction and another person's prediction.

    Parameters
    ----------
    name, predicted, measured, training_mean, families
        Maps of the model and of the people, as for `score_maps`.

    Returns
    -------
    tuple
        The model. Its own mean prediction: the mean over all people who count for a contrast, one
        map for everybody, without individual information. And r of its predictions for all people
        of other families, averaged for each person, without other scores.

    Examples
    --------
    >>> import numpy as np
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> model, own_mean, another = score_judged("itself", measured, measured)
    >>> [round(float(one.by_person("r").mean()), 1) for one in (model, own_mean)]
    [1.0, 0.4]
    """
    model = score_maps(name, predicted, measured, training_mean, families)
    means = np.zeros(predicted.shape[1:], np.float32)
    for mean, maps, there in zip(means, predicted.swapaxes(0, 1), model.measured, strict=True):
        if there.any():
            mean[:] = maps[there].mean(axis=0, dtype=np.float64)
    constant = np.broadcast_to(means, predicted.shape)
    own_mean = score_maps(OWN_MEAN, constant, measured, training_mean, families)
    return (
        model,
        # These values include how much the mean prediction depends on each person.
        replace(own_mean, scores={**own_mean.scores, "r": model.scores["own_mean_r"]}),
        ModelScores(
            ANOTHER,
            {"r": model.scores["others_r"]},
            model.measured,
            {},
            has_individuality=False,
            families=families,
        ),
    )


def join_groups(groups: Sequence[ModelScores]) -> ModelScores:
    """Return the scores of a model on several groups of people, each judged among its own.

    Matrices are NaN between people of different groups, who were predicted by different fits.

    Examples
    --------
    >>> import numpy as np
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> halves = [score_maps("itself", half, half) for half in (measured[:3], measured[3:])]
    >>> found = join_groups(halves)
    >>> found.scores["r"].shape, found.matrices[0].shape, int(np.isnan(found.matrices[0]).sum())
    ((2, 8), (8, 8), 30)
    """
    shapes = [one.measured.shape for one in groups]
    scores = {
        name: np.concatenate(
            [
                one.scores.get(name, np.full(shape, np.nan))
                for one, shape in zip(groups, shapes, strict=True)
            ],
            axis=1,
        )
        for name in dict.fromkeys(name for one in groups for name in one.scores)
    }
    matrices = {}
    for q in sorted({q for one in groups for q in one.matrices}):
        blocks = [one.matrices[q] for one in groups if q in one.matrices]
        people = sum(map(len, blocks))
        matrices[q], first = np.full((people, people), np.nan), 0
        for block in blocks:
            part = slice(first, first + len(block))
            matrices[q][part, part] = block
            first += len(block)
    return replace(
        groups[0],
        scores=scores,
        measured=np.concatenate([one.measured for one in groups], axis=1),
        matrices=matrices,
        groups=np.repeat(np.arange(len(groups)), [people for _, people in shapes]),
        labels=tuple(label for one in groups for label in one.labels),
        families=_joined_families(groups),
        tissues={
            tissue: join_groups([one.tissues[tissue] for one in groups])
            for tissue in groups[0].tissues
            if all(tissue in one.tissues for one in groups)
        },
    )


def _joined_families(groups: Sequence[ModelScores]) -> NDArray[np.intp] | None:
    """Return numbers of families of all groups: no family is in two of them."""
    numbers: list[tuple[int, int]] = []
    for n, one in enumerate(groups):
        if one.families is None:
            return None
        numbers += [(n, int(own)) for own in one.families]
    return np.unique(numbers, axis=0, return_inverse=True)[1].ravel()


def mean_over(values: Values, axis: int) -> Values:
    """Return means of finite values along an axis, NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _dice(predicted: Maps, measured: Maps) -> Values:
    """Return the area under Dice overlap of each person, over the voxels of both maps."""
    found = []
    for p, m in zip(predicted, measured, strict=True):
        known = np.isfinite(m) & np.isfinite(p)
        found.append(float(dice_auc(p[known][None], m[known][None])[0]) if known.any() else 0.0)
    return np.array(found)
