"""The weighted linear model: a person's maps from deviations of the person's connectome.

Each set of ROI maps has a connectome of its own. Its rows are standardised over places, and their
deviations from the training people's mean are weighted, value by value, by how far these people lie
apart there. A set predicts deviations of the maps by coefficients that are means over people of
least-squares fits, times a gain, and by coefficients on the deviations of all people together,
shrunk, for what the first ones leave. Predictions are means over sets.
``docs/explanation/linear.md`` has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.linear import Slopes
from bids_dtg.contrasts.people import Array, Float, Person
from bids_dtg.contrasts.weighted_sums import (
    FirstSums,
    Rows,
    SetSums,
    centred,
    rows_of,
    segments_of,
)
from bids_dtg.files.tensors import let_go
from bids_dtg.stats.linear import WHOLE, fit_regions, mean_fits, standardised

# The least strength of the shrinkage, and minutes of rest of all people that suffice for it.
LEAST_STRENGTH, ENOUGH_MINUTES = 4.0, 143.4
_FLAT = 8 * float(np.finfo(np.float32).eps)  # sd of such a share of the largest value is rounding
_PLACES = 4096  # that a prediction computes at a time
_PARTS = 8  # so many times these places are in memory of arrays that are mapped
_LEAST_SHARE = 0.1  # by which deviations of short rest are multiplied at least
Columns = Callable[
    [NDArray[np.floating[Any]]], Float
]  # turns a connectome (rois, places) into columns of a fit


@dataclass(frozen=True, eq=False)
class Amplitude:
    """How a person's overall size of deviations is read, apart from their shape."""

    directions: Array  # (contrasts, places), mean maps, centred and of length 1
    scale: Array  # (rois,), mean over people of the sd over places of a row
    coefficients: Array  # (contrasts, rois), on rows that are centred and divided by the scale
    centre: Array  # (contrasts, rois), mean over people of these rows along the directions

    def apply(self, maps: Array, connectome: Array, level: Array) -> Array:
        """Replace the part of maps (contrasts, places) along the directions, in place.

        Parameters
        ----------
        maps, connectome
            (contrasts, places) and (rois, places).
        level
            (rois, 1), means of the connectome's rows.
        """
        scale = 1.0 / np.where(self.scale > 0, self.scale, 1.0).astype(np.float64)
        along, found = np.zeros(self.centre.shape), np.zeros(len(maps))
        for places in _some_of(connectome.shape[1]):
            directions = self.directions[:, places]
            along += directions @ (connectome[:, places] - level).T
            found += np.einsum("qv,qv->q", maps[:, places], directions)
        along = along * scale - self.centre
        wanted = (self.coefficients * along).sum(axis=1)
        further = (wanted - found)[:, None].astype(np.float32)
        for places in _some_of(connectome.shape[1]):
            maps[:, places] += further * self.directions[:, places]
        let_go(self.directions)
        return maps


def nearest_length(minutes: float, lengths: Sequence[float]) -> int:
    """Return which length is nearest to so much rest; the first is that of whole rest.

    What is compared is 1 / minutes, as the variance of noise goes. More than the whole, or what is
    not known (0 or NaN), counts as whole rest.
    """
    if not 0 < minutes < lengths[0]:
        return 0
    apart = [abs(1 / length - 1 / minutes) for length in lengths]
    return apart.index(min(apart))


@dataclass(frozen=True, eq=False)
class ShortRest:
    """Mean connectomes of shorter rest: rows of the mean of whole rest, times factors.

    Examples
    --------
    >>> short = ShortRest(np.array([14.4, 3.0, 6.0]), np.ones((2, 1)))
    >>> [short.nearest(minutes) for minutes in (2.0, 3.9, 4.1, 8.0, 9.0, 30.0, 0.0, np.nan)]
    [1, 1, 2, 2, 0, 0, 0, 0]
    """

    minutes: Array  # (1 + lengths,), of a connectome: on the average of whole rest, then shorter
    factors: Array  # (lengths, rois)

    def __post_init__(self) -> None:
        if self.factors.ndim != 2 or self.minutes.shape != (1 + len(self.factors),):
            raise ValueError(f"factors {self.factors.shape}, of minutes {self.minutes.shape}")
        if not (self.minutes > 0).all():
            raise ValueError(f"minutes are above 0, found {self.minutes.min()}")

    def nearest(self, minutes: float) -> int:
        """Return the mean nearest to so much rest: 0 of whole rest, then of shorter one."""
        return nearest_length(minutes, self.minutes.tolist())


