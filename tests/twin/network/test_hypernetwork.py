"""The hypernetwork, against its equations written out."""

import torch
from torch.nn.functional import linear, mish

from bids_dtg.twin.network.hypernetwork import HyperNetwork
from bids_dtg.twin.network.main import MainWeights, Sizes

SIZES = Sizes(inputs=2, units=4, buttons=3)


def a_network(**changes):
    torch.manual_seed(0)
    return HyperNetwork(30, SIZES, **({"hidden": 7, "dropout": 0.0} | changes))


def same(found, expected):
    for name, value in vars(expected).items():
        torch.testing.assert_close(getattr(found, name), value, rtol=0, atol=1e-6)


def written_out(network, values):
    p = dict(network.named_parameters())
    hidden = mish(linear(values, p["first.weight"], p["first.bias"]))
    hidden = mish(linear(hidden, p["middle.weight"], p["middle.bias"]))
    return MainWeights.of_flat(linear(hidden, p["last.weight"], p["last.bias"]), SIZES)


def test_weights_are_those_of_the_equations():
    network, connectomes = a_network(), torch.randn(5, 30)
    same(network(connectomes), written_out(network, connectomes))


def test_edges_are_scaled_by_what_training_people_have():
    network, connectomes = a_network(), torch.randn(5, 30)
    network.edge_mean.copy_(torch.randn(30))
    network.edge_sd.copy_(torch.rand(30) + 0.5)
    scaled = (connectomes - network.edge_mean) / network.edge_sd
    same(network(connectomes), written_out(network, scaled))


def test_edges_are_left_out_while_it_is_trained_only():
    network, connectomes = a_network(dropout=0.5), torch.ones(1, 30)
    torch.manual_seed(1)
    found = network(connectomes)
    torch.manual_seed(1)
    kept = torch.nn.functional.dropout(connectomes, 0.5)
    assert 0 < (kept == 0).sum() < 30
    same(found, written_out(network, kept))
    same(network.eval()(connectomes), written_out(network, connectomes))


def test_the_last_layer_begins_smaller_by_its_scale():
    whole, scaled = a_network(), a_network(last_layer_scale=0.35)
    torch.testing.assert_close(scaled.last.weight, 0.35 * whole.last.weight)
    torch.testing.assert_close(scaled.last.bias, 0.35 * whole.last.bias)
    assert torch.equal(scaled.middle.weight, whole.middle.weight)


def test_the_published_network_has_the_published_number_of_parameters():
    with torch.device("meta"):
        # Published are 3 buttons and 20 regions of BOLD: here all 23 outputs are buttons.
        network = HyperNetwork(99_235, Sizes(9, 400, 23), hidden=200)
    layers = [
        sum(p.numel() for p in layer.parameters())
        for layer in (network.first, network.middle, network.last)
    ]
    assert layers == [19_847_200, 40_200, 34_898_223]
    assert sum(p.numel() for p in network.parameters()) == 54_785_623
