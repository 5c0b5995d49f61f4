"""Tasks as data: what is shown, which button is correct, and how responses are coded."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bids_dtg.errors import SettingsError
from bids_dtg.files.foreign import read_toml, reading
from bids_dtg.files.text import read_packaged
from bids_dtg.twin.task_fields import (
    TEXT,
    TEXT_BY_NAME,
    TEXTS,
    TEXTS_BY_NAME,
    Check,
    TaskFields,
    by_name,
    choice,
    number,
    numbers_of,
    whole,
)

# Tasks that ship with the program: `task_files/NAME.toml`.
SHIPPED = ("faces", "stroop")
# Indices of buttons and conditions are stored in eight bits.
_MOST_NAMES = 100
_MOST_CHANNELS = 10_000
_MOST_WINDOW_SECONDS = 60.0

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Input:
    """Stimulus channels that a column of the event file sets.

    With `channels`, a value sets its channel to 1. Without them the column names an image, whose
    numbers are the same wherever it is shown. Cues are on from their own start to their own end,
    all other inputs while the trial's stimulus is on.
    """

    column: str
    channels: tuple[tuple[str, int], ...] = ()  # value -> channel
    first: int = 0  # channel of an image's first number; the others follow
    # Column: start of a cue in seconds of the run; n/a: no cue.
    start: str | None = None
    end: str | None = None  # column


@dataclass(frozen=True)
class ResponseRule:
    """How a person's response is coded."""

    rt: str  # column: time from the trial's onset; n/a: no response
    rt_unit_seconds: float = 1.0  # of that column: 0.001 for milliseconds
    # A faster response is implausible, and not scored.
    shortest_rt_seconds: float = 0.15
    # Further values of that column that mean no response.
    no_response: tuple[str, ...] = ()
    accuracy: str | None = None  # column: whether the response was correct
    # Its values that mean yes.
    correct_values: tuple[str, ...] = ("1", "true", "correct")
    button: str | None = None  # column: the button that was pressed
    # Its value -> button; empty: values are buttons.
    buttons: Pairs = ()


@dataclass(frozen=True)
class Task:
    """A task with trials, each of which shows a stimulus and waits for one of several buttons.

    Examples
    --------
    >>> task = find_task("stroop")
    >>> task.buttons, task.conditions, task.channels
    (('red', 'green', 'blue'), ('congruent', 'incongruent'), 8)
    """

    name: str
    bids_tasks: tuple[str, ...]  # task entities of its event files
    buttons: tuple[str, ...]
    channels: int  # of the stimulus
    conditions: tuple[str, ...]  # the condition effect is the second minus the first
    # Longest display of the stimulus; None: the trial's duration.
    display_seconds: float | None
    window_seconds: float  # from onset, in which responses count
    correct_column: str  # names the correct button; with `probes`, the target
    response: ResponseRule
    inputs: tuple[Input, ...]
    correct_buttons: Pairs = ()  # value -> button; empty: values are buttons
    probes: Pairs = ()  # button -> column that equals the target if correct
    # Numbers per image; those not given are random ones near 0 or 1.
    image_size: int = 2
    exact_images: tuple[tuple[str, tuple[float, ...]], ...] = ()  # name -> its numbers
    # Name -> 0 or 1 for each number.
    near_images: tuple[tuple[str, tuple[float, ...]], ...] = ()
    condition_column: str | None = None  # None: all trials have the same condition
    condition_values: Pairs = ()  # value -> condition; others have none
    # Column -> values of rows that are trials.
    rows: tuple[tuple[str, tuple[str, ...]], ...] = ()
    # Segments begin at trials with a cue only; else at every trial.
    cut_at_cues: bool = False
    # Column: end of the run; None: that of the last trial, plus rest.
    run_end: str | None = None
    rest_seconds: float = 0.0  # after the last trial, where `run_end` is None
    # Content of the task file, which models store; empty: the task was made without a file.
    content: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def find_task(name: str | Path) -> Task:
    """Return a task that ships with the program, or that a TOML file describes.

    Parameters
    ----------
    name
        One of `SHIPPED`, or the path of a file whose name ends in .toml.

    Raises
    ------
    SettingsError
        No task has this name, or the file cannot be read or is no task. The message names file and
        key, what was found and what was expected.

    Examples
    --------
    >>> find_task("faces").bids_tasks
    ('hammerAP',)
    """
    if str(name) in SHIPPED:
        return _shipped(str(name))
    if Path(name).suffix.lower() != ".toml":
        raise SettingsError(
            f"there is no task '{name}'",
            expected=f"{', '.join(SHIPPED)}, or the path of a task file that ends in .toml",
        )
    with reading(name, SettingsError):
        content = read_toml(Path(name))
    return make_task(content, str(name))


