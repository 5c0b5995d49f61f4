"""Two processes on CPUs train as one does; batch norm keeps given statistics (GPUs share them)."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
import time
from functools import partial

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")

import torch

from bids_dtg.contrasts.network.unet import AttentionUNet
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.samples import PersonSamples, Sampling
from bids_dtg.contrasts.task import TrainingTask
from bids_dtg.contrasts.train import train
from bids_dtg.errors import RunError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.training.loop import Workplace
from bids_dtg.training.processes import Report, run_together
from bids_dtg.training.share import WHOLE, Share

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

ROIS, CONTRASTS, EDGE = 3, 2, 8
PLAN = TrainingPlan(
    features=4,
    loss="mse",
    epochs=2,
    patience=0,
    fixed_statistics=True,
    choose_by="residual_r",
    sampling=Sampling(people=4),
)
HISTORY = ("loss", "validation_loss", "validation_r", "validation_residual_r", "learning_rate")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def soon(monkeypatch):
    """Fork processes from one that has imported torch: importing it is most of their start.

    `test_two_processes_train_as_one_and_go_on_as_one` starts them afresh, as the program does.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lightning", "bids_dtg.contrasts.train"])
    others = multiprocessing.get_context
    monkeypatch.setattr(
        multiprocessing,
        "get_context",
        lambda method=None: context if method == "spawn" else others(method),
    )


def cohort(people: int, seed: int, store: ArrayStore) -> PersonSamples:
    """Return people whose arrays are memory-mapped, as those of the group level are."""
    rng = np.random.default_rng(seed)
    connectomes = rng.normal(size=(people, 2, ROIS, EDGE**3)).astype(np.float32)
    maps = (0.4 * connectomes.mean(1)[:, :CONTRASTS]).astype(np.float32)
    stored = []
    for kind, arrays in (("connectomes", connectomes), ("maps", maps)):
        for person, array in enumerate(arrays):
            store.write(f"{seed}/{person}/{kind}", array, {})
        stored.append([store.read(f"{seed}/{person}/{kind}") for person in range(people)])
    return PersonSamples(*stored, np.ones((EDGE,) * 3, bool))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    store = ArrayStore(tmp_path_factory.mktemp("people"))
    # Five to validate: two shares of three, the fifth person in both.
    return cohort(9, 1, store), cohort(5, 2, store)


@pytest.fixture(scope="module")
def start():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AttentionUNet(ROIS, CONTRASTS, features=4).state_dict()


def assert_same(found, expected):
    for name in HISTORY:
        ours, theirs = ([epoch[name] for epoch in one.card["history"]] for one in (found, expected))
        assert ours == pytest.approx(theirs, abs=1e-5), name
    assert found.card["updates"] == expected.card["updates"]
    for name, tensor in expected.state.items():
        torch.testing.assert_close(found.state[name], tensor, atol=2e-5, rtol=0)


@pytest.mark.slow
def test_two_processes_train_as_one_and_go_on_as_one(people, start, tmp_path):
    plan = dataclasses.replace(PLAN, loss="crr", epochs=3, learning_rate=0.01)
    whole = train(*people, plan, Workplace(tmp_path / "whole"), start=start)
    for epochs in (2, 3):
        lines: list[str] = []
        parts = train(
            *people,
            dataclasses.replace(plan, epochs=epochs),
            Workplace(tmp_path / "parts", processes=2),
            start=start,
            report=lines.append,
        )
        if epochs == 2:
            shutil.copytree(tmp_path / "parts", tmp_path / "alone")
    assert [line.split(":")[0] for line in lines] == ["epoch 3/3"]
    assert_same(parts, whole)
    # What two began, one can end.
    assert_same(train(*people, plan, Workplace(tmp_path / "alone"), start=start), whole)
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]


@pytest.mark.slow
def test_parts_of_a_share_have_the_gradient_of_the_whole_batch(soon, people, start, tmp_path):
    plan = dataclasses.replace(PLAN, loss="crr")
    whole = train(*people, plan, Workplace(tmp_path / "whole"), start=start)
    plan = dataclasses.replace(plan, part=1)
    assert_same(
        train(*people, plan, Workplace(tmp_path / "parts", processes=2), start=start), whole
    )


@pytest.mark.slow
def test_they_end_when_nothing_gets_better(soon, people, start, tmp_path):
    plan = dataclasses.replace(PLAN, epochs=20, learning_rate=0.0, stop_after=2)
    found = train(*people, plan, Workplace(tmp_path / "two", processes=2), start=start)
    assert_same(found, train(*people, plan, Workplace(tmp_path / "one"), start=start))
    assert len(found.card["history"]) == 3


def _compare_gradients(people, plan, start, share: Share, report: Report) -> None:
    """Raise where the mean gradient of all processes is not that of the whole batch."""
    found = []
    for own in (share, WHOLE):
        task = TrainingTask(*people, plan, start=start, report=report, share=own).eval()
        task.training_step(next(iter(task.train_dataloader())), 0).backward()
        found.append([one.grad for one in task.network.parameters()])
    for ours, theirs in zip(*found, strict=True):
        torch.distributed.all_reduce(ours)  # as DistributedDataParallel does
        torch.testing.assert_close(ours / share.processes, theirs, atol=1e-6, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["crr", "mse"])
def test_the_gradient_has_the_size_of_the_whole_batch_s(soon, loss, people, start):
    """Adam would hide a factor."""
    plan = dataclasses.replace(PLAN, loss=loss)
    run_together(partial(_compare_gradients, people, plan, start), 2, "cpu", print)


def test_what_processes_cannot_share_is_refused(people, start, tmp_path):
    with pytest.raises(ValueError, match="4 people cannot be shared by 3 processes"):
        train(*people, PLAN, Workplace(tmp_path, processes=3), start=start)
    free = dataclasses.replace(PLAN, fixed_statistics=False)
    with pytest.raises(ValueError, match="no batch norm in common"):
        train(*people, free, Workplace(tmp_path, processes=2))


@pytest.mark.parametrize("number", [1, 2, 5, 6, 7])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_are_of_one_size_and_make_up_the_batch(number, processes):
    shares = [Share(rank, processes).positions(number) for rank in range(processes)]
    assert len({len(one) for one in shares}) == 1
    np.testing.assert_array_equal(np.concatenate(shares)[:number], np.arange(number))


def _fail(how: str, share: Share, report: Report) -> None:
    if how == "killed, and heard of later":
        if share.rank == 0:
            raise RuntimeError("connection reset by peer")
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    if share.rank == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise MemoryError("no memory is left")
    torch.distributed.barrier()  # waits for the other one


@pytest.mark.parametrize(
    ("how", "words"),
    [
        pytest.param("killed", "ended by SIGKILL", marks=pytest.mark.slow),
        pytest.param("killed, and heard of later", "ended by SIGKILL", marks=pytest.mark.slow),
        ("raised", "MemoryError: no memory is left"),
    ],
)
def test_one_that_fails_ends_the_others(soon, how, words):
    with pytest.raises(RunError, match=words):
        run_together(partial(_fail, how), 2, "cpu", print)


def test_lightning_is_not_told_of_a_scheduler_s_tasks(people, start, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "5")
    monkeypatch.setenv("SLURM_JOB_NAME", "job")
    plan = dataclasses.replace(PLAN, epochs=1)
    assert len(train(*people, plan, Workplace(tmp_path), start=start).card["history"]) == 1
