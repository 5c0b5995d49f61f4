"""The recurrence, against loops that leave the gradient to PyTorch, and PyTorch's own layer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.twin.network.recurrence import recur

SIZES = {"steps": 7, "people": 3, "segments": 2, "units": 4, "inputs": 3, "outputs": 2}


def networks(sizes=SIZES, seed=0, dtype=torch.float64, seen_by=None):
    """Return inputs, and weights of people's networks that get a gradient."""
    draw = torch.Generator().manual_seed(seed)
    people, units = sizes["people"], sizes["units"]

    def some(*shape):
        return torch.randn(*shape, generator=draw, dtype=dtype)

    inputs = some(seen_by or people, sizes["segments"], sizes["steps"], sizes["inputs"])
    weights = (
        some(people, units, sizes["inputs"]),
        some(people, units),
        some(people, units, units) / units**0.5,
        some(people, sizes["outputs"], units),
    )
    return inputs, *(each.requires_grad_() for each in weights)


def by_steps(inputs, into, bias, recurrent, out_of):
    state, outputs = torch.zeros(len(bias), inputs.shape[1], bias.shape[1], dtype=bias.dtype), []
    for step in range(inputs.shape[2]):
        drive = inputs[:, :, step] @ into.transpose(1, 2) + bias[:, None]
        state = torch.tanh(drive + state @ recurrent.transpose(1, 2))
        outputs.append(state @ out_of.transpose(1, 2))
    return torch.stack(outputs, dim=2)


@given(
    st.fixed_dictionaries({name: st.integers(1, 6) for name in SIZES}),
    st.booleans(),
    st.integers(0, 999),
)
@settings(max_examples=25, deadline=None)
def test_outputs_and_gradients_are_those_of_a_plain_loop(sizes, shared, seed):
    inputs, *weights = networks(sizes, seed, seen_by=1 if shared else None)
    found, expected = recur(inputs, *weights), by_steps(inputs, *weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    pull = torch.randn_like(found)
    ours = torch.autograd.grad((found * pull).sum(), weights)
    plain = torch.autograd.grad((expected * pull).sum(), weights)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_gradients_are_those_of_differences():
    assert torch.autograd.gradcheck(recur, networks())


def test_inputs_in_another_order_of_memory_give_the_same():
    inputs, *weights = networks()
    turned = inputs.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0)
    assert not turned.is_contiguous()
    assert torch.equal(recur(turned, *weights), recur(inputs, *weights))


def test_shared_weights_give_what_the_layer_of_torch_gives():
    torch.manual_seed(0)
    layer = torch.nn.RNN(input_size=5, hidden_size=6, batch_first=True)
    inputs = torch.randn(3, 40, 5)  # (segments, steps, inputs)
    expected, _ = layer(inputs)
    own = [
        layer.weight_ih_l0,
        layer.bias_ih_l0 + layer.bias_hh_l0,
        layer.weight_hh_l0,
        torch.eye(6),
    ]
    found = recur(inputs[None], *(each.expand(2, *each.shape) for each in own))
    for person in range(2):
        torch.testing.assert_close(found[person], expected, rtol=0, atol=1e-6)
    pull = torch.randn_like(expected)
    parts = layer.weight_ih_l0, layer.bias_ih_l0, layer.weight_hh_l0
    ours = torch.autograd.grad((found[0] * pull).sum(), parts, retain_graph=True)
    theirs = torch.autograd.grad((expected * pull).sum(), parts)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_weights_and_inputs_of_other_people_or_units_are_refused():
    inputs, into, bias, recurrent, out_of = networks()
    with pytest.raises(ValueError, match=r"shape \(2, 4, 4\), expected \(3, 4, 4\)"):
        recur(inputs, into, bias, recurrent[:2], out_of)
    with pytest.raises(ValueError, match=r"shape \(3, 3, 3\), expected \(3, 4, 4\)"):
        recur(inputs, into, bias, recurrent[:, :3, :3], out_of)
    with pytest.raises(ValueError, match=r"shape \(5, 4, 3\), expected \(3, 4, 3\)"):
        recur(inputs, into.repeat(2, 1, 1)[:5], bias, recurrent, out_of)
    with pytest.raises(ValueError, match="expected 3 people and 4 units"):
        recur(inputs, into, bias, recurrent, out_of[:, :, :3])
    for some in (inputs[:2], inputs[:, :, :0]):
        with pytest.raises(ValueError, match="expected 1 or 3 people, and steps"):
            recur(some, into, bias, recurrent, out_of)
    with pytest.raises(ValueError, match="inputs get no gradient"):
        recur(inputs.clone().requires_grad_(), into, bias, recurrent, out_of)


def test_people_whose_weights_do_not_fit_a_cache_together_do_as_each_alone():
    sizes = SIZES | {"people": 5, "units": 600, "steps": 3}  # 1.4 MB of weights each
    inputs, *weights = networks(sizes, seed=3, dtype=torch.float32)
    recur(inputs, *weights).square().sum().backward()
    for person in range(5):
        one = slice(person, person + 1)
        alone = [each.detach()[one].clone().requires_grad_() for each in weights]
        recur(inputs[one], *alone).square().sum().backward()
        for own, together in zip(alone, weights, strict=True):
            # Processors add up 600 products in different orders.
            torch.testing.assert_close(together.grad[one], own.grad, rtol=1e-4, atol=1e-4)
