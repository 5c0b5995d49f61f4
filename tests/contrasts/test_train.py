"""Training on a small simulated cohort: maps are a linear function of smooth connectomes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")

import torch

from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.train import (
    PersonSamples,
    TrainedNetwork,
    TrainingTask,
    train,
    training_batches,
    validation_scores,
)
from bids_dtg.training.loop import Workplace

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
]

EDGE = 8
ROIS = 3
CONTRASTS = 2
SHORT = TrainingPlan(features=4, loss="mse", epochs=3, patience=0, batch=4)
LONG = TrainingPlan(
    features=4,
    loss="mse",
    epochs=8,
    learning_rate=1e-2,
    batch=6,
    batches=32,
)
# SHORT's, on any machine up to rounding.
STORED_LOSSES = (0.51130, 0.30668)


def cohort(people: int, seed: int, *, shuffled: bool = False) -> PersonSamples:
    cosines = np.cos(np.pi * np.outer(np.arange(3), np.arange(EDGE) + 0.5) / EDGE)
    waves = cosines * np.sqrt([[1.0], [2.0], [2.0]])
    slopes = np.random.default_rng(0).normal(size=(CONTRASTS, ROIS))
    rng = np.random.default_rng(seed)
    spectrum = rng.normal(size=(people, ROIS, 3, 3, 3)) / np.sqrt(27)
    persons_volume = np.einsum(
        "nkabc,ax,by,cz->nkxyz", spectrum, waves, waves, waves, optimize=True
    )
    persons_volume = persons_volume.reshape(people, ROIS, -1)
    connectomes = persons_volume[:, None] + 0.5 * rng.normal(
        size=(people, 2, ROIS, EDGE**3)
    )
    # Small enough that the hinge of crr stays open.
    maps = 0.4 / np.sqrt(ROIS) * np.einsum("qk,nkv->nqv", slopes, persons_volume)
    maps += 0.2 * rng.normal(size=maps.shape)
    if shuffled:
        maps = np.roll(maps, 1, axis=0)
    mask = np.ones((EDGE,) * 3, bool)
    return PersonSamples(connectomes.astype(np.float32), maps.astype(np.float32), mask)


def deviations(trained: TrainedNetwork, samples: PersonSamples) -> np.ndarray:
    """Predict new people's maps and take the mean prediction off, (people, contrasts, ...)."""
    network = AttentionUNet(ROIS, CONTRASTS, features=4)
    network.load_state_dict(trained.state)
    rows = [samples.segment(n, 0, slice(None)) for n in range(samples.people)]
    x = np.reshape(rows, (samples.people, ROIS, EDGE, EDGE, EDGE))
    with torch.no_grad():
        maps = network.eval()(torch.from_numpy(x)).numpy()
    return maps - maps.mean(axis=0)


def losses(trained: TrainedNetwork) -> list[float]:
    return [
        epoch[name]
        for epoch in trained.card["history"]
        for name in ("loss", "validation_loss")
    ]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return train(cohort(12, 1), cohort(4, 2), SHORT, Workplace(folder))


def test_losses_are_those_stored(plain):
    assert losses(plain)[:2] == pytest.approx(STORED_LOSSES, rel=1e-3)


@pytest.mark.slow
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path):
    people = cohort(12, 1), cohort(4, 2)
    plan = dataclasses.replace(SHORT, learning_rate=0.1, epochs=8)
    whole = train(*people, plan, Workplace(tmp_path / "whole"))
    train(*people, dataclasses.replace(plan, epochs=6), Workplace(tmp_path / "parts"))
    lines: list[str] = []
    resumed = train(*people, plan, Workplace(tmp_path / "parts"), report=lines.append)
    assert len(lines) == 2
    assert losses(resumed) == pytest.approx(losses(whole), abs=1e-5)
    # The loss rises in the last epoch before the stop, and the rate falls after it.
    rates = [
        [epoch["learning_rate"] for epoch in trained.card["history"]]
        for trained in (resumed, whole)
    ]
    assert rates[0] == rates[1]
    assert rates[1][5] > rates[1][6]
    for name, tensor in whole.state.items():
        torch.testing.assert_close(resumed.state[name], tensor, atol=1e-5, rtol=0)


