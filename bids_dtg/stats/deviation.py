"""A person's own part of predicted maps: what differs from the mean of other people.

A predicted map is mostly what everybody has. Its deviation is the map less the mean of maps that
the same model predicts for a group of people, over their spread: a standardised score against
reference people (as in Marquand et al. 2016, Biol. Psychiatry 80: 552, there of measured maps).

The spread is the standard deviation between people, with n - 1, pooled over all places of a
contrast unless it is asked for in blocks. If each place were divided by a spread of its own, places
where the model predicts small differences between people would count as much as places where it
predicts large ones; people were then distinguished less well.
Where a contrast is predicted alike for everybody, deviations are NaN.

All sums are additive over people, so that a group of any size takes one pass in bounded memory,
and those without one person follow from all people's and the person's own maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.lattice import Lattice
from bids_dtg.stats.conformal import ErrorSums

OF = ("training", "calibration", "cohort")  # whose mean and spread may be meant
UNITS = "spreads (standard deviations) between people"  # of deviations
FAR = 2.0  # spreads between people, beyond which a place is far from the mean of others
LEAST_PEOPLE = 10  # fewer put a third of a spread, and more, of chance into every deviation
_ON = 1e-3  # spreads: how near to the threshold a value is on it
_ROUNDING = 1e-12  # of a sum of squares

Array = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class UsualShare:
    """What share of places usually lies beyond ±`FAR`, in people who made neither mean nor spread.

    The spread is pooled over places, so that no share follows from a normal distribution.
    """

    share: float  # of places and contrasts together: the median over people
    people: int  # in how many it was measured, each compared with others alone

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.people < 1:
            raise ValueError(f"a share from 0 to 1 of people, found {self.share} of {self.people}")

    @classmethod
    def of(cls, shares: Sequence[float]) -> UsualShare | None:
        """Return that of people's shares; None if nobody has one.

        Examples
        --------
        >>> UsualShare.of([0.1, 0.3, float("nan"), 0.08])
        UsualShare(share=0.1, people=3)
        """
        known = np.asarray(shares, np.float64)
        known = known[np.isfinite(known)]
        return cls(float(np.median(known)), len(known)) if known.size else None


def share_far(deviations: NDArray[np.floating]) -> float:
    """Return the share of places beyond ±`FAR`; NaN: no place has a value.

    Places on the threshold count half: of maps that were rounded to steps, half of these lay beyond
    it.

    Examples
    --------
    >>> share_far(np.array([[0.1, -2.5], [np.nan, 1.0]]))
    0.3333333333333333
    """
    size = np.abs(deviations[np.isfinite(deviations)])
    far = (size > FAR + _ON) + 0.5 * (np.abs(size - FAR) <= _ON)
    return float(far.mean()) if size.size else float("nan")


@dataclass(frozen=True, eq=False)
class Deviation:
    """What people's predicted maps have in common, and how far people lie apart.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.lattice import single_lattice
    >>> spread = np.array([[0.5, 2.0], [0.0, 0.0]], np.float32)
    >>> found = Deviation(12, 4, "training", np.ones((2, 2), np.float32), spread,
    ...                   single_lattice(2, 1))
    >>> found.deviations(np.array([[2.0, 3.0], [1.0, 1.0]], np.float32))
    array([[ 2.,  1.],
           [nan, nan]], dtype=float32)
    """

    people: int  # how many they are
    segments: int  # segments of rest that each of their predictions is the mean of
    of: str  # who they are: one of `OF`
    mean: Array  # (contrasts, places), in the units of the maps; NaN: nobody has a value
    spread: Array  # (contrasts, *lattice), standard deviation; 0 throughout: alike for everybody
    lattice: Lattice  # over the places
    exact: bool = True  # whether bundles keep the mean as it is; else in steps, to be small
    usual: UsualShare | None = None  # how much of others' maps is far; None: not measured

    def __post_init__(self) -> None:
        wanted = (
            (len(self.spread), *self.lattice.shape),
            (len(self.spread), len(self.lattice.block_of)),
        )
        if (self.spread.shape, self.mean.shape) != wanted:
            raise ValueError(
                f"spread and mean are {wanted}, found {(self.spread.shape, self.mean.shape)}"
            )
        if self.of not in OF or self.people < 2:
            raise ValueError(f"two or more people of {OF}, found {self.people} of {self.of}")
        rows = self.spread.reshape(len(self.spread), -1)
        usable = np.isfinite(rows).all(axis=1) & (rows > 0).all(axis=1)
        if not (usable | self.has_none).all():
            raise ValueError("the spread of a contrast is above 0, or 0 throughout")

    @property
    def has_none(self) -> NDArray[np.bool_]:
        """(contrasts,), whether a contrast is predicted alike for everybody and has none."""
        none: NDArray[np.bool_] = (self.spread.reshape(len(self.spread), -1) == 0).all(axis=1)
        return none

    @cached_property
    def spread_at_places(self) -> Array:
        """The spread, interpolated between the blocks' centres, (contrasts, places); NaN: none."""
        spread = self.lattice.interpolate(self.spread)
        spread[self.has_none] = np.nan
        return spread

    def deviations(self, maps: Array) -> Array:
        """Return (maps - mean) / spread, (contrasts, places); NaN where there is none.

        Raises
        ------
        ValueError
            If the maps are not (contrasts, places).
        """
        if maps.shape != self.mean.shape:
            raise ValueError(f"maps are {self.mean.shape}, found {maps.shape}")
        found = np.subtract(maps, self.mean, dtype=np.float32)
        found /= self.spread_at_places
        return found


