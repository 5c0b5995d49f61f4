"""The network from tensors; `test_checkpoint` has the wrong ones."""

from __future__ import annotations

import pytest
import torch

from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.contrasts.network.weights import FIRST_WEIGHT, LAST_WEIGHT, network_from_tensors


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    return AttentionUNet(5, 3, features=4, levels=1).state_dict()


def test_network_does_not_share_memory_with_the_tensors(tensors):
    network = network_from_tensors(tensors)
    tensors["out_block.1.bias"].fill_(7.0)
    assert not (network.out_block[1].bias == 7).any()


def test_half_precision_becomes_float32(tensors):
    halves = {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}
    assert network_from_tensors(halves).out_block[1].bias.dtype == torch.float32


def test_sizes_are_those_of_the_first_and_last_weight(tensors):
    network = network_from_tensors(tensors)
    assert tensors[FIRST_WEIGHT].shape[:2] == (network.features, network.in_channels) == (4, 5)
    assert tensors[LAST_WEIGHT].shape[0] == network.out_channels == 3