@dataclass(frozen=True, eq=False)
class WeightedLinear:
    """A weighted linear model of connectomes, ready to predict deviations of maps.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 3), np.float32)
    >>> model = WeightedLinear((1,), 0 * one[None], one, 2 * one[:, :1], one[0, :1], None)
    >>> model.predict(np.array([[0.0, 0.5, 1.0]], np.float32)).round(2)
    array([[-2.45,  0.  ,  2.45]], dtype=float32)
    """

    sets: tuple[int, ...]  # numbers of ROIs
    # (1, rois, places), means over people of standardised connectomes. Models of before have those
    # of shorter rest beside them, (1 + lengths, rois, places), and no factors.
    means: Array
    weights: Array  # (rois, places), of deviations; of mean 1 in each set
    coefficients: Array  # (contrasts, rois)
    squares: Array  # (sets,), mean square of the training people's weighted deviations
    amplitude: Amplitude | None  # None: it is that of the shape
    short: ShortRest | None = None  # None: nothing is known of shorter rest
    length: int = 0  # the mean that deviations are from: 0 of whole rest, then of shorter one

    def __post_init__(self) -> None:
        _, rois, places = self.means.shape
        shapes = {
            "weights": (rois, places),
            "coefficients": (len(self.coefficients), rois),
            "squares": (len(self.sets),),
        }
        for name, shape in shapes.items():
            if (found := getattr(self, name).shape) != shape:
                raise ValueError(f"{name} are {shape}, found {found}")
        if sum(self.sets) != rois or min(self.sets, default=0) < 1:
            raise ValueError(f"sets of {self.sets} ROIs are not {rois} together")
        if self.short is not None and self.short.factors.shape[1] != rois:
            raise ValueError(f"factors are (lengths, {rois}), found {self.short.factors.shape}")
        if self.short is not None and len(self.means) > 1:
            raise ValueError(f"with factors there is one array of means, found {len(self.means)}")

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], places: int) -> WeightedLinear:
        """Make the model from the result of `tensors`, for so many places.

        Raises
        ------
        KeyError
            If a tensor is missing.
        ValueError
            If they do not fit each other or the places.
        """
        own = {
            name: tensors[name].astype(np.float32, copy=False)
            for name in ("means", "weights", "squares")
        }
        coefficients, sets = tensors["coefficients"][:, 0, 1:], tensors["sets"]
        if own["means"].ndim != 3 or own["means"].shape[2] != places:
            raise ValueError(f"means are of {places} places, found {own['means'].shape}")
        if sets.ndim != 1 or not np.issubdtype(sets.dtype, np.integer):
            raise ValueError(f"sets are whole numbers, found {sets.dtype} {sets.shape}")
        amplitude = None
        if "directions" in tensors:
            names = ("directions", "scale", "amplitude_coefficients", "centre")
            found = [tensors[name].astype(np.float32, copy=False) for name in names]
            rois, contrasts = coefficients.shape[::-1]
            shapes = ((contrasts, places), (rois,), (contrasts, rois), (contrasts, rois))
            if tuple(array.shape for array in found) != shapes:
                raise ValueError(f"{', '.join(names)} are {shapes}")
            amplitude = Amplitude(*found)
        short = None
        if "factors" in tensors:
            minutes, factors = (tensors[name].astype(np.float32) for name in ("minutes", "factors"))
            short = ShortRest(minutes, factors)
        return cls(
            sets=tuple(int(rois) for rois in sets),
            coefficients=np.ascontiguousarray(coefficients, np.float32),
            amplitude=amplitude,
            short=short,
            means=own["means"],
            weights=own["weights"],
            squares=own["squares"],
        )

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the model's arrays by name."""
        # As in the plain linear model, (contrasts, 1, 1 + rois); there are no intercepts.
        coefficients = np.pad(self.coefficients, ((0, 0), (1, 0)))[:, None]
        found: dict[str, NDArray[Any]] = {
            "sets": np.array(self.sets, np.int32),
            "means": self.means,
            "weights": self.weights,
            "coefficients": coefficients,
            "squares": self.squares,
        }
        if self.short is not None:
            found |= {"minutes": self.short.minutes, "factors": self.short.factors}
        if self.amplitude is not None:
            found |= {
                "directions": self.amplitude.directions,
                "scale": self.amplitude.scale,
                "amplitude_coefficients": self.amplitude.coefficients,
                "centre": self.amplitude.centre,
            }
        return found

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, places) into deviations of maps (contrasts, places).

        Deviations are from that mean of the training people, of their whole or of shorter rest,
        which is nearest in length; a model that has arrays of means takes the one from which the
        connectome deviates least. If it is one of shorter rest, deviations of each set are
        multiplied by the ratio of the training people's mean square to their own, at most 1.
        """
        level = _level(connectome)
        length = self._nearest(connectome, level)
        maps = np.zeros((len(self.coefficients), connectome.shape[1]), np.float32)
        for rows in rows_of(self.sets):
            share = self._share(connectome, level, rows, length)
            for some, deviation in self._deviations(connectome, level, rows, length):
                found = self.coefficients[:, rows] @ deviation
                if share < 1:
                    found *= np.float32(share)
                maps[:, some] += found
        # Models that have arrays of means read the amplitude of whole rest alone, as they did.
        if self.amplitude is not None and not (length and len(self.means) > 1):
            maps = self.amplitude.apply(maps, connectome, level)
        return maps

    def of_rest(self, minutes: float) -> WeightedLinear:
        """Return the model for connectomes of so much rest; NaN: as much as they were fitted to."""
        if self.short is None:
            return self
        return replace(self, length=self.short.nearest(minutes))

    def _nearest(self, connectome: Array, level: Array) -> int:
        """Return the mean that deviations are from."""
        if len(self.means) == 1:
            return self.length
        of_lengths = [
            sum(self._square(connectome, level, rows, number) for rows in rows_of(self.sets))
            for number in range(len(self.means))
        ]
        return int(np.argmin(of_lengths))

    def _share(self, connectome: Array, level: Array, rows: Rows, length: int) -> float:
        """Return the factor on a set's deviations: below 1 only of shorter rest."""
        if not length or not (own := self._square(connectome, level, rows, length)):
            return 1.0
        own /= connectome.shape[1] * (rows.stop - rows.start)
        usual = float(self.squares[rows_of(self.sets).index(rows)])
        return float(min(1.0, max(_LEAST_SHARE, usual / own)))

    def _square(self, connectome: Array, level: Array, rows: Rows, length: int) -> float:
        """Return the sum of squares of a set's weighted deviations from a mean."""
        square = 0.0
        for _, deviation in self._deviations(connectome, level, rows, length):
            square += float(np.vdot(deviation, deviation))
        return square

    def _deviations(
        self, connectome: Array, level: Array, rows: Rows, length: int
    ) -> Iterator[tuple[slice, Array]]:
        """Yield places, and a set's weighted deviations there; let go of what is mapped."""
        for number, (some, features) in enumerate(_features(connectome[rows], level[rows])):
            if number % _PARTS == 0:
                self._let_go(rows)
            yield some, self._deviation(features, rows, some, length)
        self._let_go(rows)

    def _let_go(self, rows: Rows) -> None:
        for array in (*self.means, self.weights):
            let_go(array[rows])

    def _deviation(self, features: Array, rows: Rows, places: slice, length: int) -> Array:
        """Turn features into weighted deviations from a mean, in place."""
        if length and self.short is not None:
            factors = self.short.factors[length - 1, rows, None]
            features -= factors * self.means[0, rows, places]
        else:
            features -= self.means[length, rows, places]
        features *= self.weights[rows, places]
        return features


