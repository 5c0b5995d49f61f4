"""A training that is stopped ends as the signal asks, and the same command resumes it."""

from __future__ import annotations

import random
import resource
import tempfile
from functools import partial

import pytest

pytest.importorskip("lightning", reason="needs the extra [train]")

import torch

from bids_dtg.contrasts.network.kind import with_new_outputs
from bids_dtg.dynamics.model import NetworkModel, restored
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.errors import OutputError, RunError
from bids_dtg.training.loop import (
    Schedule,
    Task,
    Workplace,
    restored_random_state,
    run_epochs,
    torch_threads,
)


class Lowering(Task):
    """Lowers a square by one step an epoch; what is to be raised ends it in an epoch."""

    def __init__(
        self, end: tuple[int, BaseException] | None, report, losses=()
    ) -> None:
        super().__init__(report)
        self.weight = torch.nn.Parameter(torch.ones(1))
        self._end = end
        self._said = losses

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(1), batch_size=1)

    def training_step(self, batch, _):
        if self._end and self.current_epoch == self._end[0]:
            raise self._end[1]
        return (self.weight * batch).square().sum()

    def on_train_epoch_end(self):
        loss = float(self.weight.detach().square().sum())
        shown_loss = self._said[self.current_epoch] if self._said else loss
        self.history.append(
            {"epoch": self.current_epoch + 1, "loss": loss, "said": shown_loss}
        )

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder, lines, end=None):
    return run_epochs(
        partial(Lowering, end),
        Schedule(4, "loss", "min"),
        Workplace(folder),
        lines.append,
    )


NAN = float("nan")


@pytest.mark.parametrize(
    ("losses", "better", "best", "epochs"),
    [
        ((3, 1, 2, 1, 0), "min", 2, 4),  # none is better for two epochs
        ((1, 2, NAN, 2, 3), "max", 2, 4),
        ((NAN, NAN, NAN, 0, 0), "max", 1, 3),
        ((5, 4, 3, 2, 1), "min", 5, 5),
    ],
)
def test_the_first_of_the_best_epochs_is_kept(tmp_path, losses, better, best, epochs):
    def train(folder, longest):
        plan = Schedule(longest, "said", better, stop_after=2)
        return run_epochs(
            partial(Lowering, None, losses=losses), plan, Workplace(folder), print
        )

    checkpoint = train(tmp_path, 5)
    assert (checkpoint.epoch, checkpoint.updates, len(checkpoint.history)) == (
        best,
        best,
        epochs,
    )
    assert float(checkpoint.state["weight"].square()) == pytest.approx(
        checkpoint.history[best - 1]["loss"]
    )
    train(tmp_path / "parts", 2)
    assert str(train(tmp_path / "parts", 5)) == str(checkpoint)


# 143: what the program makes of SIGTERM
@pytest.mark.parametrize(
    "raised", [SystemExit(143), SystemExit(129), KeyboardInterrupt()]
)
def test_the_signal_decides_how_the_program_ends(tmp_path, raised):
    lines = []
    with pytest.raises(type(raised)) as ended:
        fit(tmp_path, lines, (2, raised))
    assert getattr(ended.value, "code", None) == getattr(raised, "code", None)
    assert lines == ["the same command continues from epoch 3"]
    finished = fit(tmp_path, lines)
    assert [row["epoch"] for row in finished.history] == [1, 2, 3, 4]
    whole = fit(tmp_path / "whole", [])
    assert finished.history == whole.history


