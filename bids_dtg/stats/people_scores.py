"""Scores of one contrast over many people, read a slab of voxels at a time.

All that a score needs is in sums over voxels: the people-by-people products are one matrix
product a slab. Memory does not grow with the number of people but for those products.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.floating[Any]]
SLAB_BYTES = 1 << 26  # of the maps that are worked on at once


@dataclass(frozen=True, eq=False)
class PeopleScores:
    """Scores of the predicted maps of one contrast, a value a person; NaN where not defined."""

    matrix: NDArray[np.float64]  # (measured people, predicted people), correlation over voxels
    r: NDArray[np.float64]  # (people,), own prediction with own measured map
    index: NDArray[np.float64]  # (people,), r minus the mean of the other predictions' r
    product: NDArray[np.float64]  # (people,), index times r: "as published"
    identified: NDArray[np.float64]  # (people,), 1 where the own prediction is the most similar
    residual_r: NDArray[np.float64]  # (people,), r after the training mean was taken off both
    explained: NDArray[np.float64]  # (people,), 1 - squared error / variance over voxels

    @classmethod
    def of(
        cls, predicted: Maps, measured: Maps, mean: Maps, *, slab_bytes: int = SLAB_BYTES
    ) -> PeopleScores:
        """Score predictions.

        Parameters
        ----------
        predicted, measured
            (people, voxels), the same people; in memory or memory-mapped. Voxels that are NaN
            in anybody's measured map are left out.
        mean
            (voxels,), mean map of the training people.
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
        >>> scores = PeopleScores.of(maps, maps, maps.mean(axis=0))
        >>> scores.matrix.shape
        (3, 3)
        """
        if predicted.ndim != 2 or predicted.shape != measured.shape:
            raise ValueError(
                f"maps are (people, voxels) of one shape, found {predicted.shape} and "
                f"{measured.shape}"
            )
        if mean.shape != predicted.shape[1:]:
            raise ValueError(f"the mean map is {predicted.shape[1:]}, found {mean.shape}")
        sums, deviations, voxels = _sums(predicted, measured, mean, slab_bytes)
        matrix = sums.correlations(voxels).T
        own = np.diagonal(matrix).copy()
        others = np.where(np.eye(len(own), dtype=bool), np.nan, matrix)
        index = np.full(len(own), np.nan)
        identified = np.full(len(own), np.nan)
        if len(own) > 1:
            index = own - (np.nansum(others, axis=1) / np.isfinite(others).sum(axis=1).clip(1))
            identified = (
                own > np.nanmax(np.where(np.isnan(others), -np.inf, others), axis=1)
            ) * 1.0
        return cls(
            matrix=matrix,
            r=own,
            index=index,
            product=index * own,
            identified=identified,
            residual_r=deviations.own_correlations(voxels),
            explained=sums.explained(voxels),
        )

    def people(self) -> dict[str, NDArray[np.float64]]:
        """Return the scores that have a value a person, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "matrix"}


class _Sums:
    """Sums over voxels of two sets of maps and of their products."""

    def __init__(self, people: int, *, pairs: bool) -> None:
        self._pairs = pairs
        self.p, self.m = np.zeros(people), np.zeros(people)
        self.pp, self.mm = np.zeros(people), np.zeros(people)
        self.pm = np.zeros((people, people) if pairs else people)

    def add(self, p: NDArray[np.float32], m: NDArray[np.float32]) -> None:
        self.p += p.sum(axis=1, dtype=np.float64)
        self.m += m.sum(axis=1, dtype=np.float64)
        self.pp += np.einsum("nv,nv->n", p, p)
        self.mm += np.einsum("nv,nv->n", m, m)
        self.pm += p @ m.T if self._pairs else np.einsum("nv,nv->n", p, m)

    def correlations(self, voxels: int) -> NDArray[np.float64]:
        """Return r, (predicted, measured); NaN for a map that is constant."""
        covariance = self.pm - np.outer(self.p, self.m) / voxels
        sizes = np.outer(self._size(self.pp, self.p, voxels), self._size(self.mm, self.m, voxels))
        r: NDArray[np.float64] = np.clip(covariance / sizes, -1.0, 1.0)
        return r

    def own_correlations(self, voxels: int) -> NDArray[np.float64]:
        """Return r of each person's own maps, where only those were added up."""
        covariance = self.pm - self.p * self.m / voxels
        size = self._size(self.pp, self.p, voxels) * self._size(self.mm, self.m, voxels)
        r: NDArray[np.float64] = np.clip(covariance / size, -1.0, 1.0)
        return r

    def explained(self, voxels: int) -> NDArray[np.float64]:
        """Return 1 - squared error / variance of the measured map."""
        errors = self.pp + self.mm - 2 * np.diagonal(self.pm)
        shares: NDArray[np.float64] = 1 - errors / self._size(self.mm, self.m, voxels) ** 2
        return shares

    def _size(
        self, squares: NDArray[np.float64], sums: NDArray[np.float64], voxels: int
    ) -> NDArray[np.float64]:
        variance = squares - sums**2 / voxels
        # What rounding in float32 leaves of a constant map is no variance.
        return np.sqrt(np.where(variance > 1e-6 * squares, variance, np.nan))


def _sums(predicted: Maps, measured: Maps, mean: Maps, slab_bytes: int) -> tuple[_Sums, _Sums, int]:
    """Add up maps and their deviations from the mean; and how many voxels there were."""
    people, all_voxels = predicted.shape
    sums, deviations = _Sums(people, pairs=True), _Sums(people, pairs=False)
    step, voxels = max(1, slab_bytes // (8 * people)), 0
    for start in range(0, all_voxels, step):
        slab = slice(start, start + step)
        m = np.asarray(measured[:, slab], np.float32)
        known = np.isfinite(m).all(axis=0)
        p, centre = np.asarray(predicted[:, slab], np.float32), np.asarray(mean[slab], np.float32)
        if not known.all():
            m, p, centre = m[:, known], p[:, known], centre[known]
        voxels += int(known.sum())
        sums.add(p, m)
        away = p - centre
        # What is left of a prediction that equals the mean is rounding.
        away[np.abs(away) < 1e-6 * np.abs(centre)] = 0.0
        deviations.add(away, m - centre)
    if not voxels:
        raise ValueError("there is no voxel that everybody's measured map covers")
    return sums, deviations, voxels
