"""Published checkpoints: PyTorch Lightning files read as tensors only, never as code."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from bids_dtg.contrasts.network.parameters import FIRST_WEIGHT, Parameters, not_the_network
from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.errors import BundleError

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


def read_lightning_checkpoint(path: str | Path) -> AttentionUNet:
    """Read a network from a Lightning checkpoint (``.ckpt``), executing nothing in it.

    Parameters
    ----------
    path
        Checkpoint: a torch zip file whose pickle is a dictionary with the key ``state_dict``.

    Returns
    -------
    AttentionUNet
        In eval mode, float32, on the CPU, with the sizes of the tensors.

    Raises
    ------
    BundleError
        The file is missing, not a whole checkpoint, holds objects other than tensors and plain
        values, or its tensors are not those of the network.
    """
    path = Path(path)
    content = _load_tensors_only(path)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise BundleError(
            f"{path} has no state_dict", expected="a PyTorch Lightning checkpoint of the network"
        )
    tensors = _without_prefix(state, str(path))
    return AttentionUNet.from_parameters(Parameters.of_tensors(tensors, source=str(path)))


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
            # torch stores without compression, so compressed entries could be a zip bomb; and
            # torch does not verify the checksums.
            packed = any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist())
            if packed or archive.testzip() is not None:
                raise whole
        with safe_globals(_stand_ins(path)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise BundleError(
            f"{path} holds pickled objects ({_refused_object(err)}), which could run code",
            expected="tensors and plain values only",
            remedy="save only the state_dict, and convert that",
        ) from err
    except (zipfile.BadZipFile, RuntimeError, EOFError, KeyError, ValueError, OSError) as err:
        raise whole from err


class _Inert:
    """Replaces an object of the training that is not needed: accepts any call and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    __setstate__ = __init__


def _stand_ins(path: Path) -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Allow the names of classes in a checkpoint's hyperparameters, each as an inert object.

    Lightning stores hyperparameters as objects, such as a loss function or an optimiser's class.
    They are neither imported nor called, and objects of any other module are refused.
    """
    names = get_unsafe_globals_in_checkpoint(str(path))
    return [(_Inert, name) for name in names if name.startswith(_TRAINING_MODULES)]


def _refused_object(err: pickle.UnpicklingError) -> str:
    """Return the name of the object that torch refused, if its message names it."""
    named = re.search(r"GLOBAL (\S+)", str(err))
    return named.group(1) if named else "of unknown kind"


def _without_prefix(state: Mapping[object, object], source: str) -> dict[str, Tensor]:
    """Return the network's tensors under the published names.

    The network's prefix is the text before the name of the first block's weight (``model.``,
    ``module.`` or nothing). Keys without this prefix belong to the training and are left out.
    """
    names = [name for name in state if isinstance(name, str) and name.endswith(FIRST_WEIGHT)]
    if len(names) != 1:
        raise not_the_network(source, f"{len(names)} names end in {FIRST_WEIGHT}, not 1")
    prefix = names[0].removesuffix(FIRST_WEIGHT)
    found = {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if isinstance(name, str) and name.startswith(prefix)
    }
    return {name: _as_tensor(name, value, source) for name, value in found.items()}


def _as_tensor(name: str, value: object, source: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise not_the_network(source, f"{name} is {type(value).__name__}, not a tensor")
    return value
