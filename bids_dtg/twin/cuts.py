"""Cuts: a run as stretches that a network performs one at a time, with whole response windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.trials import Trials

STEP_SECONDS = 0.08  # of the model (Takahashi et al., 2026)
SEGMENT_STEPS = 262  # at most, in a segment: 20.96 s, as published; a block of faces takes 21 s

Seconds = NDArray[np.float64]
_ROUNDING = 1e-6  # steps: a time that is this close to a step is that step's


@dataclass(frozen=True)
class Stretch:
    """Some trials of a run in a row."""

    first: int  # trial
    stop: int  # trial after the last
    start_seconds: float  # of the run: step 0
    length: int  # number of steps


def steps_until(seconds: NDArray[Any] | float) -> NDArray[np.int64]:
    """Return the last step at or before times, given in seconds from step 0.

    Parameters
    ----------
    seconds
        Times in seconds from step 0, an array of any shape or a number.

    Examples
    --------
    >>> steps_until(np.array([0.0, 0.1, 0.16, 2.0]))
    array([ 0,  1,  2, 25])
    """
    return np.floor(np.asarray(seconds) / STEP_SECONDS + _ROUNDING).astype(np.int64)


def steps_from(seconds: NDArray[Any] | float) -> NDArray[np.int64]:
    """Return the first step at or after times, given in seconds from step 0.

    Parameters
    ----------
    seconds
        Times in seconds from step 0, an array of any shape or a number.

    Examples
    --------
    >>> steps_from(np.array([0.0, 0.1, 0.16, 2.0]))
    array([ 0,  2,  2, 25])
    """
    return np.ceil(np.asarray(seconds) / STEP_SECONDS - _ROUNDING).astype(np.int64)


def window_ends(trials: Trials) -> Seconds:
    """Return when each trial's response window ends, (n,), in seconds of the run.

    A window is as long as the task says, and ends with the next trial's onset at the latest: a
    later press counts for the next trial.

    Parameters
    ----------
    trials
        Trials of one run, n in order of onset.
    """
    onset = trials.onset_seconds
    ends: Seconds = np.minimum(onset + trials.task.window_seconds, np.append(onset[1:], np.inf))
    return ends


def cut_run(trials: Trials, *, steps: int = SEGMENT_STEPS) -> tuple[Stretch, ...]:
    """Cut a run into stretches, so that each trial is in one of them with its whole window.

    A stretch begins with a trial: at the trial's cue where there is one after the onset of the
    trial before it, else at its onset. It goes on to the last trial before `steps` are over at
    which the task lets a segment begin (`Trials.cut`). Where there is no such trial, it goes on as
    far as whole windows fit, and the next stretch begins at a trial that has no cue.

    The published cuts, each 20.96 s from the run's start, begin 13 s into a block of faces, where
    no cue says what has to be matched (Takahashi et al., 2026, doi:10.34133/bmef.0231).

    Parameters
    ----------
    trials
        Trials of one run, in order of onset.
    steps
        Largest number of steps in a stretch.

    Returns
    -------
    tuple of Stretch
        The stretches in order; empty where there are no trials.

    Raises
    ------
    ValueError
        The response window is longer than `steps`.
    """
    ends = window_ends(trials)
    begins = _begins(trials, ends, steps)
    return tuple(_stretches(trials, begins, ends, steps))


def _begins(trials: Trials, ends: Seconds, steps: int) -> Seconds:
    """Return the start of a stretch that begins with each trial, (n,), seconds."""
    onset, begins = trials.onset_seconds, trials.begin_seconds
    longest = (steps - 1) * STEP_SECONDS
    if (ends - onset > longest + STEP_SECONDS * _ROUNDING).any():
        raise ValueError(
            f"{trials.task.name}: a response window of {trials.task.window_seconds:g} s does not "
            f"fit into {steps} steps of {STEP_SECONDS} s"
        )
    return np.where(ends - begins > longest, onset, begins)


def _stretches(trials: Trials, begins: Seconds, ends: Seconds, steps: int) -> list[Stretch]:
    # A stretch may last until the next trial's start.
    following = np.append(begins[1:], trials.run_seconds)
    found: list[Stretch] = []
    first, after = 0, len(ends)
    while first < after:
        start = float(begins[first])
        last_steps = steps_until(ends - start)
        stop = _stop(trials.cut, first, int(np.searchsorted(last_steps, steps)), after)
        lasts = max(last_steps[stop - 1], steps_until(following[stop - 1] - start))
        found.append(Stretch(first, stop, start, min(int(lasts) + 1, steps)))
        first = stop
    return found


def _stop(cut: NDArray[np.bool_], first: int, fits: int, after: int) -> int:
    """Return the first trial of the next stretch; trials before `fits` fit into this one."""
    if fits >= after:
        return after
    allowed = np.flatnonzero(cut[first + 1 : fits + 1])
    return first + 1 + int(allowed[-1]) if len(allowed) else fits