@cache
def _shipped(name: str) -> Task:
    file = f"{name}.toml"
    return make_task(
        tomllib.loads(read_packaged("bids_dtg.twin", f"task_files/{file}")), file
    )


def make_task(content: Mapping[str, Any], source: str) -> Task:
    """Return the task that a task file describes; ``docs/reference/twin.md`` explains its keys.

    Parameters
    ----------
    content
        Content of the file, as a TOML reader returns it.
    source
        Name of the file, for messages.

    Raises
    ------
    SettingsError
        A key is absent, unknown, or has a wrong value.

    Examples
    --------
    >>> content = {
    ...     "name": "choice",
    ...     "bids_tasks": ["choice"],
    ...     "buttons": ["left", "right"],
    ...     "channels": 2,
    ...     "timing": {"window_seconds": 1.5},
    ...     "correct": {"column": "side"},
    ...     "response": {"rt": "response_time", "button": "pressed"},
    ...     "inputs": [
    ...         {"kind": "one-hot", "column": "side", "values": ["left", "right"], "channel": 0}
    ...     ],
    ... }
    >>> make_task(content, "choice.toml").conditions
    ('all',)
    """
    fields = TaskFields(content, source)
    buttons = fields.take("buttons", TEXTS)
    if not 2 <= len(buttons) <= _MOST_NAMES:
        raise fields.error(
            "buttons", f"has {len(buttons)}", f"2 to {_MOST_NAMES} names"
        )
    channels = fields.take("channels", whole(1, _MOST_CHANNELS))
    if not fields.has("correct"):
        raise fields.error(
            "correct",
            "is missing",
            "the key that gives each trial's correct button; tasks without a correct answer "
            "(gambling, delay discounting) and trials without a correct button (no-go, stop) "
            "cannot be performed",
        )
    images = _images(fields.table("images")) if fields.has("images") else {}
    task = Task(
        name=fields.take("name", TEXT),
        bids_tasks=fields.take("bids_tasks", TEXTS),
        buttons=buttons,
        channels=channels,
        **_correct(fields.table("correct"), buttons),
        response=_response(fields.table("response"), buttons),
        inputs=_inputs(fields, channels, images.get("image_size", Task.image_size)),
        **images,
        rows=fields.get("rows", TEXTS_BY_NAME, ()),
        content=content,
        **_timing(fields.table("timing")),
        **(
            _condition(fields.table("condition"))
            if fields.has("condition")
            else {"conditions": ("all",)}
        ),
    )
    if task.cut_at_cues and not any(part.start for part in task.inputs):
        raise fields.error(
            "timing.segments_begin", "is 'cues'", "an input of the kind cue"
        )
    fields.close()
    return task


def _timing(fields: TaskFields) -> dict[str, Any]:
    window = number(0, _MOST_WINDOW_SECONDS)
    timing = {
        "window_seconds": fields.take("window_seconds", window),
        "display_seconds": fields.get("display_seconds", window, None),
        "cut_at_cues": fields.get("segments_begin", choice("trials", "cues"), "trials")
        == "cues",
        "run_end": fields.get("run_end", TEXT, None),
        "rest_seconds": fields.get("rest_seconds", number(-1e-9, 3600), 0.0),
    }
    fields.close()
    return timing


def _condition(fields: TaskFields) -> dict[str, Any]:
    column, values = fields.take("column", TEXT), fields.take("values", TEXTS_BY_NAME)
    pairs = tuple((value, name) for name, listed in values for value in listed)
    fields.close()
    if len(values) > _MOST_NAMES:
        raise fields.error(
            "values", f"has {len(values)} conditions", f"at most {_MOST_NAMES}"
        )
    if len(dict(pairs)) < len(pairs):
        raise fields.error(
            "values", "gives a value to two conditions", "each value once"
        )
    return {
        "conditions": tuple(name for name, _ in values),
        "condition_column": column,
        "condition_values": pairs,
    }


