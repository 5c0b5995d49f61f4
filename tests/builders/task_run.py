"""Runs of a task: trials, and BOLD series that hold the person's true responses to them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.phantom.bold import draw_run
from bids_dtg.contrasts.phantom.model import Person
from bids_dtg.contrasts.phantom.tasks import CONDITIONS, condition_list
from bids_dtg.phantom.bold_run import BoldRun
from bids_dtg.phantom.streams import Purpose

Array = NDArray[np.float32]

# Numbers of task runs begin here, those of rest at 0; a task takes as many.
_FIRST_RUN = 100
# The response to an impulse: the difference of two gamma functions with the first peak at
# 5.2 s and an undershoot at 13.5 s. Neither SPM's (peak 5, undershoot 15) nor Glover's, so that a
# model of those misses it as it misses a real one.
_PEAK_S, _PEAK_WIDTH_S = 5.2, 2.3
_UNDERSHOOT_S, _UNDERSHOOT_WIDTH_S, _UNDERSHOOT = 13.5, 4.0, 0.15
_RESPONSE_S = 32.0
_STEP_S = 0.05  # of the time in which responses are computed


@dataclass(frozen=True)
class TaskPlan:
    """How a run of a task is made."""

    task: str = "MOTOR"  # one of `CONDITIONS`
    blocks: int = 3  # of each condition
    block_s: float = 12.0  # length of a block
    pause_s: tuple[float, float] = (2.0, 8.0)  # range of the pauses between blocks
    lead_s: float = 8.0  # before the first block
    repetition_time_s: float = 1.5  # seconds a frame
    change_percent: float = 0.5  # of a voxel's mean, for a lasting response of z = 1

    def __post_init__(self) -> None:
        if self.task not in CONDITIONS:
            raise ValueError(f"{self.task!r} is no task: {', '.join(CONDITIONS)}")


@dataclass(frozen=True, eq=False)
class TaskRun:
    """A run of a task, and what happened in it."""

    bold: BoldRun
    onset_s: NDArray[np.float64]  # (blocks,)
    duration_s: float  # of each block
    condition: tuple[str, ...]  # (blocks,)


def draw_task_run(person: Person, plan: TaskPlan, run: int = 0) -> TaskRun:
    """Draw a run of a task: rest, noise and nuisance as ever, and responses to the blocks.

    Each block of a condition adds, in every grey voxel, the person's true response to it (z), times
    `change_percent` of the voxel's mean, times the block convolved with the haemodynamic response.

    Parameters
    ----------
    person
        Whose responses.
    plan
        Of the run.
    run
        Runs of other numbers have other noise, and other orders of blocks.
    """
    rng = person.stream(Purpose.TRIALS, segment=_number(plan.task, run))
    names = CONDITIONS[plan.task]
    order = np.concatenate([rng.permutation(len(names)) for _ in range(plan.blocks)])
    pauses = rng.uniform(*plan.pause_s, len(order))
    # Whole tenths of a second, as a stimulation program logs them.
    onset = np.round(plan.lead_s + np.cumsum(plan.block_s + pauses) - plan.block_s, 1)
    frames = int(np.ceil((onset[-1] + plan.block_s + 12.0) / plan.repetition_time_s))
    bold = draw_run(person, frames, plan.repetition_time_s, _number(plan.task, run))
    courses = np.stack(
        [
            response_course(onset[order == c], plan.block_s, frames, plan.repetition_time_s)
            for c in range(len(names))
        ],
        axis=1,
    )
    return TaskRun(
        bold=_with_responses(bold, person, plan, courses),
        onset_s=onset,
        duration_s=plan.block_s,
        condition=tuple(names[c] for c in order),
    )


def haemodynamic_response(step_s: float = _STEP_S) -> NDArray[np.float64]:
    """Return the response to an impulse, at steps from 0 to 32 s; its integral is 1."""
    t = np.arange(0.0, _RESPONSE_S, step_s)
    shape = _gamma(t, _PEAK_S, _PEAK_WIDTH_S)
    shape = shape - _UNDERSHOOT * _gamma(t, _UNDERSHOOT_S, _UNDERSHOOT_WIDTH_S)
    unit: NDArray[np.float64] = shape / (step_s * shape.sum())
    return unit


def response_course(
    onset_s: NDArray[np.float64], duration_s: float, frames: int, repetition_time_s: float
) -> NDArray[np.float64]:
    """Return the response to blocks at the beginning of each frame, (frames,); it lasts at 1."""
    steps = int(np.ceil(frames * repetition_time_s / _STEP_S))
    t = _STEP_S * np.arange(steps)
    on = ((t[:, None] >= onset_s) & (t[:, None] < onset_s + duration_s)).any(axis=1)
    course = _STEP_S * np.convolve(on.astype(np.float64), haemodynamic_response())[:steps]
    at = np.round(np.arange(frames) * repetition_time_s / _STEP_S).astype(np.intp)
    sampled: NDArray[np.float64] = course[at]
    return sampled


def true_effects(person: Person, plan: TaskPlan) -> Array:
    """Return the lasting responses to the task's conditions, (conditions, grey voxels), in %."""
    rows = [row for row, (task, _) in enumerate(condition_list()) if task == plan.task]
    effects: Array = np.float32(plan.change_percent) * person.responses[rows]
    return effects


def _number(task: str, run: int) -> int:
    return _FIRST_RUN * (1 + list(CONDITIONS).index(task)) + run


def _gamma(t: NDArray[np.float64], peak_s: float, width_s: float) -> NDArray[np.float64]:
    """Return a gamma function of height 1 by its peak and the width of a Gaussian like it."""
    power = (peak_s / width_s) ** 2
    x = np.maximum(t, 1e-9) / peak_s
    shape: NDArray[np.float64] = np.exp(power * (np.log(x) - x + 1.0))
    return shape


def _with_responses(
    bold: BoldRun, person: Person, plan: TaskPlan, courses: NDArray[np.float64]
) -> BoldRun:
    """Add maps of responses, in intensity, with their courses (frames, conditions)."""
    grey = person.phantom.anatomy.grey_in_brain
    mean = bold.nuisance_maps[0]
    maps = np.zeros((courses.shape[1], len(mean)), np.float32)
    maps[:, grey] = true_effects(person, plan) / np.float32(100) * mean[grey]
    return dataclasses.replace(
        bold,
        nuisance_maps=np.concatenate([bold.nuisance_maps, maps]),
        nuisance=np.concatenate([bold.nuisance, courses.astype(np.float32)], axis=1),
    )