def test_checkpoints_are_written_where_they_stay(tmp_path, monkeypatch):
    """From another file system they would be copied, and half of one could be under its name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert len(fit(tmp_path / "fit", []).history) == 4
    assert sorted(path.name for path in (tmp_path / "fit").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]


@pytest.mark.parametrize(("name", "size"), [("best.ckpt", 100), ("last.ckpt", 0)])
def test_a_broken_checkpoint_is_one_line(tmp_path, name, size):
    fit(tmp_path, [])
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(
        RunError,
        match=f"{name} cannot be read.* remove {tmp_path}, the training starts again",
    ):
        fit(tmp_path, [])


def test_a_broken_checkpoint_of_the_best_epoch_is_found_before_further_epochs(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, [], (2, KeyboardInterrupt()))
    path, lines = tmp_path / "best.ckpt", []
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"best\.ckpt cannot be read"):
        fit(tmp_path, lines)
    assert lines == []


@pytest.mark.slow
def test_no_checkpoint_with_a_changed_byte_is_read(tmp_path):
    """torch reads most of these, also as the training is resumed."""
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, [], (2, KeyboardInterrupt()))
    path, rng = tmp_path / "last.ckpt", random.Random(1)
    sound = path.read_bytes()
    for _ in range(300):
        content = bytearray(sound)
        for place in rng.sample(range(len(sound)), rng.choice((1, 3))):
            content[place] ^= rng.randrange(1, 256)
        path.write_bytes(content)
        with pytest.raises(RunError, match=r"last\.ckpt cannot be read"):
            fit(tmp_path, [])
    path.write_bytes(sound)
    assert len(fit(tmp_path, []).history) == 4


def test_fewer_epochs_than_were_trained_are_refused(tmp_path):
    fit(tmp_path, [])
    with pytest.raises(
        RunError, match=r"holds a training of 4 epochs, and 3 are asked for"
    ):
        run_epochs(
            partial(Lowering, None),
            Schedule(3, "loss", "min"),
            Workplace(tmp_path),
            print,
        )


@pytest.mark.slow
def test_a_checkpoint_that_the_disk_has_no_room_for_is_one_line(tmp_path):
    fit(tmp_path, [], end=None)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        with pytest.raises(
            OutputError, match=r"ckpt cannot be written: File too large"
        ):
            run_epochs(
                partial(Lowering, None),
                Schedule(5, "loss", "min"),
                Workplace(tmp_path),
                print,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# --- denormal numbers and threads


class Decaying(Task):
    """Has a gradient that decays to denormal numbers along a series, as in an LSTM."""

    def __init__(self, report) -> None:
        super().__init__(report)
        self.weight = torch.nn.Parameter(torch.full((8,), 0.5))
        self.flushed, self.threads = [], []

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(4, 200), batch_size=1)

    def training_step(self, series, _):
        self.flushed.append(is_flushed())
        self.threads.append(torch.get_num_threads())
        state = torch.zeros(8)
        for value in series[0]:
            state = torch.tanh(self.weight * state) * 0.6 + value
        return state.square().sum()

    def on_train_epoch_end(self):
        loss = float(self.weight.detach().double().sum())
        self.history.append({"epoch": self.current_epoch + 1, "loss": loss})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


def is_flushed() -> bool:
    return torch.tensor(torch.finfo(torch.float32).tiny).div(2.0).item() == 0.0


@pytest.mark.parametrize("before", [False, True])
def test_denormal_numbers_are_flushed_in_training_only(
    tmp_path, monkeypatch, one_thread, before
):
    def train(folder):
        task = Decaying(print)
        best = run_epochs(
            lambda report: task, Schedule(2, "loss", "min"), Workplace(folder), print
        )
        return task.flushed, best.history

    torch.set_flush_denormal(before)
    try:
        flushed, history = train(tmp_path / "flushed")
        assert is_flushed() == before
    finally:
        torch.set_flush_denormal(False)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda mode: True)
    plain, same_history = train(tmp_path / "plain")
    assert (flushed, plain) == ([True] * 8, [False] * 8)
    assert history == same_history


@pytest.mark.parametrize("number", [1, 3])
def test_training_computes_on_the_threads_of_its_block(tmp_path, number):
    task, before = Decaying(print), torch.get_num_threads()
    with torch_threads(number):
        run_epochs(
            lambda report: task, Schedule(2, "loss", "min"), Workplace(tmp_path), print
        )
    assert set(task.threads) == {number}
    assert torch.get_num_threads() == before


# --- random numbers that are borrowed come back, and no GPU is touched that nobody computes on


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Return a list of the GPUs, of two, whose state somebody asks for or sets."""
    numbers: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", numbers.append)
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda _state, number: numbers.append(number)
    )
    return numbers


@pytest.mark.parametrize(
    ("device", "gpus"), [("cpu", []), ("cuda", [0, 0]), ("cuda:1", [1, 1])]
)
def test_only_the_gpu_in_use_is_asked(asked, device, gpus):
    with restored_random_state(device):
        torch.manual_seed(5)
    assert asked == gpus


@restored_random_state()
def draw_and_fail() -> None:
    torch.rand(7)
    raise ZeroDivisionError


def test_the_state_comes_back_after_an_error_too():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with pytest.raises(ZeroDivisionError):
        draw_and_fail()
    assert torch.equal(torch.rand(2), expected)


def test_models_that_are_made_on_the_cpu_touch_no_gpu(asked):
    with_new_outputs({"out_block.1.weight": torch.zeros(2, 3, 1, 1, 1)}, 4, seed=0)
    recipe = Recipe(states=2, region_parameters=2, hidden=4, encoder_units=4)
    restored(recipe, (2, 3, 9), NetworkModel(recipe, 2, 3, 9).state_dict())
    assert asked == []
