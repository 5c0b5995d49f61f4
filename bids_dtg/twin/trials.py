"""Trials: what one person did in one run of a task."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Codes, Float32, Float64, Mask
from bids_dtg.errors import RunError
from bids_dtg.files.foreign import plain_number
from bids_dtg.notices import counted
from bids_dtg.twin.task_fields import shortened
from bids_dtg.twin.tasks import Pairs, ResponseRule, Task

# Width of the range below 1 and above 0 that numbers of images are drawn from (as published).
_IMAGE_RANGE = 0.1
_FEWEST = 5  # responses or trials, to judge the unit of their times
# From trial to trial, and of a display; no task of a scanner is so slow.
_LONGEST_SECONDS = 120.0
_LISTED, _LONGEST = 10, 40  # values in a note, and characters of each
# Values of the accuracy column that mean an error, unless the task file names the correct ones.
_WRONG = ("0", "false", "incorrect", "wrong", "error")


@dataclass(frozen=True, eq=False)
class Trials:
    """One run of a task by one person; n trials in order of onset."""

    task: Task
    onset_seconds: Float64  # (n,)
    # (n,): how long the stimulus is on, from onset
    display_seconds: Float64
    stimulus: Float32  # (n, channels): value of each channel while it is on
    # (k, 3): channel, and the seconds from and until which it is 1
    cues: Float64
    condition: Codes  # (n,): index into task.conditions; -1: none
    correct_button: Codes  # (n,): index into task.buttons
    button: Codes  # (n,): pressed; -1: none, or not known (Stroop errors)
    rt_seconds: Float64  # (n,): from onset; NaN: no response
    correct: Mask  # (n,): misses are False
    # (n,): a segment may begin here, at the trial's cue where it has one
    cut: Mask
    run_seconds: float
    # Trials without a plausible response or miss: rt is NaN.
    unscored: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()  # report lines on rows and responses that were left out
    # Values of trials that the task file does not list.
    without_condition: tuple[str, ...] = ()

    @property
    def scored(self) -> Mask:
        """Which trials are scored: (n,)."""
        scored = np.ones(len(self.onset_seconds), bool)
        scored[list(self.unscored)] = False
        return scored

    @property
    def begin_seconds(self) -> Float64:
        """Start of each trial: its cue if one starts after the previous trial, else its onset."""
        begin = self.onset_seconds.copy()
        trial = np.searchsorted(self.onset_seconds, self.cues[:, 1])
        before = trial < len(begin)
        np.minimum.at(begin, trial[before], self.cues[before, 1])
        return begin


def half_of(run: Trials, number: int) -> Trials:
    """Return the trials with an onset in the first (0) or second (1) half of a run, and their cues.

    As published, the first half is for fitting and the second for testing (Takahashi et al., 2026).
    """
    in_half = (run.onset_seconds >= run.run_seconds / 2) == bool(number)
    changes: dict[str, Any] = {
        name: values[in_half]
        for name, values in vars(run).items()
        if isinstance(values, np.ndarray) and name != "cues"
    }
    following = np.searchsorted(run.onset_seconds, run.cues[:, 1])
    changes["cues"] = run.cues[np.append(in_half, bool(number))[following]]
    unscored = tuple(np.flatnonzero(~run.scored[in_half]).tolist())
    return replace(run, **changes, unscored=unscored)


def read_trials(
    task: Task, rows: Sequence[Mapping[str, str]], source: str = "the events"
) -> Trials:
    """Read a person's trials in a run from the rows of its event file.

    Rows without an onset and repeated rows are left out. Trials are not scored if the response is
    faster than `task.response.shortest_rt_seconds` (0.15 s, unless the task file says otherwise),
    if the file has a response's time or its button alone, or if the next trial begins at the same
    time, so that the trial was never seen. `Trials.notes` counts them.

    Parameters
    ----------
    task
        The task, which gives the columns their meaning.
    rows
        Rows of the file in any order, as text by column; n/a, nan or empty text is no value.
    source
        Name of the file, for messages.

    Returns
    -------
    Trials
        The trials in order of onset.

    Raises
    ------
    RunError
        A column is absent, a cell is no number or value of the task, most of five or more
        responses come after the task's window, or there is no trial.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> row = {"onset": "2.0", "duration": "2.25", "trial_type": "inc6", "response_time": "0.9",
    ...        "accuracy_binarized": "1.0", "stimulus_text": "green ", "stimulus_color": "blue"}
    >>> trials = read_trials(find_task("stroop"), [row])
    >>> trials.stimulus.tolist()
    [[0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0]]
    >>> int(trials.button[0]), trials.rt_seconds.tolist(), trials.run_seconds
    (2, [0.9], 14.25)
    """
    events, notes = _trial_rows(task, Events.of(rows, source))
    onset = events.numbers("onset")
    duration = _durations(task, events)
    cues, has_cue = _cues(task, events)
    correct_button = _correct_buttons(task, events)
    rt, button, correct, halved = _responses(task, events, correct_button)
    _require_seconds(task, events, onset, duration)
    _require_window(task, events, rt)
    unscored, reasons = _unscored(task, onset, rt, halved)
    answered = np.isfinite(rt) & ~unscored
    condition, other_values = _conditions(task, events)
    cut = has_cue if task.cut_at_cues else np.ones(len(onset), bool)
    cut[0] = True  # what comes before the first segment would never be seen
    return Trials(
        task=task,
        onset_seconds=onset,
        display_seconds=_displays(task, onset, duration),
        stimulus=_stimuli(task, events),
        cues=cues,
        condition=condition,
        correct_button=correct_button,
        button=np.where(answered, button, -1).astype(np.int8),
        rt_seconds=np.where(answered, rt, np.nan),
        correct=correct & answered,
        cut=cut,
        run_seconds=_run_seconds(task, events, float((onset + duration).max())),
        unscored=tuple(np.flatnonzero(unscored).tolist()),
        notes=(*notes, *reasons, *values_in_words(other_values)),
        without_condition=other_values,
    )


def values_in_words(values: Sequence[str]) -> list[str]:
    """Return the note on trials whose value stands for no condition; empty without such trials.

    Parameters
    ----------
    values
        Values of these trials.

    Examples
    --------
    >>> values_in_words(["CON1", "neutral7", "CON1"])
    ["3 trials in no condition, as the task file does not list 'CON1' (2), 'neutral7' (1)"]
    """
    if not values:
        return []
    counts = Counter(values).most_common()
    listed = [
        f"'{shortened(value, _LONGEST)}' ({count})" for value, count in counts[:_LISTED]
    ]
    rest = (
        [f"{counted(len(counts) - _LISTED, 'other value')}"]
        if len(counts) > _LISTED
        else []
    )
    return [
        f"{counted(values, 'trial')} in no condition, as the task file does not list "
        f"{', '.join([*listed, *rest])}"
    ]


def image_numbers(task: Task, name: str) -> Float32:
    """Return the numbers that stand for an image, which depend on its name alone.

    Each lies from 0 to 0.1 or from 0.9 to 1, as published. The SHA-256 of the name serves as random
    number; it also chooses the range if the task file does not.

    Parameters
    ----------
    task
        Task, whose file may give the image's numbers.
    name
        As the event file has it, e.g. ``face.jpg``.

    Returns
    -------
    numpy.ndarray
        (task.image_size,)

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> faces = find_task("faces")
    >>> name, near = faces.near_images[0]
    >>> tuple(image_numbers(faces, name).round().tolist()) == near
    True
    """
    if exact := dict(task.exact_images).get(name):
        return np.array(exact, np.float32)
    # Two draws for each number: which range, and where in it.
    digests = [
        hashlib.sha256(f"{number}/{name}".encode()) for number in range(task.image_size)
    ]
    draws = np.array([np.frombuffer(d.digest()[:16], ">u8") for d in digests]) / 2.0**64
    near = np.array(dict(task.near_images).get(name, draws[:, 0] >= 0.5), float)
    return (near * (1 - _IMAGE_RANGE) + _IMAGE_RANGE * draws[:, 1]).astype(np.float32)


def _trial_rows(task: Task, events: Events) -> tuple[Events, list[str]]:
    """Return the rows that are trials, in order of onset, and notes on those left out."""
    _require_columns(task, events)
    for column, values in task.rows:
        events = events.take(np.isin(events.cells[column], values))
    has_onset = np.isfinite(events.numbers("onset"))
    events, without = events.take(has_onset), int((~has_onset).sum())
    events = events.take(np.argsort(events.numbers("onset"), kind="stable"))
    events, repeated = events.without_repeated()
    if not len(events):
        raise RunError(
            f"{events.source} has no trial of the task {task.name}", expected="one"
        )
    left_out = {
        counted(without, "row without an onset", "rows without an onset"): without,
        counted(repeated, "repeated row"): repeated,
    }
    return events, [f"{words} left out" for words, number in left_out.items() if number]


def _require_columns(task: Task, events: Events) -> None:
    wanted = dict.fromkeys(["onset", *_columns(task)])
    if absent := [column for column in wanted if column not in events.cells]:
        raise RunError(
            f"{events.source} lacks the columns {', '.join(absent)}",
            expected=f"those of the task {task.name}; it has {', '.join(events.cells)}",
        )


def _columns(task: Task) -> list[str]:
    """Return the columns that the task needs, in no particular order."""
    response = task.response
    columns = [response.rt, response.accuracy, response.button, task.correct_column]
    columns += [
        task.condition_column,
        task.run_end,
        *(column for column, _ in task.rows),
    ]
    columns += [column for _, column in task.probes]
    columns += [None if task.display_seconds else "duration"]
    for part in task.inputs:
        columns += [part.column, part.start, part.end]
    return [column for column in columns if column is not None]


def _durations(task: Task, events: Events) -> Float64:
    """Return the trials' durations in seconds, (n,), by default the task's display time."""
    none = np.full(len(events), np.nan)
    duration = events.numbers("duration") if "duration" in events.cells else none
    unknown = ~(duration > 0)
    if task.display_seconds is None and unknown.any():
        raise events.error(
            int(np.argmax(unknown)),
            "duration",
            "above 0, or timing.display_seconds of the task",
        )
    return np.where(unknown, task.display_seconds or 0.0, duration)


def _displays(task: Task, onset: Float64, duration: Float64) -> Float64:
    """Return how long each stimulus is on, at most until the next trial."""
    longest = np.inf if task.display_seconds is None else task.display_seconds
    return np.minimum(np.minimum(duration, longest), np.diff(onset, append=np.inf))


def _run_seconds(task: Task, events: Events, last: float) -> float:
    """Return when the run ends: as the file says, or after the last trial and the rest."""
    if task.run_end is not None:
        ends = events.numbers(task.run_end)
        if np.isfinite(ends).any():
            return max(float(np.nanmax(ends)), last)
    return last + task.rest_seconds


def _stimuli(task: Task, events: Events) -> Float32:
    """Return what each trial shows: (n, channels); 0 where a cell has no value."""
    stimulus = np.zeros((len(events), task.channels), np.float32)
    for part in task.inputs:
        if part.start is not None:
            continue
        names = [value for value, _ in part.channels] or sorted(
            {*events.cells[part.column]} - {""}
        )
        shown = np.zeros((len(names), task.channels), np.float32)
        for row, (_, channel) in enumerate(part.channels):
            shown[row, channel] = 1.0
        if not part.channels:
            for row, name in enumerate(names):
                shown[row, part.first : part.first + task.image_size] = image_numbers(
                    task, name
                )
        index = events.indices(part.column, names)
        stimulus[index >= 0] += shown[index[index >= 0]]
    return stimulus


def _cues(task: Task, events: Events) -> tuple[Float64, Mask]:
    """Return the cues in order of their start, (k, 3), and which trials have one, (n,)."""
    cues_by_input, has = [np.empty((0, 3))], np.zeros(len(events), bool)
    for part in task.inputs:
        if part.start is None or part.end is None:
            continue
        start, end = events.numbers(part.start), events.numbers(part.end)
        has_start = np.isfinite(start)
        if (wrong := has_start & ~(end > start)).any():
            raise events.error(
                int(np.argmax(wrong)), part.end, f"later than {part.start}"
            )
        index = events.take(has_start).indices(
            part.column, [value for value, _ in part.channels]
        )
        channels = np.array([channel for _, channel in part.channels])
        rows = np.column_stack([channels[index], start[has_start], end[has_start]])
        cues_by_input.append(rows[index >= 0])
        has |= has_start
    cues = np.concatenate(cues_by_input)
    return cues[np.argsort(cues[:, 1], kind="stable")], has


def _conditions(task: Task, events: Events) -> tuple[Codes, tuple[str, ...]]:
    """Return the condition of each trial, (n,), and the values that stand for none."""
    if task.condition_column is None:
        return np.zeros(len(events), np.int8), ()
    condition = events.codes(
        task.condition_column, task.condition_values, task.conditions, unlisted=True
    )
    other_values = events.cells[task.condition_column][condition < 0]
    return condition, tuple(str(value or "n/a") for value in other_values)


def _correct_buttons(task: Task, events: Events) -> Codes:
    """Return the index of each trial's correct button: (n,)."""
    if not task.probes:
        button = _buttons(task, events, task.correct_column, task.correct_buttons)
        wrong = button < 0
        expected = "the correct button; leave out trials without one (no-go) by [rows]"
    else:
        target = events.cells[task.correct_column]
        equal = np.stack([events.cells[column] == target for _, column in task.probes])
        index = [task.buttons.index(button) for button, _ in task.probes]
        button = np.array(index, np.int8)[equal.argmax(axis=0)]
        wrong = (equal.sum(axis=0) != 1) | (target == "")
        expected = (
            f"the same as one of {', '.join(column for _, column in task.probes)}"
        )
    if wrong.any():
        raise events.error(int(np.argmax(wrong)), task.correct_column, expected)
    return button


