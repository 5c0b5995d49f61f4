"""Split-conformal prediction intervals around maps, with a width for each contrast and place.

People with measured maps, outside the model's training set, show how far a newly measured map lies
from its prediction. At each place the pooled error is the smoothed root mean square of their
errors. An error divided by the pooled error is a score. The half-width is the quantile of the
scores over people and places, times the pooled error (Papadopoulos et al. 2002, ECML, for the
split; Lei et al. 2018, JASA 113: 1094, eq. 10, for the local scale; Lee, Barber & Willett 2023,
arXiv:2306.06342, for places that belong to people). People must be exchangeable, places not.

Values that were not measured (NaN) count neither as errors nor in the number of people. Where a
contrast was measured in fewer than `LEAST_PEOPLE` people in a block, there is no interval.

All sums are additive over people, so that a group of any size takes one pass for the pooled error
and one for the scores.

Where people have a second session, half-widths for their true maps are made beside those for a new
measurement (`bids_dtg.stats.true_maps`). Both are multiplied by what differs between people
(`bids_dtg.stats.width_factors`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.lattice import Lattice
from bids_dtg.stats.block_errors import LEAST_GROUND, REACH, BlockErrors
from bids_dtg.stats.true_maps import LEAST_RETEST, RetestSums, TrueError, normal_quantile
from bids_dtg.stats.width_factors import MEASURED, TRUE, Bins, BinSums, WidthFactors

LEVELS = (50, 68, 80, 90, 95)  # percent
DEFAULT_LEVEL = 90
LATTICE_MM = 8.0  # the pooled error changes over longer distances
POOLING_MM = 14.0  # standard deviation of the Gaussian that smooths its square
LEAST_PEOPLE = 10  # in a block; with fewer the quantile of 95 % cannot be estimated
_LARGEST_SCORE, _BINS = 20.0, 4000  # a hundred bins from one standard deviation to the next

Array = NDArray[np.float32]


class PooledError(BlockErrors):
    """Root mean square error of the predictions, in the blocks of a lattice."""

    WORDS = "pooled errors"


class ErrorSums:
    """Squared errors of the predictions, added up over people in the blocks of a lattice.

    Parameters
    ----------
    lattice
        Blocks over the places of the maps.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice, self.people = lattice, 0
        # All three (contrasts, blocks): over people and places; only what was measured counts.
        self.squares: NDArray[np.float64] = np.zeros((0, lattice.blocks))
        self.values: NDArray[np.int64] = np.zeros((0, lattice.blocks), np.int64)  # how many
        self.measured: NDArray[np.int32] = np.zeros((0, lattice.blocks), np.int32)  # in how many

    def add(self, errors: Array) -> None:
        """Add a person's errors, measured less predicted, (contrasts, places); NaN: not measured.

        Raises
        ------
        ValueError
            If the shape is not that of the places or of earlier people.
        """
        contrasts, block_of = (
            len(self.squares) if self.people else len(errors),
            self.lattice.block_of,
        )
        if errors.shape != (contrasts, len(block_of)):
            raise ValueError(f"errors are ({contrasts}, {len(block_of)}), found {errors.shape}")
        if not self.people:
            shape = (contrasts, self.lattice.blocks)
            self.squares, self.values = np.zeros(shape), np.zeros(shape, np.int64)
            self.measured = np.zeros(shape, np.int32)
        self.people += 1
        for row, error in enumerate(errors):
            known = np.isfinite(error)
            squares = np.square(np.where(known, error, 0.0))
            self.squares[row] += np.bincount(block_of, squares, minlength=self.lattice.blocks)
            values = np.bincount(block_of[known], minlength=self.lattice.blocks)
            self.values[row] += values
            self.measured[row] += values > 0

    def without(self, errors: Array) -> ErrorSums:
        """Return the sums without one of the people who were added."""
        own = ErrorSums(self.lattice)
        own.add(errors)
        own.squares, own.values = self.squares - own.squares, self.values - own.values
        own.measured, own.people = self.measured - own.measured, self.people - 1
        return own

    def __add__(self, other: ErrorSums) -> ErrorSums:
        """Return the sums over both groups of people."""
        if not self.lattice.matches(other.lattice):
            raise ValueError("only sums over the same places and blocks can be added")
        total = ErrorSums(self.lattice)
        if full := [sums for sums in (self, other) if sums.people]:
            total.squares = np.sum([sums.squares for sums in full], axis=0)
            total.values = np.sum([sums.values for sums in full], axis=0)
            total.measured = np.sum([sums.measured for sums in full], axis=0, dtype=np.int32)
        total.people = self.people + other.people
        return total

    def pooled_error(self, pooling_mm: float | None) -> PooledError:
        """Return the root mean square error; None pools over all places, a number a contrast.

        A block where nobody was measured has the error around it or, where that is far away or
        there is none, that of its contrast; a contrast that nobody has, has 1.

        Raises
        ------
        ValueError
            If nobody was added, or a contrast was predicted without error.
        """
        if not self.people:
            raise ValueError("nobody was added")
        counts = self.values.sum(axis=1)
        mean = self.squares.sum(axis=1) / np.maximum(counts, 1)
        values = np.empty(self.squares.shape, np.float32)
        values[:] = np.sqrt(np.where(counts > 0, np.maximum(mean, 0), 1.0))[:, None]
        if pooling_mm is not None:
            reach_mm = REACH * pooling_mm + self.lattice.spacing_mm / 2
            smooth = self.lattice.smoothing(pooling_mm, reach_mm)
            pooled = smooth(np.vstack([self.values, self.squares]).T).T
            grounds, pooled_squares = np.split(pooled, 2)
            for value, ground, squares in zip(values, grounds, pooled_squares, strict=True):
                held = ground > LEAST_GROUND * ground.max()
                error = np.sqrt(np.maximum(squares[held] / ground[held], 0))
                value[held] = np.maximum(error, 1e-3 * value[held])
        return PooledError(values.reshape(-1, *self.lattice.shape), self.lattice)


