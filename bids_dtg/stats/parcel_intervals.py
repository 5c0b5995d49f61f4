"""Prediction intervals around means of maps over parcels: split-conformal, a width a parcel.

Errors of a predicted map are alike at neighbouring places: the error of a parcel's mean is larger
than that of as many places that know nothing of each other, and smaller than that of a place. Its
width can therefore not be had from the places' widths; it is learned from parcel means, by the
method of `bids_dtg.stats.conformal` (Papadopoulos et al. 2002, ECML; Lei et al. 2018, JASA 113:
1094, eq. 10; Lee, Barber & Willett 2023, arXiv:2306.06342): the pooled error of a parcel is the
root mean square of people's errors, a score is an error divided by it, and the half-width is the
pooled error times the quantile of the scores over people and parcels.

Some tens of people say little about a parcel: its mean square is averaged with that of its
contrast over all parcels, which counts as much as `POOLED_PEOPLE` people (Smyth 2004, Stat Appl
Genet Mol Biol 3: 3, with a fixed number in place of an estimated one).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.atlas import Atlas, region_coverage, region_means
from bids_dtg.imaging.lattice import single_lattice
from bids_dtg.stats.conformal import (
    DEFAULT_LEVEL,
    LEAST_PEOPLE,
    LEVELS,
    ScoreCounts,
    check_quantiles,
)
from bids_dtg.stats.true_maps import LEAST_RETEST, RetestSums, TrueError, normal_quantile

POOLED_PEOPLE = 10  # that the mean square of all parcels counts as much as, in each parcel
LEAST_COVERAGE = 0.5  # of a parcel, below which its mean is not that of the parcel

Array = NDArray[np.float32]
Counts = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ParcelIntervals:
    """What turns an atlas' means of predicted maps into intervals.

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.random.default_rng(0).normal(size=(200, 2, 30)) * 0.5
    >>> intervals = ParcelIntervals.fit(errors, segments=4, digest="0a")
    >>> intervals.half_widths(90).shape
    (2, 30)
    >>> print(f"{intervals.half_widths(90).mean():.1f}")
    0.8
    """

    participants: int  # people with both scans, outside the model's training set
    segments: int  # segments of rest that each of their predictions is the mean of
    levels: tuple[int, ...]  # percent, rising
    quantiles: Array  # (contrasts, levels) of the scores
    pooled_error: Array  # (contrasts, parcels), in the units of the maps, above 0
    digest: str  # of the atlas' labels at the model's places: hexadecimal
    measured: Counts  # (contrasts, parcels), in how many of them each parcel was measured
    true_error: Array | None = None  # (contrasts, parcels), to true means; None: not known
    retest: int = 0  # how many of them had a second session, where true errors are known

    def __post_init__(self) -> None:
        if self.pooled_error.ndim != 2 or self.measured.shape != self.pooled_error.shape:
            raise ValueError(
                f"pooled errors are (contrasts, parcels), found {self.pooled_error.shape}, and "
                f"people are counted in {self.measured.shape}"
            )
        if not (np.isfinite(self.pooled_error).all() and (self.pooled_error > 0).all()):
            raise ValueError("pooled errors are above 0")
        check_quantiles(self.levels, self.quantiles, self.pooled_error.max(axis=1, initial=0.0))
        if self.true_error is not None:
            if self.true_error.shape != self.pooled_error.shape:
                raise ValueError("true errors are (contrasts, parcels), as pooled ones")
            if not (np.isfinite(self.true_error).all() and (self.true_error > 0).all()):
                raise ValueError("true errors are above 0")

    @classmethod
    def fit(
        cls,
        errors: NDArray[np.floating],
        segments: int,
        digest: str,
        retest: NDArray[np.floating] | None = None,
    ) -> ParcelIntervals:
        """Calibrate on people's errors.

        Parameters
        ----------
        errors
            (people, contrasts, parcels), measured less predicted means; NaN: not measured.
        segments
            Segments of rest that each prediction is the mean of.
        digest
            Hash of the atlas' labels: it distinguishes atlases of the same name.
        retest
            Errors of a second session, as `errors`; NaN: none. None: nobody had one.

        Raises
        ------
        ValueError
            If there is nobody, or a contrast was predicted without error.
        """
        people, *shape = errors.shape
        if not people:
            raise ValueError("nobody was added")
        total, measured = np.zeros(shape), np.zeros(shape, np.int32)
        for error in errors:
            total += _squares(error)
            measured += np.isfinite(error)
        counts, held = ScoreCounts(shape[0]), measured >= min(LEAST_PEOPLE, people)
        for error in errors:
            # The scale of a person's scores is that of the others, as for somebody new.
            pooled_error = _pooled_error(total - _squares(error), measured - np.isfinite(error))
            counts.add(np.where(held, error, np.nan).astype(np.float32), pooled_error)
        true_error = None if retest is None else _true_error(errors, retest)
        return cls(
            participants=people,
            segments=segments,
            levels=LEVELS,
            quantiles=counts.quantiles(),
            pooled_error=_pooled_error(total, measured),
            digest=digest,
            measured=measured,
            true_error=None if true_error is None else true_error.values,
            retest=0 if true_error is None else true_error.people,
        )

    @property
    def without_interval(self) -> NDArray[np.bool_]:
        """(contrasts, parcels), where too few people were measured for an interval."""
        return self.measured < LEAST_PEOPLE

    def half_widths(self, level: int = DEFAULT_LEVEL) -> Array:
        """Return the intervals' half-widths, (contrasts, parcels), in the units of the maps.

        NaN stands where fewer than `LEAST_PEOPLE` people were measured: there is no interval.

        Raises
        ------
        ValueError
            If the level is not one of `levels`.
        """
        if level not in self.levels:
            raise ValueError(f"levels are {self.levels}, not {level}")
        widths: Array = self.pooled_error * self.quantiles[:, self.levels.index(level), None]
        widths[self.without_interval] = np.nan
        return widths

    def true_half_widths(self, level: int = DEFAULT_LEVEL) -> Array | None:
        """Return half-widths for true means, (contrasts, parcels); None: there are none."""
        if self.true_error is None:
            return None
        widths: Array = self.true_error * np.float32(normal_quantile(level))
        widths[self.without_interval] = np.nan
        return widths


def parcel_errors(
    people: Iterable[Array], atlas: Atlas, least_coverage: float = LEAST_COVERAGE
) -> Array:
    """Average people's errors over the parcels of an atlas.

    Parameters
    ----------
    people
        Measured less predicted maps of each, (contrasts, places); NaN: not measured.
    atlas
        Number of the parcel at each place, and the parcels' names.
    least_coverage
        A mean over less than this share of a parcel is left out, as in tables of regions.

    Returns
    -------
    (people, contrasts, parcels); NaN where a parcel was not measured.

    Examples
    --------
    >>> import numpy as np
    >>> parcels = {1: "a", 2: "b"}
    >>> atlas = Atlas({"atlas": "A"}, np.array([1, 1, 2, 2, 2]), parcels, np.array([2, 3]))
    >>> errors = np.array([[[1.0, 3.0, 7.0, np.nan, np.nan]]], np.float32)
    >>> parcel_errors(errors, atlas)
    array([[[ 2., nan]]], dtype=float32)
    """
    found = []
    for errors in people:
        covered = region_coverage(errors, atlas) >= least_coverage
        found.append(np.where(covered, region_means(errors, atlas), np.nan).astype(np.float32))
    return np.stack(found)


def intervals_of(
    known: Mapping[str, ParcelIntervals], key: str, digest: str
) -> ParcelIntervals | None:
    """Return the intervals of an atlas; None where there are none, or another image's.

    Parameters
    ----------
    known
        A model's intervals, by the atlases' keys.
    key, digest
        Of the atlas: its name, and of its labels at the model's places.

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.random.default_rng(0).normal(size=(20, 2, 30))
    >>> known = {"Own": ParcelIntervals.fit(errors, segments=4, digest="0a")}
    >>> intervals_of(known, "Own", "0a") is known["Own"], intervals_of(known, "Own", "0b")
    (True, None)
    """
    found = known.get(key)
    return found if found is not None and found.digest == digest else None


def _true_error(errors: NDArray[np.floating], retest: NDArray[np.floating]) -> TrueError | None:
    """Learn the error to true means from people with two sessions; None: they are too few."""
    sums = RetestSums(single_lattice(errors.shape[2], 1), errors.shape[1])
    for first, second in zip(errors, retest, strict=True):
        if np.isfinite(second).any():
            sums.add(first, second)
    return None if sums.people < LEAST_RETEST else sums.true_error(0.0)


def _squares(error: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return squared errors, (contrasts, parcels); 0 where nothing was measured."""
    return np.square(np.where(np.isfinite(error), error, 0.0), dtype=np.float64)


def _pooled_error(squares: NDArray[np.float64], measured: Counts) -> Array:
    """Return the root mean square error, (contrasts, parcels); 1 for a contrast that nobody has.

    Raises
    ------
    ValueError
        If a contrast was predicted without error.
    """
    people = measured.sum(axis=1, keepdims=True)
    of_contrast = squares.sum(axis=1, keepdims=True) / np.maximum(people, 1)
    of_contrast[people == 0] = 1.0
    if not (of_contrast > 0).all():
        raise ValueError("pooled errors are above 0")
    mean = (squares + POOLED_PEOPLE * of_contrast) / (measured + POOLED_PEOPLE)
    pooled_error: Array = np.sqrt(mean).astype(np.float32)
    return pooled_error
