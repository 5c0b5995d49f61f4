"""The model of a call: its network is prepared in the background while runs are read."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.fetch import PUBLIC_HOST, fetch_models
from bids_dtg.bundles.store import how_to_get, is_installed, require_user_cache
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.bundle.registry import PUBLISHED
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.people import MapModel
from bids_dtg.errors import BundleError, OutputError, RunError
from bids_dtg.files.download import download_hosts
from bids_dtg.progress import Board

_NICENESS = 10

# Largest memory of a process with its reader, the first process and the one that makes pages (sums
# of PSS): for the demo model's 163,310 voxels 0.79 GB for runs on its grid, 1.01 GB for others; for
# a model of 1,000 voxels 0.36 GB for a run of the whole head at 2 mm. It does not grow with the
# length of runs.
_BYTES_EACH, _BYTES_A_VOXEL = 350e6, 4.1e3
# Of further ROI maps than the published model's 50, at each voxel: sums of two halves, maps and
# connectomes. Five sets of 265 maps took 1.0 GB of 163,310 voxels; learning takes more than that.
_BYTES_A_ROI, _USUAL_ROIS = 12.0, 50
# Of torch, which a process imports for a GPU; measured with the build for CPUs.
_BYTES_OF_TORCH = 350e6


class Model:
    """A bundle's model on a device, prepared once, from the first call of `begin`."""

    def __init__(self, bundle: ModelBundle, device: str, threads: int) -> None:
        self._bundle, self._device, self._threads = bundle, device, threads
        self._pool = ThreadPoolExecutor(1, "model")
        self._prepared: Future[MapModel] | None = None
        self._notes: list[str] = []

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The predicted contrasts, in the order of the maps."""
        return self._bundle.contrasts

    @property
    def joins_runs(self) -> bool:
        """Whether it reads all runs of a session together."""
        return self._bundle.card.part.of_sessions

    @property
    def by_place(self) -> bool:
        """Whether a place's values follow from its own connectome: without data they are NaN."""
        return not KINDS[self._bundle.card.kind].is_network

    def begin(self) -> None:
        """Start to read and prepare the model in a thread."""
        if self._prepared is None:
            self._prepared = self._pool.submit(self._prepare)

    def wait(self) -> None:
        """Wait until the work that `begin` started is done."""
        if self._prepared is not None:
            wait([self._prepared])

    def predict(self, connectome: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a connectome (rois, voxels) into maps (contrasts, voxels), re-centred if needed.

        Parameters
        ----------
        connectome
            Of one segment of rest.

        Raises
        ------
        RunError
            There is too little memory.
        BundleError
            The weights cannot be read.
        """
        with _memory_in_words():
            maps = self._ready().predict(connectome)
        correction = self._bundle.correction
        return maps if correction is None else correction.apply(maps)

    def take_notes(self) -> tuple[str, ...]:
        """Return messages on the network's work since the last call."""
        notes = tuple(self._notes)
        self._notes.clear()
        return notes

    def _ready(self) -> MapModel:
        self.begin()
        assert self._prepared is not None
        return self._prepared.result()

    def _prepare(self) -> MapModel:
        if sys.platform == "linux":
            # Everybody waits for reading: this thread yields to it. The process may already have a
            # lower priority, which it must not raise.
            niceness = max(_NICENESS, os.getpriority(os.PRIO_PROCESS, 0))
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        return self._bundle.prepare(self._device, self._threads, self._notes.append)


@contextmanager
def _memory_in_words() -> Iterator[None]:
    """Raise `RunError` where there is too little memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as err:
        # Torch has no class for this error.
        if isinstance(err, RuntimeError) and "can't allocate memory" not in str(err):
            raise
        raise RunError(
            "there is too little memory for the network", remedy="use fewer --nprocs"
        ) from err


def bytes_needed(voxels: int, rois: int = _USUAL_ROIS, *, on_cpu: bool) -> float:
    """Return the bytes that a process needs for a model with so many voxels and ROI maps.

    Parameters
    ----------
    voxels, rois
        Their numbers.
    on_cpu
        Whether the CPU computes maps.
    """
    each = _BYTES_A_VOXEL + _BYTES_A_ROI * max(0, rois - _USUAL_ROIS)
    return _BYTES_EACH + each * voxels + (0 if on_cpu else _BYTES_OF_TORCH)


def obtain_bundle(name_or_path: str, *, may_fetch: bool) -> ModelBundle:
    """Load the model of a call; on a terminal, download a published one that is missing.

    On a terminal, the user sees the download and can stop it. Elsewhere a hundred jobs of a
    scheduler would each start one, so a missing model is an error that names the remedy.

    Raises
    ------
    BundleError
        The model is not here and was not fetched, or is damaged.
    """
    wanted = PUBLISHED.get(name_or_path)
    watched = may_fetch and sys.stderr.isatty() and bool(download_hosts(os.environ, PUBLIC_HOST))
    if wanted is None or is_installed(name_or_path) or not watched:
        return load_bundle(name_or_path)
    try:
        with Board(1) as board:
            board.note(f"the model {wanted.name} is not on this machine yet")
            (bundle,) = fetch_models([wanted], require_user_cache(), board.lane(0))
    except (BundleError, OutputError) as err:
        raise BundleError(
            f"the model {wanted.name} is not here, and fetching it failed: {err.found}",
            expected=err.expected,
            remedy=f"{err.remedy}, or: {how_to_get(wanted.name)}"
            if err.remedy
            else how_to_get(wanted.name),
        ) from err
    return bundle
