"""How far a person's true map lies from the predicted one: what a second session explains.

A measured map is the person's true map and noise. Errors of two sessions, measured less one
predicted map, share the error of the prediction, and each has noise of its own: the mean of their
products is the mean square of the true error. It equals the mean square of the measured errors
less half the variance of the difference between the sessions, which is that of the noise.

Products vary more than the true error itself. So the mean squares of places are smoothed as those
of measured errors are, and shrunk to that of their contrast by how far two halves of the people
agree on them (Spearman-Brown). None is below a share of the measured one. Quantiles are those of a
normal distribution, as the distribution of true errors cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.lattice import Lattice
from bids_dtg.stats.block_errors import LEAST_GROUND, REACH, BlockErrors

LEAST_RETEST = 5  # people with two sessions; an estimate from fewer is of these people alone
# Of the mean square of measured errors: a true error below it cannot be seen in the noise.
_LEAST_SHARE = 0.02

Array = NDArray[np.float32]
Float64 = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrueError(BlockErrors):
    """Root mean square of the error of predicted maps to true ones, in the blocks of a lattice."""

    WORDS = "true errors"

    people: int  # with two sessions

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.people < LEAST_RETEST:
            raise ValueError(f"{self.people} people with a retest, fewer than {LEAST_RETEST}")


def normal_quantile(level: int) -> float:
    """Return how many standard deviations hold `level` percent on both sides of the mean.

    Examples
    --------
    >>> round(normal_quantile(90), 3)
    1.645
    """
    return NormalDist().inv_cdf(0.5 + level / 200)


class RetestSums:
    """Products of the errors of two sessions, added up over people in the blocks of a lattice.

    Parameters
    ----------
    lattice
        Blocks over the places of the maps.
    contrasts
        How many maps there are.
    """

    def __init__(self, lattice: Lattice, contrasts: int) -> None:
        self.lattice, self.people = lattice, 0
        shape = 2, contrasts, lattice.blocks  # of every other person each
        self.products: Float64 = np.zeros(shape)
        self.values: Counts = np.zeros(shape, np.int64)  # how many
        self.squares: Float64 = np.zeros(contrasts)  # of the errors, mean of both sessions

    def add(self, first: Array, second: Array) -> None:
        """Add a person's errors in two sessions, (contrasts, places) each; NaN: not measured.

        Raises
        ------
        ValueError
            If the shapes are not those of the places.
        """
        shape = len(self.squares), len(self.lattice.block_of)
        if first.shape != shape or second.shape != shape:
            raise ValueError(f"errors are {shape}, found {first.shape} and {second.shape}")
        half = self.people % 2
        self.people += 1
        for row, pair in enumerate(zip(first, second, strict=True)):
            known = np.isfinite(pair[0]) & np.isfinite(pair[1])
            one, other = (errors[known].astype(np.float64) for errors in pair)
            blocks, number = self.lattice.block_of[known], self.lattice.blocks
            self.products[half, row] += np.bincount(blocks, one * other, minlength=number)
            self.values[half, row] += np.bincount(blocks, minlength=number)
            self.squares[row] += (one @ one + other @ other) / 2

    def true_error(self, pooling_mm: float) -> TrueError:
        """Return the root mean square of the true error.

        A contrast that nobody has in both sessions has 1.

        Parameters
        ----------
        pooling_mm
            Standard deviation of the Gaussian that smooths the mean squares.

        Raises
        ------
        ValueError
            If fewer than `LEAST_RETEST` people were added, or a contrast was predicted without
            error.
        """
        counts = self.values.sum(axis=(0, 2))
        per_value = 1 / np.maximum(counts, 1)
        measured = np.where(counts > 0, self.squares * per_value, 1.0)
        least = _LEAST_SHARE * measured
        mean = np.where(counts > 0, self.products.sum(axis=(0, 2)) * per_value, 1.0)
        mean = np.maximum(mean, least)
        smooth = self.lattice.smoothing(pooling_mm, REACH * pooling_mm + self.lattice.spacing_mm)
        one, other = (_away(smooth, *half) for half in zip(self.products, self.values, strict=True))
        away = _away(smooth, self.products.sum(axis=0), self.values.sum(axis=0))
        trusted = _reliability(one, other, self.values.sum(axis=0))
        squares = np.maximum(mean[:, None] + trusted[:, None] * away, least[:, None])
        values = np.sqrt(squares).astype(np.float32).reshape(-1, *self.lattice.shape)
        return TrueError(values, self.lattice, self.people)


def _away(smooth: Callable[[Float64], Float64], products: Float64, values: Counts) -> Float64:
    """Return how far smoothed means of products are from their contrast's, (contrasts, blocks)."""
    ground, total = np.split(smooth(np.vstack([values, products]).T).T, 2)
    held = ground > LEAST_GROUND * ground.max(axis=1, keepdims=True)
    counts = values.sum(axis=1, keepdims=True)
    mean = products.sum(axis=1, keepdims=True) / np.maximum(counts, 1)
    found: Float64 = np.where(held, total / np.where(held, ground, 1.0) - mean, 0.0)
    return found


def _reliability(one: Float64, other: Float64, weights: Counts) -> Float64:
    """Return that of the mean of two halves (contrasts, blocks), 0 to 1, for each contrast."""
    total = np.sqrt((weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1))
    r = (weights * one * other).sum(axis=1) / np.where(total > 0, total, 1.0)
    r = np.clip(r, 0.0, 1.0)
    return np.asarray(2 * r / (1 + r))
