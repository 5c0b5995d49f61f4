"""Published checkpoints: PyTorch Lightning files, read without torch as tensors, never as code."""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_dtg.array_types import Values
from bids_dtg.contrasts.network.parameters import (
    FIRST_WEIGHT,
    Parameters,
    not_the_network,
)
from bids_dtg.errors import BundleError

if TYPE_CHECKING:
    from bids_dtg.contrasts.network.unet import AttentionUNet

# Modules of the classes in a published checkpoint's hyperparameters: torch, Lightning, argparse
# and the published code, whose modules have two possible names.
_TRAINING_MODULES = (
    "torch.nn.",
    "torch.optim.",
    "lightning.",
    "pytorch_lightning.",
    "argparse.Namespace",
    "deeptaskgen.",
    "losses.",
    "models.",
)
# Types of torch's storages; bfloat16 is the upper half of a float32.
_STORAGES: Mapping[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_HALF = "BFloat16Storage"
_PICKLE = "data.pkl"
# What zipfile, pickle and NumPy raise on a damaged file.
_DAMAGE_ERRORS = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)


def read_lightning_checkpoint(path: str | Path) -> AttentionUNet:
    """Read a network, as documented for `bids_dtg.bundles.checkpoint`, the public name."""
    from bids_dtg.contrasts.network.unet import AttentionUNet

    return AttentionUNet.from_parameters(read_parameters(path))


def read_parameters(path: str | Path) -> Parameters:
    """Read the parameters of a network, as `read_lightning_checkpoint` does, without torch."""
    path = Path(path)
    content = _load_tensors_only(path)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise BundleError(
            f"{path} has no state_dict",
            expected="a PyTorch Lightning checkpoint of the network",
        )
    return Parameters.from_arrays(_without_prefix(state, str(path)), source=str(path))


def _load_tensors_only(path: Path) -> object:
    if not path.is_file():
        raise BundleError(f"{path} is not a file", expected="a checkpoint (.ckpt)")
    whole = BundleError(
        f"{path} is damaged or not a checkpoint",
        expected="a whole PyTorch zip file",
        remedy="fetch or copy the file again",
    )
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # torch stores without compression: entries that are compressed, or larger together than
            # the file as they overlap, could be a zip bomb.
            packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            overlap = sum(entry.file_size for entry in entries) > path.stat().st_size
            if packed or overlap or archive.testzip() is not None:
                raise whole
            names = archive.namelist()
            (pickled,) = [name for name in names if name.endswith(f"/{_PICKLE}")]
            folder = pickled.removesuffix(_PICKLE)
            with archive.open(pickled) as file:
                return _TensorUnpickler(file, archive, folder).load()
    except _RefusedError as err:
        raise BundleError(
            f"{path} holds pickled objects ({err}), which could run code",
            expected="tensors and plain values only",
            remedy="save only the state_dict, and convert that",
        ) from err
    except _DAMAGE_ERRORS as err:
        raise whole from err


class _RefusedError(Exception):
    """A pickle names an object that is neither a tensor's nor one of a training."""


class _Inert:
    """Replaces an object of the training that is not needed: accepts any call and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    __setstate__ = __init__


class _TensorUnpickler(pickle._Unpickler):
    """Reads tensors as arrays, and classes of a training as inert objects; refuses all others.

    Lightning stores hyperparameters as objects, such as a loss function or an optimiser's class.
    They are neither imported nor called. The base class is that in Python, as the one in C makes
    a list as long as the largest number in the pickle's memo, which a few bytes can make 2**32.
    """

    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self._archive = archive
        self._folder = folder
        self._storages: dict[tuple[str, str], Values] = {}  # each is read once

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module in ("builtins", "__builtin__") and name == "set":
            return set
        if module == "torch" and name in _STORAGES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _array
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda array, *_: array
        if (module, name) == ("torch", "Size"):
            return tuple
        if f"{module}.{name}".startswith(_TRAINING_MODULES):
            return _Inert
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Values:
        _, kind, key, _, number = pid
        if (kind, key) not in self._storages:
            stored = self._archive.read(f"{self._folder}data/{key}")
            values: Values = np.frombuffer(stored, dtype=_STORAGES[kind])
            if kind == _HALF:
                values = (values.astype(np.uint32) << 16).view(np.float32)
            self._storages[kind, key] = values
        values = self._storages[kind, key]
        if len(values) < number:
            raise ValueError("a storage has fewer values than the pickle says")
        return values


def _array(
    storage: Values,
    offset: int,
    shape: tuple[int, ...],
    steps: tuple[int, ...],
    *_: object,
) -> Values:
    """Return a tensor as an array, after a check that it lies within its storage.

    A tensor of more values than its storage, as by steps of 0, would grow when it is copied.
    """
    if storage.ndim != 1 or not storage.flags.c_contiguous:
        raise ValueError("a storage is a tensor")
    if len(shape) != len(steps) or min((*shape, *steps, offset), default=0) < 0:
        raise ValueError("a tensor has contradictory sizes")
    spans = [(size - 1) * step for size, step in zip(shape, steps, strict=True)]
    last = offset + sum(spans)
    if 0 not in shape and max(last + 1, math.prod(shape)) > len(storage):
        raise ValueError("a tensor lies outside its storage")
    strides = [step * storage.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(
        storage[offset:], shape, strides, writeable=False
    )


def _without_prefix(state: Mapping[object, object], source: str) -> dict[str, Values]:
    """Return the network's tensors under the published names.

    The network's prefix is the text before the name of the first block's weight (``model.``,
    ``module.`` or nothing). Keys without this prefix belong to the training and are left out.
    """
    named = {name: value for name, value in state.items() if isinstance(name, str)}
    first_weights = [name for name in named if name.endswith(FIRST_WEIGHT)]
    if len(first_weights) != 1:
        raise not_the_network(
            source, f"{len(first_weights)} names end in {FIRST_WEIGHT}, not 1"
        )
    prefix = first_weights[0].removesuffix(FIRST_WEIGHT)
    tensors = {}
    for name, value in named.items():
        if name.startswith(prefix):
            published_name = name.removeprefix(prefix)
            if not isinstance(value, np.ndarray):
                fault = f"{published_name} is {type(value).__name__}, not a tensor"
                raise not_the_network(source, fault)
            tensors[published_name] = value
    return tensors
