"""People with rest and measured maps as arrays, to fit and evaluate models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Floats, Mask, Values
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.half_width import HalfWidths
from bids_dtg.contrasts.maps import MapAverage
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.imaging.places import Places

_FINGERPRINT_VOXELS = 64  # central voxels that are compared to recognise the same data


class MapModel(Protocol):
    """A model that turns a connectome into maps."""

    def predict(self, connectome: Float32) -> Float32:
        """Turn a connectome (rois, voxels) into maps (contrasts, voxels)."""
        ...


@dataclass(frozen=True, eq=False)
class Person:
    """One participant's arrays over the model's mask, memory-mapped."""

    label: str  # without sub-
    connectomes: Floats  # (segments, rois, voxels)
    weights: tuple[float, ...]  # weight of each segment, see `segment_weight`
    # Measured maps (contrasts, voxels) of a session, NaN: not measured; a second one is a retest.
    sessions: tuple[Floats, ...]
    form: Form = MARGINAL  # of the connectomes
    minutes: float = np.nan  # of rest in all segments together; NaN: not known
    residual_dof: float = np.nan  # in all segments together; NaN: not known
    # Mean framewise displacement of the rest; NaN: not known.
    fd_mm: float = np.nan
    # Factor of the deviation of predicted maps, as of `Connectome`.
    deviation: float = 1.0

    def with_one_set(self) -> Person:
        """Return the person with connectomes of one set only, the one nearest to 50 ROIs."""
        rows = self.form.one_set(self.connectomes.shape[1])
        if rows == slice(0, self.connectomes.shape[1]):
            return self
        return replace(self, connectomes=self.connectomes[:, rows])

    @property
    def maps(self) -> Float32:
        """The maps to predict."""
        return self.sessions[0]

    def fingerprint(self) -> str:
        """Return the SHA-256 of a block of central voxels: a cheap identity of these arrays."""
        middle = self.maps.shape[1] // 2
        part = slice(middle, middle + _FINGERPRINT_VOXELS)
        content = self.maps[:, part].tobytes() + self.connectomes[..., part].tobytes()
        return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, eq=False)
class FitData:
    """The people to whom a model is fitted, and where their arrays are."""

    training: Sequence[Person]
    validation: Sequence[Person]  # empty if the kind needs nobody for it
    places: Places  # voxels or parcels


def predicted_maps(predict: Callable[[Float32], Float32], person: Person) -> Float32:
    """Predict a person's maps as the participant level does: the mean over segments."""
    average = MapAverage()
    for segment, weight in zip(person.connectomes, person.weights, strict=True):
        maps = predict(segment.astype(np.float32))
        # Any weight can be given as the duration, because only the mean is used.
        average.add(maps, seconds=weight)
    return average.mean


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model, and what its bundle needs."""

    model: MapModel  # before the correction
    tensors: Mapping[str, Values]  # weights for the bundle
    record: Mapping[str, Any]  # how it was fitted, for the model card
    kind: str = ""  # name of its row, which `analyses.fit` sets
    correction: Correction | None = None  # of its maps; None: none
    # Whether correction and half-widths come from leaving out each training person in turn, or
    # from the validation people.
    left_out_in_turn: bool = False
    # Labels of the contrasts whose corrected map is the same for everybody.
    same_for_all: tuple[str, ...] = ()
    half_widths: HalfWidths | None = None  # of the prediction intervals; None: none
    # Of left minus right, (contrasts, pairs + 1) as `Homologues.values`; None: none.
    asymmetry_widths: HalfWidths | None = None
    words: str = ""  # sentence about the fit for the page; empty: none

    def predict(self, person: Person) -> Float32:
        """Predict a person's maps: the mean over segments, corrected."""
        maps = predicted_maps(self.model.predict, person)
        if self.correction is None:
            return maps
        return self.correction.scaled(person.deviation).apply(maps)


@dataclass(frozen=True, eq=False)
class MeanMaps:
    """Sums of people's measured maps, from which means are computed."""

    total: Float64  # (contrasts, voxels)
    count: NDArray[np.int64]  # people with a value, (contrasts, voxels)

    @classmethod
    def of(cls, people: Sequence[Person]) -> MeanMaps:
        """Add up people's maps."""
        total = np.zeros(people[0].maps.shape)
        count = np.zeros(total.shape, np.int64)
        for person in people:
            is_measured = np.isfinite(person.maps)
            total += np.where(is_measured, person.maps, 0.0)
            count += is_measured
        return cls(total, count)

    @property
    def mean(self) -> Float64:
        """Mean maps, (contrasts, voxels); 0 where nobody was measured."""
        return self.total / np.maximum(self.count, 1)

    def deviation(self, person: Person) -> Float64:
        """Return measured maps minus the mean; 0 where nothing was measured."""
        return np.where(np.isfinite(person.maps), person.maps - self.mean, 0.0)

    def left_out(self, person: Person) -> tuple[Float64, Mask]:
        """Return measured maps minus the mean of all others, and where both are measured."""
        is_measured = np.isfinite(person.maps)
        count = self.count - is_measured  # of the others
        maps = np.where(is_measured, person.maps, 0.0)
        deviation = maps - (self.total - maps) / np.maximum(count, 1)
        is_measured &= count > 0
        return np.where(is_measured, deviation, 0.0), is_measured


def mean_segments(people: Sequence[Person]) -> int:
    """Return the mean number of segments of rest per person, rounded."""
    return round(float(np.mean([len(person.connectomes) for person in people])))


def mean_maps(people: Sequence[Person]) -> Float32:
    """Return the mean measured maps, (contrasts, voxels); 0 where nobody was measured."""
    return MeanMaps.of(people).mean.astype(np.float32)
