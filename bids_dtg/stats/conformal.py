"""Prediction intervals around predicted maps: split-conformal, a width a contrast and a place.

People who were measured, and whom the model was not trained on, show how far a newly measured map
lies from its prediction. At each place the usual error is the root mean square of theirs, smoothed;
an error divided by it is a score, and the quantile of the scores over people and voxels, times the
usual error, is the half-width (Papadopoulos et al. 2002, ECML, for the split; Lei et al. 2018,
JASA 113: 1094, eq. 10, for the local scale; Lee, Barber & Willett 2023, arXiv:2306.06342, for
voxels that belong to people). People must be exchangeable; voxels need not be.

All sums are additive over people, so that a group of any size takes one pass for the usual error
and one for the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = (50, 68, 80, 90, 95)  # percent
DEFAULT_LEVEL = 90
CELL_MM = 8.0  # the usual error changes over longer distances
POOLING_MM = 14.0  # standard deviation of the Gaussian that smooths its square
LEAST_PEOPLE = 10  # below it the quantile of 95 % is anybody's guess
_LARGEST_SCORE, _BINS = 20.0, 4000  # a hundred bins from one standard deviation to the next
# Of what is smoothed into a cell, less than this share of the most is no ground for a value.
_LEAST_GROUND = 1e-6

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class UsualError:
    """Root mean square error of the predictions, on a coarse lattice over the model's grid."""

    values: Array  # (contrasts, *lattice), in the units of the maps, above 0
    mask: NDArray[np.bool_]  # (i, j, k), the model's
    block: int  # voxels along an edge of a cell

    def __post_init__(self) -> None:
        shape = lattice_shape(self.mask.shape, self.block)
        if self.values.shape[1:] != shape:
            raise ValueError(f"the lattice is {shape}, found {self.values.shape[1:]}")
        if not (np.isfinite(self.values).all() and (self.values > 0).all()):
            raise ValueError("usual errors are above 0")

    def at_voxels(self) -> Array:
        """Interpolate linearly between the cells' centres: (contrasts, voxels of the mask)."""
        from scipy.ndimage import map_coordinates

        place = ((np.argwhere(self.mask) - (self.block - 1) / 2) / self.block).T
        rows = [map_coordinates(one, place, order=1, mode="nearest") for one in self.values]
        return np.stack(rows).astype(np.float32, copy=False)


