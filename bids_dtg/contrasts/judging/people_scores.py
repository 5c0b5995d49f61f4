"""Scores of one contrast over many people, read a slab of voxels at a time.

All scores follow from sums over voxels: the people-by-people products are three matrix
products for each slab. Apart from these products, memory does not grow with the number of people.

Maps are summed as their mean over people and deviations from it. Maps that are the same for
everybody therefore leave exact zeros, and leave-one-out scores follow from the same sums: how much
each person changes a score, as measured and as predicted, gives the spread of the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.metrics import fingerprinting_score, rivals
from bids_dtg.stats.paired import jackknife_shares

Maps = NDArray[np.floating[Any]]
Values = NDArray[np.float64]
SLAB_BYTES = 1 << 26  # of the maps in one slab
_SLAB_VOXELS = 1 << 16  # float32 sums over more voxels would lose digits


@dataclass(frozen=True, eq=False)
class PeopleScores:
    """Scores of the predicted maps of one contrast, a value a person; NaN where not defined."""

    matrix: Values  # (measured people, predicted people), correlation over voxels
    r: Values  # (people,), own prediction with own measured map
    # (people,), predictions for all people of other families with the own measured map, mean
    others_r: Values
    own_mean_r: Values  # (people,), the mean of all these predictions with the own measured map
    index: Values  # (people,), r minus others_r: the model minus another person's prediction
    product: Values  # (people,), index times r
    identified: Values  # (people,), 1 if the own prediction is the most similar, 1 / k for k ties
    residual_r: Values  # (people,), r after subtracting these people's means from both sides
    residual_r_training_mean: Values  # (people,), r after subtracting the training mean
    fingerprint: float  # share identified times mean r, as published: ties are misses
    # By name, (people,): their mean is the mean of the values above, and their spread says how much
    # the mean depends on each person, whose map and prediction are compared with others' too.
    shares: Mapping[str, Values]

    @classmethod
    def of(
        cls,
        predicted: Maps,
        measured: Maps,
        training_mean: Maps | None = None,
        *,
        families: NDArray[np.intp] | None = None,
        slab_bytes: int = SLAB_BYTES,
    ) -> PeopleScores:
        """Score predictions.

        Parameters
        ----------
        predicted, measured
            (people, voxels), the same people; in memory or memory-mapped. Voxels that are NaN
            in anybody's map are left out.
        training_mean
            (voxels,), mean map of the training people; `residual_r_training_mean` is NaN
            without it.
        families
            (people,), number of each person's family: another person is of another family. None:
            nobody has relatives.
        slab_bytes
            Of both maps in float32 that are in memory at once.

        Raises
        ------
        ValueError
            If shapes do not match or no voxel is left.

        Examples
        --------
        >>> import numpy as np
        >>> maps = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)
        >>> scores = PeopleScores.of(maps, maps)
        >>> scores.matrix.shape, scores.residual_r.round(3).tolist()
        ((3, 3), [1.0, 1.0, 1.0])
        """
        if predicted.ndim != 2 or predicted.shape != measured.shape:
            raise ValueError(
                f"maps are (people, voxels) of one shape, found {predicted.shape} and "
                f"{measured.shape}"
            )
        if training_mean is not None and training_mean.shape != predicted.shape[1:]:
            raise ValueError(f"the mean map is {predicted.shape[1:]}, found {training_mean.shape}")
        sums = _Sums(len(predicted))
        sums.add_slabs(predicted, measured, training_mean, slab_bytes)
        own = np.arange(len(predicted)) if families is None else families
        training_r = sums.training_r(training_mean is not None)
        sums.centre()
        return _scores(sums, training_r, own[:, None] != own)

    def by_name(self) -> dict[str, Values]:
        """Return every score by name, (people,): its mean over people is the score.

        The spread is valid for intervals and tests: jackknife `shares` if the score of a person
        depends on the others. A constant map counts as r 0. What begins with own_ is as each person
        has it: it says who is predicted well, and less of a mean than the shares do.
        """
        among, n = np.nan_to_num(self.matrix), len(self.matrix)
        r = np.diagonal(among)
        index = r - (among.sum(axis=1) - r) / max(n - 1, 1)
        known = np.isfinite(self.residual_r_training_mean).any()
        training = np.nan_to_num(self.residual_r_training_mean, nan=0.0 if known else np.nan)
        return {
            "r": r,
            "residual_r_training_mean": training,
            **self.shares,
            "own_index": r - self.others_r,
            "own_product": index * r,
            "own_residual_r": self.residual_r,
            "own_identification": self.identified,
        }


class _Sums:
    """Sums over voxels of products of maps: of deviations from the means over people, and of these.

    After `centre` they are of maps minus their mean over voxels.
    """

    def __init__(self, people: int) -> None:
        self.voxels = 0
        # Deviations of predictions (p) and of measured maps (m) with each other, (people, people).
        self.pp, self.mm, self.pm = (np.zeros((people, people)) for _ in range(3))
        # These with 1, the mean prediction and the mean measured map, (people, 3); centred, without
        # the first.
        self.p, self.m = np.zeros((people, 3)), np.zeros((people, 3))
        self.means = np.zeros((3, 3))  # of those three with each other; centred, of the last two
        self.training = np.zeros((people, 5))  # p, m, pp, mm, pm of deviations from it
        # (4, people), before the mean over voxels was taken off: maps, then deviations, of p, m.
        self.squares = np.zeros((4, people))

    def add_slabs(
        self, predicted: Maps, measured: Maps, training_mean: Maps | None, slab_bytes: int
    ) -> None:
        people, all_voxels = predicted.shape
        step = min(max(1, slab_bytes // (8 * people)), _SLAB_VOXELS)
        for start in range(0, all_voxels, step):
            slab = slice(start, start + step)
            p, m = (np.asarray(maps[:, slab], np.float32) for maps in (predicted, measured))
            known = np.isfinite(m).all(axis=0) & np.isfinite(p).all(axis=0)
            if not known.all():
                p, m = p[:, known], m[:, known]
            self._add(p, m)
            if training_mean is not None:
                self._add_training(p, m, np.asarray(training_mean[slab], np.float32)[known])
        if not self.voxels:
            raise ValueError("there is no voxel that everybody's map covers")

    def _add(self, p: NDArray[np.float32], m: NDArray[np.float32]) -> None:
        self.voxels += p.shape[1]
        # In float32 like the maps: a rounded mean is an equally good centre.
        p_mean, m_mean = (maps.mean(axis=0, dtype=np.float64).astype(np.float32) for maps in (p, m))
        p, m = _deviations(p, p_mean), m - m_mean
        self.pp += p @ p.T
        self.mm += m @ m.T
        self.pm += p @ m.T
        common = np.stack([np.ones_like(p_mean), p_mean, m_mean])
        self.p += p @ common.T
        self.m += m @ common.T
        self.means += common.astype(np.float64) @ common.T

    def _add_training(
        self, p: NDArray[np.float32], m: NDArray[np.float32], mean: NDArray[np.float32]
    ) -> None:
        p, m = _deviations(p, mean), m - mean
        for column, values in enumerate((p, m, p * p, m * m, p * m)):
            self.training[:, column] += values.sum(axis=1, dtype=np.float64)

    def training_r(self, known: bool) -> Values:
        """Return r of each person's deviations from the training mean."""
        p, m, pp, mm, pm = self.training.T
        n = self.voxels
        size = np.sqrt(_known(pp - p**2 / n, pp) * _known(mm - m**2 / n, mm))
        r: Values = np.clip((pm - p * m / n) / size, -1.0, 1.0)
        return r if known else np.full(len(r), np.nan)

    def centre(self) -> None:
        """Make all but the training sums those of maps minus their mean over voxels."""
        (p, m), ones = (self.p[:, 0], self.m[:, 0]), self.means[0]
        self.squares = np.stack(
            [
                np.diagonal(self.pp) + 2 * self.p[:, 1] + self.means[1, 1],
                np.diagonal(self.mm) + 2 * self.m[:, 2] + self.means[2, 2],
                np.diagonal(self.pp),
                np.diagonal(self.mm),
            ]
        )
        n = self.voxels
        self.pp = self.pp - np.outer(p, p) / n
        self.mm = self.mm - np.outer(m, m) / n
        self.pm = self.pm - np.outer(p, m) / n
        self.p = self.p[:, 1:] - np.outer(p, ones[1:]) / n
        self.m = self.m[:, 1:] - np.outer(m, ones[1:]) / n
        self.means = self.means[1:, 1:] - np.outer(ones[1:], ones[1:]) / n

    def variances(self) -> tuple[Values, Values]:
        """Return variances of predictions and of measured maps, (people,)."""
        predicted = np.diagonal(self.pp) + 2 * self.p[:, 0] + self.means[0, 0]
        measured = np.diagonal(self.mm) + 2 * self.m[:, 1] + self.means[1, 1]
        return predicted, measured

    def products(self) -> Values:
        """Return covariances of predictions with measured maps, (predicted, measured)."""
        found: Values = self.pm + self.p[:, 1][:, None] + self.m[:, 0][None] + self.means[0, 1]
        return found

    def matrix(self) -> Values:
        """Return r, (measured, predicted); NaN for a map that is constant."""
        predicted, measured = (
            _known(variance, squares)
            for variance, squares in zip(self.variances(), self.squares[:2], strict=True)
        )
        r: Values = np.clip(self.products() / np.sqrt(np.outer(predicted, measured)), -1.0, 1.0)
        return r.T

    def own_mean_r(self) -> tuple[Values, Values]:
        """Return r of the mean prediction, (people,); without each, (left out, people)."""
        n = len(self.pp)
        measured = _known(self.variances()[1], self.squares[1])
        with_all = self.m[:, 0] + self.means[0, 1]
        # Without person k, the mean prediction is the mean less p_k / (n - 1).
        rest = max(n - 1, 1)
        without = with_all[None] - (self.p[:, 1][:, None] + self.pm) / rest
        size = self.means[0, 0] - 2 * self.p[:, 0] / rest + np.diagonal(self.pp) / rest**2
        # A mean map that is constant up to rounding.
        least = self.squares[0].mean()
        all_size, size = _known(self.means[0, 0], least), _known(size, least)
        return (
            np.clip(with_all / np.sqrt(all_size * measured), -1.0, 1.0),
            np.clip(without / np.sqrt(size[:, None] * measured), -1.0, 1.0),
        )

    def residual_r(self) -> tuple[Values, Values]:
        """Return r of the deviations, (people,); without each, (left out, people)."""
        rest = max(len(self.pp) - 1, 1)
        own = [np.diagonal(products) for products in (self.pm, self.pp, self.mm)]
        # Without person k, that of person i is p_i + p_k / (n - 1).
        fewer = [
            np.diagonal(products)[None]
            + (products + products.T) / rest
            + np.diagonal(products)[:, None] / rest**2
            for products in (self.pm, self.pp, self.mm)
        ]
        found = [
            np.clip(pm / np.sqrt(_known(pp, self.squares[2]) * _known(mm, self.squares[3])), -1, 1)
            for pm, pp, mm in (own, fewer)
        ]
        return found[0], found[1]


