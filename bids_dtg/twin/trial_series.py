"""Trial time series: stimuli and targets of trials on the network's time step.

Inputs are delayed by one step, as published: what was on the screen during step t - 1 is the input
at step t, and the network's output at step t is compared with the target at step t.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import (
    Codes,
    Float32,
    Float64,
    Indices,
    Integers,
    Mask,
    Values,
)
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trials import Trials

STEP_SECONDS = 0.08  # of the model (Takahashi et al., 2026)
# At most, in a segment: 20.96 s, as published; a block of faces takes 21 s.
SEGMENT_STEPS = 262
# People see the same where their times differ by no more.
TOLERANCE_SECONDS = STEP_SECONDS


@dataclass(frozen=True)
class TaskSet:
    """Tasks that one network performs; their order decides what its inputs and outputs are."""

    tasks: tuple[Task, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(task.name for task in self.tasks)

    @property
    def channels(self) -> int:
        """Number of stimulus channels: the most of any task."""
        return max(task.channels for task in self.tasks)

    @property
    def inputs(self) -> int:
        """Number of inputs a step: the channels, then a flag for each task but the first."""
        return self.channels + len(self.tasks) - 1

    @property
    def buttons(self) -> int:
        """Number of outputs that are buttons: the most of any task."""
        return max(len(task.buttons) for task in self.tasks)

    @property
    def window_steps(self) -> int:
        """Number of steps of the longest response window."""
        return int(steps_from(max(task.window_seconds for task in self.tasks)))

    @property
    def own_buttons(self) -> Mask:
        """Which outputs are buttons of each task: (tasks, buttons)."""
        count = np.array([len(task.buttons) for task in self.tasks])
        return np.arange(self.buttons) < count[:, None]

    def number(self, task: Task) -> int:
        """Return the index of a task, found by its name."""
        return self.names.index(task.name)


@dataclass(frozen=True, eq=False)
class TrialRows:
    """The trials of segments, n of them in a flat table.

    Columns of what was shown are (n,), or (people, n) where people saw different things, or (1, n)
    where several people saw the same. Columns of what people did are (n,) or (people, n).
    """

    segment: Indices  # shown: number of the segment
    trial: Indices  # shown: number in its run
    onset_step: Float64  # shown: time from the segment's start, in steps
    display_seconds: Float64  # shown: how long the stimulus is on
    first_step: Indices  # shown: first step after the onset
    last_step: Indices  # shown: last step in the response window; later presses count here, too
    window_seconds: Float64  # shown: length of the response window
    task: Codes  # shown: number in the segments' tasks; -1: no trial, the row only fills the table
    condition: Codes  # shown: index into the task's conditions; -1: none
    correct_button: Codes  # shown: index into the task's buttons; -1: none
    button: Codes  # done: pressed; -1: none, or not known
    rt_seconds: Float64  # done: from onset; NaN: no response within the window
    correct: Mask  # done
    scored: Mask  # done: False: not in `Trials.scored`, or the person lacks the trial


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments of runs on the model's time step: s segments, padded with steps that are not scored.

    Shapes are those of one person (`person`). Segments of several people (`stack_people`) have an
    axis of people at the front; its length is 1 in `inputs`, `task` and the stimuli of trials where
    all people saw the same, so that these broadcast and are stored once.
    """

    tasks: TaskSet
    # (s, steps, inputs): stimulus channels, then task flags; 0 at step 0
    inputs: Float32
    task: Codes  # (s,): number in `tasks`; -1: no segment, it only fills the array
    action: Float32  # (s, steps, buttons): targets
    scored: Mask  # (s, steps): False at step 0, after the end, and where a person lacks the run
    run: Indices  # (s,): number of the person's run; -1: the person has none
    # (s,): of step 0 in the person's run; NaN: the person has none
    start_seconds: Float64
    trials: TrialRows

    def person(self, number: int) -> Segments:
        """Return the segments of one person, without the axis of people, by the person's index."""
        return self._changed(lambda array: array[number if len(array) > 1 else 0])

    def people(self, numbers: Integers) -> Segments:
        """Return the segments of some people, by their indices, in this order."""
        return self._changed(lambda array: array[numbers] if len(array) > 1 else array)

    def _changed(self, of: Callable[[Values], Values]) -> Segments:
        arrays = {
            name: of(array)
            for name, array in vars(self).items()
            if isinstance(array, np.ndarray)
        }
        trials = TrialRows(
            **{name: of(column) for name, column in vars(self.trials).items()}
        )
        return Segments(tasks=self.tasks, trials=trials, **arrays)


