"""The model, prepared in the background, and its maps, averaged over segments."""

from __future__ import annotations

import math
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from bids_dtg.array_types import Float32
from bids_dtg.bundles.fetch import PUBLIC_HOST, fetch_models
from bids_dtg.bundles.store import (
    how_to_get,
    is_installed,
    unreadable_folders,
    user_cache,
    which_unreadable,
)
from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.registry import PUBLISHED, PublishedMaps
from bids_dtg.contrasts.maps import Estimate, MapAverage, require_finite
from bids_dtg.contrasts.people import MapModel
from bids_dtg.engine.machine import available_cores, map_device
from bids_dtg.errors import BundleError, OutputError, RunError, SettingsError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.download import download_hosts
from bids_dtg.files.provenance import (
    completed_titles,
    completion_record,
    last_model,
    recorded_outputs,
)
from bids_dtg.files.text import read_json
from bids_dtg.inputs.run import OF_PARCELS
from bids_dtg.participants.plan import LISTED_AHEAD
from bids_dtg.participants.request import DatasetRequest
from bids_dtg.progress import Board
from bids_dtg.report.contents import find_titles

# The publication's network; used without --model where it is installed.
DEFAULT = "hcp-ya"
_NICENESS = 10
_LARGEST_R = 1.001  # a correlation, with the rounding of half precision

# Peak memory of a process with its reader, the first process and the one that makes pages (sum of
# PSS). With the demo model's 163,310 voxels: 0.79 GB for runs on its grid, 1.01 GB for others. With
# a model of 1,000 voxels: 0.36 GB for a whole-head run at 2 mm. It does not grow with run length.
_BYTES_A_PROCESS, _BYTES_A_VOXEL = 350e6, 4.1e3
# For each ROI map beyond the published model's 50, at each voxel: sums of two halves, maps and
# connectomes. 265 maps in five sets took 1.0 GB with 163,310 voxels; training takes more.
_BYTES_A_ROI, _USUAL_ROIS = 12.0, 50
# For torch, which a process imports to use a GPU; measured with torch's CPU build.
_BYTES_OF_TORCH = 350e6


class Model:
    """A bundle's model on a device, prepared once, when `begin` is first used."""

    def __init__(self, bundle: ModelBundle, device: str, threads: int) -> None:
        self.bundle = bundle
        self._device = device
        self._threads = threads
        self._pool = ThreadPoolExecutor(1, "model")
        self._prepared: Future[MapModel] | None = None
        self._notes: list[str] = []

    def begin(self) -> None:
        """Start reading and preparing the model in a thread."""
        if self._prepared is None:
            self._prepared = self._pool.submit(self._prepare)

    def predict(self, connectome: Float32, deviation: float = 1.0) -> Float32:
        """Turn a connectome (rois, voxels) into maps (contrasts, voxels), re-centred if needed.

        Parameters
        ----------
        connectome
            Connectome of one segment of rest.
        deviation
            Factor of the deviation of corrected maps from the training people's mean map.

        Raises
        ------
        RunError
            There is too little memory.
        BundleError
            The weights cannot be read.
        """
        self.begin()
        assert self._prepared is not None
        try:
            maps = self._prepared.result().predict(connectome)
        except (MemoryError, RuntimeError) as err:
            # Torch has no exception class for too little memory.
            lacks_memory = "can't allocate memory" in str(err)
            if isinstance(err, RuntimeError) and not lacks_memory:
                raise
            raise RunError(
                "there is too little memory for the network",
                remedy="use fewer --nprocs",
            ) from err
        correction = self.bundle.correction
        return maps if correction is None else correction.scaled(deviation).apply(maps)

    def take_notes(self) -> tuple[str, ...]:
        """Return and clear the model's messages."""
        notes = tuple(self._notes)
        self._notes.clear()
        return notes

    def _prepare(self) -> MapModel:
        if sys.platform == "linux":
            # Reading is the bottleneck, so this thread yields to it. If the process has a lower
            # priority already, it is kept.
            niceness = max(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0))
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        return self.bundle.prepare(self._device, self._threads, self._notes.append)