@dataclass(frozen=True, eq=False)
class WeightedFit:
    """A fitted model, and how it was fitted."""

    model: WeightedLinear
    gains: Array  # (contrasts,), of all deviations
    mean_maps: Float  # (contrasts, places), of the training people
    strength: float  # of the shrinkage
    minutes: float  # of rest of all training people; NaN: not known
    lengths: tuple[float, ...]  # minutes of the shorter rest whose means are known


class WeightedFitting:
    """A fit in two steps, between which sums of other people can be added.

    Parameters
    ----------
    people
        Two or more, who are at hand.
    sets
        Numbers of ROIs of the sets, in the order of the connectomes' rows.
    first
        Sums of the first round of everybody, those of other sites too.
    amplitude
        Whether the amplitude is read apart from the shape if that helps for people left out.

    Raises
    ------
    ValueError
        There are fewer than two people.
    """

    def __init__(
        self,
        people: Sequence[Person],
        sets: Sequence[int],
        first: FirstSums,
        *,
        amplitude: bool = True,
    ) -> None:
        if len(people) < 2:
            raise ValueError(f"{len(people)} person is too few to leave one out")
        self._people, self._sets, self._first = people, tuple(sets), first
        self._strength = shrinkage(first.minutes)
        strengths = (self._strength, None) if amplitude else (self._strength,)
        self._parts = [
            _Part.of(people, rows, first, strength)
            for strength in strengths
            for rows in rows_of(sets)
        ]

    @property
    def sums(self) -> tuple[SetSums, ...]:
        """Of the people at hand, of the second round: of the sets' shapes, then of their sizes."""
        return tuple(part.sums for part in self._parts)

    def fit(self, others: Sequence[Sequence[SetSums]] = ()) -> WeightedFit:
        """Solve; the last gains are those of the people at hand, left out in turn.

        Parameters
        ----------
        others
            Sums of other sites, as `sums`.
        """
        first, maps = self._first, self._first.maps
        solved = [
            part.solved([of_site[number] for of_site in others])
            for number, part in enumerate(self._parts)
        ]
        parts, sizes = solved[: len(self._sets)], solved[len(self._sets) :]
        directions = maps.directions()
        shape, size = _Judged(directions), _Judged(directions)
        for number, person in enumerate(self._people):
            measured, known = maps.left_out(person)
            for judged, of_sets in ((shape, parts), (size, sizes)):
                if of_sets:
                    predicted = _mean([part.left_out(number, person) for part in of_sets])
                    judged.add(predicted, measured, known)
        gains = shape.slopes.gains()
        squares = [float(part.sums.square[0]) / first.people for part in parts]
        return WeightedFit(
            model=WeightedLinear(
                sets=self._sets,
                means=(first.feature_sum / first.people).astype(np.float32)[None],
                weights=np.concatenate([part.weights for part in parts]).astype(np.float32),
                coefficients=_joined(parts).astype(np.float32),
                squares=np.array(squares, np.float32),
                amplitude=_amplitude(sizes, first.scale, directions, size.slopes.gains(), gains)
                if sizes and size.loss() < shape.loss()
                else None,
                short=_short_rest(parts, first),
            ),
            gains=gains,
            mean_maps=maps.mean,
            strength=self._strength,
            minutes=first.minutes,
            lengths=first.lengths,
        )