def _buttons(task: Task, events: Events, column: str, names: Pairs) -> Codes:
    """Return the indices of the buttons that a column names: (n,); -1 where it names none."""
    pairs = names or [(button, button) for button in task.buttons]
    return events.codes(column, pairs, task.buttons)


def _responses(
    task: Task, events: Events, correct_button: Codes
) -> tuple[Float64, Codes, Mask, Mask]:
    """Return the responses as the file has them, (n,) each.

    Response times in seconds (NaN: none), buttons (-1: none, or unknown), which are correct, and
    which have a time without a button, or a button without a time.
    """
    rule = task.response
    rt = events.numbers(rule.rt, none=rule.no_response) * rule.rt_unit_seconds
    answered = np.isfinite(rt)
    if rule.button is not None:
        button = _buttons(task, events, rule.button, rule.buttons)
        halved = answered != (button >= 0)
        return rt, button, button == correct_button, halved
    assert rule.accuracy is not None  # a task has one of the two
    words = events.words(rule.accuracy)
    right = np.isin(words, [_word(value) for value in rule.correct_values])
    if rule.correct_values == ResponseRule.correct_values:
        neither = ~right & ~np.isin(words, [*_WRONG, ""]) & answered
        if neither.any():
            values = (*rule.correct_values, *_WRONG)
            expected = (
                f"one of {', '.join(values)}, or response.correct_values of the task"
            )
            raise events.error(int(np.argmax(neither)), rule.accuracy, expected)
    # With two buttons an error is the other one; with more it is unknown.
    wrong = (
        1 - correct_button
        if len(task.buttons) == 2
        else np.full_like(correct_button, -1)
    )
    halved = np.where(answered, events.cells[rule.accuracy] == "", right)
    return rt, np.where(right, correct_button, wrong), right, halved


