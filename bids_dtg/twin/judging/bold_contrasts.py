"""Contrasts of BOLD between a task's conditions, measured or predicted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.cuts import STEP_SECONDS
from bids_dtg.twin.judging.cross_losses import scored_steps
from bids_dtg.twin.judging.scores import bold_contrast
from bids_dtg.twin.trial_series import Segments

Values = NDArray[np.float64]
STEPS_PER_FRAME = 10  # 0.8 s: on the model's time step t values are far too large
_FEWEST_FRAMES = 40  # in a run, for a fit of 14 regressors


@dataclass(frozen=True, eq=False)
class _Run:
    """One run of a task that all people saw, on frames."""

    task: int
    slots: NDArray[np.intp]  # segments
    places: NDArray[np.intp]  # (slots, frames of a segment): frame in the run; the last: none
    steps: NDArray[np.intp]  # (frames of a segment,)
    onset_seconds: Values
    duration_seconds: Values
    condition: NDArray[np.integer[Any]]

    def series(self, bold: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return BOLD (people, segments, steps, regions) as runs (people, regions, frames)."""
        found = np.zeros((len(bold), int(self.places.max()) + 1, bold.shape[-1]), np.float32)
        found[:, self.places] = bold[:, self.slots][:, :, self.steps]
        return np.moveaxis(found, 1, 2)

    def known(self, scored: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which frames are scored, (people, frames)."""
        found = np.zeros((len(scored), int(self.places.max()) + 1), np.bool_)
        found[:, self.places] = scored[:, self.slots][:, :, self.steps]
        return found


def contrasts_of(
    bold: NDArray[np.floating[Any]], segments: Segments, *, half: int | None = None
) -> list[Values]:
    """Return people's contrasts of each task: the second condition's BOLD less the first's.

    The general linear model of `scores.bold_contrast` is fitted to scored frames of 0.8 s; several
    runs of a task are averaged.

    Parameters
    ----------
    bold
        (people, segments, steps, regions), measured or predicted; one person stands for all.
    segments
        Segments with BOLD, of people who saw the same.
    half
        Half of the runs to use; None: all segments.

    Returns
    -------
    list of numpy.ndarray
        (people, regions) for each task; NaN for people with too few frames.

    Raises
    ------
    ValueError
        People saw different things, or segments have no BOLD.
    """
    if len(segments.inputs) > 1 or segments.bold_scored is None:
        raise ValueError("contrasts of BOLD need people who saw the same, and have BOLD")
    scored = segments.bold_scored & scored_steps(segments, half).any(axis=-1, keepdims=True)
    people, tasks = len(scored), range(len(segments.tasks.tasks))
    total = np.zeros((len(tasks), people, bold.shape[-1]))
    runs = np.zeros((len(tasks), people, 1))
    for run in _runs(segments):
        series, known = run.series(bold), run.known(scored)
        series = np.broadcast_to(series, (people, *series.shape[1:]))
        for rows, used in _alike(known):
            estimate = _estimate(run, series[rows], used)
            if estimate is not None:
                total[run.task, rows] += estimate
                runs[run.task, rows] += 1
    return list(total / np.where(runs > 0, runs, np.nan))


def _estimate(run: _Run, series: NDArray[Any], used: NDArray[np.bool_]) -> Values | None:
    """Return contrasts (people, regions); None where there are too few frames or conditions."""
    near = np.convolve(used, np.ones(3), "same") > 0
    frame = np.minimum(
        (run.onset_seconds / (STEPS_PER_FRAME * STEP_SECONDS)).astype(int), len(near) - 1
    )
    if used.sum() < _FEWEST_FRAMES or set(run.condition[near[frame]].tolist()) < {0, 1}:
        return None
    return bold_contrast(
        series,
        run.onset_seconds,
        run.condition,
        tr_seconds=STEPS_PER_FRAME * STEP_SECONDS,
        duration_seconds=run.duration_seconds,
        frames_used=used,
    ).estimate


def _alike(known: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Yield the rows of people with the same known frames, and a mask of these frames."""
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        yield np.flatnonzero(which.ravel() == number), pattern


def _runs(segments: Segments) -> Iterator[_Run]:
    """Yield runs of tasks with two conditions; a new run begins where time goes back."""
    start = np.full(segments.start_seconds.shape[1], np.nan)
    for own in segments.start_seconds:  # of the first person who has it
        start = np.where(np.isnan(start), own, start)
    for task in range(len(segments.tasks.tasks)):
        if len(segments.tasks.tasks[task].conditions) < 2:
            continue
        slots = np.flatnonzero(segments.task[0] == task)
        cuts = np.flatnonzero(np.diff(start[slots]) < 0) + 1
        for part in np.split(slots, cuts):
            if len(part):
                yield _run(segments, task, part, start)


def _run(segments: Segments, task: int, slots: NDArray[np.intp], start: Values) -> _Run:
    rows = segments.trials
    inside = (rows.task[0] == task) & np.isin(rows.segment[0], slots)
    segment = rows.segment[0, inside]
    steps = np.arange(0, segments.action.shape[2], STEPS_PER_FRAME)
    frame_seconds = STEPS_PER_FRAME * STEP_SECONDS
    frames = np.round(start[slots] / frame_seconds).astype(np.intp)
    display = segments.tasks.tasks[task].display_seconds
    window = rows.window_seconds[0, inside]
    return _Run(
        task=task,
        slots=slots,
        places=frames[:, None] + np.arange(len(steps)),
        steps=steps,
        # Relative to the segment's first frame, as the values are.
        onset_seconds=np.round(start[segment] / frame_seconds) * frame_seconds
        + rows.onset_step[0, inside] * STEP_SECONDS,
        duration_seconds=window if display is None else np.minimum(window, display),
        condition=rows.condition[0, inside],
    )