def stack_people(
    people: Sequence[Sequence[Trials]],
    *,
    tasks: TaskSet | None = None,
) -> Segments:
    """Return the runs of several people as segments; segments that people share are stored once.

    Segments are the same where people saw the same trials, numbered alike in their runs, with times
    from the segment's start that differ by no more than a step. Their times are then those of the
    first of these people, and a response keeps its time from the onset. Where storing each
    different segment once would leave more than half of the table empty, for example because people
    have their own orders of trials, everybody's segments are stored.

    In the target, the pressed button's channel is 1 from the first step at or after the press to
    the end of the response window, so that a network learns the distribution of response times; the
    published target is a pulse of one step. Where a person pressed an unknown wrong button, the
    target is its expectation: equal shares for all wrong buttons. Responses after the window are
    misses. The window ends with the next trial's onset at the latest; a trial is not scored if its
    window then has no step, or if a press precedes its onset.

    Parameters
    ----------
    people
        Runs of each person; a person has no run of a task that they did not perform.
    tasks
        Tasks of the network; None: those of the runs, in order.

    Returns
    -------
    Segments
        Stimuli and targets, with an axis of people.

    Raises
    ------
    ValueError
        There is no trial, a response window does not fit into a segment, or a run's task is not
        among the tasks.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import Task, ResponseRule
    >>> task = Task("go", ("go",), ("yes", "no"), 1, ("all",), 0.5, 2.0,
    ...     "answer", ResponseRule("rt"), ())
    >>> zeros = np.zeros(2, np.int8)
    >>> run = Trials(task, np.array([1.0, 4.0]), np.full(2, 0.5), np.ones((2, 1), np.float32),
    ...     np.zeros((0, 3)), zeros, zeros, zeros, np.array([0.64, np.nan]), zeros == 0,
    ...     zeros == 0, 8.0)
    >>> segments = stack_people([[run]]).person(0)
    >>> segments.inputs.shape, segments.action[0, 6:11, 0], segments.trials.onset_step
    ((1, 262, 1), array([0., 0., 1., 1., 1.], dtype=float32), array([ 0. , 37.5]))
    """
    runs = [run for person in people for run in person]
    tasks = tasks or TaskSet(tuple({run.task.name: run.task for run in runs}.values()))
    pieces = [
        [piece for number, run in enumerate(person) for piece in cut_run(run, number)]
        for person in people
    ]
    if not any(pieces):
        raise ValueError("there is no trial to make segments from")
    shown, owned = _layout(pieces)
    rows = _trial_rows(tasks, shown, owned)
    run = _each(owned, lambda piece: piece.number, np.intp(-1))
    length = _each(shown, lambda piece: piece.length, np.intp(0))
    within = (np.arange(SEGMENT_STEPS) < length[..., None]) & (run >= 0)[..., None]
    return Segments(
        tasks=tasks,
        inputs=_inputs(tasks, shown),
        task=_each(shown, lambda piece: tasks.number(piece.run.task), np.int8(-1)),
        action=_action(rows, tasks, within.shape),
        scored=_scored(rows, within),
        run=run,
        start_seconds=_each(
            owned, lambda piece: piece.start_seconds, np.float64(np.nan)
        ),
        trials=rows,
    )


@dataclass(frozen=True, eq=False)
class Piece:
    """Consecutive trials of a person's run, which become a segment."""

    number: int  # of the run
    run: Trials
    ends: Float64  # (n,), of the run's response windows
    first: int  # trial
    stop: int  # trial after the last
    start_seconds: float  # of the run: step 0
    length: int  # number of steps

    @property
    def trials(self) -> slice:
        """Which trials of the run."""
        return slice(self.first, self.stop)

    def seen(self) -> tuple[Any, ...]:
        """Return a key that is equal for segments with the same stimuli; times may differ."""
        run, part = self.run, self.trials
        shown = (run.stimulus[part], run.condition[part], run.correct_button[part])
        contents = [column.tobytes() for column in (*shown, self.cues()[:, 0])]
        return (run.task.name, self.first, self.stop, *contents)

    def times(self) -> Float64:
        """Return its times in seconds from its start; as many as of any piece with equal `seen`."""
        run, part = self.run, self.trials
        onset = run.onset_seconds[part]
        times = np.concatenate(
            [
                onset,
                onset + run.display_seconds[part],
                self.ends[part],
                self.cues()[:, 1:].ravel(),
            ]
        )
        return times - self.start_seconds

    def cues(self) -> Float64:
        """Return the cues that begin before its last window ends: (k, 3)."""
        cues, end = self.run.cues, self.ends[self.stop - 1]
        return cues[(cues[:, 2] > self.start_seconds) & (cues[:, 1] < end)]


