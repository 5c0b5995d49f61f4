"""Sums over people that a weighted linear model is solved from; those of several sites are added.

There are two rounds: deviations and their weights follow from the first sums, of everybody; sums of
fits to these deviations are the second. Without missing values both are exactly additive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.linear import Slopes
from bids_dtg.contrasts.people import Array, Float, MeanMaps, Person
from bids_dtg.stats.linear import WHOLE, mean_fits, standardised

SHORTER_MINUTES = (3.0, 6.0, 10.0)  # lengths of rest whose mean connectomes the model has, too
# A length is kept if everybody's rest is so many times longer.
_LONGER = 4 / 3
_PLACES = 20_000  # that are enough to compare the rows of two connectomes
_ROUNDING = 1e-9  # of standardised values
Rows = slice  # of a set's ROIs in a connectome


def rows_of(sets: Sequence[int]) -> tuple[Rows, ...]:
    """Return the rows of each set of ROIs in a connectome.

    Examples
    --------
    >>> rows_of([2, 3])
    (slice(0, 2, None), slice(2, 5, None))
    """
    ends = np.cumsum(sets).tolist()
    return tuple(slice(end - rois, end) for rois, end in zip(sets, ends, strict=True))


def some_places(places: int) -> slice:
    """Return the places where connectomes of shorter rest are kept: of many, every few.

    Examples
    --------
    >>> some_places(360), some_places(163_310)
    (slice(None, None, 1), slice(None, None, 8))
    """
    return slice(None, None, max(1, places // _PLACES))


def centred(connectome: NDArray[np.floating[Any]]) -> Float:
    """Return rows less their means over places."""
    values = connectome.astype(np.float64)
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def segments_of(person: Person, rows: Rows) -> Iterator[tuple[float, Array]]:
    """Yield the share and the connectome (rois, places) of each segment, for a set."""
    total = sum(person.weights)
    for segment, weight in zip(person.connectomes, person.weights, strict=True):
        yield weight / total, segment[rows].astype(np.float32)


@dataclass(frozen=True, eq=False)
class FirstSums:
    """Sums of people's connectomes and maps: of the first round."""

    people: int
    feature_sum: Float  # (rois, places), of standardised rows
    spread: Float  # (rois, places), of their squared deviations from the mean of these people
    centred_sum: Float  # (rois, places), of rows that are centred alone
    size_sum: Float  # (rois,), of the sd over places of each row
    maps: MeanMaps
    minutes: float  # of rest; NaN: not known
    connectomes: int  # of so much rest together
    # Minutes of shorter rest that everybody has and that are well below everybody's rest.
    lengths: tuple[float, ...]

    @classmethod
    def of(cls, people: Sequence[Person], sets: Sequence[int]) -> FirstSums:
        """Add up people, with connectomes of these sets of ROIs."""
        mean = np.zeros(people[0].connectomes.shape[1:])
        spread, centred_sum = np.zeros_like(mean), np.zeros_like(mean)
        size_sum = np.zeros(len(mean))
        for number, person in enumerate(people, 1):
            size_sum += person.mean_connectome().std(axis=1, dtype=np.float64)
            for rows in rows_of(sets):
                own = np.zeros(mean[rows].shape)
                for share, segment in segments_of(person, rows):
                    own += share * standardised(segment, WHOLE)
                    centred_sum[rows] += share * centred(segment)
                change = own - mean[rows]
                mean[rows] += change / number
                spread[rows] += change * (own - mean[rows])
        mean *= len(people)
        return cls(
            people=len(people),
            feature_sum=mean,
            spread=spread,
            centred_sum=centred_sum,
            size_sum=size_sum,
            maps=MeanMaps.of(people),
            minutes=float(sum(person.minutes for person in people)),
            connectomes=sum(len(person.connectomes) for person in people),
            lengths=_shared_lengths(people),
        )

    def __iadd__(self, other: FirstSums) -> FirstSums:
        n, m = self.people, other.people
        apart = self.feature_sum / n
        apart -= other.feature_sum / m
        apart *= apart
        apart *= n * m / (n + m)
        self.spread[...] += apart
        self.spread[...] += other.spread
        self.feature_sum[...] += other.feature_sum
        self.centred_sum[...] += other.centred_sum
        self.size_sum[...] += other.size_sum
        return replace(
            self,
            people=n + m,
            maps=MeanMaps(self.maps.total + other.maps.total, self.maps.count + other.maps.count),
            minutes=self.minutes + other.minutes,
            connectomes=self.connectomes + other.connectomes,
            lengths=tuple(length for length in self.lengths if length in other.lengths),
        )

    @property
    def scale(self) -> Float:
        """Mean over people of the sd over places of each row, (rois,)."""
        return np.asarray(self.size_sum / self.people)

    def mean(self, rows: Rows) -> Float:
        """Return the mean of a set's standardised rows, (rois, places)."""
        return np.asarray(self.feature_sum[rows] / self.people)

    def weights(self, rows: Rows) -> Float:
        """Return the weights of a set's deviations (rois, places), of mean 1."""
        apart = np.sqrt(self.spread[rows] / self.people)
        # People whose connectomes differ by rounding alone do not differ.
        varies = apart.mean() > _ROUNDING * np.abs(self.feature_sum[rows]).mean() / self.people
        return np.asarray(apart / apart.mean() if varies else np.zeros_like(apart))


def _shared_lengths(people: Sequence[Person]) -> tuple[float, ...]:
    """Return the lengths that everybody has, and well below everybody's rest."""
    shortest = min(person.minutes for person in people)
    shared = [length for length in SHORTER_MINUTES if all(length in p.shorter for p in people)]
    return tuple(length for length in shared if shortest >= _LONGER * length)


