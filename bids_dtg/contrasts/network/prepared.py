"""The prepared form of the network, which gives the same maps faster and in less memory.

The connectome is zero outside the mask, and maps are needed only inside it. The plan ``blocks``
(CPU, NumPy) computes only what the needed voxels depend on, and gives the same bytes with any
number of threads. The plan ``dense`` (GPU, torch) runs whole grids, and ``slabs`` runs the last
level in parts. All agree with the eager network to 1e-5. If a GPU has too little memory for a plan,
the next is used, in the order dense, slabs, blocks (on the CPU). Only the GPU plans import torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from bids_dtg.array_types import Float32, Mask
from bids_dtg.contrasts.network.blocks import blas_threads
from bids_dtg.contrasts.network.blocks_plan import BlockPlan
from bids_dtg.contrasts.network.parameters import Parameters, check_input_shape
from bids_dtg.contrasts.people import MapModel

T = TypeVar("T")

# Messages of torch, cuDNN, cuBLAS and Apple's backend on too little memory. The last one is
# torch's, if no cuDNN algorithm has enough memory for its work space.
_TOO_LITTLE = (
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "was unable to find an engine",
)


@dataclass(frozen=True)
class Way:
    """A plan that is created when it is needed."""

    name: str  # for messages
    device: str  # torch's name
    make: Callable[[], MapModel]


class PreparedUNet:
    """A network prepared for one mask; made by `prepare`.

    Parameters
    ----------
    ways
        Plans in order of preference; the next is tried when one runs out of memory.
    shape
        Shape of a connectome: ROIs, voxels.
    report
        Receives a line when the next plan is tried.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        shape: tuple[int, int],
        report: Callable[[str], None],
    ) -> None:
        self._ways = list(ways)
        self._shape = shape
        self._report = report
        self._plan: MapModel | None = None
        self._attempt(self._make)

    def predict(self, connectome: Float32) -> Float32:
        """Predict the contrast maps of one connectome.

        Parameters
        ----------
        connectome
            Shape (rois, voxels of the mask in C order), float32.

        Returns
        -------
        Float32
            Maps, shape (contrasts, voxels of the mask).

        Raises
        ------
        ValueError
            The shape is not that of the network and mask.
        MemoryError, RuntimeError
            There is too little memory even for the last plan; torch raises no special exception.
        """
        if connectome.shape != self._shape:
            raise ValueError(
                f"connectome of shape {connectome.shape}, expected {self._shape}"
            )
        values = np.ascontiguousarray(connectome, dtype=np.float32)
        return self._attempt(lambda: self._make().predict(values))

    def _make(self) -> MapModel:
        if self._plan is None:
            self._plan = self._ways[0].make()
            if len(self._ways) == 1:
                self._ways.clear()  # free memory
        return self._plan

    def _attempt(self, action: Callable[[], T]) -> T:
        """Run a function with the first plan for which there is enough memory."""
        while True:
            try:
                return action()
            except RuntimeError as err:
                if len(self._ways) <= 1 or not lacks_memory(err):
                    raise
            # The error, and the memory that its frames held, have now been released.
            self._step_down()

    def _step_down(self) -> None:
        import torch

        self._plan = None
        failed = self._ways.pop(0)
        following = self._ways[0]
        torch.cuda.empty_cache()
        self._report(
            f"{failed.device} has too little memory for the {failed.name}: "
            f"going on with the {following.name} on {following.device}"
        )


def lacks_memory(err: RuntimeError) -> bool:
    """Return whether an error of torch says that a device, or the CPU, has too little memory.

    Examples
    --------
    >>> lacks_memory(RuntimeError("CUDA error: out of memory"))
    True
    >>> lacks_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
    False
    """
    import torch

    has_words = any(words in str(err) for words in _TOO_LITTLE)
    return isinstance(err, torch.OutOfMemoryError) or has_words


def prepare(
    parameters: Parameters,
    mask: Mask,
    device: str = "cpu",
    *,
    threads: int | None = None,
    plan: Literal["auto", "blocks", "dense", "slabs"] = "auto",
    slab_planes: int = 16,
    report: Callable[[str], None] = warnings.warn,
) -> PreparedUNet:
    """Prepare a network to predict inside a mask.

    Parameters
    ----------
    parameters
        Parameters of the network (for a torch network, ``Parameters.of(network)``).
    mask
        Voxels that are read and predicted, shape (i, j, k), boolean.
    device
        Where to compute, by torch's name.
    threads
        Threads on the CPU; by default as many as NumPy's BLAS uses.
    plan
        ``auto`` is ``blocks`` on the CPU; on other devices, it is the first of ``dense``, ``slabs``
        and ``blocks`` (on the CPU) for which there is enough memory.
    slab_planes
        Planes along i in a slab; with 16, the last level of the published model needs a sixth of
        the memory.
    report
        Receives a line when there was too little memory.

    Raises
    ------
    ValueError
        The mask is not a boolean grid, is empty or is too small for the network.
    """
    if mask.dtype != np.bool_ or mask.ndim != 3 or not mask.any():
        raise ValueError(
            f"mask of type {mask.dtype} and shape {mask.shape} with {mask.sum()} voxels"
        )
    rois = parameters.sizes.in_channels
    check_input_shape((1, rois, *mask.shape), rois, parameters.sizes.levels)

    def blocks() -> MapModel:
        return BlockPlan(parameters, mask, threads or blas_threads())

    def dense(planes: int | None) -> MapModel:
        from bids_dtg.contrasts.network.dense import DensePlan

        return DensePlan(parameters, mask, device, planes)

    ways = {
        "dense": Way("plan of whole grids", device, lambda: dense(None)),
        "slabs": Way("plan of slabs", device, lambda: dense(slab_planes)),
        "blocks": Way("plan of blocks", "cpu", blocks),
    }
    if plan == "auto" and device == "cpu":
        plan = "blocks"
    chosen = list(ways.values()) if plan == "auto" else [ways[plan]]
    return PreparedUNet(chosen, (rois, int(mask.sum())), report)