Row = list[Piece | None]


def _layout(pieces: Sequence[Sequence[Piece]]) -> tuple[list[Row], list[Row]]:
    """Return the pieces shown, in one row or one per person, and each person's own pieces."""
    slots: list[Piece] = []
    by_sight: dict[tuple[Any, ...], list[int]] = {}
    owned = [_assign(person_pieces, slots, by_sight) for person_pieces in pieces]
    most = max(len(person_pieces) for person_pieces in pieces)
    if len(slots) <= 2 * most:
        return [list(slots)], [
            [person_pieces.get(slot) for slot in range(len(slots))]
            for person_pieces in owned
        ]
    rows: list[Row] = [
        [*person_pieces, *[None] * (most - len(person_pieces))]
        for person_pieces in pieces
    ]
    return rows, rows


def _assign(
    pieces: Sequence[Piece],
    slots: list[Piece],
    by_sight: dict[tuple[Any, ...], list[int]],
) -> dict[int, Piece]:
    """Give each piece of a person a slot: a free one that fits, else a new one."""
    taken: dict[int, Piece] = {}
    for piece in pieces:
        alike = by_sight.setdefault(piece.seen(), [])
        times = piece.times()
        free = (slot for slot in alike if slot not in taken)
        off = ((slot, np.abs(slots[slot].times() - times)) for slot in free)
        slot = next(
            (slot for slot, by in off if (by <= TOLERANCE_SECONDS).all()), len(slots)
        )
        if slot == len(slots):
            slots.append(piece)
            alike.append(slot)
        taken[slot] = piece
    return taken


def _each(
    table: Sequence[Row], of: Callable[[Piece], float], empty: np.generic
) -> Values:
    """Return a number of each piece, (rows, s); `empty` gives empty cells, and the type."""
    values = [[empty if piece is None else of(piece) for piece in row] for row in table]
    return np.array(values, empty.dtype)


def _inputs(tasks: TaskSet, shown: Sequence[Row]) -> Float32:
    """Return the stimuli one step late, and the tasks' flags: (rows, s, steps, inputs)."""
    shape = len(shown), len(shown[0]), SEGMENT_STEPS, tasks.inputs
    inputs = np.zeros(shape, np.float32)
    for row, number, piece in _filled(shown):
        shown_steps = inputs[row, number, 1 : piece.length]
        shown_steps[:, : piece.run.task.channels] = _seen(
            piece, np.arange(len(shown_steps))
        )
        task = tasks.number(piece.run.task)
        if task:
            shown_steps[:, tasks.channels + task - 1] = 1.0
    return inputs


def _trial_rows(
    tasks: TaskSet, shown: Sequence[Row], owned: Sequence[Row]
) -> TrialRows:
    """Return the trials: what was shown (rows, n), and what people did (people, n)."""
    counts = _each(shown, lambda piece: piece.stop - piece.first, np.intp(0))
    ends, size = np.cumsum(counts, axis=1), counts.sum(axis=1).max()
    seen = {name: np.full((len(shown), size), fill) for name, fill in _SHOWN.items()}
    done = {name: np.full((len(owned), size), fill) for name, fill in _DONE.items()}

    def trials_of(row: int, number: int) -> slice:
        return slice(ends[row, number] - counts[row, number], ends[row, number])

    for row, number, piece in _filled(shown):
        columns = {"segment": number, "task": tasks.number(piece.run.task)}
        for name, column in {**columns, **_what_was_shown(piece)}.items():
            seen[name][row, trials_of(row, number)] = column
    for person, number, piece in _filled(owned):
        row = person % len(shown)
        at = trials_of(row, number)
        for name, column in _what_was_done(piece, shown[row][number] or piece).items():
            done[name][person, at] = column
    return TrialRows(**seen, **done)


