"""The linear model: a person's maps from deviations of the person's connectome.

Each set of ROI maps has a connectome of its own. Its rows are standardised over places, and their
deviations from the training people's mean are weighted, value by value, by how far these people lie
apart there. A set predicts deviations of the maps by coefficients that are means over people of
least-squares fits, times a gain, and by coefficients on the deviations of all people together,
shrunk, for what the first ones leave. Predictions are means over sets.
``docs/explanation/linear.md`` has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.people import Array, Float, MeanMaps, Person
from bids_dtg.contrasts.recentring import clipped_gains
from bids_dtg.files.tensors import let_go
from bids_dtg.imaging.lattice import Lattice, single_lattice
from bids_dtg.stats.half_width import HalfWidths, LeftOutErrors
from bids_dtg.stats.linear import WHOLE, fit_regions, mean_fits, standardised

# The least strength of the shrinkage, and minutes of rest of all people that suffice for it.
LEAST_STRENGTH, ENOUGH_MINUTES = 4.0, 143.4
_FLAT = 8 * float(np.finfo(np.float32).eps)  # sd of such a share of the largest value is rounding
_ROUNDING = 1e-9  # of standardised values
_LEAST = float(np.finfo(np.float64).tiny)  # replaces a divisor of 0
_PLACES = 4096  # that a prediction computes at a time
_PARTS = 8  # so many times these places are in memory of arrays that are mapped
Rows = slice  # of a set's ROIs in a connectome
Fits = tuple[Float, NDArray[np.int64]]  # of a person, as `fit_regions` returns them


def rows_of(sets: Sequence[int]) -> tuple[Rows, ...]:
    """Return the rows of each set of ROIs in a connectome.

    Examples
    --------
    >>> rows_of([2, 3])
    (slice(0, 2, None), slice(2, 5, None))
    """
    ends = np.cumsum(sets).tolist()
    return tuple(slice(end - rois, end) for rois, end in zip(sets, ends, strict=True))


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


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model of connectomes, ready to predict deviations of maps.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 3), np.float32)
    >>> model = LinearModel((1,), 0 * one, one, 2 * one[:, :1])
    >>> model.predict(np.array([[0.0, 0.5, 1.0]], np.float32)).round(2)
    array([[-2.45,  0.  ,  2.45]], dtype=float32)
    """

    sets: tuple[int, ...]  # numbers of ROIs
    means: Array  # (rois, places), means over people of standardised connectomes
    weights: Array  # (rois, places), of deviations; of mean 1 in each set
    coefficients: Array  # (contrasts, rois)

    def __post_init__(self) -> None:
        rois, _ = self.means.shape
        shapes = {"weights": self.means.shape, "coefficients": (len(self.coefficients), rois)}
        for name, shape in shapes.items():
            if (found := getattr(self, name).shape) != shape:
                raise ValueError(f"{name} are {shape}, found {found}")
        if sum(self.sets) != rois or min(self.sets, default=0) < 1:
            raise ValueError(f"sets of {self.sets} ROIs are not {rois} together")

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], places: int) -> LinearModel:
        """Make the model from the result of `tensors`, for so many places.

        Raises
        ------
        KeyError
            If a tensor is missing.
        ValueError
            If they do not fit each other or the places.
        """
        means, weights, coefficients = (
            tensors[name].astype(np.float32, copy=False)
            for name in ("means", "weights", "coefficients")
        )
        sets = tensors["sets"]
        if means.ndim != 2 or means.shape[1] != places:
            raise ValueError(f"means are of {places} places, found {means.shape}")
        if sets.ndim != 1 or not np.issubdtype(sets.dtype, np.integer):
            raise ValueError(f"sets are whole numbers, found {sets.dtype} {sets.shape}")
        return cls(tuple(int(rois) for rois in sets), means, weights, coefficients)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the model's arrays by name."""
        return {
            "sets": np.array(self.sets, np.int32),
            "means": self.means,
            "weights": self.weights,
            "coefficients": self.coefficients,
        }

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, places) into deviations of maps (contrasts, places)."""
        maps = np.zeros((len(self.coefficients), connectome.shape[1]), np.float32)
        for rows in rows_of(self.sets):
            coefficients = self.coefficients[:, rows]
            for number, (some, features) in enumerate(_features(connectome[rows])):
                if number % _PARTS == 0:
                    self._let_go(rows)
                features -= self.means[rows, some]
                features *= self.weights[rows, some]
                maps[:, some] += coefficients @ features
            self._let_go(rows)
        return maps

    def _let_go(self, rows: Rows) -> None:
        """Give memory of a mapped file back."""
        for array in (self.means, self.weights):
            let_go(array[rows])


@dataclass(frozen=True, eq=False)
class LinearFit:
    """A fitted model, and how it was fitted."""

    model: LinearModel
    gains: Array  # (contrasts,), of all deviations, found with each person left out in turn
    half_widths: HalfWidths  # by errors for the people, each left out in turn
    mean_maps: Float  # (contrasts, places), of the training people
    strength: float  # of the shrinkage
    minutes: float  # of rest of all training people; NaN: not known


def fit_people(
    people: Sequence[Person], sets: Sequence[int], lattice: Lattice | None = None
) -> LinearFit:
    """Fit the model to training people; gains are found with each person left out in turn.

    Parameters
    ----------
    people
        Two or more.
    sets
        Numbers of ROIs of the sets, in the order of the connectomes' rows.
    lattice
        Blocks of places whose errors are pooled in half-widths; None: each place alone.

    Raises
    ------
    ValueError
        There are fewer than two people.
    """
    if len(people) < 2:
        raise ValueError(f"{len(people)} person is too few to leave one out")
    maps, minutes = MeanMaps.of(people), float(sum(person.minutes for person in people))
    strength = shrinkage(minutes)
    parts = [_Part.of(people, rows, maps, strength) for rows in rows_of(sets)]
    slopes = Slopes(len(maps.mean))
    lattice = lattice or single_lattice(maps.mean.shape[1], edge=1)
    errors = LeftOutErrors(len(maps.mean), lattice)
    for number, person in enumerate(people):
        measured, known = maps.left_out(person)
        predicted = np.zeros(measured.shape)
        for part in parts:
            predicted += part.left_out(number, person)
        predicted = np.where(known, predicted / len(parts), 0.0)
        slopes.add(predicted, measured)
        errors.add(predicted, np.where(known, measured, np.nan))
    gains = slopes.gains()
    coefficients = np.hstack([part.coefficients() for part in parts]) / len(parts)
    return LinearFit(
        model=LinearModel(
            sets=tuple(sets),
            means=np.concatenate([part.mean for part in parts]).astype(np.float32),
            weights=np.concatenate([part.weights for part in parts]).astype(np.float32),
            coefficients=coefficients.astype(np.float32),
        ),
        gains=gains,
        half_widths=errors.half_widths(
            gains,
            segments=round(float(np.mean([len(person.connectomes) for person in people]))),
            left_out_in_turn=True,
        ),
        mean_maps=maps.mean,
        strength=strength,
        minutes=minutes,
    )


class Slopes:
    """Slopes of measured on predicted deviations, of people who were left out in turn.

    With few people the slope of one contrast is noisy: its gain is the mean of its own slope and
    the slope of all contrasts together.

    Parameters
    ----------
    contrasts
        How many there are.
    """

    def __init__(self, contrasts: int) -> None:
        # Over people and places, (contrasts,).
        self._products, self._squares = np.zeros(contrasts), np.zeros(contrasts)
        self._predicted_squares = np.zeros(contrasts)

    def add(self, predicted: Float, measured: Float) -> None:
        """Add a person's deviations (contrasts, places), 0 where nothing was measured."""
        squares = np.einsum("qv,qv->q", predicted, predicted)
        self.add_sums(np.einsum("qv,qv->q", predicted, measured), squares, squares)

    def add_sums(self, products: Float, squares: Float, predicted_squares: Float) -> None:
        """Add sums over people and places of what `add` takes, (contrasts,).

        The squares of whole predictions give the scale of rounding errors.
        """
        self._products += products
        self._squares += squares
        self._predicted_squares += predicted_squares

    def gains(self) -> Array:
        """Return the gain of each contrast, (contrasts,), 0 where predictions do not differ."""
        shared = self._squares * (self._products.sum() / max(self._squares.sum(), _LEAST))
        products = (self._products + shared) / 2
        gains = clipped_gains(products, self._squares, self._predicted_squares)
        return gains.astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over people of fits to a set's deviations D.

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

    @classmethod
    def of(cls, person: Person, maps: MeanMaps, deviation: Float, fits: Fits) -> _Sums:
        """Return the sums of one person, from a deviation (rois, places) and fits of the maps."""
        slopes, fitted = fits
        measured, known = maps.left_out(person)
        known &= fitted > 0
        own, gram = slopes[:, 0, 1:], _gram_of(deviation, known)
        left_cross = np.where(known, measured, 0.0) @ deviation.T
        fit_gram = (gram @ own[..., None])[..., 0]
        return cls(
            fit_sum=slopes,
            fitted=fitted,
            gram=gram,
            cross=np.where(known, maps.deviation(person), 0.0) @ deviation.T,
            left_cross=left_cross,
            fit_products=(own * left_cross).sum(axis=1),
            fit_gram=fit_gram,
            fit_squares=(own * fit_gram).sum(axis=1),
        )

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(*(getattr(self, own.name) + getattr(other, own.name) for own in fields(self)))

    def gains(self, people: int, mean: Float) -> Float:
        """Return the gain of each contrast, of coefficients without each person in turn.

        Parameters
        ----------
        people
            How many there are.
        mean
            Mean over people of a set's standardised rows, (rois, places).
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
        return slopes.gains().astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Part:
    """One set's coefficients, and what they are without each of the people."""

    rows: Rows  # of the set
    mean: Float  # (rois, places), over people of standardised rows
    weights: Float  # (rois, places), of deviations
    maps: MeanMaps  # of all people
    fits: Sequence[Fits]  # of each person
    sums: _Sums  # of all people
    strength: float  # of the shrinkage
    gains: Float  # (contrasts,), of the fitted coefficients

    @classmethod
    def of(cls, people: Sequence[Person], rows: Rows, maps: MeanMaps, strength: float) -> _Part:
        """Fit a set."""
        mean, weights = _mean_and_weights(people, rows)
        fits: list[Fits] = []
        sums = None
        for person in people:
            deviation = weights * (_of_person(person, rows) - mean)
            slopes, fitted = fit_regions(mean + deviation, person.maps, WHOLE)
            fits.append((slopes, fitted.astype(np.int64)))
            of_person = _Sums.of(person, maps, deviation, fits[-1])
            sums = of_person if sums is None else sums + of_person
        assert sums is not None
        gains = sums.gains(len(people), mean)
        return cls(rows, mean, weights, maps, fits, sums, strength, gains)

    def coefficients(self) -> Float:
        """Return the set's coefficients on weighted deviations, (contrasts, rois)."""
        return self._fitted() + self._shared(self.sums.gram, self.sums.cross)

    def left_out(self, number: int, person: Person) -> Float:
        """Predict a training person's deviations by the other people, (contrasts, places)."""
        fits, fitted = self.fits[number]
        without = mean_fits(self.sums.fit_sum - fits, self.sums.fitted - fitted)[:, 0, 1:]
        deviation = self.weights * (_of_person(person, self.rows) - self.mean)
        own = _Sums.of(person, self.maps, deviation, self.fits[number])
        shared = self._shared(self.sums.gram - own.gram, self.sums.cross - own.cross)
        coefficients = self.gains[:, None] * without + shared
        # From everybody's mean to that of the others.
        people = len(self.fits)
        return np.asarray(coefficients @ deviation * (people / (people - 1)))

    def _fitted(self) -> Float:
        coefficients = mean_fits(self.sums.fit_sum, self.sums.fitted)[:, 0, 1:]
        return np.asarray(self.gains[:, None] * coefficients)

    def _shared(self, gram: Float, cross: Float) -> Float:
        """Solve for the coefficients on all people's deviations together, (contrasts, rois)."""
        left = cross - (gram @ self._fitted()[..., None])[..., 0]
        rois = gram.shape[-1]
        ridge = self.strength * np.trace(gram, axis1=1, axis2=2) / rois
        ridge = np.where(ridge > 0, ridge, 1.0)[:, None, None] * np.eye(rois)
        return np.asarray(np.linalg.solve(gram + ridge, left[..., None])[..., 0])