def _correct(fields: TaskFields, buttons: tuple[str, ...]) -> dict[str, Any]:
    target = fields.get("target", TEXT, None)
    if target is None:
        column = fields.take("column", TEXT)
        named = fields.get("buttons", TEXT_BY_NAME, ())
        _require_buttons(fields, "buttons", [name for _, name in named], buttons)
        rule = {"correct_column": column, "correct_buttons": named}
    else:
        probes = fields.take("probes", TEXT_BY_NAME)
        _require_buttons(fields, "probes", [name for name, _ in probes], buttons)
        rule = {"correct_column": target, "probes": probes}
    fields.close()
    return rule


def _response(fields: TaskFields, buttons: tuple[str, ...]) -> ResponseRule:
    checks: Mapping[str, Check[Any]] = {
        "rt_unit_seconds": number(0, 1),
        "shortest_rt_seconds": number(-1e-9, 10),
        "no_response": TEXTS,
        "accuracy": TEXT,
        "correct_values": TEXTS,
        "button": TEXT,
        "buttons": TEXT_BY_NAME,
    }
    rt = fields.take("rt", TEXT)
    values = {
        key: fields.get(key, check, getattr(ResponseRule, key))
        for key, check in checks.items()
    }
    rule = ResponseRule(rt, **values)
    if rule.accuracy is None and rule.button is None:
        raise fields.error("accuracy", "and button are both missing", "one of them")
    if rule.accuracy is not None and rule.button is not None:
        raise fields.error("accuracy", "and button are given", "one of them")
    _require_buttons(fields, "buttons", [name for _, name in rule.buttons], buttons)
    fields.close()
    return rule


def _require_buttons(
    fields: TaskFields, key: str, named: list[str], buttons: tuple[str, ...]
) -> None:
    unknown = [name for name in named if name not in buttons]
    if unknown:
        expected = f"one of {', '.join(buttons)}"
        raise fields.error(key, f"names the button '{unknown[0]}'", expected)


def _images(fields: TaskFields) -> dict[str, Any]:
    size = fields.get("numbers", whole(1, 100), Task.image_size)
    ten = numbers_of(size, lambda number: -10 <= number <= 10)
    binary = numbers_of(size, lambda number: number in (0, 1))
    ten_by_name = by_name(ten, f"{size} numbers from -10 to 10 an image")
    binary_by_name = by_name(binary, f"{size} of the numbers 0 and 1 an image")
    exact = fields.get("exact", ten_by_name, ())
    near = fields.get("near", binary_by_name, ())
    fields.close()
    twice = sorted(dict(exact).keys() & dict(near).keys())
    if twice:
        fact = f"has '{twice[0]}', as images.exact has"
        raise fields.error("near", fact, "each image once")
    return {"image_size": size, "exact_images": exact, "near_images": near}


def _inputs(fields: TaskFields, channels: int, image_size: int) -> tuple[Input, ...]:
    """Return the inputs of a task; two inputs with the same channel are refused."""
    inputs: list[Input] = []
    taken: dict[int, int] = {}
    for place, part in enumerate(fields.tables("inputs"), start=1):
        item = _KINDS[part.take("kind", choice(*_KINDS))](part)
        part.close()
        listed = [channel for _, channel in item.channels]
        for channel in listed or range(item.first, item.first + image_size):
            fact = f"needs channel {channel}"
            if channel >= channels:
                raise part.error("channel", fact, f"below {channels}")
            if taken.setdefault(channel, place) != place:
                expected = f"not that of inputs[{taken[channel]}]"
                raise part.error("channel", fact, expected)
        inputs.append(item)
    return tuple(inputs)


_CHANNEL = whole(0, _MOST_CHANNELS)


def _one_hot(part: TaskFields) -> Input:
    column, values = part.take("column", TEXT), part.take("values", TEXTS)
    first = part.take("channel", _CHANNEL)
    channels = range(first, first + len(values))
    return Input(column, tuple(zip(values, channels, strict=True)))


def _image(part: TaskFields) -> Input:
    return Input(part.take("column", TEXT), first=part.take("channel", _CHANNEL))


def _cue(part: TaskFields) -> Input:
    return Input(
        start=part.take("start", TEXT),
        end=part.take("end", TEXT),
        column=part.take("column", TEXT),
        channels=part.take(
            "channels", by_name(_CHANNEL[0], "a channel for each value")
        ),
    )


# A new kind of input is a row; a task file's `kind` chooses it.
_KINDS: Mapping[str, Callable[[TaskFields], Input]] = {
    "one-hot": _one_hot,
    "image": _image,
    "cue": _cue,
}
