"""The loss: which steps count, and that the average person stands for everybody."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from bids_dtg.twin.network.main import Sizes, perform
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.network.objective import Targets, action_losses

SIZES = Sizes(inputs=3, units=5, buttons=2)


def some_targets(people=4, segments=2, steps=6, seed=0, masked=True, shared=True):
    draw = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=draw)

    shape = (people, segments, steps)
    return Targets(
        inputs=rand(1 if shared else people, segments, steps, SIZES.inputs),
        action=rand(*shape, SIZES.buttons),
        scored=rand(*shape) < (0.6 if masked else 2),
    )


def some_outputs(targets, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*targets.scored.shape, SIZES.buttons, generator=draw)


def gradient(targets):
    torch.manual_seed(0)
    network = ModulatedNetwork(SIZES, rank=2)
    outputs = perform(network.group_weights(), targets.inputs)
    action_losses(outputs, targets).mean().backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def test_losses_are_those_of_torch():
    targets = some_targets(masked=False)
    outputs = some_outputs(targets)
    for person in range(4):
        action = binary_cross_entropy_with_logits(outputs[person], targets.action[person])
        torch.testing.assert_close(action_losses(outputs, targets)[person], action)


@given(st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_steps_that_are_not_scored_do_not_count(seed):
    targets = some_targets(seed=seed)
    outputs = some_outputs(targets, seed)
    noise = 100 * torch.randn_like(outputs)
    other = outputs + torch.where(targets.scored[..., None], 0.0, noise)
    assert torch.equal(action_losses(other, targets), action_losses(outputs, targets))
    # Of the others it is the mean.
    logits, action = outputs[0][targets.scored[0]], targets.action[0][targets.scored[0]]
    if len(action):
        expected = binary_cross_entropy_with_logits(logits, action)
        torch.testing.assert_close(action_losses(outputs, targets)[0], expected)


def test_who_has_no_step_that_counts_has_no_loss():
    targets = some_targets()
    targets.scored[2] = False
    assert action_losses(some_outputs(targets), targets)[2] == 0


@given(st.integers(1, 6), st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_the_average_person_has_the_gradient_of_everybody(people, seed):
    """Whatever steps people are scored at, as long as each has the same number of them."""
    targets = some_targets(people, seed=seed)
    flat = torch.rand(people, 12, generator=torch.Generator().manual_seed(seed))
    targets.scored.copy_((flat.argsort(1) < 7).reshape(people, 2, 6))
    found = gradient(targets.average())
    torch.testing.assert_close(found, gradient(targets), rtol=1e-4, atol=1e-6)
    assert len(targets.average().action) == 1


def test_people_who_saw_different_things_are_not_averaged():
    targets = some_targets(shared=False)
    assert targets.average() is targets
    found = gradient(targets)
    each = [gradient(targets.part(torch.tensor([person]), torch.arange(2))) for person in range(4)]
    torch.testing.assert_close(found, torch.stack(each).mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_a_part_has_its_people_and_segments(shared):
    targets = some_targets(shared=shared)
    found = targets.part(torch.tensor([3, 1]), torch.tensor([1]))
    assert torch.equal(found.action, targets.action[[3, 1]][:, [1]])
    assert torch.equal(found.scored, targets.scored[[3, 1]][:, [1]])
    inputs = targets.inputs if shared else targets.inputs[[3, 1]]
    assert torch.equal(found.inputs, inputs[:, [1]])
