"""Training a network on samples; only what trains imports this module (extra ``train``)."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    RichProgressBar,
    Timer,
)
from torch import Tensor

from bids_dtg.contrasts.samples import Samples
from bids_dtg.contrasts.training_plan import TrainingPlan
from bids_dtg.contrasts.training_task import TrainingTask


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The weights of the best epoch, and how they came about."""

    state: Mapping[str, Tensor]  # parameters and buffers under the published names, on the CPU
    card: Mapping[str, Any]  # how it was trained, for JSON


def train(
    training: Samples,
    validation: Samples,
    plan: TrainingPlan,
    folder: Path,
    *,
    start: Mapping[str, Tensor] | None = None,
    device: str = "cpu",
    progress: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> TrainedNetwork:
    """Train a network, or go on where an earlier call on the same folder was stopped.

    Parameters
    ----------
    training, validation
        People to train on, and others to choose the best epoch by (`plan.choose_by`) and to
        lower the learning rate by (the loss).
    plan
        How.
    folder
        Where checkpoints of the last and the best epoch are kept.
    start
        Weights to begin with, as of a network trained on a coarser grid; None: random ones.
    device
        cpu or cuda.
    progress
        Whether to draw a progress bar.
    tell
        Told a line after each epoch.

    Raises
    ------
    ValueError
        If a loss compares people and there are fewer than two in a batch, the samples do
        not belong together, or statistics are to be fixed and there are none.

    Notes
    -----
    Serin et al. 2025, Communications Biology: Adam, rate 1e-3, reduced on plateaus of the
    validation loss, batches of 10 people, a random segment of rest each.
    """
    for samples in (training, validation):
        if plan.loss == "crr" and min(samples.people, plan.sampling.people) < 2:
            raise ValueError("the loss crr compares people: batches need at least 2")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    if plan.fixed_statistics and start is None:
        raise ValueError("fixed statistics are those of the weights to begin with: give `start`")
    if not np.array_equal(training.mask, validation.mask):
        raise ValueError("training and validation samples need one mask")
    task = TrainingTask(training, validation, plan, start, tell)
    callbacks: list[Callback] = [
        _checkpoint(folder, "best", monitor=f"validation_{plan.choose_by}"),
        _checkpoint(folder, "last", monitor=None),
    ]
    if plan.minutes is not None:
        callbacks.append(Timer(timedelta(minutes=plan.minutes), interval="epoch", verbose=False))
    if plan.stop_after is not None:
        monitor = f"validation_{plan.choose_by}"
        callbacks.append(
            EarlyStopping(
                monitor,
                patience=plan.stop_after,
                mode=_better(monitor),
                check_on_train_epoch_end=True,
            )
        )
    if progress:
        callbacks.append(RichProgressBar())
    trainer = lightning.Trainer(
        accelerator="gpu" if device.startswith("cuda") else "cpu",
        devices=1,
        precision=plan.precision,
        max_epochs=plan.epochs,
        callbacks=callbacks,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        reload_dataloaders_every_n_epochs=1,  # each epoch has batches of its own
        num_sanity_val_steps=0,
    )
    last = folder / "last.ckpt"
    trainer.fit(task, ckpt_path=last if last.exists() else None, weights_only=True)
    return _trained(task, folder)


def _checkpoint(folder: Path, name: str, monitor: str | None) -> ModelCheckpoint:
    """Keep the epoch with the best monitored value, or the newest one."""
    return ModelCheckpoint(
        folder,
        filename=name,
        monitor=monitor,
        mode=_better(monitor),
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def _better(monitor: str | None) -> Literal["min", "max"]:
    return "min" if monitor == "validation_loss" else "max"


def _trained(task: TrainingTask, folder: Path) -> TrainedNetwork:
    """Read the best epoch's weights and say how they came about."""
    saved = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)
    prefix = "network."
    state = {
        name.removeprefix(prefix): tensor.contiguous()
        for name, tensor in saved["state_dict"].items()
        if name.startswith(prefix)
    }
    training, validation = task.training_people, task.validation_people
    card = {
        **dataclasses.asdict(task.plan),
        "optimiser": "Adam",
        "people": training.people,
        "segments": training.segments,
        "validation_people": validation.people,
        "best_epoch": saved["history"][-1]["epoch"],
        "updates": saved["global_step"],
        "history": task.history,
        "seconds": round(sum(epoch["seconds"] for epoch in task.history), 1),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }
    return TrainedNetwork(state, card)