def fit_weighted(
    people: Sequence[Person], sets: Sequence[int], *, amplitude: bool = True
) -> WeightedFit:
    """Fit the model to training people; gains are found with each person left out in turn.

    Parameters and errors are those of `WeightedFitting`.
    """
    first = FirstSums.of(people, sets)
    return WeightedFitting(people, sets, first, amplitude=amplitude).fit()


def shrinkage(minutes: float) -> float:
    """Return how strongly coefficients of all people together are shrunk, by minutes of rest.

    Examples
    --------
    >>> shrinkage(200.0), round(shrinkage(71.7), 1), shrinkage(float("nan"))
    (4.0, 8.0, 8.0)
    """
    if np.isnan(minutes):
        return 2 * LEAST_STRENGTH
    return LEAST_STRENGTH * max(1.0, ENOUGH_MINUTES / minutes)


def sized(scale: NDArray[np.floating]) -> Columns:
    """Return what centres rows over places and divides them by a scale (rois,), not by their sd."""
    divisor = np.where(scale > 0, scale, 1.0)[:, None]
    return lambda connectome: centred(connectome) / divisor


def _some_of(places: int) -> Iterator[slice]:
    """Yield places that are computed with at a time: arrays of all would not fit the cache."""
    return (slice(low, low + _PLACES) for low in range(0, places, _PLACES))