def _mean_and_weights(people: Sequence[Person], rows: Rows) -> tuple[Float, Float]:
    """Return the mean of a set's standardised rows, and weights of deviations from it."""
    mean = np.zeros(people[0].connectomes[0][rows].shape)
    spread = np.zeros_like(mean)
    for number, person in enumerate(people, 1):
        own = _of_person(person, rows)
        change = own - mean
        mean += change / number
        spread += change * (own - mean)
    apart = np.sqrt(spread / len(people))
    # People whose connectomes differ by rounding alone do not differ.
    varies = apart.mean() > _ROUNDING * np.abs(mean).mean()
    return mean, np.asarray(apart / apart.mean() if varies else np.zeros_like(apart))


def _of_person(person: Person, rows: Rows) -> Float:
    """Return the mean over segments of a set's standardised rows, (rois, places)."""
    total = sum(person.weights)
    found = np.zeros(person.connectomes[0][rows].shape)
    for segment, weight in zip(person.connectomes, person.weights, strict=True):
        found += weight / total * standardised(segment[rows].astype(np.float32), WHOLE)
    return found


def _gram_of(deviation: Float, known: NDArray[np.bool_]) -> Float:
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


def _features(connectome: Array) -> Iterator[tuple[slice, Array]]:
    """Yield places, and rows there that are standardised over all places, in 32 bits."""
    places = connectome.shape[1]
    parts = [slice(low, low + _PLACES) for low in range(0, places, _PLACES)]
    level = connectome.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    squares, largest = np.zeros(level.shape), np.zeros(level.shape, np.float32)
    for some in parts:
        part = connectome[:, some]
        for end in (part.max(axis=1, keepdims=True), part.min(axis=1, keepdims=True)):
            np.maximum(largest, np.abs(end), out=largest)
        part = part - level
        squares += np.einsum("rv,rv->r", part, part)[:, None]
    sd = np.sqrt(squares / places)
    # A constant row carries nothing, whatever rounding left of it.
    flat = sd <= _FLAT * largest
    scale = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, sd)).astype(np.float32)
    for some in parts:
        features = connectome[:, some] - level
        features *= scale
        yield some, features
