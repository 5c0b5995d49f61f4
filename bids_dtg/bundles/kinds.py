"""A bundle's `weights.safetensors`: what it holds, by the kind of the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from bids_dtg.bundles.card import ATTENTION_UNET, BLEND, LOCAL_RIDGE
from bids_dtg.contrasts.local_ridge import LocalRidge
from bids_dtg.errors import BundleError

if TYPE_CHECKING:
    from bids_dtg.contrasts.network.unet import AttentionUNet

_REMEDY = "fetch or make the bundle again"
# Bytes; the published network's names and shapes take 6,000.
_LARGEST_HEADER = 1 << 20
# In a blend the names of both models' tensors begin with what they belong to.
_NETWORK, _RIDGE, _BLEND = "network.", "ridge.", "blend.weights"


def ridge_tensors(model: LocalRidge) -> dict[str, NDArray[Any]]:
    """Return the tensors of a bundle of the kind local-ridge."""
    return {_RIDGE + name: tensor for name, tensor in model.tensors().items()}


def blend_tensors(
    model: LocalRidge, network: Mapping[str, NDArray[Any]], weights: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Return the tensors of a bundle of the kind blend; weights are (2, contrasts)."""
    named = {_NETWORK + name: tensor for name, tensor in network.items()}
    return ridge_tensors(model) | named | {_BLEND: np.asarray(weights, np.float32)}


def channels(path: Path, kind: str) -> tuple[int, int]:
    """Return how many ROIs a model reads and how many maps it predicts, from the header alone.

    Raises
    ------
    BundleError
        If the file is no safetensors file, lacks a tensor, or its parts do not fit.
    """
    found = []
    if kind in (ATTENTION_UNET, BLEND):
        prefix = _NETWORK if kind == BLEND else ""
        first = _shape(path, prefix + "in_block.conv.0.weight", axes=5)
        last = _shape(path, prefix + "out_block.1.weight", axes=5)
        found.append((first[1], last[0]))
    if kind in (LOCAL_RIDGE, BLEND):
        _, rois, contrasts = _shape(path, _RIDGE + "coefficients", axes=3)
        found.append((rois, contrasts))
    if len(set(found)) > 1:
        raise BundleError(
            f"{path} blends models of {found[0]} and {found[1]} ROIs and maps", remedy=_REMEDY
        )
    return found[0]


def read_network(path: Path, kind: str) -> AttentionUNet:
    """Read the network: eval mode, float32, on the CPU. This imports torch."""
    import safetensors.torch

    from bids_dtg.bundles.checkpoint import network_from_tensors

    _require(path, kind, ATTENTION_UNET, BLEND)
    try:
        tensors = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as err:
        raise BundleError(f"{path} cannot be read: {err}", remedy=_REMEDY) from err
    if kind == BLEND:
        tensors = {
            name.removeprefix(_NETWORK): tensor
            for name, tensor in tensors.items()
            if name.startswith(_NETWORK)
        }
    return network_from_tensors(tensors, source=str(path))


def read_local_ridge(path: Path, kind: str, mask: NDArray[np.bool_]) -> LocalRidge:
    """Read the local ridge model for the mask that it was solved for."""
    _require(path, kind, LOCAL_RIDGE, BLEND)
    tensors = _load(path)
    try:
        return LocalRidge.from_tensors(
            {
                name.removeprefix(_RIDGE): tensor
                for name, tensor in tensors.items()
                if name.startswith(_RIDGE)
            },
            mask,
        )
    except KeyError as err:
        raise BundleError(f"{path} has no tensor {_RIDGE}{err.args[0]}", remedy=_REMEDY) from err
    except ValueError as err:
        raise BundleError(f"{path} does not fit the mask: {err}", remedy=_REMEDY) from err


def read_blend_weights(path: Path, contrasts: int) -> NDArray[np.float32]:
    """Read the weights of local ridge and network in a blend, (2, contrasts)."""
    tensors = _load(path)
    weights = tensors.get(_BLEND, np.zeros(0))
    if weights.shape != (2, contrasts) or not np.isfinite(weights).all():
        raise BundleError(
            f"{path}: {_BLEND} is {weights.shape}",
            expected=f"finite numbers, {(2, contrasts)}",
            remedy=_REMEDY,
        )
    return weights.astype(np.float32)


def _require(path: Path, kind: str, *kinds: str) -> None:
    if kind not in kinds:
        raise BundleError(f"{path} is of a model of kind {kind}", expected=" or ".join(kinds))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return safetensors.numpy.load_file(path)
    except (SafetensorError, OSError) as err:
        raise BundleError(f"{path} cannot be read: {err}", remedy=_REMEDY) from err


def _shape(path: Path, name: str, *, axes: int) -> tuple[int, ...]:
    """Return the shape of a tensor from the file's header alone."""
    try:
        _check_header_size(path)
        with safe_open(path, framework="numpy") as tensors:
            if name not in tensors.keys():  # noqa: SIM118 (no mapping)
                raise BundleError(f"{path} has no tensor {name}", remedy=_REMEDY)
            shape = tuple(tensors.get_slice(name).get_shape())
    except (SafetensorError, OSError) as err:
        raise BundleError(f"{path} is no safetensors file: {err}", remedy=_REMEDY) from err
    if len(shape) != axes:
        expected = {3: "three", 5: "five"}[axes]
        raise BundleError(f"{path}: {name} has shape {shape}", expected=f"{expected} axes")
    return shape


def _check_header_size(path: Path) -> None:
    """Refuse a header that no network needs, before a parser takes it into memory."""
    with path.open("rb") as file:
        # The format begins with the header's size: 64 bits, little-endian.
        size = int.from_bytes(file.read(8), "little")
    if size > _LARGEST_HEADER:
        raise BundleError(
            f"{path} says that its header has {size} bytes",
            expected=f"at most {_LARGEST_HEADER}",
            remedy=_REMEDY,
        )
