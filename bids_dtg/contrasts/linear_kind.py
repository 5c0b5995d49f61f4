"""The kinds linear and linear-parcel: fitted to people, or read from tensors.

They need no validation people: gains are found with each training person left
out in turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.fields import finite_or_none
from bids_dtg.bundles.site_sums import SumsFile, hidden
from bids_dtg.contrasts.kind import LINEAR_SUMS, FitPlan, FitTask, Fitted, ModelSpace, Processor
from bids_dtg.contrasts.linear import (
    LeftOut,
    LinearModel,
    LinearSums,
    Parcels,
    fit_person,
    mean_features,
)
from bids_dtg.contrasts.people import MapModel
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.contrasts.site_sums import OVER, identities, space_facts
from bids_dtg.contrasts.weighted_files import OtherSites, write_first, write_second
from bids_dtg.contrasts.weighted_linear import WeightedFitting, WeightedLinear
from bids_dtg.contrasts.weighted_sums import FirstSums
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.errors import DatasetError
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places
from bids_dtg.notices import counted
from bids_dtg.settings import ModellingOptions
from bids_dtg.stats.linear import roi_parcels

FEWEST_PEOPLE = 5  # of all sites together
FEWEST_OWN = 2  # of this site: gains cannot be found from other sites' sums
_PREFIX = "linear."  # of the tensors' names
_MAPPED = ("means", "weights", "directions")  # large tensors, which stay in the file
_SUMS = SumsFile(
    kind="a linear model",
    name=LINEAR_SUMS,
    arrays=("fit_sum", "fitted", "feature_sum", "map_sum", "measured"),
    over=OVER,
)


@dataclass(frozen=True)
class LinearRecord:
    """How a linear model was fitted."""

    parcels: int  # number of parcels, each with its own coefficients
    coefficients: int  # number for each contrast and parcel
    participants: int  # of this site; each was left out in turn to find the gains
    participants_of_other_sites: int  # whose sums were added

    def to_json(self) -> dict[str, Any]:
        """Return the key `linear` of a card's record."""
        return {"linear": asdict(self)}


@dataclass(frozen=True)
class WeightedRecord:
    """How a weighted linear model was fitted."""

    sets: tuple[int, ...]  # numbers of ROIs
    participants: int  # of this site; each was left out in turn to find the last gains
    minutes: float  # of rest of all of them, those of other sites too
    strength: float  # of the shrinkage of coefficients on all people's deviations
    amplitude: bool  # whether it is read apart from the shape
    shorter_minutes: tuple[float, ...]  # lengths of rest whose mean connectomes it has, too
    participants_of_other_sites: int = 0  # whose sums were added

    def to_json(self) -> dict[str, Any]:
        """Return the key `linear` of a card's record."""
        facts = asdict(self) | {"minutes": finite_or_none(self.minutes)}
        return {"linear": facts}

    @property
    def words(self) -> str:
        """Describe the fit for the page, in a sentence.

        Examples
        --------
        >>> WeightedRecord((15, 50), 9, 90.0, 6.4, True, (3.0, 6.0)).words
        'The model is the mean over sets of 15 and 50 ROIs; 90 minutes of rest, shrinkage 6.4; the \
amplitude of a person is read apart from the shape. Short rest is compared with the mean of parts \
of 3, 6 minutes.'
        """
        *first, last = map(str, self.sets)
        sets = f"sets of {', '.join(first)} and {last}" if first else f"a set of {last}"
        mean = "the mean over " if first else "of "
        amplitude = "read apart from" if self.amplitude else "that of"
        text = (
            f"The model is {mean}{sets} ROIs; {self.minutes:.4g} minutes of rest, shrinkage "
            f"{self.strength:.3g}; the amplitude of a person is {amplitude} the shape."
        )
        if not self.shorter_minutes:
            return text
        lengths = ", ".join(f"{minutes:g}" for minutes in self.shorter_minutes)
        return f"{text} Short rest is compared with the mean of parts of {lengths} minutes."