def _require_seconds(
    task: Task, events: Events, onset: Float64, duration: Float64
) -> None:
    """Refuse a file whose times of stimuli are far too long for seconds, as if in milliseconds."""
    spans = {
        "onset": ("between trials", np.diff(onset)),
        "duration": ("of display", duration),
    }
    for part in task.inputs:
        for column in (part.start, part.end):
            if column is not None:
                spans[column] = "from the onset", np.abs(events.numbers(column) - onset)
    if task.run_end is not None:
        spans[task.run_end] = (
            "after the last trial",
            events.numbers(task.run_end) - onset[-1],
        )
    for column, (words, seconds) in spans.items():
        finite = seconds[np.isfinite(seconds)]
        median = np.median(finite) if len(finite) else 0.0
        if len(onset) >= _FEWEST and median > _LONGEST_SECONDS:
            raise RunError(
                f"{events.source}: the column {column} gives {median:g} s {words} (median)",
                expected=f"seconds, at most {_LONGEST_SECONDS:g}",
                remedy="BIDS has times of events in seconds: divide milliseconds by 1,000",
            )


def _require_window(task: Task, events: Events, rt: Float64) -> None:
    """Refuse a file with most of five or more responses after the window, as if in milliseconds.

    A few late ones are kept here.
    """
    answered = int(np.isfinite(rt).sum())
    late = int((rt > task.window_seconds).sum())
    if answered >= _FEWEST and 2 * late > answered:
        raise RunError(
            f"{events.source}: {late} of {counted(answered, 'response')} of the column "
            f"{task.response.rt} come later than {task.window_seconds:g} s after the onset",
            expected=f"seconds, within the window of the task {task.name}",
            remedy="for milliseconds set response.rt_unit_seconds = 0.001 in a task file, for slow "
            "responses timing.window_seconds",
        )


