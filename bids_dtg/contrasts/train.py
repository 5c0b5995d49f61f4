"""Training a network on samples; only what trains imports this module (extra ``train``)."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
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
from lightning.pytorch.strategies import DDPStrategy
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.processes import Processes, run_together
from bids_dtg.contrasts.samples import WHOLE, Samples, Share
from bids_dtg.contrasts.task import TrainingTask
from bids_dtg.errors import RunError

_BEST, _LAST = "best.ckpt", "last.ckpt"


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The weights of the best epoch, and how they came about."""

    state: Mapping[str, Tensor]  # parameters and buffers under the published names, on the CPU
    card: Mapping[str, Any]  # how it was trained, for JSON


@dataclass(frozen=True, eq=False)
class _Training:
    """What each process of a training needs to know; it can be pickled."""

    training: Samples  # people to train on
    validation: Samples  # people to choose the best epoch by
    plan: TrainingPlan  # how
    folder: Path  # of the checkpoints
    start: Mapping[str, NDArray[Any]] | None  # weights to begin with; None: random ones
    device: str  # cpu, cuda or cuda:N
    progress: bool  # whether to draw a progress bar


def train(
    training: Samples,
    validation: Samples,
    plan: TrainingPlan,
    folder: Path,
    *,
    start: Mapping[str, Tensor] | None = None,
    device: str = "cpu",
    processes: int = 1,
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
        cpu, cuda or cuda:N.
    processes
        That share the people of each batch, one a GPU; losses, scores and batch norm are of the
        whole batch. The samples are pickled for them.
    progress
        Whether to draw a progress bar.
    tell
        Told a line after each epoch.

    Raises
    ------
    ValueError
        If a loss compares people and there are fewer than two in a batch, the samples do
        not belong together, statistics are to be fixed and there are none, or a batch cannot be
        divided among the processes.
    RunError
        One of several processes failed, or there are checkpoints of more epochs.

    Notes
    -----
    Serin et al. 2025, Communications Biology: Adam, rate 1e-3, reduced on plateaus of the
    validation loss, batches of 10 people, a random segment of rest each.
    """
    for samples in (training, validation):
        if plan.loss == "crr" and min(samples.people, plan.sampling.people) < 2:
            raise ValueError("the loss crr compares people: batches need at least 2")
    if plan.fixed_statistics and start is None:
        raise ValueError("fixed statistics are those of the weights to begin with: give `start`")
    if not np.array_equal(training.mask, validation.mask):
        raise ValueError("training and validation samples need one mask")
    if plan.sampling.people % processes:
        raise ValueError(f"{plan.sampling.people} people cannot be shared by {processes} processes")
    if processes > 1 and device == "cpu" and not plan.fixed_statistics:
        raise ValueError("on CPUs several processes have no batch norm in common: fix statistics")
    given = None if start is None else {name: one.cpu().numpy() for name, one in start.items()}
    job = _Training(training, validation, plan, folder, given, device, progress)
    history = _history(folder)
    if len(history) > plan.epochs:
        raise RunError(
            f"{folder} has a training of {len(history)} epochs",
            expected=f"{len(history)} epochs or more, in place of {plan.epochs}",
            remedy="remove the folder to begin anew",
        )
    if not _is_finished(history, plan):
        if processes == 1:
            _fit(job, WHOLE, tell)
        else:
            run_together(partial(_fit, job), processes, device, tell)
    return _trained(job)


def _fit(job: _Training, share: Share, tell: Callable[[str], None]) -> None:
    """Train in this process, alone or as one of several."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    start = job.start
    weights = None if start is None else {n: torch.from_numpy(one) for n, one in start.items()}
    task = TrainingTask(job.training, job.validation, job.plan, weights, tell, share)
    kind, _, number = job.device.partition(":")
    together = share.processes > 1
    trainer = lightning.Trainer(
        accelerator="gpu" if kind == "cuda" else "cpu",
        devices=[int(number)] if number and not together else share.processes,
        strategy=DDPStrategy() if together else "auto",
        plugins=[Processes(share)],
        sync_batchnorm=together and kind == "cuda",  # torch has it for GPUs only
        use_distributed_sampler=False,  # batches are shared as they are read
        precision=job.plan.precision,
        max_epochs=job.plan.epochs,
        callbacks=_callbacks(job),
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=job.progress,
        reload_dataloaders_every_n_epochs=1,  # each epoch has batches of its own
        num_sanity_val_steps=0,
    )
    last = job.folder / _LAST
    trainer.fit(task, ckpt_path=last if last.exists() else None, weights_only=True)


def _callbacks(job: _Training) -> list[Callback]:
    plan, monitor = job.plan, f"validation_{job.plan.choose_by}"
    callbacks: list[Callback] = [
        _checkpoint(job.folder, "best", monitor=monitor),
        _checkpoint(job.folder, "last", monitor=None),
    ]
    if plan.minutes is not None:
        callbacks.append(Timer(timedelta(minutes=plan.minutes), interval="epoch", verbose=False))
    if plan.stop_after is not None:
        callbacks.append(
            EarlyStopping(
                monitor,
                patience=plan.stop_after,
                mode=_better(monitor),
                check_on_train_epoch_end=True,
            )
        )
    if job.progress:
        callbacks.append(RichProgressBar())
    return callbacks


def _is_finished(history: Sequence[Mapping[str, float]], plan: TrainingPlan) -> bool:
    """Tell whether an earlier call has trained for all epochs, or until nothing got better."""
    if not history or plan.stop_after is None:
        return len(history) >= plan.epochs
    monitor = f"validation_{plan.choose_by}"
    sign = 1 if _better(monitor) == "max" else -1
    best = max(range(len(history)), key=lambda n: (sign * history[n][monitor], -n))
    return len(history) >= plan.epochs or len(history) - 1 - best >= plan.stop_after


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


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _history(folder: Path) -> list[dict[str, float]]:
    """Return what the epochs so far were like; none where nothing was trained yet."""
    last = folder / _LAST
    history: list[dict[str, float]] = _read(last)["history"] if last.exists() else []
    return history


def _trained(job: _Training) -> TrainedNetwork:
    """Read the best epoch's weights and say how they came about."""
    best, history = _read(job.folder / _BEST), _history(job.folder)
    prefix = "network."
    state = {
        name.removeprefix(prefix): tensor.contiguous()
        for name, tensor in best["state_dict"].items()
        if name.startswith(prefix)
    }
    card = {
        **dataclasses.asdict(job.plan),
        "optimiser": "Adam",
        "people": job.training.people,
        "segments": job.training.segments,
        "validation_people": job.validation.people,
        "best_epoch": best["history"][-1]["epoch"],
        "updates": best["global_step"],
        "history": history,
        "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }
    return TrainedNetwork(state, card)
