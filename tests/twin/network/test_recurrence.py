"""The recurrence, against loops that leave the gradient to PyTorch, and PyTorch's own layer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.twin.network.recurrence import recur


def a_drive(steps=7, people=3, segments=2, units=4, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    drive = torch.randn(steps, people, segments, units, generator=draw, dtype=dtype)
    weights = torch.randn(people, units, units, generator=draw, dtype=dtype) / units**0.5
    return drive.requires_grad_(), weights.requires_grad_()


def by_steps(drive, weights):
    state, states = torch.zeros_like(drive[0]), []
    for now in drive:
        state = torch.tanh(now + state @ weights.transpose(1, 2))
        states.append(state)
    return torch.stack(states)


sizes = st.tuples(*[st.integers(1, 6)] * 4)


@given(sizes, st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_states_and_gradients_are_those_of_a_plain_loop(size, seed):
    drive, weights = a_drive(*size, seed=seed)
    found, expected = recur(drive, weights), by_steps(drive, weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    pull = torch.randn_like(found)
    ours = torch.autograd.grad((found * pull).sum(), (drive, weights))
    plain = torch.autograd.grad((expected * pull).sum(), (drive, weights), allow_unused=True)
    torch.testing.assert_close(ours[0], plain[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(ours[1], plain[1], rtol=0, atol=1e-6)


def test_gradients_are_those_of_differences():
    assert torch.autograd.gradcheck(recur, a_drive())


def test_a_drive_in_another_order_of_memory_gives_the_same():
    drive, weights = a_drive()
    turned = drive.detach().permute(1, 3, 0, 2).contiguous().permute(2, 0, 3, 1)
    assert not turned.is_contiguous()
    assert torch.equal(recur(turned, weights), recur(drive, weights))


def test_shared_weights_give_what_the_layer_of_torch_gives():
    torch.manual_seed(0)
    layer = torch.nn.RNN(input_size=5, hidden_size=6)
    inputs = torch.randn(40, 3, 5)  # (steps, segments, inputs)
    expected, _ = layer(inputs)
    weights = layer.weight_hh_l0.expand(2, -1, -1)
    drive = inputs @ layer.weight_ih_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0
    found = recur(drive[:, None].expand(-1, 2, -1, -1), weights)
    for person in range(2):
        torch.testing.assert_close(found[:, person], expected, rtol=0, atol=1e-6)
    pull = torch.randn_like(expected)
    ours = torch.autograd.grad((found[:, 0] * pull).sum(), layer.weight_hh_l0, retain_graph=True)
    theirs = torch.autograd.grad((expected * pull).sum(), layer.weight_hh_l0)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_weights_of_other_people_or_units_are_refused():
    drive, weights = a_drive(people=3, units=4)
    with pytest.raises(ValueError, match=r"shape \(2, 4, 4\), expected \(3, 4, 4\)"):
        recur(drive, weights[:2])
    with pytest.raises(ValueError, match=r"shape \(3, 3, 3\), expected \(3, 4, 4\)"):
        recur(drive, weights[:, :3, :3])


def test_people_whose_weights_do_not_fit_a_cache_together_do_as_each_alone():
    rng = torch.Generator().manual_seed(3)
    people, units = 5, 600  # 1.4 MB of weights each
    drive = torch.randn(3, people, 2, units, generator=rng)
    weights = torch.randn(people, units, units, generator=rng) / units**0.5
    together = [value.clone().requires_grad_() for value in (drive, weights)]
    recur(*together).square().sum().backward()
    for person in range(people):
        one = slice(person, person + 1)
        alone = [value.clone().requires_grad_() for value in (drive[:, one], weights[one])]
        recur(*alone).square().sum().backward()
        torch.testing.assert_close(together[0].grad[:, one], alone[0].grad)
        torch.testing.assert_close(together[1].grad[one], alone[1].grad)