def _scores(sums: _Sums, training_r: Values, other: NDArray[np.bool_]) -> PeopleScores:
    """Return all scores; `other` (people, people) is where two are of different families."""
    matrix = sums.matrix()
    # A person with a constant prediction has r 0 with everybody.
    counted = np.nan_to_num(matrix)
    own, n = np.diagonal(counted), len(matrix)
    # Over people of other families.
    of_others, number = np.where(other, counted, 0.0), other.sum(axis=1)
    total = of_others.sum(axis=1)
    others = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    better, tied = rivals(matrix)
    identified = _identified(better.sum(axis=1), tied.sum(axis=1))
    own_mean, own_mean_fewer = (np.nan_to_num(found) for found in sums.own_mean_r())
    residual, residual_fewer = sums.residual_r()
    fingerprint = fingerprinting_score(matrix)
    # Scores of the remaining people, with each person left out in turn.
    fewer = (total[None] - of_others.T) / np.maximum(number[None] - other, 1)
    ahead = better.sum(axis=1)[None] - better.T
    beside = tied.sum(axis=1)[None] - tied.T
    hits = ((ahead + beside) == 0) & np.isfinite(np.diagonal(matrix))
    own_fewer = np.broadcast_to(own, (n, n))
    return PeopleScores(
        matrix=matrix,
        r=np.diagonal(matrix).copy(),
        others_r=others,
        own_mean_r=own_mean,
        index=own - others,
        product=(own - others) * own,
        identified=identified,
        residual_r=residual,
        residual_r_training_mean=training_r,
        fingerprint=fingerprint,
        shares={
            "others_r": _shares(others, fewer),
            "own_mean_r": _shares(own_mean, own_mean_fewer),
            "index": _shares(own - others, own - fewer),
            "product": _shares((own - others) * own, (own - fewer) * own),
            "identification": _shares(identified, _identified(ahead, beside)),
            "residual_r": _shares(residual, residual_fewer),
            "fingerprint": jackknife_shares(fingerprint, _rest(hits * 1.0) * _rest(own_fewer)),
        },
    )


def _identified(better: NDArray[np.integer[Any]], tied: NDArray[np.integer[Any]]) -> Values:
    found: Values = np.where(better > 0, 0.0, 1.0 / (1 + tied))
    return found


def _shares(values: Values, without: Values) -> Values:
    """Return each person's jackknife share in a mean (people,), from (left out, people)."""
    if not np.isfinite(values).any():
        return np.full(len(values), np.nan)
    values = np.nan_to_num(values)
    if len(values) < 3:
        return values
    return jackknife_shares(float(values.mean()), _rest(np.nan_to_num(without)))


def _rest(values: Values) -> Values:
    """Return means of (left out, people) over all people except the one left out."""
    rest: Values = (values.sum(axis=1) - np.diagonal(values)) / max(len(values) - 1, 1)
    return rest


def _known(variance: Values | float, squares: Values | float) -> Values:
    """Return variances, NaN if a map is constant up to float32 rounding."""
    return np.where(variance > 1e-6 * np.asarray(squares), variance, np.nan)


def _deviations(maps: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return maps minus a mean, with 0 in place of rounding error."""
    away = maps - mean
    away[np.abs(away) < 1e-6 * np.abs(mean)] = 0.0
    return away
