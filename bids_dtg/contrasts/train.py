"""Train the attention U-Net on samples (extra ``train``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.samples import Samples
from bids_dtg.contrasts.task import TrainingTask
from bids_dtg.training.loop import Report, Schedule, Workplace, run_epochs


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The weights of the best epoch, and a record of the training."""

    state: Mapping[str, Tensor]  # parameters and buffers under the published names, on the CPU
    card: Mapping[str, Any]  # how it was trained, for JSON


def train(
    training: Samples,
    validation: Samples,
    plan: TrainingPlan,
    workplace: Workplace,
    *,
    start: Mapping[str, Tensor] | None = None,
    report: Report = lambda line: None,
) -> TrainedNetwork:
    """Train a network, or continue where an earlier call on the same folder was stopped.

    Parameters
    ----------
    training, validation
        People to train on, and others to choose the best epoch by (`plan.choose_by`) and to
        lower the learning rate by (the loss).
    plan
        Settings of the training.
    workplace
        Device and folder.
    start
        Weights to begin with, as of a network trained on a coarser grid; None: random ones.
    report
        Receives a line after each epoch.

    Raises
    ------
    ValueError
        If a loss compares people and there are fewer than two in a batch, the samples do
        not belong together, or statistics are to be fixed and there are none.
    RunError
        There are checkpoints of more epochs.

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
    schedule = Schedule(
        epochs=plan.epochs,
        monitor=f"validation_{plan.choose_by}",
        better="max",
        minutes=plan.minutes,
        precision=plan.precision,
    )
    task = partial(TrainingTask, training, validation, plan, start=start)
    best = run_epochs(task, schedule, workplace, report)
    prefix = "network."
    state = {
        name.removeprefix(prefix): tensor.contiguous()
        for name, tensor in best.state.items()
        if name.startswith(prefix)
    }
    card = {
        **dataclasses.asdict(plan),
        "optimiser": "Adam",
        "people": training.people,
        "segments": training.segments,
        "validation_people": validation.people,
        "best_epoch": best.epoch,
        "updates": best.updates,
        "history": list(best.history),
        "seconds": round(sum(epoch["seconds"] for epoch in best.history), 1),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }
    return TrainedNetwork(state, card)
