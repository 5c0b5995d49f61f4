"""How far a connectome lies from those that a model was trained on.

The mean of the training connectomes on a coarse lattice and their first principal components say
what is usual; of each connectome there is kept how much it resembles the mean, how far it lies
along the components (Hotelling's T²), and how much they leave (Q; Jackson & Mudholkar 1979,
Technometrics 21: 341, for both), beside the figures of `pattern`. The Mahalanobis distance in
these few figures, from training people who had no part in the components, is the distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.range.pattern import PatternFigures

COMPONENTS = 8
FIGURES = (
    "similarity",
    "component_distance",
    "remainder",
    "map_match",
    "side_match",
    "symmetry",
    "strength",
    "smoothness",
)
# Of the figures' correlations this share is kept: few people determine them badly.
_KEPT_CORRELATION = 0.8
# Unusual: farther than this share of the segments of people held out; outside: so many times that.
_UNUSUAL_SHARE, _OUTSIDE_FACTOR = 0.99, 1.5
_LEAST = 1e-12

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of a coarse lattice over places; only those with a place in them."""

    order: NDArray[np.intp]  # (places,), sorted by cell
    starts: NDArray[np.intp]  # (cells,), where a cell's places begin in that order

    @classmethod
    def of(cls, cell: NDArray[np.intp]) -> Cells:
        """Take the number of each place's cell, (places,)."""
        order = np.argsort(cell, kind="stable")
        _, starts = np.unique(cell[order], return_index=True)
        return cls(order, starts)

    def means(self, r: Array, covered: NDArray[np.bool_]) -> Array:
        """Average a connectome (rois, places), 0 where not covered: (rois, cells), NaN: none."""
        counts = np.add.reduceat(covered[self.order].astype(np.float32), self.starts)
        sums = np.stack([np.add.reduceat(row[self.order], self.starts) for row in r])
        means = sums / np.where(counts > 0, counts, np.nan)
        return means.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Basis:
    """Mean and components of training connectomes, over cells."""

    mean: Array  # (rois, cells)
    components: Array  # (components, rois, cells), each of length 1
    variances: Array  # (components,), of the training connectomes along them
    participants: int  # people who were trained on

    @classmethod
    def fit(cls, connectomes: Array, participants: int, components: int = COMPONENTS) -> Basis:
        """Take the basis from connectomes (samples, rois, cells) of so many people.

        Raises
        ------
        ValueError
            If there are too few samples for the components.
        """
        samples = len(connectomes)
        if connectomes.ndim != 3 or samples <= components:
            raise ValueError(
                f"{components} components need more samples (samples, rois, cells), "
                f"found {connectomes.shape}"
            )
        mean = connectomes.mean(axis=0)
        rows = (connectomes - mean).reshape(samples, -1)
        values, vectors = np.linalg.eigh(rows @ rows.T / samples)
        directions = vectors[:, ::-1][:, :components].T @ rows
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        shaped = directions.reshape(components, *mean.shape)
        variances = np.maximum(values[::-1][:components], _LEAST)
        return cls(mean, shaped, variances.astype(np.float32), participants)

    def figures(self, cells: Array, pattern: PatternFigures) -> NDArray[np.float64]:
        """Return `FIGURES` of a connectome (rois, cells; NaN where there is no signal)."""
        if cells.shape != self.mean.shape:
            raise ValueError(f"a connectome has {self.mean.shape} cells, found {cells.shape}")
        known = np.isfinite(cells)
        deviation = np.where(known, cells - self.mean, 0).astype(np.float32)
        scores = self.components.reshape(len(self.components), -1) @ deviation.ravel()
        left = deviation - np.tensordot(scores, self.components, axes=1)
        one, two = cells[known] - cells[known].mean(), self.mean[known] - self.mean[known].mean()
        similarity = one @ two / max(float(np.sqrt((one @ one) * (two @ two))), _LEAST)
        return np.array(
            [
                similarity,
                np.log(max(float(np.mean(scores**2 / self.variances)), _LEAST)),
                np.log(max(float(np.mean(left[known] ** 2)), _LEAST)),
                pattern.map_match,
                pattern.side_match,
                pattern.symmetry,
                np.log(max(pattern.strength, _LEAST)),
                pattern.smoothness,
            ]
        )


@dataclass(frozen=True, eq=False)
class TrainingRange:
    """What is usual among people like those of the training."""

    basis: Basis
    block: int  # edge of a cell, counted in places
    participants: int  # people whom the basis has not seen
    centre: NDArray[np.float64]  # (figures,), their mean
    covariance: NDArray[np.float64]  # (figures, figures), of theirs
    low: NDArray[np.float64]  # (figures,), below which 2.5 % of theirs lie
    high: NDArray[np.float64]  # (figures,), above which 2.5 % of theirs lie
    unusual: float  # distance from which on a run is unusual
    outside: float  # and from which on it is outside

    @classmethod
    def fit(
        cls, basis: Basis, block: int, held_out: Sequence[NDArray[np.float64]], participants: int
    ) -> TrainingRange:
        """Learn what is usual from the figures of people whom the basis has not seen.

        Raises
        ------
        ValueError
            If there are too few samples to know how figures go together.
        """
        samples = np.array(held_out)
        if samples.ndim != 2 or len(samples) <= 2 * len(FIGURES):
            raise ValueError(
                f"more than {2 * len(FIGURES)} samples of {len(FIGURES)} figures are needed, "
                f"found {samples.shape}"
            )
        covariance = np.cov(samples.T)
        diagonal = np.diag(np.maximum(np.diag(covariance), _LEAST))
        covariance = _KEPT_CORRELATION * covariance + (1 - _KEPT_CORRELATION) * diagonal
        low, high = np.percentile(samples, [2.5, 97.5], axis=0)
        centre = samples.mean(axis=0)
        distances = [_distance(sample - centre, covariance) for sample in samples]
        unusual = float(np.quantile(distances, _UNUSUAL_SHARE))
        return cls(
            basis,
            block,
            participants,
            centre,
            covariance,
            low,
            high,
            unusual,
            _OUTSIDE_FACTOR * unusual,
        )

    def distance(self, figures: NDArray[np.float64]) -> float:
        """Return the distance of a run's figures; about 1 for people like those of the training.

        Figures that are not defined count as usual ones.
        """
        return _distance(np.nan_to_num(figures - self.centre, nan=0.0), self.covariance)


def _distance(deviation: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    square = deviation @ np.linalg.solve(covariance, deviation)
    return float(np.sqrt(square / len(deviation)))
