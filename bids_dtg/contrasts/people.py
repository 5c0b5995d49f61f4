"""People with rest and measured maps as arrays, to fit and evaluate models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.training_distribution.summary import Rest
from bids_dtg.contrasts.maps import MapAverage

Array = NDArray[np.float32]
Float = NDArray[np.float64]
_PLACES_AT_A_TIME = 8192
_LARGEST = float(np.finfo(np.float16).max)
_FINGERPRINT_VOXELS = 64  # in the middle of the brain, by which data are compared


class MapModel(Protocol):
    """An object that turns a connectome into maps."""

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, voxels) into maps (contrasts, voxels)."""
        ...


@runtime_checkable
class ModelOfRest(Protocol):
    """A model that is another one for less rest."""

    def of_rest(self, minutes: float) -> MapModel:
        """Return the model for connectomes of so much rest; NaN: not known."""
        ...


def for_rest(model: MapModel, minutes: float) -> MapModel:
    """Return a model for connectomes of so much rest: most are the same for all."""
    return model.of_rest(minutes) if isinstance(model, ModelOfRest) else model


@dataclass(frozen=True, eq=False)
class Person:
    """One participant's arrays over the model's mask, memory-mapped."""

    label: str  # without sub-
    connectomes: NDArray[np.float16]  # (segments, rois, voxels)
    weights: tuple[float, ...]  # weight of each segment: see `segment_weight`
    # Measured (contrasts, voxels), NaN: not measured; a second one is a retest of all contrasts.
    sessions: tuple[NDArray[np.float32], ...]
    rest: Rest | None = None  # summaries of it, cut and joined to several lengths; None: not read
    form: Form = MARGINAL  # of the connectomes
    # (segments, rois, rois), Pearson r of the ROI series, and effective degrees of freedom
    # (segments,): from them a joint form follows with another ridge. None: not known.
    roi_r: NDArray[np.floating] | None = None
    effective_dof: tuple[float, ...] = ()
    minutes: float = float("nan")  # of rest, all segments together; NaN: not known
    # By minutes, the mean over parts of the rest that are so long of their connectomes, each row
    # standardised over places: (rois, some places). Empty: not made.
    shorter: Mapping[float, NDArray[np.floating]] = field(default_factory=dict)
    residual_dof: float = float("nan")  # of all segments together; NaN: not known
    fd_mm: float = float("nan")  # mean framewise displacement of the rest; NaN: not known
    # By run, of its cleaned ROI series (`bids_dtg.inputs.rest_sketch`); empty: of arrays.
    sketches: Mapping[str, str] = field(default_factory=dict)

    def of_one_set(self) -> Person:
        """Return the person with the connectomes of one set of ROIs: that nearest to 50."""
        rows = self.form.one_set(self.connectomes.shape[1])
        if rows == slice(0, self.connectomes.shape[1]):
            return self
        return replace(self, connectomes=self.connectomes[:, rows])

    @property
    def maps(self) -> NDArray[np.float32]:
        """The maps to predict."""
        return self.sessions[0]

    def mean_connectome(self) -> NDArray[np.float32]:
        """Return the weighted mean over segments, (rois, voxels)."""
        total = np.zeros(self.connectomes.shape[1:], np.float32)
        for segment, weight in zip(self.connectomes, self.weights, strict=True):
            total += np.float32(weight / sum(self.weights)) * segment
        return total

    def with_form(self, form: Form) -> Person:
        """Return a copy of the person with connectomes of another ridge, in memory.

        Parameters
        ----------
        form
            A form with the same name as the person's own.

        Raises
        ------
        ValueError
            It has another name, or the ROIs' correlations are not known.

        Examples
        --------
        >>> import numpy as np
        >>> halves = np.full((1, 2, 3), 0.5, np.float16)
        >>> maps = (np.zeros((1, 3), np.float32),)
        >>> strong, roi_r = Form("partial", ridge=1.0), np.array([[[1.0, 0.5], [0.5, 1.0]]])
        >>> person = Person("01", halves, (1.0,), maps, None, strong, roi_r, (4.0,))
        >>> person.with_form(Form("partial", ridge=0.0)).connectomes[0, 0]
        array([1.5, 1.5, 1.5], dtype=float16)
        """
        if form == self.form:
            return self
        if self.roi_r is None:
            raise ValueError(f"the correlations of the ROIs of {self.label} are not known")
        made = np.empty(self.connectomes.shape, np.float16)
        of_segments = zip(self.connectomes, self.roi_r, self.effective_dof, strict=True)
        for segment, (values, roi_r, dof) in enumerate(of_segments):
            change = self.form.change(form, roi_r, dof).astype(np.float32)
            for start in range(0, values.shape[1], _PLACES_AT_A_TIME):
                part = slice(start, start + _PLACES_AT_A_TIME)
                changed = change @ values[:, part].astype(np.float32)
                # Without a ridge and with fewer frames than ROIs, values are unbounded.
                made[segment, :, part] = np.clip(changed, -_LARGEST, _LARGEST)
        return replace(self, connectomes=made, form=form)

    def fingerprint(self) -> str:
        """Return the SHA-256 of a block of central voxels: a cheap identity of these arrays."""
        middle = self.maps.shape[1] // 2
        part = slice(middle, middle + _FINGERPRINT_VOXELS)
        content = self.maps[:, part].tobytes() + self.connectomes[..., part].tobytes()
        return hashlib.sha256(content).hexdigest()


