"""Epochs of any network: resumed where they stopped, the best one kept, ended early.

Only what trains imports this module (extra ``train``).
"""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, Checkpoint, RichProgressBar, Timer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from bids_dtg.errors import RunError
from bids_dtg.files.atomic import write_atomic

_BEST, _LAST = "best.ckpt", "last.ckpt"
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]  # as Lightning names it


class Task(lightning.LightningModule):
    """What the loop trains: a Lightning module that appends a record to `history` each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[dict[str, float]] = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]


Report = Callable[[str], None]  # is given a line after each epoch
MakeTask = Callable[..., Task]  # called with `report` alone


@dataclass(frozen=True)
class Schedule:
    """How long training lasts, and which epoch is kept."""

    epochs: int  # at most
    monitor: str  # what the best epoch is chosen by, a key of the epochs' records
    better: Literal["min", "max"]  # which of its values is the better one
    stop_after: int | None = None  # epochs without a better one before training ends; None: never
    minutes: float | None = None  # at most, earlier calls included; epochs are completed
    precision: Precision = "32-true"


@dataclass(frozen=True)
class Workplace:
    """Where training runs, and where it leaves its checkpoints."""

    folder: Path  # of the checkpoints of the last and the best epoch
    device: str = "cpu"  # cpu, cuda or cuda:N
    progress: bool = False  # whether to draw a progress bar


@dataclass(frozen=True, eq=False)
class Best:
    """The best epoch, and all epochs on the way."""

    state: Mapping[str, Tensor]  # parameters and buffers of the task, on the CPU
    history: Sequence[Mapping[str, float]]  # a record an epoch
    epoch: int  # the best one's number
    updates: int  # of the weights, until then


def run_epochs(
    make_task: MakeTask, schedule: Schedule, workplace: Workplace, report: Report
) -> Best:
    """Train, or go on where an earlier call on the same folder was stopped.

    torch's random state is given back at the end.

    Parameters
    ----------
    make_task
        Makes the task from what is given a line after each epoch.
    schedule
        Number of epochs, early stopping, and the epoch that is kept.
    workplace
        Folder of checkpoints, and device.
    report
        Is given a line after each epoch.

    Raises
    ------
    RunError
        There are checkpoints of more epochs, or broken ones.
    OutputError
        A checkpoint cannot be written.
    """
    past = past_epochs(workplace.folder, schedule.epochs)
    with borrowed_chance(workplace.device):
        if not _is_finished(past["history"], schedule):
            _fit(make_task, schedule, workplace, report)
        else:  # is it of this task?
            make_task(report=report).on_load_checkpoint(dict(past))
    best = _read(workplace.folder / _BEST)
    return Best(
        state=best["state_dict"],
        history=past_epochs(workplace.folder, schedule.epochs)["history"],
        epoch=best["history"][-1]["epoch"],
        updates=best["global_step"],
    )


def past_epochs(folder: Path, epochs: int) -> Mapping[str, Any]:
    """Return what the last epoch of an earlier call left, its `history`; empty before the first.

    Parameters
    ----------
    folder
        Of the checkpoints.
    epochs
        How long training shall last.

    Raises
    ------
    RunError
        The checkpoint cannot be read, or is of more epochs.
    """
    last = folder / _LAST
    if not last.exists():
        return {"history": []}
    content = _read(last)
    done = len(content["history"])
    if done > epochs:
        raise RunError(
            f"{folder} has a training of {done} epochs",
            expected=f"{done} epochs or more, in place of {epochs}",
            remedy="remove the folder to begin anew",
        )
    return content


def _fit(make_task: MakeTask, schedule: Schedule, workplace: Workplace, report: Report) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    task = make_task(report=report)
    kind, _, number = workplace.device.partition(":")
    callbacks: list[Callback] = [_Keeper(schedule, workplace.folder)]
    if schedule.minutes is not None:
        limit = timedelta(minutes=schedule.minutes)
        callbacks.append(Timer(limit, interval="epoch", verbose=False))
    if workplace.progress:
        callbacks.append(RichProgressBar())
    trainer = lightning.Trainer(
        accelerator="gpu" if kind == "cuda" else "cpu",
        devices=[int(number)] if number else 1,
        # No scheduler is asked: its numbers of tasks (SLURM_NTASKS) do not count processes here.
        plugins=[LightningEnvironment(), _CheckpointFiles()],
        precision=schedule.precision,
        max_epochs=schedule.epochs,
        callbacks=callbacks,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=workplace.progress,
        reload_dataloaders_every_n_epochs=1,  # each epoch has batches of its own
        num_sanity_val_steps=0,
    )
    last = workplace.folder / _LAST
    try:
        trainer.fit(task, ckpt_path=last if last.exists() else None, weights_only=True)
    except (KeyboardInterrupt, SystemExit) as err:
        done = len(past_epochs(workplace.folder, schedule.epochs)["history"])
        report(f"the same command goes on from epoch {done + 1}")
        # Lightning ends the process at Ctrl-C, with code 1 and in silence.
        if isinstance(err, SystemExit) and trainer.interrupted and err.code == 1:
            raise KeyboardInterrupt from None
        raise


def _best(history: Sequence[Mapping[str, float]], schedule: Schedule) -> int:
    """Return which epoch is the first of the best; one without a finite value is the worst."""
    values = np.array([epoch[schedule.monitor] for epoch in history])
    values = values if schedule.better == "max" else -values
    return int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))


def _is_finished(history: Sequence[Mapping[str, float]], schedule: Schedule) -> bool:
    """Say whether training has lasted for all epochs, or until nothing got better."""
    done = len(history)
    if not done or schedule.stop_after is None:
        return done >= schedule.epochs
    return done >= schedule.epochs or done - 1 - _best(history, schedule) >= schedule.stop_after


class _Keeper(Checkpoint):
    """Keeps the last epoch and the best one, a file each, and ends training that is finished."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self._schedule, self._folder = schedule, folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, task: Any) -> None:
        """Write what a further call goes on from: `task` has recorded its epoch before."""
        if _best(task.history, self._schedule) == len(task.history) - 1:
            trainer.save_checkpoint(self._folder / _BEST)
        trainer.save_checkpoint(self._folder / _LAST)
        trainer.should_stop |= _is_finished(task.history, self._schedule)


class _CheckpointFiles(TorchCheckpointIO):
    """Writes a checkpoint beside the one that it replaces.

    Lightning writes to the folder of temporary files. Where that is on another file system the
    checkpoint is copied from there, and a call killed meanwhile leaves half of it under its name.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomic(Path(path), content.getbuffer())


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as err:
        raise RunError(
            f"{path} cannot be read",
            expected="a checkpoint of this training",
            remedy=f"remove {path.parent} to begin anew",
        ) from err
    return content


@contextmanager
def borrowed_chance(device: str = "cpu") -> Iterator[None]:
    """Give torch's random state back after a block: that of the CPU, and of the GPU in use.

    `torch.random.fork_rng` by itself takes hold of every GPU of the machine, also those that
    other programs work on, and fails in a process that was forked after the GPU was in use.

    Parameters
    ----------
    device
        What the block computes on: cpu, cuda or cuda:N. No other GPU is touched.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with borrowed_chance():
    ...     _ = torch.manual_seed(1), torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    kind, _, number = device.partition(":")
    with torch.random.fork_rng([int(number or 0)] if kind == "cuda" else [], device_type="cuda"):
        yield
