"""Scores of one contrast over many people, read a slab of voxels at a time.

All scores follow from sums over voxels, which for each slab are three matrix products of people by
people. Apart from these, memory does not grow with the number of people.

Maps enter the sums as their mean over people and deviations from it. So maps that are the same for
everybody give exact zeros, and leave-one-out scores follow from the same sums. How much a score
changes without each person gives its standard error.
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
SLAB_BYTES = 1 << 26  # size of the maps in one slab
_SLAB_VOXELS = 1 << 16  # float32 sums over more voxels would lose precision


@dataclass(frozen=True, eq=False)
class PeopleScores:
    """Scores of the predicted maps of one contrast, one value per person; NaN if not defined."""

    matrix: Values  # (measured people, predicted people), correlation over voxels
    r: Values  # (people,), own prediction with own measured map
    # (people,), mean r of predictions for people of other families with the own measured map
    others_r: Values
    own_mean_r: Values  # (people,), r of the mean prediction over people with the own measured map
    index: Values  # (people,), r minus others_r: the model minus another person's prediction
    product: Values  # (people,), index times r
    identified: Values  # (people,), 1 if the own prediction is the most similar, 1 / k for k ties
    residual_r: (
        Values  # (people,), r after subtracting these people's means from both sides
    )
    residual_r_training_mean: Values  # (people,), r after subtracting the training mean
    fingerprint: float  # share identified times mean r, as published; ties are misses
    # Jackknife shares by name, (people,). Their mean is the mean of the values above; their spread
    # also includes that each person's maps enter the scores of others.
    shares: Mapping[str, Values]

    @classmethod
    def of(
        cls,
        predicted: Maps,
        measured: Maps,
        training_mean: Maps | None = None,
        *,
        families: NDArray[np.intp] | None = None,
        here: NDArray[np.bool_] | None = None,
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
            (people,), number of each person's family. Only people of other families count as
            other people. None: nobody has relatives.
        here
            (voxels,), which voxels count; None: all.
        slab_bytes
            Size of both maps, in float32, that are in memory at once.

        Raises
        ------
        ValueError
            No voxel is left.

        Examples
        --------
        >>> import numpy as np
        >>> maps = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)
        >>> scores = PeopleScores.of(maps, maps)
        >>> scores.matrix.shape, scores.residual_r.round(3).tolist()
        ((3, 3), [1.0, 1.0, 1.0])
        """
        family = np.arange(len(predicted)) if families is None else families
        here = np.ones(predicted.shape[1], bool) if here is None else here
        products, voxels = _products(
            predicted, measured, training_mean, here, slab_bytes
        )
        if not voxels:
            raise ValueError("no voxel is covered by everybody's map")
        other = family[:, None] != family  # pairs from different families
        centred = products - np.outer(products[:, _ONE], products[_ONE]) / voxels
        matrix = _correlations(centred, products, _P, _M).T
        # A person with a constant prediction has r 0 with everybody.
        counted = np.nan_to_num(matrix)
        own, n = np.diagonal(counted), len(matrix)
        # Over people of other families.
        of_others, number = np.where(other, counted, 0.0), other.sum(axis=1)
        total = of_others.sum(axis=1)
        others = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        better, tied = rivals(matrix)
        identified = _identified(better.sum(axis=1), tied.sum(axis=1))
        own_mean, own_mean_fewer = (
            np.nan_to_num(found) for found in _own_mean_r(centred, products)
        )
        residual, residual_fewer = _residual_r(centred, products)
        training = np.diagonal(
            _correlations(centred, products, _P_AWAY, _M_AWAY)
        ).copy()
        if training_mean is None:
            training[:] = np.nan
        fingerprint = fingerprinting_score(matrix)
        # Scores of the remaining people, with each person left out in turn.
        fewer = (total[None] - of_others.T) / np.maximum(number[None] - other, 1)
        ahead = better.sum(axis=1)[None] - better.T
        beside = tied.sum(axis=1)[None] - tied.T
        hits = ((ahead + beside) == 0) & np.isfinite(np.diagonal(matrix))
        own_fewer = np.broadcast_to(own, (n, n))
        return cls(
            matrix=matrix,
            r=np.diagonal(matrix).copy(),
            others_r=others,
            own_mean_r=own_mean,
            index=own - others,
            product=(own - others) * own,
            identified=identified,
            residual_r=residual,
            residual_r_training_mean=training,
            fingerprint=fingerprint,
            shares={
                "others_r": _shares(others, fewer),
                "own_mean_r": _shares(own_mean, own_mean_fewer),
                "index": _shares(own - others, own - fewer),
                "product": _shares((own - others) * own, (own - fewer) * own),
                "identification": _shares(identified, _identified(ahead, beside)),
                "residual_r": _shares(residual, residual_fewer),
                "fingerprint": jackknife_shares(
                    fingerprint, _rest(hits * 1.0) * _rest(own_fewer)
                ),
            },
        )

    def by_name(self) -> dict[str, Values]:
        """Return every score by name, (people,); the mean over people is the score.

        The spread over people is valid for intervals and tests, because scores that depend on other
        people are given as jackknife `shares`. A constant map counts as r 0. Names that begin with
        own_ are the people's own values, for tables of people but not for tests of a mean.
        """
        among, n = np.nan_to_num(self.matrix), len(self.matrix)
        r = np.diagonal(among)
        index = r - (among.sum(axis=1) - r) / max(n - 1, 1)
        known = np.isfinite(self.residual_r_training_mean).any()
        training = np.nan_to_num(
            self.residual_r_training_mean, nan=0.0 if known else np.nan
        )
        return {
            "r": r,
            "residual_r_training_mean": training,
            **self.shares,
            "own_index": r - self.others_r,
            "own_product": index * r,
            "own_residual_r": self.residual_r,
            "own_identification": self.identified,
        }