def _unscored(
    task: Task, onset: Float64, rt: Float64, halved: Mask
) -> tuple[Mask, list[str]]:
    """Return which trials are not scored, (n,), and a note for each reason."""
    shortest = task.response.shortest_rt_seconds
    hidden = np.diff(onset, append=np.inf) <= 0
    early = rt < shortest
    reasons = (
        (early, "response", f"faster than {shortest:g} s"),
        (halved & ~early, "response", "with a time or a button alone"),
        (hidden, "trial", "at the onset of the next"),
    )
    notes = [
        f"not scored: {counted(int(which.sum()), noun)} {what}"
        for which, noun, what in reasons
        if which.any()
    ]
    return early | halved | hidden, notes


# No run lasts a day; a larger time must be in another unit.
MOST_SECONDS = 86_400.0
_NONE = ("", "n/a", "na", "nan", "none", "null")
_LONGEST_CELL = 60  # characters of a wrong cell that a message quotes
_VALUES_LISTED = 8  # legal values that a message lists


@dataclass(frozen=True, eq=False)
class Events:
    """Rows of an event file by column: text without outer blanks, "" for an empty cell."""

    source: str  # name of the file
    lines: NDArray[np.int64]  # (n,): line of each row in the file; the header is line 1
    cells: Mapping[str, NDArray[np.object_]]  # column -> (n,)

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], source: str) -> Events:
        """Return the rows of a file; the columns are those of the first row.

        Examples
        --------
        >>> events = Events.of([{"onset": "2.0", "word": "green "}, {"onset": "n/a"}], "events")
        >>> events.numbers("onset").tolist(), events.cells["word"].tolist()
        ([2.0, nan], ['green', ''])
        """
        columns = [str(name) for name in rows[0]] if len(rows) else []
        cells = {
            name.strip(): _objects([_plain(row.get(name)) for row in rows])
            for name in columns
        }
        return cls(source, np.arange(2, len(rows) + 2), cells)

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, which: Mask | NDArray[np.int64]) -> Events:
        """Return some of the rows, by mask or index."""
        cells = {name: column[which] for name, column in self.cells.items()}
        return Events(self.source, self.lines[which], cells)

    def without_repeated(self) -> tuple[Events, int]:
        """Return the rows without repeats of an earlier row, and the number of repeats."""
        rows = list(zip(*self.cells.values(), strict=True))
        first = sorted(
            {row: index for index, row in reversed([*enumerate(rows)])}.values()
        )
        return self.take(np.array(first, np.int64)), len(rows) - len(first)

    def words(self, column: str) -> NDArray[np.object_]:
        """Return a column as lower-case words; numbers lose trailing zeros."""
        return _objects([_word(cell) for cell in self.cells[column]])

    def numbers(self, column: str, none: Collection[str] = ()) -> Float64:
        """Return a column as numbers, (n,); NaN in empty cells and those with a value of `none`.

        Raises
        ------
        RunError
            A cell is no number, or above `MOST_SECONDS`.
        """
        meaning_none = {_word(value) for value in none} | {""}
        values = np.full(len(self), np.nan)
        for row, cell in enumerate(self.cells[column]):
            if _word(cell) in meaning_none:
                continue
            value = plain_number(cell)
            if value is None or not abs(value) <= MOST_SECONDS:
                raise self.error(
                    row, column, f"a number up to {MOST_SECONDS:g}, or n/a"
                )
            values[row] = value
        return values

    def indices(
        self, column: str, values: Sequence[str], *, unlisted: bool = False
    ) -> NDArray[np.int64]:
        """Return the index of each row's cell in `values`, (n,); -1 where it is empty.

        With `unlisted`, any other value gives -1, too.

        Raises
        ------
        RunError
            A row has another value, and `unlisted` is False.
        """
        index = {value: number for number, value in enumerate(values)} | {"": -1}
        index_of_rows = np.array(
            [index.get(cell, -2) for cell in self.cells[column]], np.int64
        )
        if not unlisted and (index_of_rows == -2).any():
            listed = ", ".join(values[:_VALUES_LISTED])
            ending = ", ..." if len(values) > _VALUES_LISTED else ""
            row = int(np.argmax(index_of_rows == -2))
            raise self.error(row, column, f"one of {listed}{ending}")
        return np.maximum(index_of_rows, -1)

    def codes(
        self,
        column: str,
        pairs: Sequence[tuple[str, str]],
        names: Sequence[str],
        *,
        unlisted: bool = False,
    ) -> Codes:
        """Return the index in `names` of the name that each row's cell stands for, as `indices`.

        `pairs` are values of cells and the names that they stand for.
        """
        index = [names.index(name) for _, name in pairs]
        values = [value for value, _ in pairs]
        rows = self.indices(column, values, unlisted=unlisted)
        return np.array([*index, -1], np.int8)[rows]

    def error(self, row: int, column: str, expected: str) -> RunError:
        """Return the error about a cell."""
        cell = str(self.cells[column][row]) or "n/a"
        quoted = shortened(cell, _LONGEST_CELL)
        return RunError(
            f"{self.source} has '{quoted}' under {column} in line {self.lines[row]}",
            expected=expected,
        )


def _objects(values: Sequence[str]) -> NDArray[np.object_]:
    """Return an array of objects; each cell of a text array would be as wide as the longest."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _plain(cell: str | None) -> str:
    text = "" if cell is None else cell.strip()
    return "" if text.casefold() in _NONE else text


def _word(cell: str) -> str:
    value = plain_number(cell)
    return cell.casefold() if value is None else f"{value:g}"