def _action(rows: TrialRows, tasks: TaskSet, shape: tuple[int, ...]) -> Float32:
    """Return targets (people, s, steps, buttons) of segments of a shape (people, s, steps)."""
    press = steps_from(rows.onset_step * STEP_SECONDS + np.nan_to_num(rows.rt_seconds))
    press = np.clip(press, rows.first_step, rows.last_step)
    until = np.broadcast_to(rows.last_step, press.shape)
    step = rows.first_step[..., None] + np.arange(tasks.window_steps)
    on = (step >= press[..., None]) & (step <= until[..., None])
    person, trial, place = np.nonzero(on & np.isfinite(rows.rt_seconds)[..., None])
    row = person % len(rows.segment)
    action = np.zeros((*shape, tasks.buttons), np.float32)
    at = (person, rows.segment[row, trial], step[row, trial, place])
    action[at] = _shares(rows, tasks)[person, trial]
    return action


def _scored(rows: TrialRows, within: Mask) -> Mask:
    """Return which of the steps within segments are scored: (people, s, steps)."""
    scored = within.copy()
    scored[..., 0] = False  # no input has come yet
    for person, trial in np.argwhere(~rows.scored & (rows.task >= 0)):
        row = person % len(rows.segment)
        window = slice(rows.first_step[row, trial], rows.last_step[row, trial] + 1)
        scored[person, rows.segment[row, trial], window] = False
    return scored


# Values of the columns where there is no trial.
_SHOWN: Mapping[str, Any] = {
    **dict.fromkeys(("segment", "trial", "first_step", "last_step"), np.intp(0)),
    **dict.fromkeys(
        ("onset_step", "display_seconds", "window_seconds"), np.float64(0.0)
    ),
    **dict.fromkeys(("task", "condition", "correct_button"), np.int8(-1)),
}
_DONE: Mapping[str, Any] = {
    "button": np.int8(-1),
    "rt_seconds": np.float64(np.nan),
    "correct": np.False_,
    "scored": np.False_,
}


def _filled(table: Sequence[Row]) -> Iterator[tuple[int, int, Piece]]:
    """Yield row, number and piece of each filled cell of a table."""
    for row, pieces in enumerate(table):
        for number, piece in enumerate(pieces):
            if piece is not None:
                yield row, number, piece


def _what_was_shown(piece: Piece) -> dict[str, Values]:
    run, part = piece.run, piece.trials
    start = piece.start_seconds
    onset = run.onset_seconds[part] - start
    return {
        "trial": np.arange(piece.first, piece.stop),
        "onset_step": onset / STEP_SECONDS,
        "display_seconds": run.display_seconds[part],
        "first_step": steps_until(onset) + 1,
        "last_step": steps_until(piece.ends[part] - start),
        "window_seconds": piece.ends[part] - run.onset_seconds[part],
        "condition": run.condition[part],
        "correct_button": run.correct_button[part],
    }


def _what_was_done(piece: Piece, shown: Piece) -> dict[str, Values]:
    """Return a person's responses in a piece, within the windows of the shown piece."""
    run, part = piece.run, piece.trials
    rt, start = run.rt_seconds[part], shown.start_seconds
    onset = shown.run.onset_seconds[shown.trials]
    window = shown.ends[shown.trials] - onset
    has_steps = steps_until(shown.ends[shown.trials] - start) > steps_until(
        onset - start
    )
    scored = run.scored[part] & ~(rt < 0) & has_steps
    answered = scored & (rt <= window)
    correct = answered & run.correct[part]
    button = np.where(
        correct & (run.button[part] < 0), run.correct_button[part], run.button[part]
    )
    return {
        "button": np.where(answered, button, -1),
        "rt_seconds": np.where(answered, rt, np.nan),
        "correct": correct,
        "scored": scored,
    }


def _shares(rows: TrialRows, tasks: TaskSet) -> Float32:
    """Return the target of each press for each button: (people, n, buttons)."""
    number = np.arange(tasks.buttons)
    task_buttons = tasks.own_buttons[rows.task]
    wrong = task_buttons & ~(
        (number == rows.correct_button[..., None]) & ~rows.correct[..., None]
    )
    wrong = np.where(wrong.any(axis=-1, keepdims=True), wrong, task_buttons)
    unknown = wrong / wrong.sum(axis=-1, keepdims=True)
    pressed = rows.button[..., None]
    return np.asarray(np.where(pressed < 0, unknown, number == pressed), np.float32)


