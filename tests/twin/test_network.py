"""Networks, against PyTorch's own layers and their equations written out."""

import pytest
import torch
from torch.nn.functional import dropout, linear, mish

from bids_dtg.twin.network import (
    HyperNetwork,
    LowRank,
    MainWeights,
    ModulatedNetwork,
    Sizes,
    perform,
)

SIZES = Sizes(inputs=3, units=6, outputs=4)
NAMES = tuple(vars(ModulatedNetwork(SIZES, rank=2).group_weights()))


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layers(flat):
    """Return two layers of torch with weights in the published order."""
    layer, out = torch.nn.RNN(3, 6, batch_first=True), torch.nn.Linear(6, 4)
    torch.nn.utils.vector_to_parameters(flat, [*layer.parameters(), *out.parameters()])
    return layer, out


def test_networks_have_the_published_numbers_of_weights():
    assert Sizes(inputs=9, units=400, outputs=23).weights == 173_623
    with torch.device("meta"):
        network = HyperNetwork(99_235, Sizes(9, 400, 23), hidden=200)
    assert sum(p.numel() for p in network.parameters()) == 54_785_623


@pytest.mark.parametrize("seen", [1, 3])
def test_outputs_are_those_of_torchs_layers(seen):
    """People together as each alone, with weights in the published order; gradients, too."""
    flat, inputs = 0.4 * drawn(3, SIZES.weights), drawn(seen, 2, 9, 3, seed=1)
    parameters = flat.clone().requires_grad_()
    weights = MainWeights.from_flat(parameters, SIZES)
    performed = perform(weights, inputs)
    performed.square().sum().backward()
    for person in range(3):
        layer, out = layers(flat[person])
        expected = layer(inputs[person % seen])[0]
        torch.testing.assert_close(performed[person], out(expected), rtol=0, atol=1e-5)
        out(expected).square().sum().backward()
        theirs = [p.grad.flatten() for p in (*layer.parameters(), *out.parameters())]
        torch.testing.assert_close(
            parameters.grad[person], torch.cat(theirs), rtol=1e-3, atol=1e-4
        )


def test_one_network_performs_for_each_person_what_they_saw():
    weights = MainWeights.from_flat(0.4 * drawn(1, SIZES.weights), SIZES)
    inputs = drawn(3, 2, 9, 3, seed=1)
    performed = [perform(weights, seen[None])[0] for seen in inputs]
    torch.testing.assert_close(perform(weights, inputs), torch.stack(performed))


def a_network(rank=2):
    torch.manual_seed(0)
    network = ModulatedNetwork(SIZES, rank=rank)
    with torch.no_grad():
        network.bias.normal_()
        network.output_bias.normal_()
    return network


def test_a_modulation_changes_weights_as_the_equations_say():
    network = a_network()
    with torch.no_grad():
        network.recurrent.normal_()
        network.find_modes()
        change = 0.3 * drawn(1, network.modulations)
        modulated = network.weights(change)
        gain, bias, mode, channel, scale, offset = torch.split(
            change[0], list(network.parts.values())
        )
        left_vectors, strength, right_vectors = torch.linalg.svd(network.recurrent)
        modes = sum(
            mode[n] * strength[n] * torch.outer(left_vectors[:, n], right_vectors[n])
            for n in range(2)
        )
        expected = {
            "input": (1 + gain)[:, None] * network.input * (1 + channel),
            "recurrent": (1 + gain)[:, None] * network.recurrent + modes,
            "bias": (1 + gain) * network.bias + bias,
            "output": (1 + scale)[:, None] * network.output,
            "output_bias": network.output_bias + offset,
        }
    for name in NAMES:
        torch.testing.assert_close(
            getattr(modulated, name)[0], expected[name], rtol=0, atol=1e-5
        )
    assert a_network(rank=50).parts["modes"] == 6  # no more than units


def test_connectomes_become_measures_and_these_weights():
    twin = LowRank(5, 2, SIZES, rank=2)
    assert not twin.differ
    for seed, tensor in enumerate(twin.buffers()):
        tensor.copy_(drawn(*tensor.shape, seed=seed))
    edges = drawn(3, 5, seed=9)
    measures = (edges - twin.edge_mean) @ twin.edge_weights
    torch.testing.assert_close(twin.measures(edges), measures)
    expected = twin.network.weights(measures @ twin.of_measures.T)
    torch.testing.assert_close(twin(edges).recurrent, expected.recurrent)
    assert twin.differ
    torch.testing.assert_close(
        twin(twin.edge_mean[None]).recurrent, twin.group().recurrent
    )


def test_the_hypernetwork_is_its_equations():
    torch.manual_seed(0)
    network, edges = HyperNetwork(30, SIZES, hidden=7, dropout=0.5), torch.randn(5, 30)
    network.edge_mean.normal_()
    network.edge_sd.uniform_(0.5, 1.5)
    scaled = (edges - network.edge_mean) / network.edge_sd
    torch.manual_seed(1)
    training = network(edges)
    torch.manual_seed(1)
    dropped = dropout(scaled, 0.5)
    assert 0 < (dropped == 0).sum() < dropped.numel()
    p = dict(network.named_parameters())
    for weights, values in ((training, dropped), (network.eval()(edges), scaled)):
        hidden = mish(linear(values, p["first.weight"], p["first.bias"]))
        hidden = mish(linear(hidden, p["middle.weight"], p["middle.bias"]))
        flat = linear(hidden, p["last.weight"], p["last.bias"])
        expected = MainWeights.from_flat(flat, SIZES)
        torch.testing.assert_close(
            weights.recurrent, expected.recurrent, rtol=0, atol=1e-6
        )
    assert network.group() is None
    assert network.differ


def test_a_hypernetwork_starts_from_the_group_s_network_and_from_ridges():
    torch.manual_seed(0)
    group, edges = ModulatedNetwork(SIZES, rank=2), drawn(5, 30)
    network = HyperNetwork(30, SIZES, hidden=7, with_group=True)
    free_weights, bias = network.first.weight[4:].clone(), network.first.bias.clone()
    ridges = drawn(30, 2, seed=1)
    network.start_from(group)
    network.start_with(ridges)
    assert not network.differ
    for name in NAMES:
        expected = getattr(group.group_weights(), name)
        torch.testing.assert_close(getattr(network.group(), name), expected)
        generated = getattr(network.eval()(edges), name)
        torch.testing.assert_close(generated, expected.expand_as(generated))
    units = network.first(edges)
    for row in (0, 1):
        torch.testing.assert_close(units[:, 2 * row], edges @ ridges[:, row])
        torch.testing.assert_close(units[:, 2 * row + 1], -edges @ ridges[:, row])
    torch.testing.assert_close(network.first.weight[4:], 0.1 * free_weights)
    torch.testing.assert_close(network.first.bias[4:], bias[4:])
