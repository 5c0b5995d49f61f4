"""Parameters of the network as arrays; `test_checkpoint` has the wrong ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bids_dtg.contrasts.network.parameters import (
    FIRST_WEIGHT,
    LAST_WEIGHT,
    Parameters,
    Sizes,
)
from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.errors import BundleError


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    return AttentionUNet(5, 3, features=4, levels=1).state_dict()


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_names_and_shapes_are_those_of_the_network(levels):
    state = AttentionUNet(5, 3, features=4, levels=levels).state_dict()
    shapes = Sizes(5, 3, features=4, levels=levels).shapes()
    assert shapes == {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_the_network_comes_back_and_shares_no_memory(tensors):
    parameters = Parameters.from_tensors(tensors)
    network = AttentionUNet.from_parameters(parameters)
    assert not network.training
    state = network.state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[name], tensors[name]) for name in tensors)
    assert all(parameter.requires_grad for parameter in network.parameters())
    before = parameters.arrays["out_block.1.bias"].copy()
    for changed in (tensors, state):
        changed["out_block.1.bias"].fill_(7.0)
    np.testing.assert_array_equal(parameters.arrays["out_block.1.bias"], before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tensors, dtype):
    converted = {
        n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()
    }
    arrays = Parameters.from_tensors(converted).arrays
    assert arrays["out_block.1.bias"].dtype == np.float32
    np.testing.assert_allclose(
        arrays["out_block.1.bias"], tensors["out_block.1.bias"].numpy(), rtol=1e-2
    )


def test_sizes_are_those_of_the_first_and_last_weight(tensors):
    sizes = Parameters.from_tensors(tensors).sizes
    assert (
        tensors[FIRST_WEIGHT].shape[:2] == (sizes.features, sizes.in_channels) == (4, 5)
    )
    assert tensors[LAST_WEIGHT].shape[0] == sizes.out_channels == 3


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e39])
def test_arrays_that_are_not_finite_in_32_bits_are_named(tensors, value):
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    arrays["upscale.0.bias"] = np.full(8, value)
    with pytest.raises(
        BundleError, match=r"a file .* upscale.0.bias has values .* not finite"
    ):
        Parameters.from_arrays(arrays, "a file")


def test_batch_norm_is_folded_as_torch_does_it(tensors):
    network = AttentionUNet(5, 3, features=4, levels=1)
    network.load_state_dict(tensors)
    conv, norm, _ = network.eval().bottleneck.conv
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        norm.weight.normal_()
        norm.bias.normal_()
        expected = fuse_conv_bn_eval(conv, norm)
    convolution = Parameters.of(network).convolution("bottleneck")
    for folded, trained in zip(
        convolution, (expected.weight, expected.bias), strict=True
    ):
        np.testing.assert_allclose(
            folded, trained.detach().numpy(), rtol=1e-5, atol=1e-6
        )