@dataclass(frozen=True, eq=False)
class SetSums:
    """Sums of fits to a set's deviations D: of the second round.

    Maps count where they were measured, in this person and in another one, and a contrast only if
    it has values enough for a fit.
    """

    fit_sum: Float  # (contrasts, 1, 1 + rois), of intercepts and slopes
    fitted: NDArray[np.int64]  # people, (contrasts, 1)
    gram: Float  # (contrasts or 1, rois, rois), of D Dᵀ
    cross: Float  # (contrasts, rois), of D with deviations of the maps from the mean
    left_cross: Float  # the same from the mean of all others
    # Of each person's own slopes: with D and deviations from the others' mean, (contrasts,); D Dᵀ
    # times them, (contrasts, rois); and so from both sides, (contrasts,).
    fit_products: Float
    fit_gram: Float
    fit_squares: Float
    square: Float  # (1,), of the mean square of D of a person's segments
    # (`SHORTER_MINUTES`, rois), of standardised rows of shorter rest times the mean rows, over some
    # places; 0 for lengths that not everybody has.
    shorter: Float

    @classmethod
    def of(
        cls,
        person: Person,
        maps: MeanMaps,
        deviation: Float,
        fits: tuple[Float, NDArray[np.int64]],
    ) -> SetSums:
        """Return the sums of one person, from a deviation (rois, places) and fits of the maps.

        Those of its size and of shorter rest are 0.
        """
        slopes, fitted = fits
        measured, known = maps.left_out(person)
        known &= fitted > 0
        own, gram = slopes[:, 0, 1:], gram_of(deviation, known)
        cross = np.where(known, maps.deviation(person), 0.0) @ deviation.T
        left_cross = np.where(known, measured, 0.0) @ deviation.T
        fit_gram = (gram @ own[..., None])[..., 0]
        return cls(
            fit_sum=slopes,
            fitted=fitted,
            gram=gram,
            cross=cross,
            left_cross=left_cross,
            fit_products=(own * left_cross).sum(axis=1),
            fit_gram=fit_gram,
            fit_squares=(own * fit_gram).sum(axis=1),
            square=np.zeros(1),
            shorter=np.zeros((len(SHORTER_MINUTES), len(deviation))),
        )

    def __add__(self, other: SetSums) -> SetSums:
        return SetSums(*(getattr(self, name) + getattr(other, name) for name in SET_ARRAYS))

    def of_rest(
        self, square: float, shorter: Mapping[float, NDArray[np.floating[Any]]], mean: Float
    ) -> SetSums:
        """Return the sums with those of the size of a person's deviations, and of shorter rest.

        Parameters
        ----------
        square
            Mean over segments of the mean square.
        shorter
            By minutes, standardised rows of a set, (rois, some places).
        mean
            Mean over people of a set's rows, (rois, places).
        """
        found, some = np.zeros_like(self.shorter), mean[:, some_places(mean.shape[1])]
        for minutes, own in shorter.items():
            products = np.einsum("rv,rv->r", own.astype(np.float64), some)
            found[SHORTER_MINUTES.index(minutes)] = products
        return replace(self, square=np.array([square]), shorter=found)

    def factors(self, lengths: Sequence[float], people: int, mean: Float) -> Float:
        """Return by how much rows of shorter rest follow the mean rows, (lengths, rois).

        Parameters
        ----------
        lengths
            Minutes of shorter rest.
        people, mean
            As for `gains`.
        """
        some = mean[:, some_places(mean.shape[1])]
        squares = people * np.einsum("rv,rv->r", some, some)
        found = self.shorter[[SHORTER_MINUTES.index(minutes) for minutes in lengths]]
        return np.where(squares > 0, found / np.where(squares > 0, squares, 1.0), 1.0)

    def gains(self, people: int, mean: Float) -> Array:
        """Return the gain of each contrast, of coefficients without each person in turn.

        Parameters
        ----------
        people
            How many there are.
        mean
            Mean over people of a set's columns, (rois, places).
        """
        total, others = self.fit_sum[:, 0, 1:], np.maximum(self.fitted[:, 0] - 1, 1)
        away = people / (people - 1) / others
        products = away * ((total * self.left_cross).sum(axis=1) - self.fit_products)
        bent = (self.gram @ total[..., None])[..., 0] - 2 * self.fit_gram
        squares = away**2 * ((total * bent).sum(axis=1) + self.fit_squares)
        coefficients = mean_fits(self.fit_sum, self.fitted)[:, 0, 1:]
        whole = people * mean @ mean.T + self.gram
        slopes = Slopes(len(total))
        slopes.add_sums(
            products,
            np.maximum(squares, 0.0),
            (coefficients * (whole @ coefficients[..., None])[..., 0]).sum(axis=1),
        )
        return slopes.gains()


SET_ARRAYS = tuple(SetSums.__dataclass_fields__)


def gram_of(deviation: Float, known: NDArray[np.bool_]) -> Float:
    """Return products of deviations (rois, places) over known places, (contrasts or 1, …)."""
    if known.all():
        return (deviation @ deviation.T)[None]
    rows, kind = np.unique(np.packbits(known, axis=1), axis=0, return_inverse=True)
    found = np.empty((len(known), *deviation.shape[:1] * 2))
    for number in range(len(rows)):
        contrasts = np.flatnonzero(kind.ravel() == number)
        inside = deviation[:, known[contrasts[0]]]
        found[contrasts] = inside @ inside.T
    return found