# Rows of `_products` after people's deviations: 1, the mean of the predictions, that of the
# measured maps, and both means minus the training mean.
_ONE, _P, _M, _P_AWAY, _M_AWAY = range(-5, 0)
_COMMON = 5


def _products(
    predicted: Maps,
    measured: Maps,
    training_mean: Maps | None,
    here: NDArray[np.bool_],
    slab_bytes: int,
) -> tuple[Values, int]:
    """Return sums over voxels of products between maps, and the number of voxels.

    They are (2 * people + 5, 2 * people + 5). The rows are predictions minus their mean over
    people, measured maps minus theirs, and the five rows `_ONE` to `_M_AWAY` common to all people.
    """
    people, all_voxels = predicted.shape
    found, voxels = np.zeros((2 * people + _COMMON,) * 2), 0
    step = min(max(1, slab_bytes // (8 * people)), _SLAB_VOXELS)
    for start in range(0, all_voxels, step):
        slab = slice(start, start + step)
        p, m = (np.asarray(maps[:, slab], np.float32) for maps in (predicted, measured))
        known = here[slab] & np.isfinite(m).all(axis=0) & np.isfinite(p).all(axis=0)
        if not known.all():
            p, m = p[:, known], m[:, known]
        # In float32 like the maps, because a rounded mean is an equally good centre.
        mean, m_mean = (
            maps.mean(axis=0, dtype=np.float64).astype(np.float32) for maps in (p, m)
        )
        training = (
            mean
            if training_mean is None
            else np.asarray(training_mean[slab], np.float32)[known]
        )
        common = np.stack(
            [
                np.ones_like(mean),
                mean,
                m_mean,
                _deviations(mean, training),
                m_mean - training,
            ]
        )
        apart = np.concatenate([_deviations(p, mean), m - m_mean])
        found[:-_COMMON, :-_COMMON] += apart @ apart.T
        found[:-_COMMON, -_COMMON:] += apart @ common.T
        found[-_COMMON:, -_COMMON:] += common.astype(np.float64) @ common.T
        voxels += p.shape[1]
    found[-_COMMON:, :-_COMMON] = found[:-_COMMON, -_COMMON:].T
    return found, voxels


def _variances(products: Values, p: int, m: int) -> tuple[Values, Values]:
    """Return variances of predictions and measured maps: deviations plus common rows p and m."""
    people = (len(products) - _COMMON) // 2
    squares = np.diagonal(products)[:-_COMMON]
    return (
        squares[:people] + 2 * products[:people, p] + products[p, p],
        squares[people:] + 2 * products[people:-_COMMON, m] + products[m, m],
    )


def _correlations(centred: Values, products: Values, p: int, m: int) -> Values:
    """Return r of predictions with measured maps (people, people); NaN where one is constant."""
    people = (len(products) - _COMMON) // 2
    both = slice(people), slice(people, -_COMMON)
    covariances = (
        centred[both]
        + centred[both[0], m][:, None]
        + centred[p, both[1]]
        + centred[p, m]
    )
    sizes = map(_known, _variances(centred, p, m), _variances(products, p, m))
    r: Values = np.clip(covariances / np.sqrt(np.outer(*sizes)), -1.0, 1.0)
    return r


def _own_mean_r(centred: Values, products: Values) -> tuple[Values, Values]:
    """Return r of the mean prediction, (people,), and with each left out, (left out, people)."""
    n = (len(products) - _COMMON) // 2
    predicted, squares = _variances(products, _P, _M)
    measured = _known(_variances(centred, _P, _M)[1], squares)
    with_all = centred[n:-_COMMON, _P] + centred[_P, _M]
    # Without person k, the mean prediction is the mean less p_k / (n - 1).
    rest = max(n - 1, 1)
    without = with_all - (centred[:n, _M][:, None] + centred[:n, n:-_COMMON]) / rest
    own = np.diagonal(centred)[:n]
    size = centred[_P, _P] - 2 * centred[:n, _P] / rest + own / rest**2
    # A mean map that is constant up to rounding has no r.
    all_size, size = (
        _known(found, predicted.mean()) for found in (centred[_P, _P], size)
    )
    return (
        np.clip(with_all / np.sqrt(all_size * measured), -1.0, 1.0),
        np.clip(without / np.sqrt(size[:, None] * measured), -1.0, 1.0),
    )


def _residual_r(centred: Values, products: Values) -> tuple[Values, Values]:
    """Return r of the deviations, (people,), and with each left out, (left out, people)."""
    n = (len(products) - _COMMON) // 2
    p, m, rest = slice(n), slice(n, -_COMMON), max(n - 1, 1)
    squares = np.diagonal(products)
    parts = centred[p, m], centred[p, p], centred[m, m]
    # Without person k, the deviation of person i is p_i + p_k / (n - 1).
    fewer = [
        np.diagonal(part)
        + (part + part.T) / rest
        + np.diagonal(part)[:, None] / rest**2
        for part in parts
    ]
    found = [
        np.clip(pm / np.sqrt(_known(pp, squares[p]) * _known(mm, squares[m])), -1, 1)
        for pm, pp, mm in (map(np.diagonal, parts), fewer)
    ]
    return found[0], found[1]


def _identified(
    better: NDArray[np.integer[Any]], tied: NDArray[np.integer[Any]]
) -> Values:
    found: Values = np.where(better > 0, 0.0, 1.0 / (1 + tied))
    return found


def _shares(values: Values, without: Values) -> Values:
    """Return jackknife shares in a mean (people,), from values without each, (left out, people)."""
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
    """Return variances, NaN where a map is constant up to float32 rounding."""
    return np.where(variance > 1e-6 * np.asarray(squares), variance, np.nan)


def _deviations(
    maps: NDArray[np.float32], mean: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return maps minus a mean, with 0 in place of rounding error."""
    away = maps - mean
    away[np.abs(away) < 1e-6 * np.abs(mean)] = 0.0
    return away
