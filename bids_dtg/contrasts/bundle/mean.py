"""The mean map of the training people in a bundle: the mean of what the model predicts for them.

It is stored unrounded. A bundle that must be small has it packed: rounded to steps, with the
differences between neighbours deflated. The re-centring offset, which is as rough as measured maps,
is subtracted before packing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.tensors import read_tensors
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays

MEAN_FILE = "mean.safetensors"
# Names of tensors: the mean, or its packed bytes and the step of each contrast.
_MEAN, _PACKED, _STEP = "mean", "mean_packed", "mean_step"
_REMEDY = "fetch or make the bundle again"

Array = NDArray[np.float32]


def encode_mean(mean: Array) -> bytes:
    """Encode mean maps (contrasts, places) as the file's bytes (deterministic).

    Raises
    ------
    BundleError
        If a value is not finite: a model predicts at each of its places.
    """
    if not np.isfinite(mean).all():
        raise BundleError(
            "the model was not written: the mean of its predictions has values that are not finite",
            expected="finite maps of all people",
        )
    return encode_arrays({_MEAN: mean})


def encode_packed_mean(mean: Array, step: Array, correction: Correction | None) -> bytes:
    """Encode mean maps in steps (contrasts,), in a seventh of the bytes.

    `correction` is that of the model's maps, as the bundle restores it; None: they have none.
    """
    smooth = mean - _offset(correction)
    step = np.maximum(step, np.abs(smooth).max(axis=1) / np.iinfo(np.int16).max).astype(np.float32)
    return encode_arrays({_PACKED: _pack(smooth / step[:, None]), _STEP: step})


def read_mean(folder: Path, shape: tuple[int, int], correction: Correction | None) -> Array:
    """Read mean maps of a shape, (contrasts, places).

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    path = folder / MEAN_FILE
    if _PACKED in TensorFile(path).names():
        size = _packed_size(path, 2 * shape[0] * shape[1])
        expected = {_PACKED: ("uint8", (size,)), _STEP: ("float32", shape[:1])}
        mean = _unpack(path, read_tensors(path, expected), shape) + _offset(correction)
    else:
        mean = read_tensors(path, {_MEAN: ("float32", shape)})[_MEAN]
    if not np.isfinite(mean).all():
        raise BundleError(f"{path} has values that are not finite in the mean", remedy=_REMEDY)
    return mean


def _offset(correction: Correction | None) -> NDArray[np.float32]:
    return np.zeros((1, 1), np.float32) if correction is None else correction.offset


def _pack(steps: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Deflate rows (n, places) of 16-bit steps: low bytes, then high ones."""
    whole = np.rint(steps).astype(np.int16)
    apart = np.diff(whole, axis=1, prepend=np.int16(0)).astype("<i2")
    halves = apart.reshape(-1).view(np.uint8).reshape(-1, 2)
    return np.frombuffer(zlib.compress(halves.T.tobytes(), 9), np.uint8)


def _unpack(
    path: Path, tensors: Mapping[str, NDArray[Any]], shape: tuple[int, int]
) -> NDArray[np.float32]:
    size, inflate = 2 * shape[0] * shape[1], zlib.decompressobj()
    try:
        # Never more than the card states, whatever the bytes would inflate to.
        content = inflate.decompress(tensors[_PACKED].tobytes(), size + 1)
    except zlib.error as err:
        raise BundleError(f"{path}: {_PACKED}: {err}", remedy=_REMEDY) from err
    if len(content) != size or not inflate.eof or inflate.unused_data:
        raise BundleError(f"{path}: {_PACKED} is not of {shape} values", remedy=_REMEDY)
    low, high = np.frombuffer(content, np.uint8).reshape(2, *shape)
    rows = np.empty(shape, np.float32)
    # One row at a time, which fits the processor's cache.
    for row, below, above, step in zip(rows, low, high, tensors[_STEP], strict=True):
        apart = above.astype(np.uint16)
        apart <<= 8
        apart |= below
        np.cumsum(apart, out=apart)
        np.multiply(apart.view(np.int16), step, out=row)
    return rows


def _packed_size(path: Path, most: int) -> int:
    (size,) = TensorFile(path).shape(_PACKED, axes=1)
    # Data that cannot be deflated grow by a thousandth and a few bytes.
    if size > most + most // 1000 + 64:
        raise BundleError(
            f"{path} has {size} bytes of {_PACKED}",
            expected=f"at most about {most}",
            remedy=_REMEDY,
        )
    return size
