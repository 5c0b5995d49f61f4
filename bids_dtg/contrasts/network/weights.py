"""The network's tensors prepared for fine-tuning on other people.

Fine-tuning has three schedules, two of them published (Serin et al. 2025). `known`, for one of the
model's own contrasts: its row of the output layer is kept and frozen, all earlier layers learn, and
then the whole output layer is restored. `new`, for a new contrast: the output layer is new, and all
layers learn. `all`, for contrasts of the model: all layers learn, the output layer from its old
rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# The last layer, a weight and a bias a contrast; all others are shared by the contrasts.
OUTPUT = "out_block.1"
_WEIGHT, _BIAS = f"{OUTPUT}.weight", f"{OUTPUT}.bias"


def with_rows(state: Mapping[str, Tensor], rows: Sequence[int]) -> dict[str, Tensor]:
    """Return the weights of a network that predicts some of the contrasts, in this order."""
    import torch

    chosen = torch.tensor(list(rows))
    return {
        name: tensor[chosen].clone() if name in (_WEIGHT, _BIAS) else tensor.clone()
        for name, tensor in state.items()
    }


def with_outputs_of(
    state: Mapping[str, Tensor], original: Mapping[str, Tensor], rows: Sequence[int]
) -> dict[str, Tensor]:
    """Return tuned weights of some contrasts with those of all others in the output layer."""
    whole = {**state, _WEIGHT: original[_WEIGHT].clone(), _BIAS: original[_BIAS].clone()}
    for name in (_WEIGHT, _BIAS):
        whole[name][list(rows)] = state[name]
    return whole


def with_new_outputs(state: Mapping[str, Tensor], contrasts: int, seed: int) -> dict[str, Tensor]:
    """Return weights with a random output layer for so many contrasts, initialised as in torch."""
    import torch

    from bids_dtg.training.chance import borrowed_chance

    channels = state[_WEIGHT].shape[1]
    with borrowed_chance():
        torch.manual_seed(seed)
        layer = torch.nn.Conv3d(channels, contrasts, kernel_size=1)
    assert layer.bias is not None
    kept = {name: tensor.clone() for name, tensor in state.items()}
    return {**kept, _WEIGHT: layer.weight.detach(), _BIAS: layer.bias.detach()}