class ScoreCounts:
    """How often which score, |error| / pooled error, was seen: a histogram a contrast."""

    def __init__(self, contrasts: int) -> None:
        self.people = 0
        self.counts: NDArray[np.int64] = np.zeros((contrasts, _BINS), np.int64)

    def add(self, errors: Array, pooled_error: Array) -> None:
        """Add a person: errors, NaN where there is none, and pooled ones; (contrasts, places)."""
        if errors.shape != pooled_error.shape or len(errors) != len(self.counts):
            raise ValueError(
                f"errors are ({len(self.counts)}, places) as the pooled ones, "
                f"found {errors.shape} and {pooled_error.shape}"
            )
        self.people += 1
        for row, error, scale in zip(self.counts, errors, pooled_error, strict=True):
            known = np.isfinite(error)
            bins = np.abs(error[known]) / scale[known] * np.float32(_BINS / _LARGEST_SCORE)
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

        Where everybody has the same places, this is the mean over people of their distributions;
        otherwise people count by the places that they have. It covers that share of a new
        person's places on average over people, up to a term of order 1 / people; the guarantee
        for any number of people n takes the level (n + 1) / n higher, which is wider than it
        need be wherever people are alike. A contrast without scores has 0.

        Raises
        ------
        ValueError
            If nobody was added.
        """
        if not self.people:
            raise ValueError("nobody was added")
        known = self.counts.sum(axis=1, keepdims=True)
        share = np.cumsum(self.counts, axis=1) / np.maximum(known, 1)
        edges = np.linspace(0.0, _LARGEST_SCORE, _BINS + 1)
        share = np.concatenate([np.zeros((len(share), 1)), share], axis=1)
        found = [np.interp(np.array(levels) / 100, row, edges) for row in share]
        return np.where(known > 0, found, 0.0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What turns predicted maps into intervals, for new measurements and for true maps."""

    participants: int  # people with both scans, outside the model's training set
    segments: int  # segments of rest that each of their predictions is the mean of
    levels: tuple[int, ...]  # percent, rising
    quantiles: Array  # (contrasts, levels) of the scores
    pooled_error: PooledError  # (contrasts, *lattice)
    # (contrasts, *lattice), in how many of them each block was measured; None: in all of them
    measured: NDArray[np.int32] | None = None
    true_error: TrueError | None = None  # None: too few of them had a second session
    factors: WidthFactors | None = None  # None: one half-width for everybody
    cleaning: str = ""  # how their rest was cleaned, in words; empty: not known
    minutes: float = float("nan")  # of rest of a person, mean; NaN: not known
    residual_dof: float = float("nan")  # of all segments of a person, mean; NaN: not known
    # Whether these are the training people, each predicted by a fit without them.
    left_out_in_turn: bool = False

    def __post_init__(self) -> None:
        if self.true_error is not None and (
            self.true_error.values.shape != self.pooled_error.values.shape
        ):
            raise ValueError(
                f"true errors are {self.pooled_error.values.shape} as the pooled ones, found "
                f"{self.true_error.values.shape}"
            )
        if self.measured is not None and self.measured.shape != self.pooled_error.values.shape:
            raise ValueError(
                f"people are counted in blocks of {self.pooled_error.values.shape}, "
                f"found {self.measured.shape}"
            )
        widest = self.pooled_error.values.reshape(len(self.pooled_error.values), -1).max(
            axis=1, initial=0.0
        )
        check_quantiles(self.levels, self.quantiles, widest)

    @classmethod
    def fit(
        cls,
        people: Sequence[Array] | Array,
        lattice: Lattice,
        segments: int,
        *,
        retest: Sequence[Array] | Array | None = None,
        bins: Sequence[Bins] | Bins | None = None,
        by_segments: Array | None = None,
    ) -> Calibration:
        """Calibrate on people's errors, measured less predicted maps, (contrasts, places).

        They are gone through twice. NaN stands where a person was not measured.

        Parameters
        ----------
        people
            The errors of each.
        lattice
            Blocks of `block_edge` over the model's places.
        segments
            As of the class.
        retest
            The same people's errors in a second session, NaN: none. None: nobody had one.
        bins
            Bins of their |predicted deviation|, (contrasts, places) each. None: not known.
        by_segments
            Factors of maps from fewer segments, (2, segments). None: not known.

        Raises
        ------
        ValueError
            If there is nobody, or a contrast was predicted without error.
        """
        sums = ErrorSums(lattice)
        for errors in people:
            sums.add(errors)
        true_error = _true_error(people, retest, lattice, len(sums.squares))
        true_widths = None if true_error is None else true_error.at_places()
        counts, by_bin = ScoreCounts(len(sums.squares)), (BinSums(), BinSums())
        held = sums.measured >= min(LEAST_PEOPLE, len(people))
        for number, errors in enumerate(people):
            # The scale of a person's scores is that of the others, as for somebody new; places
            # without an interval have no say in how wide the others are.
            scale = sums.without(errors).pooled_error(POOLING_MM).at_places()
            counted = np.where(held[:, lattice.block_of], errors, np.float32(np.nan))
            counts.add(counted, scale)
            if bins is None:
                continue
            by_bin[MEASURED].add(np.square(counted / scale), bins[number])
            if true_widths is not None and retest is not None:
                by_bin[TRUE].add(errors * retest[number] / true_widths**2, bins[number])
        pooled_error = sums.pooled_error(POOLING_MM)
        complete = (sums.measured[:, np.unique(lattice.block_of)] == len(people)).all()
        measured = None if complete else sums.measured.reshape(pooled_error.values.shape)
        factors = None
        if bins is not None or by_segments is not None:
            of_segments = np.ones((2, segments), np.float32) if by_segments is None else by_segments
            factors = WidthFactors(np.stack([one.factors() for one in by_bin]), of_segments)
        return cls(
            participants=len(people),
            segments=segments,
            levels=LEVELS,
            quantiles=counts.quantiles(),
            pooled_error=pooled_error,
            measured=measured,
            true_error=true_error,
            factors=factors,
        )

    @property
    def without_interval(self) -> NDArray[np.bool_]:
        """(contrasts, places), where too few people were measured for an interval."""
        lattice = self.pooled_error.lattice
        shape = len(self.quantiles), len(lattice.block_of)
        if self.measured is None:
            return np.zeros(shape, bool)
        few: NDArray[np.bool_] = self.measured.reshape(shape[0], -1) < LEAST_PEOPLE
        return few[:, lattice.block_of]

    def half_widths(self, level: int = DEFAULT_LEVEL) -> Array:
        """Return the intervals' half-widths, (contrasts, places), in the units of the maps.

        NaN stands where fewer than `LEAST_PEOPLE` people were measured: there is no interval.

        Raises
        ------
        ValueError
            If the level is not one of `levels`.
        """
        if level not in self.levels:
            raise ValueError(f"levels are {self.levels}, not {level}")
        widths = self.pooled_error.at_places()
        widths *= self.quantiles[:, self.levels.index(level), None]
        widths[self.without_interval] = np.nan
        return widths

    def true_half_widths(self, level: int = DEFAULT_LEVEL) -> Array | None:
        """Return half-widths for the person's true map; None: there are none.

        NaN as of `half_widths`.
        """
        if self.true_error is None:
            return None
        widths = self.true_error.at_places()
        widths *= np.float32(normal_quantile(level))
        widths[self.without_interval] = np.nan
        return widths


