"""The network from its tensors, and its tensors made ready to learn from other people.

Sizes and parameters are those of the tensors, and nothing else is accepted. Fine-tuning has two
schedules (Serin et al. 2025). Schedule 1: one of the model's own contrasts; its row of the output
layer is cut out and frozen, all before it learns, and then the whole output layer is put back.
Schedule 2: a contrast that the model does not know; a new output layer, and everything learns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bids_dtg.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor

    from bids_dtg.contrasts.network.unet import AttentionUNet

# Their shapes give the sizes of the network: (features, ROIs, …) and (contrasts, features, …).
FIRST_WEIGHT, LAST_WEIGHT = "in_block.conv.0.weight", "out_block.1.weight"


# The last layer, a weight and a bias a contrast; all others are shared by the contrasts.
OUTPUT = "out_block.1"
_WEIGHT, _BIAS = f"{OUTPUT}.weight", f"{OUTPUT}.bias"


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
    if not bool(tensor.to(like.dtype).isfinite().all()):
        raise not_the_network(source, f"{name} has values that are not finite")


def with_rows(state: Mapping[str, Tensor], rows: Sequence[int]) -> dict[str, Tensor]:
    """Return the weights of a network that predicts some of the contrasts, in this order."""
    import torch

    chosen = torch.tensor(list(rows))
    return {
        name: tensor[chosen].clone() if name in (_WEIGHT, _BIAS) else tensor.clone()
        for name, tensor in state.items()
    }


def with_outputs_of(
    state: Mapping[str, Tensor], original: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return tuned weights with the output layer, all contrasts, that they had before."""
    return {**state, _WEIGHT: original[_WEIGHT].clone(), _BIAS: original[_BIAS].clone()}


def with_new_outputs(state: Mapping[str, Tensor], contrasts: int, seed: int) -> dict[str, Tensor]:
    """Return weights with a random output layer for so many contrasts, as torch begins one."""
    import torch

    channels = state[_WEIGHT].shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = torch.nn.Conv3d(channels, contrasts, kernel_size=1)
    assert layer.bias is not None
    kept = {name: tensor.clone() for name, tensor in state.items()}
    return {**kept, _WEIGHT: layer.weight.detach(), _BIAS: layer.bias.detach()}