class ErrorSums:
    """Squared errors of the predictions, added up over people in the cells of a coarse lattice.

    Parameters
    ----------
    mask
        (i, j, k); voxel vectors are in C order.
    block
        Edge of a cell in voxels.
    """

    def __init__(self, mask: NDArray[np.bool_], block: int) -> None:
        self.mask, self.block, self.people = mask, block, 0
        self.shape = lattice_shape(mask.shape, block)
        voxels = tuple((np.argwhere(mask) // block).T)
        self._cell: NDArray[np.intp] = np.asarray(np.ravel_multi_index(voxels, self.shape))
        size = int(np.prod(self.shape))
        self._voxels = np.bincount(self._cell, minlength=size)
        self.squares: NDArray[np.float64] = np.zeros((0, size))  # (contrasts, cells)

    def add(self, errors: Array) -> None:
        """Add a person's errors, measured less predicted, (contrasts, voxels).

        Raises
        ------
        ValueError
            If the shape is not that of the mask or of earlier people.
        """
        contrasts = len(self.squares) if self.people else len(errors)
        if errors.shape != (contrasts, len(self._cell)):
            raise ValueError(f"errors are ({contrasts}, {len(self._cell)}), found {errors.shape}")
        if not self.people:
            self.squares = np.zeros((contrasts, len(self._voxels)))
        self.people += 1
        for row, error in zip(self.squares, errors, strict=True):
            row += np.bincount(self._cell, np.square(error), minlength=len(row))

    def without(self, errors: Array) -> ErrorSums:
        """Return the sums without one of the people who were added."""
        own = ErrorSums(self.mask, self.block)
        own.add(errors)
        own.squares, own.people = self.squares - own.squares, self.people - 1
        return own

    def __add__(self, other: ErrorSums) -> ErrorSums:
        """Return the sums over both groups of people."""
        if self.block != other.block or not np.array_equal(self.mask, other.mask):
            raise ValueError("only sums over the same mask and cells can be added")
        total = ErrorSums(self.mask, self.block)
        full = [one.squares for one in (self, other) if one.people]
        total.squares = np.sum(full, axis=0) if full else total.squares
        total.people = self.people + other.people
        return total

    def usual(self, pooling_mm: float | None, voxel_mm: float) -> UsualError:
        """Return the root mean square error; None pools over the whole mask, a number a contrast.

        Raises
        ------
        ValueError
            If nobody was added, or a contrast was predicted without error.
        """
        from scipy.ndimage import gaussian_filter

        if not self.people:
            raise ValueError("nobody was added")
        whole = np.maximum(self.squares.sum(axis=1) / self._voxels.sum() / self.people, 0)
        values = np.empty((len(self.squares), *self.shape), np.float32)
        values[:] = np.sqrt(whole)[:, None, None, None]
        if pooling_mm is None:
            return UsualError(values, self.mask, self.block)
        sd = pooling_mm / (voxel_mm * self.block)

        def pooled(cells: NDArray[Any]) -> NDArray[np.float64]:
            grid = cells.astype(np.float64).reshape(self.shape)
            smooth: NDArray[np.float64] = gaussian_filter(grid, sd, mode="constant", truncate=6.0)
            return smooth

        ground = pooled(self._voxels)
        held = ground > _LEAST_GROUND * ground.max()
        for value, squares in zip(values, self.squares, strict=True):
            error = np.sqrt(np.maximum(pooled(squares)[held] / ground[held] / self.people, 0))
            value[held] = np.maximum(error, 1e-3 * value[held])
        return UsualError(values, self.mask, self.block)


class ScoreCounts:
    """How often which score, |error| / usual error, was seen: a histogram a contrast."""

    def __init__(self, contrasts: int) -> None:
        self.people = 0
        self.counts: NDArray[np.int64] = np.zeros((contrasts, _BINS), np.int64)

    def add(self, errors: Array, usual: Array) -> None:
        """Add a person: errors and usual errors at the voxels, both (contrasts, voxels)."""
        if errors.shape != usual.shape or len(errors) != len(self.counts):
            raise ValueError(
                f"errors are ({len(self.counts)}, voxels) as the usual ones, "
                f"found {errors.shape} and {usual.shape}"
            )
        self.people += 1
        for row, error, scale in zip(self.counts, errors, usual, strict=True):
            bins = np.abs(error) / scale * np.float32(_BINS / _LARGEST_SCORE)
            # What is beyond the last bin is in it: far above any level that is asked for.
            row += np.bincount(np.minimum(bins, _BINS - 1).astype(np.intp), minlength=_BINS)

    def __add__(self, other: ScoreCounts) -> ScoreCounts:
        """Return the counts over both groups of people."""
        total = ScoreCounts(len(self.counts))
        total.counts, total.people = self.counts + other.counts, self.people + other.people
        return total

    def __sub__(self, other: ScoreCounts) -> ScoreCounts:
        """Return the counts without a group of people who are among these."""
        rest = ScoreCounts(len(self.counts))
        rest.counts, rest.people = self.counts - other.counts, self.people - other.people
        return rest

    def quantiles(self, levels: tuple[int, ...] = LEVELS) -> Array:
        """Return the scores below which `levels` percent lie, (contrasts, levels).

        Everybody has the same voxels, so this is the mean over people of their distributions. It
        covers that share of a new person's voxels on average over people, up to a term of order
        1 / people; the guarantee for any number of people n takes the level (n + 1) / n higher,
        which is wider than it need be wherever people are alike.

        Raises
        ------
        ValueError
            If nobody was added.
        """
        if not self.people:
            raise ValueError("nobody was added")
        share = np.cumsum(self.counts, axis=1) / self.counts.sum(axis=1, keepdims=True)
        edges = np.linspace(0.0, _LARGEST_SCORE, _BINS + 1)
        share = np.concatenate([np.zeros((len(share), 1)), share], axis=1)
        found = [np.interp(np.array(levels) / 100, row, edges) for row in share]
        return np.array(found, np.float32)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What turns predicted maps into intervals."""

    participants: int  # people with both scans, whom the model was not trained on
    segments: int  # segments of rest that each of their predictions is the mean of
    levels: tuple[int, ...]  # percent, rising
    quantiles: Array  # (contrasts, levels) of the scores
    usual: UsualError  # (contrasts, *lattice)

    def __post_init__(self) -> None:
        expected = (len(self.usual.values), len(self.levels))
        if self.quantiles.shape != expected:
            raise ValueError(f"quantiles are {expected}, found {self.quantiles.shape}")
        if list(self.levels) != sorted(set(self.levels)) or not all(
            0 < level < 100 for level in self.levels
        ):
            raise ValueError(f"levels rise from above 0 to below 100, found {self.levels}")

    @classmethod
    def fit(
        cls,
        people: Sequence[Array] | Array,
        mask: NDArray[np.bool_],
        voxel_mm: float,
        segments: int,
    ) -> Calibration:
        """Calibrate on people's errors, measured less predicted maps, (contrasts, voxels).

        They are gone through twice. `mask` is the model's, `segments` as of the class.

        Raises
        ------
        ValueError
            If there is nobody, or a contrast was predicted without error.
        """
        sums = ErrorSums(mask, cell_block(voxel_mm))
        for errors in people:
            sums.add(errors)
        counts = ScoreCounts(len(sums.squares))
        for errors in people:
            # The scale of a person's scores is that of the others, as for somebody new.
            counts.add(errors, sums.without(errors).usual(POOLING_MM, voxel_mm).at_voxels())
        usual = sums.usual(POOLING_MM, voxel_mm)
        return cls(len(people), segments, LEVELS, counts.quantiles(), usual)

    def half_widths(self, level: int = DEFAULT_LEVEL) -> Array:
        """Return the intervals' half-widths, (contrasts, voxels), in the units of the maps.

        Raises
        ------
        ValueError
            If the level is not one of `levels`.
        """
        if level not in self.levels:
            raise ValueError(f"levels are {self.levels}, not {level}")
        widths = self.usual.at_voxels()
        widths *= self.quantiles[:, self.levels.index(level), None]
        return widths


def coverage(errors: Array, half_widths: Array) -> NDArray[np.float64]:
    """Return the share of a person's voxels whose error is within the half-width, (contrasts,).

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.array([[0.5, -2.0, 1.0, np.nan]])
    >>> coverage(errors, np.ones_like(errors)).round(2)
    array([0.5])
    """
    if errors.shape != half_widths.shape:
        raise ValueError(f"errors are {errors.shape}, half-widths {half_widths.shape}")
    share: NDArray[np.float64] = (np.abs(errors) <= half_widths).mean(axis=1)
    return share


def interval_score(errors: Array, half_widths: Array, level: int) -> NDArray[np.float64]:
    """Return the mean interval score, (contrasts,): small for narrow intervals that hold.

    Width plus, where the value lies outside, 2 / (1 - level) times how far (Gneiting & Raftery
    2007, JASA 102: 359, eq. 43).
    """
    beyond = np.maximum(np.abs(errors) - half_widths, 0)
    score: NDArray[np.float64] = np.mean(
        2 * half_widths + 2 / (1 - level / 100) * beyond, axis=1, dtype=np.float64
    )
    return score


def cell_block(voxel_mm: float) -> int:
    """Return how many voxels make about `CELL_MM`.

    Examples
    --------
    >>> cell_block(2.0), cell_block(8.0)
    (4, 1)
    """
    return max(1, round(CELL_MM / voxel_mm))


def lattice_shape(shape: tuple[int, ...], block: int) -> tuple[int, ...]:
    """Return how many cells a grid has along its axes; the last ones may be incomplete.

    Examples
    --------
    >>> lattice_shape((76, 93, 78), 4)
    (19, 24, 20)
    """
    return tuple(-(-n // block) for n in shape)
