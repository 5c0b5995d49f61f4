"""Where sums are kept and products computed: NumPy on the CPU, or torch on a device.

The pass itself is written with what both libraries share: `@`, `.T`, slices, `+=` and `*`.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


class Arrays(Protocol):
    """An array library at a place."""

    def put(self, values: NDArray[np.generic]) -> Any:
        """Bring values here, in the type of the products; may share memory with `values`."""

    def zeros(self, *shape: int, wide: bool = False) -> Any:
        """Make zeros in the type of the products, or in float64 where `wide`."""

    def join(self, parts: list[Any]) -> Any:
        """Set matrices side by side."""

    def widen(self, values: Any) -> Any:
        """Turn values that stay here to float64."""

    def sum_of_squares(self, values: Any) -> Any:
        """Add up the squares of (frames, voxels) over frames: (voxels,)."""

    def computing(self) -> AbstractContextManager[object]:
        """Surround products that run beside other threads."""

    def get(self, values: Any) -> NDArray[np.float64]:
        """Bring values back as NumPy float64."""


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep NumPy's BLAS to one thread, for products beside threads of our own.

    BLAS threads wait for each other by spinning; beside a thread that inflates they made a pass
    on two cores slower by half, and ten times where the machine had other work.
    """
    limits: AbstractContextManager[object] = _libraries(len(sys.modules)).limit(
        limits=1, user_api="blas"
    )
    return limits


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Find the libraries that have threads; a new module may have brought one.

    It takes 4 ms, as long as the connectome of a small run.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


class NumpyArrays:
    """NumPy on the CPU; float32 products run at twice the speed in half the memory."""

    def __init__(self, dtype: DTypeLike = np.float32) -> None:
        self.dtype = np.dtype(dtype)

    def put(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.asarray(values, self.dtype)

    def zeros(self, *shape: int, wide: bool = False) -> NDArray[np.generic]:
        return np.zeros(shape, np.float64 if wide else self.dtype)

    def join(self, parts: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        return np.concatenate(parts, axis=1)

    def sum_of_squares(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        squares: NDArray[np.floating] = np.einsum("tv,tv->v", values, values)
        return squares

    def computing(self) -> AbstractContextManager[object]:
        return one_blas_thread()

    def widen(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        return values.astype(np.float64)

    def get(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.asarray(values, np.float64)


class TorchArrays:
    """Torch on a device, all in float64.

    float64 costs little here, and it is out of reach of the TF32 setting that the network may
    have switched on.
    """

    def __init__(self, device: str) -> None:
        import torch

        self.torch = torch
        self.device = torch.device(device)

    def put(self, values: NDArray[np.generic]) -> Any:
        here = self.torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        return here.to(self.torch.float64)

    def zeros(self, *shape: int, wide: bool = False) -> Any:
        return self.torch.zeros(shape, dtype=self.torch.float64, device=self.device)

    def join(self, parts: list[Any]) -> Any:
        return self.torch.cat(parts, dim=1)

    def sum_of_squares(self, values: Any) -> Any:
        return (values * values).sum(0)

    def computing(self) -> AbstractContextManager[object]:
        return nullcontext()

    def widen(self, values: Any) -> Any:
        return values

    def get(self, values: Any) -> NDArray[np.float64]:
        back: NDArray[np.float64] = values.cpu().numpy()
        return back


def arrays_on(device: str) -> Arrays:
    """Choose the library for a device: "cpu" is NumPy, anything else ("cuda", ...) is torch."""
    return NumpyArrays() if device == "cpu" else TorchArrays(device)
