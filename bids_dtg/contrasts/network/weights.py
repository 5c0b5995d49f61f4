"""The network from its tensors: sizes and parameters are theirs, and nothing else is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bids_dtg.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor

    from bids_dtg.contrasts.network.unet import AttentionUNet

# Their shapes give the sizes of the network: (features, ROIs, …) and (contrasts, features, …).
FIRST_WEIGHT, LAST_WEIGHT = "in_block.conv.0.weight", "out_block.1.weight"


def network_from_tensors(
    tensors: Mapping[str, Tensor], source: str = "the tensors"
) -> AttentionUNet:
    """Build the network whose sizes and parameters are those of `tensors`.

    Parameters
    ----------
    tensors
        Parameters and buffers under the published names, no prefix.
    source
        What the errors name, usually the path of the file.

    Returns
    -------
    AttentionUNet
        In eval mode, float32, on the CPU.

    Raises
    ------
    BundleError
        A tensor is missing, unknown, of the wrong shape or type, or not finite.
    """
    network = _network_of_size(tensors, source)
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    unknown = sorted(tensors.keys() - wanted.keys())
    if missing or unknown:
        names = [f"{name} missing" for name in missing] + [f"{name} unknown" for name in unknown]
        raise not_the_network(source, f"{len(names)} name(s) differ, first {names[0]}")
    for name, like in wanted.items():
        _check_tensor(name, tensors[name], like, source)
    copies = {
        name: tensors[name].detach().to(like.dtype, copy=True) for name, like in wanted.items()
    }
    network.load_state_dict(copies, assign=True)
    return network.requires_grad_(True).eval()


def not_the_network(source: str, fact: str) -> BundleError:
    """Make the error for tensors that are not those of the network."""
    return BundleError(
        f"{source} does not hold the weights of the network: {fact}",
        expected="the published names and shapes",
    )


def _network_of_size(tensors: Mapping[str, Tensor], source: str) -> AttentionUNet:
    """Return a network without storage (meta device) of the sizes that the tensors have."""
    import torch

    from bids_dtg.contrasts.network.unet import AttentionUNet

    for name in (FIRST_WEIGHT, LAST_WEIGHT):
        if name not in tensors:
            raise not_the_network(source, f"{name} missing")
        if tensors[name].ndim != 5 or 0 in tensors[name].shape:
            raise not_the_network(source, f"{name} has shape {tuple(tensors[name].shape)}")
    features, in_channels = tensors[FIRST_WEIGHT].shape[:2]
    levels = 0
    while f"downs.{levels}.conv.0.weight" in tensors:
        levels += 1
    with torch.device("meta"):
        return AttentionUNet(in_channels, tensors[LAST_WEIGHT].shape[0], features, levels)


def _check_tensor(name: str, tensor: Tensor, like: Tensor, source: str) -> None:
    if tensor.shape != like.shape:
        shapes = f"{tuple(tensor.shape)}, not {tuple(like.shape)}"
        raise not_the_network(source, f"{name} has shape {shapes}")
    if tensor.is_floating_point() != like.is_floating_point():
        raise not_the_network(source, f"{name} has type {tensor.dtype}, not {like.dtype}")
    if not bool(tensor.isfinite().all()):
        raise not_the_network(source, f"{name} has values that are not finite")