@dataclass(frozen=True)
class LinearKind:
    """The functions of one of the two kinds, with the interface `KindModule`."""

    of_parcels: bool  # whether each ROI's parcel has its own coefficients

    def channels(self, weights: TensorFile) -> tuple[int, int]:
        """Return how many ROIs the model reads and how many maps it predicts."""
        contrasts, _, terms = weights.below(_PREFIX).shape("coefficients", axes=3)
        return terms - 1, contrasts

    def rest_minutes(self, weights: TensorFile) -> tuple[float, ...]:
        """Return the lengths of rest whose mean connectomes the model has; (): of one alone."""
        held = weights.below(_PREFIX)
        if "minutes" not in held.names():
            return ()
        minutes = held.mapped("minutes")
        if minutes.ndim != 1 or not (minutes > 0).all():
            raise weights.error(f" has {_PREFIX}minutes that are no lengths of rest")
        return tuple(minutes.tolist())

    def check(self, weights: TensorFile, places: Places) -> None:
        """Read the model."""
        read_linear(weights, places)

    def prepare(self, weights: TensorFile, places: Places, processor: Processor) -> MapModel:
        """Read the model; it computes on the CPU, whatever the device."""
        model = read_linear(weights, places)
        return _Mapped(model) if isinstance(model, WeightedLinear) else model

    def check_machine(self, options: ModellingOptions) -> None:
        """Do nothing: any machine can fit a linear model."""

    def check_plan(self, plan: FitPlan) -> None:
        """Check that there are enough people, and that the sums of other sites can be read.

        Raises
        ------
        DatasetError
            There are too few people.
        BundleError
            A file is damaged, or is of another model, other contrasts or another form.
        """
        if self._is_weighted(plan.space):
            sites = OtherSites.read(plan.options.add_sums, plan.space, plan.contrasts, None)
            _require_enough(plan.training, sites.people)
            return
        parcels = self.parcels(plan.space)
        others = _other_sums(plan.options, plan.space, plan.contrasts, parcels)
        _require_enough(plan.training, sum(sums.people for sums in others))

    def fit(self, task: FitTask) -> Fitted:
        """Fit training people one after the other, and find gains with each left out in turn.

        Raises
        ------
        DatasetError
            There are too few people.
        BundleError
            A file of other sites cannot be used.
        """
        if self._is_weighted(task.space):
            return _fit_weighted(task)
        parcels = self.parcels(task.space)
        names = identities(task.training)
        own, fits = LinearSums(parcels), []
        for person in task.training:
            fits.append(fit_person(person, parcels))
            own.add(mean_features(person, parcels), person.maps, fits[-1])
        facts = _facts(task.space, task.contrasts, parcels)
        _SUMS.write(task.folder / LINEAR_SUMS, own, facts, names)
        sums = own
        for other in _other_sums(
            task.options, task.space, task.contrasts, parcels, own=hidden(names)
        ):
            sums = sums + other
        _require_enough(own.people, sums.people - own.people)
        task.report(f"linear: {counted(own.people, 'participant')} fitted, each left out in turn")
        left_out = LeftOut(sums)
        for person, of_person in zip(task.training, fits, strict=True):
            left_out.add(mean_features(person, parcels), person.maps, of_person)
        model = sums.model()
        parcels_fitted, terms = model.coefficients.shape[1:]
        record = LinearRecord(parcels_fitted, terms, own.people, sums.people - own.people)
        return Fitted(
            model=model,
            tensors=tensors_of(model),
            record=record,
            correction=sums.correction(left_out.gains()),
            of_other_sites=record.participants_of_other_sites,
        )

    def parcels(self, space: ModelSpace) -> Parcels:
        """Return the groups of places that share coefficients."""
        return Parcels(roi_parcels(space.roi_maps) if self.of_parcels else None)

    def _is_weighted(self, space: ModelSpace) -> bool:
        return space.form.fixed is not None and not self.of_parcels


def _fit_weighted(task: FitTask) -> Fitted:
    """Fit the weighted model; keep both rounds of sums for other sites."""
    people, space, contrasts = task.training, task.space, task.contrasts
    names = identities(people)
    own = hidden(names)
    sites = OtherSites.read(task.options.add_sums, space, contrasts, own)
    _require_enough(len(people), sites.people)
    sets = space.form.sets or (space.rois,)
    first = FirstSums.of(people, sets)
    write_first(task.folder, first, space, contrasts, names)
    fitting = WeightedFitting(people, sets, sites.added_to(first))
    if sites.paths:
        everybody = [*own, *(label for site in sites.paths for label in site)]
        made = write_second(task.folder, fitting.sums, space, contrasts, names, everybody)
        sites.require_both_rounds(made)
    found = fitting.fit(list(sites.second.values()))
    task.report(
        f"linear: {counted(len(people), 'participant')} fitted, each left out in turn; "
        f"shrinkage {found.strength:.3g}, amplitude "
        + ("apart from the shape" if found.model.amplitude else "of the shape")
    )
    record = WeightedRecord(
        found.model.sets,
        len(people),
        round(found.minutes, 2),
        round(found.strength, 4),
        found.model.amplitude is not None,
        found.lengths,
        sites.people,
    )
    return Fitted(
        model=found.model,
        tensors=tensors_of(found.model),
        record=record,
        correction=Correction(found.gains, found.mean_maps.astype(np.float32)),
        of_other_sites=sites.people,
        words=record.words,
    )