def _level(connectome: Array) -> Array:
    """Return the means of rows, (rois, 1)."""
    level: Array = connectome.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    return level


def _features(connectome: Array, centre: Array) -> Iterator[tuple[slice, Array]]:
    """Yield places, and rows there that are standardised over all places, in 32 bits."""
    places = connectome.shape[1]
    squares, largest = np.zeros(centre.shape), np.zeros(centre.shape, np.float32)
    for some in _some_of(places):
        part = connectome[:, some]
        for end in (part.max(axis=1, keepdims=True), part.min(axis=1, keepdims=True)):
            np.maximum(largest, np.abs(end), out=largest)
        part = part - centre
        squares += np.einsum("rv,rv->r", part, part)[:, None]
    sd = np.sqrt(squares / places)
    # A constant row carries nothing, whatever rounding left of it.
    flat = sd <= _FLAT * largest
    scale = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, sd)).astype(np.float32)
    for some in _some_of(places):
        features = connectome[:, some] - centre
        features *= scale
        yield some, features


def _mean(arrays: Sequence[NDArray[np.floating[Any]]]) -> Float:
    total = np.zeros(arrays[0].shape)
    for array in arrays:
        total += array
    return np.asarray(total / len(arrays))


def _of_person(person: Person, rows: Rows, columns: Columns) -> Float:
    first, *more = (share * columns(segment) for share, segment in segments_of(person, rows))
    return sum(more, start=first)


class _Judged:
    """Predictions for people left out: their gains, and the error of amplitudes along directions.

    Parameters
    ----------
    directions
        (contrasts, places).
    """

    def __init__(self, directions: Array) -> None:
        contrasts = len(directions)
        self.slopes, self._directions = Slopes(contrasts), directions
        # Over people, (contrasts,): of predicted and measured amplitudes.
        self._products, self._squares = np.zeros(contrasts), np.zeros(contrasts)
        self._measured = np.zeros(contrasts)

    def add(self, predicted: Float, measured: Float, known: NDArray[np.bool_]) -> None:
        """Add a person's predicted and measured deviations, (contrasts, places)."""
        predicted = np.where(known, predicted, 0.0)
        self.slopes.add(predicted, measured, predicted)
        one, other = (
            np.einsum("qv,qv->q", values, self._directions) for values in (predicted, measured)
        )
        self._products += one * other
        self._squares += one * one
        self._measured += other * other

    def loss(self) -> float:
        """Return the squared error of amplitudes, as share of the measured, over contrasts."""
        gains, measured = self.slopes.gains().astype(np.float64), self._measured
        errors = measured - 2 * gains * self._products + gains**2 * self._squares
        return float(np.sum(errors[measured > 0] / measured[measured > 0]))