def test_voxels_of_a_mask_are_trained_on_where_they_lie():
    """Batches hold rows of the mask's voxels; the network sees them on the grid."""
    rng = np.random.default_rng(0)
    mask = rng.random((9, 12, 10)) < 0.5
    connectomes = rng.normal(size=(3, 1, ROIS, mask.sum())).astype(np.float32)
    maps = rng.normal(size=(3, CONTRASTS, mask.sum())).astype(np.float32)
    people = PersonSamples(connectomes, maps, mask)
    plan = dataclasses.replace(SHORT, batch=3)
    task = TrainingTask(
        people, people, plan, start=None, report=lambda line: None
    ).eval()
    expected = []
    for boxes in training_batches(people, 3, (plan.seed, 0, 0)):
        for box in boxes:
            grid = np.zeros((3, ROIS, *box.shape), np.float32)
            grid.reshape(3, ROIS, -1)[..., box.inside] = box.connectomes
            with torch.no_grad():
                predicted = task.network(torch.from_numpy(grid)).flatten(2).numpy()
            expected.append(
                np.square(predicted[..., box.counted] - box.maps.numpy()).mean()
            )
    step = task.training_step(next(iter(task.train_dataloader())), 0)
    assert float(step.detach()) == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_finished_training_is_only_read(plain, tmp_path):
    people = cohort(12, 1), cohort(4, 2)
    first = train(*people, SHORT, Workplace(tmp_path))
    lines: list[str] = []
    again = train(*people, SHORT, Workplace(tmp_path), report=lines.append)
    assert not lines
    assert again.card == first.card


def test_the_time_is_kept_over_calls(tmp_path):
    people = cohort(12, 1), cohort(4, 2)
    hurried = dataclasses.replace(SHORT, minutes=1e-6)
    assert len(train(*people, hurried, Workplace(tmp_path)).card["history"]) == 1
    assert len(train(*people, hurried, Workplace(tmp_path)).card["history"]) == 1


def test_the_card_says_how(plain):
    card = plain.card
    assert (card["loss"], card["seed"], card["people"], card["validation_people"]) == (
        *("mse", 0, 12, 4),
    )
    assert card["updates"] == 3 * (card["best_epoch"] + 1)
    best = max(card["history"], key=lambda epoch: epoch["validation_r"])
    assert card["best_epoch"] == best["epoch"]


def test_a_training_can_start_from_another_s_weights(plain, tmp_path):
    plan = dataclasses.replace(SHORT, epochs=1, learning_rate=1e-9)
    further = train(
        cohort(12, 1), cohort(4, 2), plan, Workplace(tmp_path), start=plain.state
    )
    for name, parameter in AttentionUNet(
        ROIS, CONTRASTS, features=4
    ).named_parameters():
        torch.testing.assert_close(
            further.state[name], plain.state[name], atol=1e-6, rtol=0
        )
        assert not torch.equal(further.state[name], parameter)


@pytest.mark.slow
def test_statistics_can_be_those_of_the_weights_to_begin_with(plain, tmp_path):
    people, plan = (
        (cohort(12, 1), cohort(4, 2)),
        dataclasses.replace(SHORT, fixed_statistics=True),
    )
    further = train(*people, plan, Workplace(tmp_path / "fixed"), start=plain.state)
    free = train(*people, SHORT, Workplace(tmp_path / "free"), start=plain.state)
    for name in ("running_mean", "running_var"):
        key = f"in_block.conv.1.{name}"
        torch.testing.assert_close(further.state[key], plain.state[key], atol=0, rtol=0)
        assert not torch.equal(free.state[key], plain.state[key])
    key = "in_block.conv.1.weight"
    assert not torch.equal(further.state[key], plain.state[key])


@pytest.fixture(scope="module")
def long_mse(tmp_path_factory):
    return train(
        cohort(24, 1), cohort(8, 2), LONG, Workplace(tmp_path_factory.mktemp("mse"))
    )


@pytest.mark.slow
def test_crr_turns_deviations_up_by_one_plus_alpha(long_mse, tmp_path):
    validation = cohort(8, 2)
    plan = dataclasses.replace(LONG, loss="crr", alpha=0.25, margin=1.0)
    mse = deviations(long_mse, validation)
    crr = deviations(
        train(cohort(24, 1), validation, plan, Workplace(tmp_path)), validation
    )
    slope = (mse * crr).sum() / np.square(mse).sum()
    assert abs(slope - 1.25) < 0.1
    assert np.corrcoef(mse.ravel(), crr.ravel())[0, 1] > 0.9


def test_frozen_parameters_stay_and_the_others_move(tmp_path):
    start = AttentionUNet(ROIS, CONTRASTS, features=4).state_dict()
    plan = dataclasses.replace(SHORT, epochs=1, frozen=("out_block.1",))
    state = train(
        cohort(12, 1), cohort(4, 2), plan, Workplace(tmp_path), start=start
    ).state
    assert torch.equal(state["out_block.1.weight"], start["out_block.1.weight"])
    assert not torch.equal(
        state["in_block.conv.0.weight"], start["in_block.conv.0.weight"]
    )


def test_scores_tell_people_apart_from_the_mean_map():
    rng = torch.Generator().manual_seed(0)
    mean = 3 * torch.randn(1, 2, 200, generator=rng)
    deviation = torch.randn(5, 2, 200, generator=rng)
    everybodys = validation_scores((mean + 0 * deviation), mean + deviation)
    assert everybodys["r"] > 0.9
    assert abs(everybodys["residual_r"]) < 0.02
    wrong_mean = validation_scores(deviation, mean + deviation)
    assert wrong_mean["residual_r"] > 0.99
