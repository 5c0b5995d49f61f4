"""Compiled kernels against plain PyTorch, in single precision; their cache; trainings by them."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.encoders import encode
from bids_dtg.dynamics.fitting import fit
from bids_dtg.dynamics.model import Items, NetworkModel
from bids_dtg.dynamics.networks import Networks, make_networks
from bids_dtg.dynamics.objective import Noise, loss_of, terms_of
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.training.loop import Workplace

PEOPLE, ITEMS = 5, 7
KERNELS = Path(__file__).parents[2] / "bids_dtg/dynamics/kernels.py"


@pytest.fixture
def memory(one_thread):
    """Return memory for the kernels, which take ten seconds to compile once."""
    from bids_dtg.dynamics.kernels import Memory

    return Memory()


def loss_and_gradients(frames, memory=None, **changes):
    """Return the loss, each term, and each gradient, of a model and series that are the same."""
    torch.manual_seed(0)
    model = NetworkModel(Recipe(encoder_units=6, **changes), PEOPLE, 3, frames)
    people = torch.randint(PEOPLE, (ITEMS,))
    items = Items(torch.randn(frames, ITEMS), torch.randn(frames, ITEMS), people)
    posterior = model.infer(items, memory)
    noise = Noise.draw(model, items, 2)
    terms = terms_of(model, items, posterior, noise, compiled=memory is not None)
    loss = loss_of(model, terms, 1.0, 0.3)
    parameters = model.named_parameters()
    learning = {n: p for n, p in parameters if p.requires_grad and p.numel()}
    gradients = torch.autograd.grad(loss, list(learning.values()))
    return loss.detach(), terms, dict(zip(learning, gradients, strict=True))


def require_alike(outcome, expected):
    loss, terms, gradients = outcome
    expected_loss, expected_terms, expected_gradients = expected
    torch.testing.assert_close(loss, expected_loss, rtol=1e-6, atol=0)
    for name, term in vars(expected_terms).items():
        scale = float(term.detach().abs().max()) or 1.0
        torch.testing.assert_close(
            getattr(terms, name), term, rtol=0, atol=2e-6 * scale, msg=name
        )
    # Of a number that is a difference of large sums, such as a bias, little is left.
    largest = max(
        float(gradient.abs().max()) for gradient in expected_gradients.values()
    )
    for name, gradient in expected_gradients.items():
        scale = max(float(gradient.abs().max()), 0.01 * largest)
        torch.testing.assert_close(
            gradients[name],
            gradient,
            rtol=0,
            atol=1e-5 * scale,
            msg=lambda words, name=name: f"{name}: {words}",
        )


# The region encoder's gradient vanishes within the longest series, but in none of the others.
@pytest.mark.slow
@pytest.mark.parametrize("frames", [2, 40, 400])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"external_inputs": 0, "person_parameters": 1},
        {"states": 1, "region_parameters": 2},
    ],
)
def test_loss_and_gradients_are_those_of_plain_pytorch(memory, frames, changes):
    expected = loss_and_gradients(frames, **changes)
    require_alike(loss_and_gradients(frames, memory, **changes), expected)
    # What the first pass has left in the memory is not read by the second.
    require_alike(loss_and_gradients(frames, memory, **changes), expected)


@pytest.mark.slow
def test_memory_is_that_of_the_longest_pass_and_never_of_two_at_once(memory):
    for frames in (40, 400, 40):
        require_alike(loss_and_gradients(frames, memory), loss_and_gradients(frames))
    blocks = [memory.take(1) for _ in range(5)]  # of four LSTMs, and a new one
    assert [block.size for block in blocks] == [*[blocks[0].size] * 4, 1]
    model = NetworkModel(Recipe(encoder_units=6), PEOPLE, 3, 30)
    signals, one_hot = torch.randn(2, 30, 2, 4), torch.eye(PEOPLE)[:4]
    learning = list(model.region_encoder.lstm.parameters())[:2]

    def means(number, memory):
        encoders = model.state_encoder, model.region_encoder
        return encode(*encoders, signals[number], one_hot, memory)[1].mean.sum()

    passes = [
        means(0, memory),
        means(1, memory),
    ]  # the second before the first goes back
    for number in (0, 1):
        gradients = torch.autograd.grad(passes[number], learning)
        expected = torch.autograd.grad(means(number, None), learning)
        for ours, theirs in zip(gradients, expected, strict=True):
            scale = float(theirs.abs().max())
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * scale)


@pytest.mark.slow
def test_a_number_that_is_not_finite_is_not_hidden(memory):
    from bids_dtg.dynamics.kernels import run_lstm, transition_squares

    weights, constants, signals = (
        torch.ones(*n) for n in ((12, 5), (12, 4), (3, 2, 4))
    )
    signals[0, 0, 0] = float("nan")
    results, last = run_lstm(weights, constants, torch.ones(1, 3), signals, memory)
    assert results[:, 0, 0].isnan().all()
    assert last.isnan().any(0).tolist() == [True, False, False, False]
    inputs = signals.clone()
    layers = torch.ones(3, 2), torch.ones(3, 4), torch.ones(1, 3), torch.ones(1)
    squares = transition_squares(inputs, *layers)
    assert squares.isnan()[0].tolist() == [True, False, False, False]


CALL = """
import kernels, torch
memory, signals = kernels.Memory(), torch.zeros(20, 2, 5)
weights, constants, out = torch.zeros(12, 5), torch.ones(12, 5), torch.ones(4, 3)
print(kernels.run_lstm(weights, constants, out, signals, memory)[0].shape)
"""


def no_folder(folder: Path) -> None:
    (folder / "__pycache__").write_text("in the way")


def no_space() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["no folder", "no space", "damaged"])
def test_a_cache_that_does_not_work_costs_the_compiling_only(tmp_path, fault):
    shutil.copy(KERNELS, tmp_path)
    if fault == "no folder":  # beside the module, nor in a home
        no_folder(tmp_path)
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    call = [sys.executable, "-B", "-c", CALL]

    def run(**options):
        return subprocess.run(
            call,
            cwd=tmp_path,
            env={**inherited, **nowhere, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    if fault == "damaged":
        run()
        for file in (tmp_path / "__pycache__").glob("*.nb*"):
            file.write_bytes(b"damaged")
    done = run(preexec_fn=no_space if fault == "no space" else None)
    assert (done.returncode, done.stdout) == (0, "torch.Size([20, 4, 5])\n"), (
        done.stderr
    )


def some_networks(frames: int) -> Networks:
    rng = np.random.default_rng(0)
    series = rng.standard_normal((4, 5, frames)).cumsum(-1)
    weights = rng.random((4, 5, 5))
    return make_networks(series, weights + weights.swapaxes(1, 2), 0.72)


SHORT = Recipe(states=2, region_parameters=2, encoder_units=4, epochs=2, batch_size=8)
LONG = Recipe(
    states=2, region_parameters=2, encoder_units=4, epochs=50, batch_size=10
)  # 50 epochs of 16 series of 2,600 frames


def test_a_short_training_does_not_wait_for_compiled_kernels(monkeypatch):
    monkeypatch.setitem(sys.modules, "bids_dtg.dynamics.kernels", None)
    lines: list[str] = []
    fit(some_networks(60), SHORT, report=lines.append)
    assert [line.split(":")[0] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2"]


def test_a_long_training_without_numba_says_so(monkeypatch):
    class Enough(Exception):
        pass

    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        raise Enough

    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "bids_dtg.dynamics.kernels", raising=False)
    with pytest.raises(Enough):
        fit(some_networks(2600), LONG, report=report)
    assert "Numba" in lines[0]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_kernels import LONG, fit, some_networks, Workplace
def report(line):
    if line.startswith("epoch 20 "):
        os.kill(os.getpid(), signal.SIGKILL)
fit(some_networks(2600), LONG, workplace=Workplace(Path(sys.argv[1])), report=report)
"""


@pytest.mark.slow
def test_a_killed_training_by_kernels_ends_with_the_same_weights(tmp_path, one_thread):
    code = KILLED.format(tests=str(Path(__file__).parent))
    job = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(job, check=False).returncode < 0
    networks, lines = some_networks(2600), []
    resumed = fit(networks, LONG, workplace=Workplace(tmp_path), report=lines.append)
    assert 0 < len(lines) < LONG.epochs
    assert "bids_dtg.dynamics.kernels" in sys.modules
    whole = fit(networks, LONG)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
