"""Main networks: their weights in the published order, and what they put out when."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.twin.network.main import MainWeights, Sizes, perform

SIZES = Sizes(inputs=3, units=5, buttons=4)


def some_weights(people=3, sizes=SIZES, seed=0):
    flat = torch.randn(people, sizes.weights, generator=torch.Generator().manual_seed(seed))
    return MainWeights.of_flat(0.5 * flat, sizes)


def some_inputs(*shape, seed=0):
    return torch.rand(*shape, SIZES.inputs, generator=torch.Generator().manual_seed(seed))


def by_steps(weights, inputs, person):
    """Return one person's outputs (segments, steps, outputs) by the published equations."""
    state, outputs = torch.zeros(len(inputs), weights.bias.shape[1]), []
    for now in inputs.unbind(1):
        state = torch.tanh(
            now @ weights.input[person].T
            + weights.bias[person]
            + state @ weights.recurrent[person].T
        )
        outputs.append(state @ weights.output[person].T + weights.output_bias[person])
    return torch.stack(outputs, 1)


def test_networks_have_the_published_numbers_of_weights():
    # 3 buttons and 20 regions of BOLD, 3 buttons and 6 regions: here all outputs are buttons.
    assert Sizes(inputs=9, units=400, buttons=23).weights == 173_623
    # The prototype of 5,321 weights had one bias a unit; published are two, which are added.
    assert Sizes(inputs=9, units=64, buttons=9).weights == 5_321 + 64


def test_flat_weights_stand_in_the_published_order():
    """Input, recurrent, its two biases, then the read-out: the facts' W_ih, W_hh, b_ih, b_hh …"""
    flat = torch.arange(2.0 * SIZES.weights).reshape(2, -1)
    weights = MainWeights.of_flat(flat, SIZES)
    for person in range(2):
        row, at = flat[person], 0
        for part, shape in ((weights.input, (5, 3)), (weights.recurrent, (5, 5))):
            size = int(np.prod(shape))
            assert torch.equal(part[person], row[at : at + size].reshape(shape))
            at += size
        assert torch.equal(weights.bias[person], row[at : at + 5] + row[at + 5 : at + 10])
        at += 10
        assert torch.equal(weights.output[person], row[at : at + 20].reshape(4, 5))
        assert torch.equal(weights.output_bias[person], row[at + 20 :])


def test_two_layers_of_torch_with_these_weights_do_the_same():
    flat = 0.3 * torch.randn(1, SIZES.weights, generator=torch.Generator().manual_seed(3))
    layer, out = torch.nn.RNN(3, 5, batch_first=True), torch.nn.Linear(5, 4)
    parameters = [*layer.parameters(), *out.parameters()]  # in the published order
    torch.nn.utils.vector_to_parameters(flat[0], parameters)
    inputs = some_inputs(1, 4, 9)
    expected = out(layer(inputs[0])[0])
    found = perform(MainWeights.of_flat(flat, SIZES), inputs)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_people_perform_together_as_alone(shared):
    weights, inputs = some_weights(), some_inputs(1 if shared else 3, 2, 6)
    found = perform(weights, inputs)
    assert found.shape == (3, 2, 6, 4)
    for person in range(3):
        expected = by_steps(weights, inputs[0 if shared else person], person)
        torch.testing.assert_close(found[person], expected, rtol=0, atol=1e-6)


def test_one_network_performs_for_people_who_saw_different_things():
    weights, inputs = some_weights(people=1), some_inputs(4, 2, 6)
    found = perform(weights, inputs)
    assert found.shape == (4, 2, 6, 4)
    for person in range(4):
        expected = by_steps(weights, inputs[person], 0)
        torch.testing.assert_close(found[person], expected, rtol=0, atol=1e-6)


@given(st.integers(0, 8), st.integers(0, 2), st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_outputs_do_not_know_what_comes_later(step, channel, seed):
    weights, inputs = some_weights(seed=seed), some_inputs(1, 2, 9, seed=seed)
    changed = inputs.clone()
    changed[:, 1, step, channel] += 1.0
    before, after = perform(weights, inputs), perform(weights, changed)
    assert torch.equal(before[:, 0], after[:, 0])  # another segment
    assert torch.equal(before[:, 1, :step], after[:, 1, :step])
    assert not torch.allclose(before[:, 1, step], after[:, 1, step])
