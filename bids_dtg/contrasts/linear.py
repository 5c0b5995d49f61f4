"""The linear model: from each place's connectome to its maps, with the same few coefficients.

For each training person and contrast, a least-squares fit over places regresses the map on the
standardised rows of the connectome; coefficients are means over people. A gain for each contrast
scales the deviations of predictions from their mean; it is found with each training person left
out in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.people import Array, Float, Person
from bids_dtg.contrasts.recentring import Correction, clipped_gains
from bids_dtg.stats.linear import (
    WHOLE,
    Region,
    fit_regions,
    mean_fits,
    parcel_regions,
    predict_regions,
    standardised,
)

_LEAST = float(np.finfo(np.float64).tiny)  # replaces a divisor of 0
Fits = tuple[Float, NDArray[np.bool_]]  # of a person, as `fit_regions` returns them


@dataclass(frozen=True, eq=False)
class Parcels:
    """Groups of places that share coefficients."""

    labels: NDArray[np.integer[Any]] | None  # (places,); None: all places share coefficients

    @cached_property
    def regions(self) -> Sequence[Region]:
        """Places of each parcel, in the order of the labels."""
        return WHOLE if self.labels is None else parcel_regions(self.labels)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model of connectomes, ready to predict.

    Examples
    --------
    >>> import numpy as np
    >>> coefficients = np.array([[[3.0, 2.0]]], np.float32)  # a contrast, a region, an ROI
    >>> LinearModel(coefficients).predict(np.array([[0.0, 0.5, 1.0]], np.float32)).round(2)
    array([[0.55, 3.  , 5.45]], dtype=float32)
    """

    coefficients: Array  # intercepts and slopes, (contrasts, parcels, 1 + rois)
    parcels: Parcels = Parcels(None)

    def __post_init__(self) -> None:
        regions = len(self.parcels.regions)
        if self.coefficients.ndim != 3 or self.coefficients.shape[1] != regions:
            raise ValueError(
                f"coefficients are (contrasts, {regions} parcels, 1 + rois), "
                f"found {self.coefficients.shape}"
            )

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
        coefficients = tensors["coefficients"]
        if coefficients.ndim != 3:
            raise ValueError(f"coefficients are of three axes, found {coefficients.shape}")
        if coefficients.shape[1] == 1:
            return cls(coefficients.astype(np.float32, copy=False))
        labels = tensors["parcels"]
        if labels.shape != (places,) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"parcels are {places} whole numbers, found {labels.dtype} {labels.shape}"
            )
        return cls(coefficients.astype(np.float32, copy=False), Parcels(labels))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the model's arrays by name."""
        found: dict[str, NDArray[Any]] = {"coefficients": self.coefficients}
        if self.parcels.labels is not None and len(self.parcels.regions) > 1:
            found["parcels"] = self.parcels.labels.astype(np.int32)
        return found

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, places) into maps (contrasts, places)."""
        regions = self.parcels.regions
        return predict_regions(self.coefficients, standardised(connectome, regions), regions)


class LinearSums:
    """Sums over people from which linear models are solved; sums of several sites can be added.

    Values that were not measured (NaN) are not counted, nor is a person with too few values in a
    parcel for a fit there.

    Parameters
    ----------
    parcels
        Groups of places that share coefficients.
    """

    def __init__(self, parcels: Parcels) -> None:
        self.parcels = parcels
        self.people = 0
        self.fit_sum: Float = np.zeros(0)  # (contrasts, parcels, 1 + rois)
        self.fitted: NDArray[np.int64] = np.zeros(0, np.int64)  # people, (contrasts, parcels)
        # Sums of `mean_features`, from which predictions are computed: (rois, places).
        self.feature_sum: Float = np.zeros(0)
        self.map_sum: Float = np.zeros(0)  # (contrasts, places)
        self.measured: NDArray[np.int64] = np.zeros(0, np.int64)  # people, (contrasts, places)

    def add(self, features: Float, maps: Array, fits: Fits) -> None:
        """Add a person.

        Parameters
        ----------
        features
            The person's, as `mean_features` returns them, (rois, places).
        maps
            Measured, (contrasts, places), NaN where nothing was measured.
        fits
            Fits of the person's maps, from `fit_person`.
        """
        slopes, fitted = fits
        if not self.people:
            self.fit_sum, self.fitted = np.zeros_like(slopes), np.zeros(fitted.shape, np.int64)
            self.feature_sum = np.zeros_like(features)
            self.map_sum, self.measured = np.zeros(maps.shape), np.zeros(maps.shape, np.int64)
        known = np.isfinite(maps)
        self.people += 1
        self.fit_sum += slopes
        self.fitted += fitted
        self.feature_sum += features
        self.map_sum += np.where(known, maps, 0.0)
        self.measured += known

    def __add__(self, other: LinearSums) -> LinearSums:
        both = LinearSums(self.parcels)
        both.people = self.people + other.people
        both.fit_sum, both.fitted = self.fit_sum + other.fit_sum, self.fitted + other.fitted
        both.feature_sum = self.feature_sum + other.feature_sum
        both.map_sum = self.map_sum + other.map_sum
        both.measured = self.measured + other.measured
        return both

    def model(self) -> LinearModel:
        """Return the model of all people."""
        coefficients = mean_fits(self.fit_sum, self.fitted).astype(np.float32)
        return LinearModel(coefficients, self.parcels)

    def mean_maps(self) -> Float:
        """Return the mean measured maps, (contrasts, places); 0 where nobody was measured."""
        return np.asarray(self.map_sum / np.maximum(self.measured, 1))

    def mean_prediction(self) -> Array:
        """Return the mean over people of the model's predictions, (contrasts, places)."""
        coefficients = mean_fits(self.fit_sum, self.fitted)
        return predict_regions(
            coefficients, self.feature_sum / max(self.people, 1), self.parcels.regions
        )

    def correction(self, gains: Array) -> Correction:
        """Return the correction: mean map + gain · (prediction - mean prediction)."""
        offset = self.mean_maps() - gains[:, None] * self.mean_prediction()
        return Correction(gains, offset.astype(np.float32))