@dataclass(frozen=True, eq=False)
class _Mapped:
    """A model whose large arrays are in a file, and in memory while it predicts with them."""

    model: WeightedLinear

    def of_rest(self, minutes: float) -> _Mapped:
        """Return the model for connectomes of so much rest."""
        return _Mapped(self.model.of_rest(minutes))

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, places) into deviations of maps (contrasts, places)."""
        with one_blas_thread():  # for many small products, beside a process that reads
            return self.model.predict(connectome)


WHOLE_BRAIN, BY_PARCEL = LinearKind(of_parcels=False), LinearKind(of_parcels=True)


def tensors_of(model: LinearModel | WeightedLinear) -> dict[str, NDArray[Any]]:
    """Return the tensors of a bundle."""
    return {_PREFIX + name: tensor for name, tensor in model.tensors().items()}


def read_linear(weights: TensorFile, places: Places) -> LinearModel | WeightedLinear:
    """Read the model for the places that it was fitted over.

    Raises
    ------
    BundleError
        Tensors are missing, damaged, or do not fit each other or the places.
    """
    held = weights.below(_PREFIX)
    try:
        if "weights" in held.names():
            return WeightedLinear.from_tensors(held.read(mapped=_MAPPED), places.number)
        return LinearModel.from_tensors(held.read(), places.number)
    except KeyError as err:
        raise weights.error(f" has no tensor {_PREFIX}{err.args[0]}") from err
    except ValueError as err:
        raise weights.error(f" does not fit the mask: {err}") from err


def read_sums(
    path: Path, space: ModelSpace, contrasts: Sequence[str], parcels: Parcels
) -> tuple[LinearSums, tuple[str, ...]]:
    """Read a file of sums, and the hashes of its people.

    Raises
    ------
    BundleError
        The file is damaged, its sums differ in one of these, or they cannot belong to its people.
    """
    arrays, people = _SUMS.read(path, _facts(space, contrasts, parcels))
    sums = LinearSums(parcels)
    sums.people = len(people)
    fitted = (len(contrasts), len(parcels.regions))
    maps = (len(contrasts), space.places.number)
    shapes = {
        "fit_sum": ("f", (*fitted, 1 + space.rois)),
        "fitted": ("i", fitted),
        "feature_sum": ("f", (space.rois, space.places.number)),
        "map_sum": ("f", maps),
        "measured": ("i", maps),
    }
    _SUMS.check_shapes(path, arrays, shapes)
    _SUMS.check_counts(path, arrays, dict.fromkeys(("fitted", "measured"), sums.people))
    for name in _SUMS.arrays:
        setattr(sums, name, arrays[name])
    return sums, people


def _facts(space: ModelSpace, contrasts: Sequence[str], parcels: Parcels) -> Mapping[str, Any]:
    """Return the facts that sums must share to be added."""
    labels = parcels.labels
    which = "none"
    if labels is not None:
        which = hashlib.sha256(np.asarray(labels, "<i4").tobytes()).hexdigest()
    return space_facts(space, contrasts) | {"parcels": which}


def _other_sums(
    options: ModellingOptions,
    space: ModelSpace,
    contrasts: Sequence[str],
    parcels: Parcels,
    *,
    own: Sequence[str] = (),
) -> Iterator[LinearSums]:
    """Read other sites' sums one by one; refuse people who are in `own` or in two files."""
    known = list(own)
    for name in options.add_sums:
        sums, whose = read_sums(Path(name), space, contrasts, parcels)
        _SUMS.require_others(Path(name), whose, known)
        known += whose
        yield sums


def _require_enough(own: int, others: int) -> None:
    if own + others >= FEWEST_PEOPLE and own >= FEWEST_OWN:
        return
    if own < FEWEST_OWN and others:
        found, expected = counted(own, "training participant"), f"{FEWEST_OWN} or more of one's own"
    else:
        found = counted(own, "training participant")
        found += f" and {others} in other sites' sums" if others else ""
        expected = f"{FEWEST_PEOPLE} or more"
    raise DatasetError(
        f"{found}: too few for a linear model",
        expected=expected,
        remedy="scan more people, or add sums of other sites (--add-sums)",
    )
