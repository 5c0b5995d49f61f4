"""A GPU gives the CPU's results: maps, whole runs of the program, and trainings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")

import torch
from forward import grey_matter
from gpu_forms import FORMS, make, random_network
from maps_job import TinyJob

from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.train import PersonSamples, train
from bids_dtg.training.loop import Workplace

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning"),
]
EDGE = 12
ROIS = 5
CONTRASTS = 3
TF32 = 1e-2  # of losses of trainings, for which torch chooses TF32
PEOPLE = ("01", "02", "03", "04")


@pytest.mark.parametrize("precision", ["none", "tf32"])
@pytest.mark.parametrize("plan", ["auto", "dense", "slabs"])
def test_plans_are_the_eager_network_whatever_precision_other_code_allows(
    plan, precision
):
    rng, network = np.random.default_rng(0), random_network(ROIS, CONTRASTS, 8)
    mask = rng.random((40, 18, 14)) < 0.3  # several slabs cut it
    connectome = rng.uniform(-1, 1, (ROIS, mask.sum())).astype(np.float32)
    expected = make(FORMS["eager"], network, mask, "cpu")(connectome)
    torch.backends.fp32_precision = precision
    try:
        prepared = prepare(
            Parameters.of(network), mask, "cuda", plan=plan, report=pytest.fail
        )
        maps = prepared.predict(connectome)
        assert prepared.predict(connectome).tobytes() == maps.tobytes()
    finally:
        torch.backends.fp32_precision = "none"
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5)


def test_the_published_size():
    mask, network = grey_matter(), random_network(50, 47, 64)
    connectome = (
        np.random.default_rng(0).uniform(-1, 1, (50, mask.sum())).astype(np.float32)
    )
    expected = make(FORMS["blocks"], network, mask, "cpu")(connectome)
    for plan in ("dense", "slabs"):
        maps = prepare(Parameters.of(network), mask, "cuda", plan=plan).predict(
            connectome
        )
        np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5)


def test_processes_of_a_call_share_a_gpu(tmp_path):
    job, maps = TinyJob(tmp_path, PEOPLE), {}
    for device, processes in (("cpu", 1), ("cuda", 1), ("cuda:0", 4)):
        out = tmp_path / f"{device}-{processes}"
        words = job.arguments("--device", device, "--nprocs", processes, out=out)
        program = [sys.executable, "-m", "bids_dtg.cli", *words]
        done = subprocess.run(program, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "too little memory" not in done.stderr
        paths = sorted(out.rglob("*_desc-synthetic_statmap.nii.gz"))
        assert len(paths) == 3 * len(PEOPLE)
        maps[device] = np.stack([nib.load(path).get_fdata() for path in paths])
    np.testing.assert_allclose(maps["cuda"], maps["cpu"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(maps["cuda:0"], maps["cpu"], rtol=0, atol=1e-5)


def losses(device: str, folder: Path, **changes: object) -> list[float]:
    def cohort(people: int, seed: int) -> PersonSamples:
        rng = np.random.default_rng(seed)
        connectomes = rng.normal(size=(people, 2, ROIS, EDGE**3)).astype(np.float32)
        maps = 0.4 * connectomes.mean(1)[:, :CONTRASTS] + 0.1
        return PersonSamples(
            connectomes, maps.astype(np.float32), np.ones((EDGE,) * 3, bool)
        )

    plan = {
        "features": 4,
        "loss": "crr",
        "epochs": 3,
        "patience": 0,
        "batch": 4,
        **changes,
    }
    place = Workplace(folder, device)
    trained = train(cohort(8, 1), cohort(4, 2), TrainingPlan(**plan), place)
    assert {tensor.device.type for tensor in trained.state.values()} == {"cpu"}
    names = ("loss", "validation_loss")
    return [epoch[name] for epoch in trained.card["history"] for name in names]


@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [({}, TF32), ({"loss": "mse"}, TF32), ({"precision": "bf16-mixed"}, 5e-2)],
)
def test_epochs_have_the_losses_of_the_cpu_and_go_on_there(
    tmp_path, changes, tolerance
):
    expected = losses("cpu", tmp_path / "cpu", **(changes | {"precision": "32-true"}))
    gpu_losses = losses("cuda", tmp_path / "cuda", **changes)
    assert gpu_losses == pytest.approx(expected, rel=tolerance)
    if not changes:
        whole = losses("cpu", tmp_path / "whole", epochs=4)
        assert losses("cpu", tmp_path / "cuda", epochs=4) == pytest.approx(
            whole, rel=TF32
        )


@pytest.mark.parametrize("architecture", ["lowrank", "hypernetwork"])
def test_twins(tmp_path, architecture):
    from dataclasses import replace

    from twin_runs import QUICK, connectomes_of, slow_and_quick

    from bids_dtg.twin.fitting import fit

    segments, takes = slow_and_quick(people=8)
    edges = connectomes_of(takes)
    recipe = replace(QUICK, group_epochs=4, group_updates=3, dropout=0.0)
    options = {"architecture": architecture, "recipe": recipe}
    on_cpu, on_gpu = (
        fit(edges, segments, workplace=Workplace(tmp_path / name, name), **options)
        for name in ("cpu", "cuda")
    )
    behaviour, expected = (twin.perform(edges, segments) for twin in (on_gpu, on_cpu))
    np.testing.assert_allclose(behaviour, expected, rtol=0, atol=0.02)


def test_networks_of_regions(tmp_path):
    """Noise is drawn by the device, so that results are alike and not the same."""
    from bids_dtg.dynamics.fitting import fit
    from bids_dtg.dynamics.networks import make_networks
    from bids_dtg.dynamics.recipe import Recipe

    rng = np.random.default_rng(1)
    weights = rng.random((2, 5, 5))
    series = rng.standard_normal((2, 5, 60)).cumsum(-1)
    networks = make_networks(series, weights + weights.swapaxes(1, 2), 2.0)
    recipe = Recipe(states=2, region_parameters=2, epochs=3, batch_size=4)
    on_cpu, on_gpu = (
        fit(networks, recipe, workplace=Workplace(tmp_path / name, name))
        .restarts[0]
        .elbo
        for name in ("cpu", "cuda")
    )
    assert on_gpu == pytest.approx(on_cpu, rel=0.1)