class Slopes:
    """Slopes of measured on predicted deviations, of people who were left out in turn.

    Parameters
    ----------
    contrasts
        How many there are.
    """

    def __init__(self, contrasts: int) -> None:
        # Over people and places, (contrasts,).
        self._products, self._squares = np.zeros(contrasts), np.zeros(contrasts)
        self._predicted_squares = np.zeros(contrasts)

    def add(
        self,
        deviation: NDArray[np.floating[Any]],
        measured: NDArray[np.floating[Any]],
        predicted: NDArray[np.floating[Any]],
    ) -> None:
        """Add a person's deviations, 0 where nothing was measured, and whole prediction.

        All are (contrasts, places); the prediction gives the scale of rounding errors.
        """
        self.add_sums(
            np.einsum("qv,qv->q", deviation, measured, dtype=np.float64),
            np.einsum("qv,qv->q", deviation, deviation, dtype=np.float64),
            np.einsum("qv,qv->q", predicted, predicted, dtype=np.float64),
        )

    def add_sums(self, products: Float, squares: Float, predicted_squares: Float) -> None:
        """Add sums over people and places of what `add` takes, (contrasts,)."""
        self._products += products
        self._squares += squares
        self._predicted_squares += predicted_squares

    def gains(self) -> Array:
        """Return the gain of each contrast, (contrasts,), 0 where predictions do not differ."""
        shared = self._squares * (self._products.sum() / max(self._squares.sum(), _LEAST))
        products = (self._products + shared) / 2
        gains = clipped_gains(products, self._squares, self._predicted_squares)
        return gains.astype(np.float32)


class LeftOut:
    """Computes gains, with each training person left out of the model in turn.

    A person's maps are predicted by the coefficients of all others. The slope of measured on
    predicted maps is taken over people and measured places; the others' mean measured map and mean
    prediction are subtracted first. With few people the slope of one contrast is noisy: its gain is
    the mean of its own slope and the slope of all contrasts together.

    Parameters
    ----------
    everybody
        Sums of all people, including those of other sites.
    """

    def __init__(self, everybody: LinearSums) -> None:
        self._everybody = everybody
        self._slopes = Slopes(len(everybody.map_sum))

    def add(self, features: Float, maps: Array, fits: Fits) -> None:
        """Leave a person out, given by the same arguments as for `LinearSums.add`.

        Raises
        ------
        ValueError
            If no other person would remain.
        """
        sums = self._everybody
        if sums.people < 2:
            raise ValueError(f"{sums.people} person is too few to leave one out")
        coefficients = mean_fits(sums.fit_sum - fits[0], sums.fitted - fits[1])
        coefficients[..., 0] = 0.0  # subtracting the mean prediction cancels the intercept
        of_others = (sums.feature_sum - features) / (sums.people - 1)
        regions = sums.parcels.regions
        predicted = predict_regions(coefficients, features, regions)
        deviation = predict_regions(coefficients, features - of_others, regions)
        known = np.isfinite(maps)
        others = sums.measured - known
        own = np.where(known, maps, 0.0)
        measured = own - (sums.map_sum - own) / np.maximum(others, 1)
        known &= others > 0
        deviation[~known] = 0.0
        self._slopes.add(deviation, measured, predicted)

    def gains(self) -> Array:
        """Return the gain of each contrast, (contrasts,), 0 where predictions do not differ."""
        return self._slopes.gains()


def fit_person(person: Person, parcels: Parcels) -> Fits:
    """Fit a person's maps over places, on the mean connectome of all segments of rest."""
    features = standardised(person.mean_connectome(), parcels.regions)
    return fit_regions(features, person.maps, parcels.regions)


def mean_features(person: Person, parcels: Parcels) -> Float:
    """Return a person's mean features over segments, (rois, places), for linear predictions.

    They are the weighted mean over segments of rest of the standardised rows of the connectomes.
    """
    total = np.zeros(person.connectomes.shape[1:])
    for segment, weight in zip(person.connectomes, person.weights, strict=True):
        share = weight / sum(person.weights)
        total += share * standardised(segment.astype(np.float32), parcels.regions)
    return total
