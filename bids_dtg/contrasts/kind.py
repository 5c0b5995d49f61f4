"""The interface of a kind of model: how it is fitted, stored as tensors, and prepared to predict.

Each kind is a module with the functions of `KindModule`; its row is in
`bids_dtg.contrasts.bundle.kinds`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.people import Array, MapModel, Person, mean_maps
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.files.tensors import TensorFile
from bids_dtg.imaging.places import Places
from bids_dtg.settings import ModellingOptions
from bids_dtg.stats.half_width import HalfWidths


@dataclass(frozen=True)
class Processor:
    """Where a model computes."""

    device: str = "cpu"  # as torch names it
    threads: int | None = None  # on the CPU; None: as NumPy's BLAS is set
    report: Callable[[str], None] = warnings.warn  # receives lines, e.g. on too little memory


@dataclass(frozen=True, eq=False)
class ModelSpace:
    """Places where a model reads and predicts, and their identity."""

    places: Places
    roi_maps: NDArray[np.floating]  # (rois, places), of the ROIs whose connectomes it reads
    model: str  # identity of the bundle that defines the space
    mask_sha256: str  # of its mask's file
    roi_maps_sha256: str  # of its ROI maps' file
    form: Form = MARGINAL  # of the connectomes that it reads
    joins_runs: bool = False  # whether a connectome is of all runs of a session, joined

    @property
    def rois(self) -> int:
        """How many ROIs a connectome has."""
        return len(self.roi_maps)


@dataclass(frozen=True)
class FitPlan:
    """Facts of a fit that are known before anybody's data are read."""

    options: ModellingOptions  # of the call
    space: ModelSpace  # of the model
    contrasts: tuple[str, ...]  # labels of the maps' rows
    training: int  # how many people to train on
    incomplete: tuple[str, ...]  # training and validation people who lack a contrast


CHECKPOINTS = "network"  # folder of a task, from which a later call continues


@dataclass(frozen=True, eq=False)
class FitTask:
    """People to fit a model to, and options of the fit."""

    options: ModellingOptions  # of the call
    space: ModelSpace  # of the model
    contrasts: tuple[str, ...]  # labels of the maps' rows
    training: Sequence[Person]  # people to fit the model to
    validation: Sequence[Person]  # people to choose by
    device: str  # where to compute, as torch names it
    folder: Path  # of checkpoints, from which a later call continues
    report: Callable[[str], None]  # receives a line now and then

    @cached_property
    def mean(self) -> Array:
        """Mean measured maps of the training people, (contrasts, voxels)."""
        return mean_maps(self.training)


class FitRecord(Protocol):
    """How a model of a kind was fitted: the kind's part of the card's `record`."""

    def to_json(self) -> dict[str, Any]:
        """Return the keys for the card's `record`."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """Result of a fit."""

    model: MapModel  # ready to predict
    tensors: Mapping[str, NDArray[Any]]  # of the bundle's weights
    record: FitRecord  # how it was fitted
    # Found during the fit, with each training person left out in turn; None: to be found on the
    # validation people.
    correction: Correction | None = None
    # From errors for training people, each left out in turn; None: not found during the fit.
    half_widths: HalfWidths | None = None
    words: str = ""  # what the page says of the fit, in a sentence; empty: nothing


class KindModule(Protocol):
    """The functions that each kind of model has."""

    def channels(self, weights: TensorFile) -> tuple[int, int]:
        """Return how many ROIs a model reads and how many maps it predicts; headers alone.

        Raises
        ------
        BundleError
            If the file is no safetensors file, lacks a tensor, or its parts do not fit.
        """
        ...

    def check(self, weights: TensorFile, places: Places) -> None:
        """Read all of a model's tensors.

        Raises
        ------
        BundleError
            If they are damaged, do not belong together or do not fit the places.
        """
        ...

    def prepare(self, weights: TensorFile, places: Places, processor: Processor) -> MapModel:
        """Read a model and make it ready to predict at the places.

        Raises
        ------
        BundleError
            As for `check`.
        """
        ...

    def check_machine(self, options: ModellingOptions) -> None:
        """Check that this machine can fit the kind with the given options.

        Raises
        ------
        SettingsError
            A package or a device is missing.
        """
        ...

    def check_plan(self, plan: FitPlan) -> None:
        """Check, before anybody's data are read, that the kind can be fitted to these people.

        Raises
        ------
        DtgError
            There are too few, or a file named in the options cannot be used.
        """
        ...

    def fit(self, task: FitTask) -> Fitted:
        """Fit the kind, continuing where an earlier call was stopped.

        Raises
        ------
        DtgError
            The people cannot be fitted to, or there is too little memory.
        """
        ...