@dataclass(frozen=True, eq=False)
class _Part:
    """One set's coefficients, and what they are without each of the people at hand."""

    rows: Rows  # of the set
    columns: Columns  # of a connectome
    mean: Float  # (rois, places), of everybody's columns
    weights: Float | None  # (rois, places), of deviations; None: not weighted
    first: FirstSums  # of everybody, those of other sites too
    fits: Sequence[tuple[Float, NDArray[np.int64]]]  # of each person at hand
    sums: SetSums  # of the people at hand, until those of others are added
    # Of the shrinkage; None: no coefficients of all people together.
    strength: float | None
    gains: Float  # (contrasts,), of the fitted coefficients

    @classmethod
    def of(
        cls, people: Sequence[Person], rows: Rows, first: FirstSums, strength: float | None
    ) -> _Part:
        """Fit a set; without a strength it has the rows' sizes, and deviations are not weighted."""
        if strength is None:
            columns = sized(first.scale[rows])
            mean = columns(first.centred_sum[rows] / first.people)
            weights = None
        else:
            columns, mean, weights = _standard, first.mean(rows), first.weights(rows)
        fits, sums = [], None
        for person in people:
            square, own = 0.0, np.zeros_like(mean)
            for share, segment in segments_of(person, rows):
                of_segment = _weighted(columns(segment) - mean, weights)
                own += share * of_segment
                square += share * float(np.mean(of_segment**2))
            slopes, fitted = fit_regions(mean + own, person.maps, WHOLE)
            fits.append((slopes, fitted.astype(np.int64)))
            of_person = SetSums.of(person, first.maps, own, fits[-1])
            shorter = {} if strength is None else _shorter(person, first.lengths, rows)
            of_person = of_person.of_rest(square, shorter, mean)
            sums = of_person if sums is None else sums + of_person
        assert sums is not None
        return cls(rows, columns, mean, weights, first, fits, sums, strength, np.zeros(0))

    def solved(self, others: Sequence[SetSums]) -> _Part:
        """Return the part with sums of other people and its gains."""
        sums = sum(others, start=self.sums)
        gains = sums.gains(self.first.people, self.mean).astype(np.float64)
        return replace(self, sums=sums, gains=gains)

    def coefficients(self) -> Float:
        """Return the set's coefficients on weighted deviations, (contrasts, rois)."""
        fitted = self._fitted()
        if self.strength is None:
            return fitted
        return np.asarray(fitted + self._shared(self.sums.gram, self.sums.cross))

    def left_out(self, number: int, person: Person) -> Float:
        """Predict a training person's deviations by the other people, (contrasts, places)."""
        fits, fitted = self.fits[number]
        without = mean_fits(self.sums.fit_sum - fits, self.sums.fitted - fitted)[:, 0, 1:]
        coefficients = self.gains[:, None] * without
        own = _of_person(person, self.rows, self.columns) - self.mean
        deviation = _weighted(own, self.weights)
        if self.strength is not None:
            of_person = SetSums.of(person, self.first.maps, deviation, self.fits[number])
            coefficients = coefficients + self._shared(
                self.sums.gram - of_person.gram, self.sums.cross - of_person.cross
            )
        # From everybody's mean to that of the others.
        return np.asarray(coefficients @ deviation * (self.first.people / (self.first.people - 1)))

    def _fitted(self) -> Float:
        coefficients = mean_fits(self.sums.fit_sum, self.sums.fitted)[:, 0, 1:]
        return np.asarray(self.gains[:, None] * coefficients)

    def _shared(self, gram: Float, cross: Float) -> Float:
        """Solve for the coefficients on all people's deviations together, (contrasts, rois)."""
        assert self.strength is not None
        left = cross - (gram @ self._fitted()[..., None])[..., 0]
        rois = gram.shape[-1]
        ridge = self.strength * np.trace(gram, axis1=1, axis2=2) / rois
        ridge = np.where(ridge > 0, ridge, 1.0)[:, None, None] * np.eye(rois)
        return np.asarray(np.linalg.solve(gram + ridge, left[..., None])[..., 0])


def _standard(connectome: NDArray[np.floating[Any]]) -> Float:
    return standardised(connectome, WHOLE)


def _weighted(deviation: Float, weights: Float | None) -> Float:
    return deviation if weights is None else weights * deviation


def _shorter(
    person: Person, lengths: Sequence[float], rows: Rows
) -> dict[float, NDArray[np.floating[Any]]]:
    return {minutes: person.shorter[minutes][rows] for minutes in lengths}


def _short_rest(parts: Sequence[_Part], first: FirstSums) -> ShortRest | None:
    """Return what rows of shorter rest are; None: there are no lengths that everybody has."""
    if not first.lengths:
        return None
    found = [part.sums.factors(first.lengths, first.people, part.mean) for part in parts]
    minutes = [first.minutes / first.connectomes, *first.lengths]
    return ShortRest(np.array(minutes, np.float32), np.hstack(found).astype(np.float32))


def _joined(parts: Sequence[_Part]) -> Float:
    """Return the coefficients of the mean over sets, (contrasts, rois)."""
    return np.hstack([part.coefficients() for part in parts]) / len(parts)


def _amplitude(
    parts: Sequence[_Part], scale: Float, directions: Array, own_gains: Array, gains: Array
) -> Amplitude:
    """Return how amplitudes are read; the model's gains are applied to them later."""
    mean = np.concatenate([part.mean for part in parts])
    ratio = np.where(gains > 0, own_gains / np.where(gains > 0, gains, 1.0), 0.0)
    return Amplitude(
        directions=directions,
        scale=scale.astype(np.float32),
        coefficients=(ratio[:, None] * _joined(parts)).astype(np.float32),
        centre=(directions @ mean.T).astype(np.float32),
    )
