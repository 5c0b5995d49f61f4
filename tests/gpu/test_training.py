"""Training on a GPU: a step's loss and gradient, epochs, fine-tuning, going on elsewhere."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")

import torch
from gpu_devices import DEVICES
from gpu_forms import random_network

from bids_dtg.contrasts.losses import crr_loss
from bids_dtg.contrasts.network.dense import exact_convolutions
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.train import PersonSamples, TrainedNetwork, masked_error, train
from bids_dtg.training.loop import Workplace

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

EDGE, ROIS, CONTRASTS = 12, 5, 3
PLAN = TrainingPlan(features=4, loss="crr", epochs=3, patience=0, batch=4)
# Of losses and maps that were trained on both devices: TF32 (torch's own choice) and bf16 differ.
TF32, BF16 = 1e-2, 5e-2
LOSSES = {
    "mse": masked_error,
    "crr": lambda found, true: crr_loss(found, true),
}


def cohort(people: int, seed: int) -> PersonSamples:
    rng = np.random.default_rng(seed)
    connectomes = rng.normal(size=(people, 2, ROIS, EDGE**3)).astype(np.float32)
    maps = 0.4 * connectomes.mean(1)[:, :CONTRASTS] + 0.1
    return PersonSamples(connectomes, maps.astype(np.float32), np.ones((EDGE,) * 3, bool))


def trained_on(device: str, folder: Path, **changes: object) -> TrainedNetwork:
    start = changes.pop("start", None)
    plan = dataclasses.replace(PLAN, **changes)
    return train(cohort(8, 1), cohort(4, 2), plan, Workplace(folder, device), start=start)


def losses(trained: TrainedNetwork) -> list[float]:
    return [
        epoch[name] for epoch in trained.card["history"] for name in ("loss", "validation_loss")
    ]


def gradient(device: str, dtype: torch.dtype, loss: str) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the loss and the gradient of a network in training, in float64 on the CPU."""
    network = random_network(ROIS, CONTRASTS, 8).train().to(device, dtype)
    generator = torch.Generator().manual_seed(1)
    grids = (torch.randn(4, n, 8, 9, 10, generator=generator) for n in (ROIS, CONTRASTS))
    connectomes, maps = (grid.to(device, dtype) for grid in grids)
    with exact_convolutions():
        found = LOSSES[loss](network(connectomes), maps)
        found.backward()
    return float(found), {
        name: parameter.grad.double().cpu() for name, parameter in network.named_parameters()
    }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_steps_loss_and_gradient_are_those_of_float64(loss, device):
    expected, truth = gradient("cpu", torch.float64, loss)
    found, gradients = gradient(device, torch.float32, loss)
    assert found == pytest.approx(expected, rel=1e-5)
    largest = max(float(value.abs().max()) for value in truth.values())
    for name, value in gradients.items():
        torch.testing.assert_close(value, truth[name], rtol=1e-3, atol=1e-5 * largest, msg=name)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({}, TF32),
        ({"loss": "mse"}, TF32),
        ({"precision": "bf16-mixed"}, BF16),
    ],
    ids=["crr", "mse", "bf16"],
)
def test_epochs_on_a_gpu_have_the_losses_of_the_cpu(tmp_path, changes, tolerance):
    here = changes | {"precision": "32-true"}
    expected = losses(trained_on("cpu", tmp_path / "cpu", **here))
    found = losses(trained_on("cuda", tmp_path / "cuda", **changes))
    assert found == pytest.approx(expected, rel=tolerance)


@pytest.mark.gpu
def test_a_training_goes_on_where_no_gpu_is(tmp_path):
    whole = losses(trained_on("cpu", tmp_path / "whole", epochs=4))
    trained_on("cuda", tmp_path / "parts", epochs=2)
    resumed = trained_on("cpu", tmp_path / "parts", epochs=4)
    assert losses(resumed) == pytest.approx(whole, rel=TF32)
    assert {tensor.device.type for tensor in resumed.state.values()} == {"cpu"}


@pytest.mark.parametrize("device", DEVICES)
def test_fine_tuning_leaves_frozen_layers_alone(tmp_path, device):
    start = random_network(ROIS, CONTRASTS, 4).state_dict()
    tuned = trained_on(device, tmp_path, start=start, frozen=("out_block.1",), epochs=1)
    for name in ("out_block.1.weight", "out_block.1.bias"):
        assert torch.equal(tuned.state[name], start[name])
    name = "in_block.conv.0.weight"
    assert not torch.allclose(tuned.state[name], start[name])


@pytest.mark.gpu
def test_too_little_memory_for_a_batch_is_known_as_such(tmp_path):
    """In a process of its own: what a process may take cannot be given back to it."""
    script = Path(__file__).with_name("limited_training.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "too little memory"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("architecture", ["lowrank", "hypernetwork"])
def test_twins_train_on_a_device_as_on_the_cpu(tmp_path, architecture, device):
    from twin_runs import QUICK, connectomes_of, slow_and_quick

    from bids_dtg.twin.fitting import fit

    segments, takes = slow_and_quick(people=8)
    connectomes = connectomes_of(takes)
    recipe = dataclasses.replace(QUICK, group_epochs=4, group_updates=3, dropout=0.0)
    buttons = [
        fit(
            connectomes,
            segments,
            architecture=architecture,
            recipe=recipe,
            workplace=Workplace(tmp_path / name, where),
        ).perform(connectomes, segments)
        for name, where in (("here", "cpu"), ("there", device))
    ]
    np.testing.assert_allclose(buttons[1], buttons[0], rtol=0, atol=0.02)


@pytest.mark.parametrize("device", DEVICES)
def test_networks_of_regions_train_on_a_device(tmp_path, device):
    """Noise is drawn by the device, so that results are alike and not the same."""
    from bids_dtg.dynamics.fitting import fit
    from bids_dtg.dynamics.networks import Networks, normalised, standardised
    from bids_dtg.dynamics.recipe import RECIPES, Recipe

    rng = np.random.default_rng(1)
    networks = Networks(
        people=("a", "b"),
        regions=tuple("ABCDE"),
        series=standardised(rng.standard_normal((2, 5, 60)).cumsum(-1)),
        weights=normalised(rng.random((2, 5, 5))),
        tr_seconds=2.0,
    )
    tiny = Recipe(states=2, region_parameters=2, hidden=8, encoder_units=4, epochs=3, batch_size=4)
    sizes = {"states": 2, "region_parameters": 2, "epochs": 3}
    for number, recipe in enumerate([tiny, dataclasses.replace(RECIPES["default"], **sizes)]):
        elbos = [
            fit(
                networks,
                recipe,
                workplace=Workplace(tmp_path / f"{number}-{name}", where),
            )
            .restarts[0]
            .elbo
            for name, where in (("here", "cpu"), ("there", device))
        ]
        assert elbos[1] == pytest.approx(elbos[0], rel=0.1)
