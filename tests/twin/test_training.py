"""Trainings of twins: which steps count, and what each batch and loss is made of."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from twin_runs import slow_and_quick

from bids_dtg.twin.network import ModulatedNetwork, Sizes, perform
from bids_dtg.twin.recipe import Recipe
from bids_dtg.twin.times import observed_measures
from bids_dtg.twin.training import (
    GroupTask,
    Targets,
    TimesTask,
    action_losses,
    bold_loss,
    performed_measures,
    spread_of,
)

SIZES = Sizes(inputs=3, units=5, outputs=2)


def some_targets(people=4, seed=0, shared=True):
    draw = torch.Generator().manual_seed(seed)
    flat = torch.rand(
        people, 12, generator=draw
    )  # each person is scored at 7 of 12 steps
    return Targets(
        inputs=torch.rand(1 if shared else people, 2, 6, SIZES.inputs, generator=draw),
        action=torch.rand(people, 2, 6, SIZES.outputs, generator=draw),
        scored=(flat.argsort(1) < 7).reshape(people, 2, 6),
    )


def test_losses_are_torchs_at_the_steps_that_are_scored():
    targets = some_targets()
    targets.scored[2] = False
    outputs = torch.randn(4, 2, 6, 3)  # the third output is a region
    losses = action_losses(outputs, targets)
    for person in (0, 1, 3):
        scored = targets.scored[person]
        action = targets.action[person][scored]
        expected = binary_cross_entropy_with_logits(
            outputs[person][scored][:, :2], action
        )
        torch.testing.assert_close(losses[person], expected)
    assert losses[2] == 0


def test_bold_is_in_the_loss_where_it_was_measured():
    rng = np.random.default_rng(0)
    bold = rng.normal(size=(4, 2, 6, 3)).astype(np.float32)
    bold[0, 1, 2:5] = bold[2] = bold[..., 1] = np.nan  # censored, a person, a region
    targets = replace(some_targets(), bold=torch.from_numpy(bold))
    outputs = torch.randn(4, 2, 6, 5, requires_grad=True)  # two buttons, three regions
    expected = np.nanmean((outputs.detach().numpy()[..., 2:] - bold) ** 2)
    loss = bold_loss(outputs, targets)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    task = GroupTask(
        ModulatedNetwork(SIZES, rank=2),
        *(targets, targets, Recipe()),
        length=(1, 1),
        seed=0,
        identity="",
        report=print,
    )
    whole = task.loss("training", torch.arange(4), torch.arange(2), outputs, targets)
    action = float(action_losses(outputs, targets).mean().detach())
    assert float(whole.detach()) == pytest.approx(10 * action + expected, rel=1e-5)
    loss.backward()
    assert ((outputs.grad[..., 2:] != 0).numpy() == np.isfinite(bold)).all()
    nobody = replace(targets, bold=torch.full((4, 2, 6, 3), torch.nan))
    assert bold_loss(outputs, nobody) == bold_loss(outputs, some_targets()) == 0
    part = targets.part(torch.tensor([1, 0]), torch.tensor([1]))
    np.testing.assert_array_equal(part.bold, bold[[1, 0]][:, [1]])


def options(targets, **recipe):
    return {
        "training": targets,
        "validation": targets,
        "recipe": Recipe(**recipe),
        "length": (1, 1),
        "seed": 0,
        "identity": "",
        "report": lambda line: None,
    }


def test_the_loss_of_measures_is_its_equation():
    """10 times the cross-entropy, 0.1 times squared errors in SD by times, and a penalty."""
    segments, _ = slow_and_quick(people=6)
    torch.manual_seed(0)
    sizes = Sizes(segments.inputs.shape[-1], 8, segments.action.shape[-1])
    network = ModulatedNetwork(sizes, rank=2).requires_grad_(False)
    observed = torch.from_numpy(observed_measures(segments)).float()
    observed = observed - observed.mean(0)
    observed[2, 1] = torch.nan
    parts = {"training": segments, "validation": segments}
    wanted = dict.fromkeys(parts, observed)
    start, targets = 0.1 * torch.randn(network.modulations, 4), Targets.of(segments)
    task = TimesTask(network, start, parts, wanted, rate=0.1, **options(targets))
    spread = torch.from_numpy(np.nanstd(observed.numpy(), axis=0))
    spread[2] = 1  # all are correct in all trials
    torch.testing.assert_close(spread_of(observed), spread)
    everybody = torch.arange(6)
    with torch.no_grad():
        outputs = perform(
            network.weights(observed.nan_to_num() @ start.T), targets.inputs
        )
        before = perform(network.group_weights(), targets.inputs)
        after, group = (
            performed_measures(torch.sigmoid(logits), segments)
            for logits in (outputs, before)
        )
        wrong = ((after - group - observed) / spread).nan_to_num()
        expected = (
            10 * action_losses(outputs, targets).mean()
            + 0.1 * wrong.square().mean(0).sum() / 2
        )
        expected += 1e-4 * (start * spread).square().sum()
        performed = perform(task.networks("training", everybody), targets.inputs)
        torch.testing.assert_close(performed, outputs, rtol=0, atol=1e-5)
        everything = torch.arange(segments.action.shape[1])
        loss = task.loss("training", everybody, everything, performed, targets)
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)
    assert [group["params"] for group in task.rates()] == [[task.matrix]]
