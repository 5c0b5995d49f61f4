"""The group network and what a modulation changes of it."""

import pytest
import torch

from bids_dtg.twin.network.main import Sizes
from bids_dtg.twin.network.modulated import ModulatedNetwork

SIZES = Sizes(inputs=3, units=6, buttons=4)
NAMES = tuple(vars(ModulatedNetwork(SIZES, rank=2).group_weights()))


def a_network(rank=2):
    torch.manual_seed(0)
    network = ModulatedNetwork(SIZES, rank=rank)
    with torch.no_grad():
        network.bias.normal_()
    return network


def changed(network, part, value=0.5, number=0):
    """Return the group's weights, and those of one number of a part of a modulation."""
    modulation = torch.zeros(2, network.modulations)
    names = list(network.parts)
    before = sum(network.parts[name] for name in names[: names.index(part)])
    modulation[1, before + number] = value
    found = network.weights(modulation)
    return [{name: getattr(found, name)[row].detach() for name in NAMES} for row in (0, 1)]


def test_zeros_give_the_network_of_the_group():
    network = a_network()
    found = network.weights(torch.zeros(3, network.modulations))
    for person in range(3):
        for name in NAMES:
            own = getattr(network, name)
            assert torch.equal(getattr(found, name)[person], own)
            assert torch.equal(getattr(network.group_weights(), name)[0], own)


@pytest.mark.parametrize(
    ("part", "touched"),
    [
        ("gains", {"input", "recurrent", "bias"}),
        ("biases", {"bias"}),
        ("modes", {"recurrent"}),
        ("button_gains", {"output"}),
        ("button_offsets", {"output_bias"}),
    ],
)
def test_a_part_changes_what_it_names(part, touched):
    group, person = changed(a_network(), part)
    assert {name for name in NAMES if not torch.equal(group[name], person[name])} == touched


def test_a_gain_scales_one_unit_and_a_bias_shifts_it():
    network = a_network()
    group, person = changed(network, "gains", 0.5, number=4)
    for name in ("input", "recurrent", "bias"):
        expected = group[name].clone()
        expected[4] *= 1.5
        torch.testing.assert_close(person[name], expected)
    group, person = changed(network, "biases", 0.5, number=4)
    torch.testing.assert_close(person["bias"], group["bias"] + 0.5 * (torch.arange(6) == 4))


def test_outputs_are_scaled_and_shifted():
    network = a_network()
    group, person = changed(network, "button_gains", 1.0, number=1)
    assert torch.equal(person["output"][1], 2 * group["output"][1])
    group, person = changed(network, "button_offsets", 1.0, number=1)
    assert person["output_bias"][1] == group["output_bias"][1] + 1


def test_modes_are_the_strongest_of_the_recurrent_weights():
    network = a_network(rank=3)
    left, strengths, right = torch.linalg.svd(network.recurrent.detach())
    for mode in range(3):
        group, person = changed(network, "modes", 0.5, number=mode)
        expected = 0.5 * strengths[mode] * torch.outer(left[:, mode], right[mode])
        change = person["recurrent"] - group["recurrent"]
        torch.testing.assert_close(change, expected, rtol=0, atol=1e-6)


def test_modes_follow_the_weights_when_they_are_found_again():
    network = a_network(rank=6)
    with torch.no_grad():
        network.recurrent.normal_()
    before = network.left @ network.right.T
    assert not torch.allclose(before, network.recurrent, atol=1e-2)
    network.find_modes()
    found = network.left @ network.right.T
    torch.testing.assert_close(found, network.recurrent.detach(), rtol=0, atol=1e-5)


def test_there_are_no_more_modes_than_units():
    assert a_network(rank=50).parts["modes"] == 6
