"""Maps of connectomes: predicted for each segment of rest, and averaged."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.maps import Estimate, MapAverage, require_finite
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.engine.gpu import map_device
from bids_dtg.engine.machine import available_cores
from bids_dtg.errors import SettingsError

_LARGEST_R = 1.001  # a correlation, with the rounding of half precision


def predict_maps(
    connectome: Connectome | RunConnectomes,
    bundle: ModelBundle,
    *,
    device: str = "auto",
    threads: int | None = None,
) -> Estimate:
    """Predict contrast maps from the connectome of one or several segments of rest.

    Parameters
    ----------
    connectome
        (rois, voxels of the bundle's mask). For a `RunConnectomes`, the maps of the segments are
        averaged, as the program does.
    bundle
        Model that predicts the maps.
    device
        Device that computes: cpu, cuda, or auto, which is the CPU.
    threads
        Threads to compute with; by default all cores.

    Returns
    -------
    Estimate
        (contrasts, voxels of the bundle's mask).

    Raises
    ------
    SettingsError
        The device is not there, or the model reads connectomes of another form.
    BundleError
        The weights cannot be read.
    RunError
        There is too little memory, or the maps are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.contrasts.bundle.bundle import load_bundle
    >>> bundle = load_bundle("demo")
    >>> r = np.zeros((bundle.rois, bundle.places.number), np.float32)
    >>> estimate = predict_maps(Connectome(r, frames=100, seconds=432.0), bundle, device="cpu")
    >>> estimate.values.shape, len(estimate.contrasts)
    ((47, 163310), 47)
    """
    segments = segments_of(connectome, bundle)
    model = Model(bundle, map_device(device), threads or available_cores())
    estimate = estimate_maps(segments, model)
    if bundle.half_widths is not None:
        estimate = replace(estimate, half_widths=bundle.half_widths.at_places)
    for note in model.take_notes():
        warnings.warn(note, stacklevel=2)
    return estimate


def segments_of(
    connectome: Connectome | RunConnectomes, bundle: ModelBundle
) -> Sequence[Connectome]:
    """Return the segments of what a caller gave, once the model can read each.

    Raises
    ------
    TypeError
        It is no connectome.
    SettingsError
        It is of another form or size than the model reads, or holds what is no correlation where
        that is its form.
    """
    if not isinstance(connectome, Connectome | RunConnectomes):
        raise TypeError(
            f"the connectome is a {type(connectome).__name__}. Expected: of measure or "
            "measure_array, or Connectome(r, frames, seconds)"
        )
    parts = [connectome] if isinstance(connectome, Connectome) else connectome.segments
    read, wanted = bundle.card.part.connectome, (bundle.rois, bundle.places.number)
    for part in parts:
        if part.form != read:
            raise SettingsError(
                f"the connectome is of the form {part.form.title}",
                expected=f"{read.title}, which {bundle.card.name} reads",
                remedy="measure the run with this model's bundle",
            )
        largest = float(np.max(np.abs(part.r), initial=0.0))
        if not read.row.joint and largest > _LARGEST_R and math.isfinite(largest):
            raise SettingsError(
                f"the connectome has values up to {largest:.3g}",
                expected="correlations, -1 to 1 (Pearson r, not Fisher's z)",
            )
        if part.r.shape != wanted:
            raise SettingsError(
                f"the connectome is {part.r.shape}",
                expected=f"{wanted}, ROIs and voxels of {bundle.card.name}",
            )
    return parts


def estimate_maps(segments: Sequence[Connectome], model: Model) -> Estimate:
    """Predict the maps of one or several segments of rest by a prepared model.

    Raises
    ------
    BundleError, RunError
        See `predict_maps`.
    """
    average = MapAverage(by_dof=all(math.isfinite(part.residual_dof) for part in segments))
    for part in segments:
        add_maps(average, model, part)
    return average_of(average, model)


def add_maps(average: MapAverage, model: Model, connectome: Connectome) -> None:
    """Add the maps of a segment of rest to an average.

    Raises
    ------
    RunError
        The device has too little memory, or a map is not finite.
    """
    # Overflow is refused later.
    with np.errstate(over="ignore", invalid="ignore"):
        maps = model.predict(connectome.r)
        require_finite(maps, model.contrasts)
        average.add(
            maps,
            seconds=connectome.seconds,
            residual_dof=connectome.residual_dof,
            data=(connectome.r != 0).any(axis=0) if model.by_place else None,
        )


def average_of(average: MapAverage, model: Model) -> Estimate:
    """Return the average of maps; refuse values that have overflowed."""
    with np.errstate(over="ignore", invalid="ignore"):
        estimate = average.result(model.contrasts)
    values = estimate.values
    if average.data.ndim:
        values = values[:, ~np.isnan(values).all(axis=0)]  # where there are data
    require_finite(values, estimate.contrasts)
    return estimate
