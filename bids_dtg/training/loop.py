"""Epochs of any network: resumed where they stopped, the best one kept, ended early.

Only what trains imports this module (extra ``train``).
"""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    RichProgressBar,
    Timer,
)
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from bids_dtg.errors import RunError
from bids_dtg.files.atomic import write_atomic

_BEST, _LAST = "best.ckpt", "last.ckpt"
_HERE = "."  # a folder, in what its files say of it
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
    trainer = lightning.Trainer(
        accelerator="gpu" if kind == "cuda" else "cpu",
        devices=[int(number)] if number else 1,
        # No scheduler is asked: its numbers of tasks (SLURM_NTASKS) do not count processes here.
        plugins=[LightningEnvironment(), _CheckpointFiles()],
        precision=schedule.precision,
        max_epochs=schedule.epochs,
        callbacks=_callbacks(schedule, workplace),
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


def _callbacks(schedule: Schedule, workplace: Workplace) -> list[Callback]:
    kept = partial(
        _Checkpoint, workplace.folder, save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [
        kept(filename="best", monitor=schedule.monitor, mode=schedule.better),
        kept(filename="last"),
    ]
    if schedule.minutes is not None:
        limit = timedelta(minutes=schedule.minutes)
        callbacks.append(Timer(limit, interval="epoch", verbose=False))
    if schedule.stop_after is not None:
        callbacks.append(
            EarlyStopping(
                schedule.monitor,
                patience=schedule.stop_after,
                mode=schedule.better,
                check_on_train_epoch_end=True,
            )
        )
    if workplace.progress:
        callbacks.append(RichProgressBar())
    return callbacks


def _is_finished(history: Sequence[Mapping[str, float]], schedule: Schedule) -> bool:
    """Say whether an earlier call has trained for all epochs, or until nothing got better."""
    if not history or schedule.stop_after is None:
        return len(history) >= schedule.epochs
    sign = 1 if schedule.better == "max" else -1
    best = max(range(len(history)), key=lambda n: (sign * history[n][schedule.monitor], -n))
    return len(history) >= schedule.epochs or len(history) - 1 - best >= schedule.stop_after


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


class _Checkpoint(ModelCheckpoint):
    """Keeps the best epoch, or the last, in one file; its state says nothing of where that lies."""

    def state_dict(self) -> dict[str, Any]:
        scores = list(self.best_k_models.values())
        return {**super().state_dict(), **self._of(_HERE, scores)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # Lightning removes files that a checkpoint names, and a checkpoint may be anybody's.
        scores = list(state_dict["best_k_models"].values())
        super().load_state_dict({**state_dict, **self._of(str(self.dirpath), scores)})

    def _of(self, folder: str, scores: Sequence[Any]) -> dict[str, Any]:
        """Return what names files in the state, of this file alone."""
        own = f"{folder}/{self.filename}{self.FILE_EXTENSION}"
        return {
            "dirpath": folder,
            "best_model_path": own,
            "best_k_models": dict(zip([own], scores, strict=False)),
            "kth_best_model_path": own if scores else "",
            "last_model_path": "",
        }


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