class PeopleSums:
    """Sums over people's maps, from which their mean and their spread follow.

    Values are added up less those of the first person, so that squares of small differences are
    not lost beside squares of large means. A value that is NaN counts nowhere.

    Parameters
    ----------
    lattice
        Blocks over the places of the maps.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.lattice import single_lattice
    >>> sums = PeopleSums(single_lattice(2, 1))
    >>> for value in (1.0, 2.0, 3.0):
    ...     sums.add(np.array([[value, 2 * value]], np.float32))
    >>> found = sums.deviation(segments=4, of="cohort", pooling_mm=0.0)
    >>> found.mean, found.spread
    (array([[2., 4.]], dtype=float32), array([[1., 2.]], dtype=float32))
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice, self.people = lattice, 0
        self._origin: Array = np.zeros((0, len(lattice.block_of)), np.float32)  # the first person's
        # (contrasts, places): how many have a value, and its sum less the origin.
        self._count: NDArray[np.int32] = np.zeros(self._origin.shape, np.int32)
        self._total: Float64 = np.zeros(self._origin.shape)
        self._squares: Float64 = np.zeros((0, lattice.blocks))  # less the origin
        self._whole: Float64 = np.zeros(0)  # (contrasts,), squares of the values themselves

    @classmethod
    def of(cls, people: Iterable[Array], lattice: Lattice) -> PeopleSums:
        """Add up people's maps, (contrasts, places) each."""
        sums = cls(lattice)
        for maps in people:
            sums.add(maps)
        return sums

    def add(self, maps: Array) -> None:
        """Add a person's maps, (contrasts, places); NaN: no value.

        Raises
        ------
        ValueError
            If the shape is not that of the places or of earlier people.
        """
        shape = (len(self._origin) if self.people else len(maps), len(self.lattice.block_of))
        if maps.shape != shape:
            raise ValueError(f"maps are {shape}, found {maps.shape}")
        if not self.people:
            self._origin = np.nan_to_num(maps, nan=0.0).astype(np.float32)
            self._count, self._total = np.zeros(shape, np.int32), np.zeros(shape)
            self._squares = np.zeros((len(maps), self.lattice.blocks))
            self._whole = np.zeros(len(maps))
        self._change(maps, 1)

    def without(self, maps: Array) -> PeopleSums:
        """Return the sums without one of the people who were added.

        Raises
        ------
        ValueError
            If the shape is not that of the people's maps.
        """
        if maps.shape != self._origin.shape:
            raise ValueError(f"maps are {self._origin.shape}, found {maps.shape}")
        others = PeopleSums(self.lattice)
        others.people, others._origin = self.people, self._origin
        others._count, others._total = self._count.copy(), self._total.copy()
        others._squares, others._whole = self._squares.copy(), self._whole.copy()
        others._change(maps, -1)
        return others

    def _change(self, maps: Array, sign: int) -> None:
        self.people += sign
        block_of, blocks = self.lattice.block_of, self.lattice.blocks
        for row, (values, origin) in enumerate(zip(maps, self._origin, strict=True)):
            known = np.isfinite(values)
            # In 64 bits: what is taken off later must be what was added.
            found = np.where(known, values.astype(np.float64) - origin, 0.0)
            self._count[row] += np.int32(sign) * known
            self._total[row] += sign * found
            self._squares[row] += sign * np.bincount(block_of, found * found, minlength=blocks)
            self._whole[row] += sign * float(np.square(values[known], dtype=np.float64).sum())

    def deviation(self, *, segments: int, of: str, pooling_mm: float | None = None) -> Deviation:
        """Return the mean of the people who were added, and their spread.

        Parameters
        ----------
        segments, of
            Number of segments of rest, and the group's kind, as of `Deviation`.
        pooling_mm
            Standard deviation of the Gaussian that smooths the squared spread; None pools over
            all places.

        Raises
        ------
        ValueError
            If there are fewer than two people.
        """
        if self.people < 2:
            raise ValueError(f"two people or more can differ, found {self.people}")
        offset = np.full(self._total.shape, np.nan)
        np.divide(self._total, self._count, out=offset, where=self._count > 0)
        return Deviation(
            people=self.people,
            segments=segments,
            of=of,
            mean=(self._origin + offset).astype(np.float32),
            spread=self._spread(pooling_mm),
            lattice=self.lattice,
        )

    def _spread(self, pooling_mm: float | None) -> Array:
        """Pool the variance within the blocks and smooth it; 0 for a contrast that is alike."""
        squares, dof = self._squares.copy(), np.zeros(self._squares.shape, np.int64)
        block_of, blocks = self.lattice.block_of, self.lattice.blocks
        for row, (total, count) in enumerate(zip(self._total, self._count, strict=True)):
            of_mean = np.square(total) / np.maximum(count, 1)
            squares[row] -= np.bincount(block_of, of_mean, minlength=blocks)
            free = np.maximum(count - 1, 0)
            dof[row] = np.bincount(block_of, free, minlength=blocks).astype(np.int64)
        alike = squares.sum(axis=1) <= _ROUNDING * self._whole
        sums = ErrorSums(self.lattice)
        sums.people = self.people
        sums.squares = np.where(alike[:, None], 1.0, np.maximum(squares, 0.0))
        sums.values, sums.measured = dof, np.minimum(dof, self.people).astype(np.int32)
        spread = sums.pooled_error(pooling_mm).values
        spread[alike] = 0.0
        return spread