def _true_error(
    people: Sequence[Array] | Array,
    retest: Sequence[Array] | Array | None,
    lattice: Lattice,
    contrasts: int,
) -> TrueError | None:
    """Learn the error to true maps from people with two sessions; None: they are too few."""
    if retest is None:
        return None
    sums = RetestSums(lattice, contrasts)
    for first, second in zip(people, retest, strict=True):
        if np.isfinite(second).any():
            sums.add(first, second)
    return None if sums.people < LEAST_RETEST else sums.true_error(POOLING_MM)


def coverage(errors: Array, half_widths: Array) -> NDArray[np.float64]:
    """Return the share of a person's places whose error is within the half-width, (contrasts,).

    Places that were not measured, or have no interval, do not count; NaN where none is left.

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.array([[0.5, -2.0, 1.0, np.nan]])
    >>> coverage(errors, np.ones_like(errors)).round(2)
    array([0.67])
    """
    if errors.shape != half_widths.shape:
        raise ValueError(f"errors are {errors.shape}, half-widths {half_widths.shape}")
    known = np.isfinite(errors) & np.isfinite(half_widths)
    held = np.count_nonzero(known & (np.abs(errors) <= half_widths), axis=1)
    count = np.count_nonzero(known, axis=1)
    return np.where(count > 0, held / np.maximum(count, 1), np.nan)


def check_quantiles(levels: tuple[int, ...], quantiles: Array, widest: Array) -> None:
    """Refuse quantiles that are no half-widths when multiplied by pooled errors.

    Parameters
    ----------
    levels
        Levels of coverage, in percent.
    quantiles
        (contrasts, levels), quantiles of the scores, 0 or more.
    widest
        (contrasts,), the largest pooled errors.

    Raises
    ------
    ValueError
        Naming what is wrong.
    """
    expected = (len(widest), len(levels))
    if quantiles.shape != expected:
        raise ValueError(f"quantiles are {expected}, found {quantiles.shape}")
    if list(levels) != sorted(set(levels)) or not all(0 < level < 100 for level in levels):
        raise ValueError(f"levels rise from above 0 to below 100, found {levels}")
    with np.errstate(over="ignore", invalid="ignore"):
        widths = quantiles * widest[:, None]
    if not (np.isfinite(widths).all() and (quantiles >= 0).all()):
        raise ValueError("quantiles are 0 or more, and finite when multiplied by pooled errors")


def block_edge(spacing_mm: float) -> int:
    """Return the edge of a block of about `LATTICE_MM`, counted in places."""
    return max(1, round(LATTICE_MM / spacing_mm))