def _seen(piece: Piece, steps: Indices) -> Float32:
    """Return what was on the screen during steps, (steps, channels).

    A stimulus that is on for part of a step has this part as its value, which keeps its timing.
    """
    run, part = piece.run, piece.trials
    onset, cues = run.onset_seconds[part], piece.cues()
    # The next stimulus replaces the one that is on.
    off = np.minimum(onset + run.display_seconds[part], np.append(onset[1:], np.inf))
    on, off = np.append(onset, cues[:, 1]), np.append(off, cues[:, 2])
    values = np.concatenate(
        [run.stimulus[part], np.eye(run.task.channels)[cues[:, 0].astype(int)]]
    )
    begin = piece.start_seconds + STEP_SECONDS * steps[:, None]
    share = np.minimum(off, begin + STEP_SECONDS) - np.maximum(on, begin)
    return np.asarray(np.clip(share / STEP_SECONDS, 0.0, 1.0) @ values, np.float32)


_ROUNDING = 1e-6  # steps: a time that is this close to a step is that step's


def steps_until(seconds: Values | float) -> NDArray[np.int64]:
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


def steps_from(seconds: Values | float) -> NDArray[np.int64]:
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


def window_ends(trials: Trials) -> Float64:
    """Return when each trial's response window ends, (n,), in seconds of the run.

    A window is as long as the task says, and ends with the next trial's onset at the latest: a
    later press counts for the next trial.

    Parameters
    ----------
    trials
        Trials of one run, n in order of onset.
    """
    onset = trials.onset_seconds
    return np.minimum(onset + trials.task.window_seconds, np.append(onset[1:], np.inf))


def cut_run(trials: Trials, number: int = 0) -> list[Piece]:
    """Cut a run into pieces, so that each trial is in one of them with its whole window.

    A piece begins with a trial: at the trial's cue where there is one after the onset of the
    trial before it, else at its onset. The next piece begins at the last trial within
    `SEGMENT_STEPS` at which the task lets a segment begin (`Trials.cut`). Without such a trial it
    begins at the first trial whose window does not fit.

    The published cuts, every 20.96 s from the run's start, begin 13 s into a block of faces, where
    no cue says what has to be matched (Takahashi et al., 2026, doi:10.34133/bmef.0231).

    Parameters
    ----------
    trials
        Trials of one run, in order of onset.
    number
        Number of the run.

    Returns
    -------
    list of Piece
        The pieces in order; empty where there are no trials.

    Raises
    ------
    ValueError
        The response window is longer than `SEGMENT_STEPS`.
    """
    ends = window_ends(trials)
    begins = _begins(trials, ends)
    # A piece may last until the next trial's start.
    following = np.append(begins[1:], trials.run_seconds)
    pieces: list[Piece] = []
    first, after = 0, len(ends)
    while first < after:
        start = float(begins[first])
        last_steps = steps_until(ends - start)
        stop = _stop(
            trials.cut, first, int(np.searchsorted(last_steps, SEGMENT_STEPS)), after
        )
        lasts = max(last_steps[stop - 1], steps_until(following[stop - 1] - start))
        length = min(int(lasts) + 1, SEGMENT_STEPS)
        pieces.append(Piece(number, trials, ends, first, stop, start, length))
        first = stop
    return pieces


def _begins(trials: Trials, ends: Float64) -> Float64:
    """Return the start of a piece that begins with each trial, (n,), seconds."""
    onset, begins = trials.onset_seconds, trials.begin_seconds
    longest = (SEGMENT_STEPS - 1) * STEP_SECONDS
    if (ends - onset > longest + STEP_SECONDS * _ROUNDING).any():
        raise ValueError(
            f"{trials.task.name}: a response window of {trials.task.window_seconds:g} s does not "
            f"fit into {SEGMENT_STEPS} steps of {STEP_SECONDS} s"
        )
    return np.where(ends - begins > longest, onset, begins)


def _stop(cut: Mask, first: int, fits: int, after: int) -> int:
    """Return the first trial of the next piece; trials before `fits` fit into this one."""
    if fits >= after:
        return after
    allowed = np.flatnonzero(cut[first + 1 : fits + 1])
    return first + 1 + int(allowed[-1]) if len(allowed) else fits