def bytes_needed(voxels: int, rois: int = _USUAL_ROIS, *, on_cpu: bool) -> float:
    """Return the bytes that a process needs for a model with so many voxels and ROI maps.

    Parameters
    ----------
    voxels, rois
        Numbers of voxels and ROI maps.
    on_cpu
        Whether the CPU computes maps.
    """
    a_voxel = _BYTES_A_VOXEL + _BYTES_A_ROI * max(0, rois - _USUAL_ROIS)
    torch_bytes = 0 if on_cpu else _BYTES_OF_TORCH
    return _BYTES_A_PROCESS + a_voxel * voxels + torch_bytes


def default_model() -> str:
    """Return the model that is used without ``--model``: hcp-ya, or else the packaged one."""
    return DEFAULT if is_installed(DEFAULT) else OF_PARCELS


def note_on_default(name: str) -> str:
    """Return the line on the model that is used without ``--model``; empty: it goes without saying.

    Parameters
    ----------
    name
        What `default_model` returned.
    """
    folders = which_unreadable(unreadable_folders(DEFAULT))
    if name == DEFAULT:
        return folders and f"--model was not given: {name} is used{folders}"
    return (
        f"--model was not given and {DEFAULT}, the publication's network, is not installed: "
        f"{name} is used, a linear model of 360 parcels{folders}. "
        f"To do: dtg-models fetch {DEFAULT}, or --model {name} to leave out this line"
    )


def refuse_other_model(request: DatasetRequest, bundle: ModelBundle, why: str) -> None:
    """Refuse to replace, or to join, the maps of a model by those of one that nobody named.

    Parameters
    ----------
    request
        The output, and the participants whose maps would be made.
    bundle
        The model.
    why
        Why it is used, to follow its name; empty: it is installed.

    Raises
    ------
    SettingsError
        OUTPUT_DIR has maps of a model of another name.
    """
    output, name = request.output, bundle.name
    people = request.participants[:LISTED_AHEAD]
    titles = [title for label in people for title in find_titles(output, label)]
    if last_model(output).partition(" ")[0] not in ("", name):
        titles += completed_titles(output)
    for title in titles:
        used = _model_of(output, title, bundle.identity)
        if used not in ("", name):
            raise SettingsError(
                f"--model was not given, and {output.root} has maps of {used} ({title}), not of "
                f"{name}{why}, which would be used",
                expected=f"--model {used} to add to these maps, or --model {name} to replace them",
                remedy="give --model, or choose another OUTPUT_DIR",
            )


def _model_of(output: DerivativeDataset, title: str, identity: str) -> str:
    """Return the name of the model of finished maps; empty: there are none, or it is `identity`."""
    options = completion_record(output, title).get("Options")
    if not isinstance(options, dict) or options.get("model") in (None, identity):
        return ""
    sidecars = [
        path
        for path in recorded_outputs(output, title)
        if path.name.endswith("_statmap.json")
    ]
    facts = (read_json(output.root / path) for path in sidecars)
    return next((str(fact["ModelName"]) for fact in facts if "ModelName" in fact), "")


def obtain_bundle(name_or_path: str, *, may_fetch: bool) -> ModelBundle:
    """Load a model that reads images; on a terminal, download a published one that is missing.

    On a terminal, the user sees the download and can stop it. Elsewhere, a hundred jobs of a
    scheduler might each start one, so a missing model is an error that names the remedy.

    Raises
    ------
    BundleError
        The model is missing and was not downloaded, is damaged, or reads no images.
    """
    published = PUBLISHED.get(name_or_path)
    can_fetch = (
        may_fetch and sys.stderr.isatty() and download_hosts(os.environ, PUBLIC_HOST)
    )
    if published is not None and can_fetch and not is_installed(name_or_path):
        _fetch(published)
    bundle = load_bundle(name_or_path)
    _ = bundle.space  # refuses a model of numbered places
    bundle.require_finite()  # else each participant would fail
    return bundle