def predicted_maps(model: MapModel, person: Person) -> Array:
    """Predict a person's maps as the participant level does: the mean over segments."""
    *_, last = maps_by_segments(model, person)
    return last


def maps_by_segments(model: MapModel, person: Person) -> Iterator[Array]:
    """Yield a person's maps from the first segment of rest, the first two, and so on."""
    average = MapAverage()
    for segment, weight in zip(person.connectomes, person.weights, strict=True):
        minutes = person.minutes * weight / sum(person.weights)
        maps = for_rest(model, minutes).predict(segment.astype(np.float32))
        # The duration is irrelevant: only the mean is used.
        average.add(maps, seconds=weight)
        yield average.mean


@dataclass(frozen=True, eq=False)
class MeanMaps:
    """The sum of people's measured maps, where they were measured, and so their mean."""

    total: Float  # (contrasts, places)
    count: NDArray[np.int64]  # people, (contrasts, places)

    @classmethod
    def of(cls, people: Sequence[Person]) -> MeanMaps:
        """Add up people's maps."""
        total = np.zeros(people[0].maps.shape)
        count = np.zeros(total.shape, np.int64)
        for person in people:
            known = np.isfinite(person.maps)
            total += np.where(known, person.maps, 0.0)
            count += known
        return cls(total, count)

    @property
    def mean(self) -> Float:
        """Mean maps, (contrasts, places); 0 where nobody was measured."""
        return np.asarray(self.total / np.maximum(self.count, 1))

    def directions(self) -> Array:
        """Return mean maps that are centred and of length 1, (contrasts, places)."""
        centred = self.mean - self.mean.mean(axis=1, keepdims=True)
        length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
        return np.asarray(centred / np.where(length > 0, length, 1.0), np.float32)

    def deviation(self, person: Person) -> Float:
        """Return measured maps less the mean; 0 where nothing was measured."""
        return np.where(np.isfinite(person.maps), person.maps - self.mean, 0.0)

    def left_out(self, person: Person) -> tuple[Float, NDArray[np.bool_]]:
        """Return measured maps less the mean of all others, and where both are known."""
        known = np.isfinite(person.maps)
        others = self.count - known
        own = np.where(known, person.maps, 0.0)
        deviation = own - (self.total - own) / np.maximum(others, 1)
        known &= others > 0
        return np.where(known, deviation, 0.0), known


def mean_maps(people: Sequence[Person]) -> Array:
    """Return the mean measured maps, (contrasts, voxels); 0 where nobody was measured."""
    return MeanMaps.of(people).mean.astype(np.float32)


def filled(person: Person, mean: Array) -> Array:
    """Return a person's maps with the mean in place of values that were not measured."""
    maps: Array = np.where(np.isfinite(person.maps), person.maps, mean)
    return maps