def _fetch(published: PublishedMaps) -> None:
    """Download a published model, and say so.

    Raises
    ------
    BundleError
        The download failed.
    """
    name = published.card.name
    try:
        with Board(1) as board:
            board.note(f"the model {name} is not on this machine yet")
            fetch_models([published], user_cache(), board.lane(0))
    except (BundleError, OutputError) as err:
        remedies = filter(None, [err.remedy, how_to_get(name)])
        raise BundleError(
            f"the model {name} is missing, and its download failed: {err.found}",
            expected=err.expected,
            remedy=", or: ".join(remedies),
        ) from err


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
        (rois, voxels of the bundle's mask). For a `RunConnectomes`, maps are averaged over
        segments, as on the command line.
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
        The device is missing, or the model reads connectomes of another form.
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
    segments = _segments_of(connectome, bundle)
    model = Model(bundle, map_device(device), threads or available_cores())
    estimate = estimate_maps(segments, model)
    if bundle.half_widths is not None:
        estimate = replace(estimate, half_widths=bundle.half_widths.at_places)
    for note in model.take_notes():
        warnings.warn(note, stacklevel=2)
    return estimate


def _segments_of(
    connectome: Connectome | RunConnectomes, bundle: ModelBundle
) -> Sequence[Connectome]:
    """Return the segments of a connectome, after checking that the model can read them.

    Raises
    ------
    TypeError
        It is not a connectome.
    SettingsError
        Its form or size is not the model's, or a marginal one has values that are not correlations.
    """
    if isinstance(connectome, RunConnectomes):
        segments: Sequence[Connectome] = connectome.segments
    elif isinstance(connectome, Connectome):
        segments = [connectome]
    else:
        raise TypeError(
            f"the connectome is a {type(connectome).__name__}. Expected: a result of measure or "
            "measure_array, or Connectome(r, frames, seconds)"
        )
    model_form = bundle.part.connectome
    shape = bundle.rois, bundle.places.number
    for segment in segments:
        if segment.form != model_form:
            raise SettingsError(
                f"the connectome has the form {segment.form.title}",
                expected=f"{model_form.title}, which {bundle.name} reads",
                remedy="measure the run with this model's bundle",
            )
        largest = float(np.max(np.abs(segment.r), initial=0.0))
        if not model_form.joint and largest > _LARGEST_R and math.isfinite(largest):
            raise SettingsError(
                f"the connectome has values up to {largest:.3g}",
                expected="correlations, -1 to 1 (Pearson r, not Fisher's z)",
            )
        if segment.r.shape != shape:
            raise SettingsError(
                f"the connectome is {segment.r.shape}",
                expected=f"{shape}, the ROIs and voxels of {bundle.name}",
            )
    return segments


def estimate_maps(segments: Sequence[Connectome], model: Model) -> Estimate:
    """Predict maps from one or several segments of rest, with a prepared model.

    Raises
    ------
    BundleError, RunError
        See `predict_maps`.
    """
    dof_known = all(math.isfinite(segment.residual_dof) for segment in segments)
    average = MapAverage(by_dof=dof_known)
    for segment in segments:
        add_maps(average, model, segment)
    return average.result(model.bundle.contrasts)


def add_maps(average: MapAverage, model: Model, connectome: Connectome) -> None:
    """Add the maps of a segment of rest to an average.

    Raises
    ------
    RunError
        The device has too little memory, or a map is not finite.
    """
    data = None  # whether a voxel has any
    if not model.bundle.kind.uses_neighbours:
        data = (connectome.r != 0).any(axis=0)
    # Overflow gives values that `require_finite` refuses.
    with np.errstate(over="ignore", invalid="ignore"):
        maps = model.predict(connectome.r, connectome.deviation)
        require_finite(maps, model.bundle.contrasts)
        average.add(
            maps,
            seconds=connectome.seconds,
            residual_dof=connectome.residual_dof,
            data=data,
        )
