"""Tasks as data: what is shown, which button is correct, and how responses are coded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bids_dtg.errors import SettingsError
from bids_dtg.files.foreign import parse_toml
from bids_dtg.files.text import read_packaged
from bids_dtg.inputs.events import read_task_file
from bids_dtg.twin.task_fields import (
    TEXT,
    TEXT_BY_NAME,
    TEXTS,
    TEXTS_BY_NAME,
    TaskFields,
    by_name,
    choice,
    number,
    numbers_of,
    whole,
)

# Tasks that ship with the program: `task_files/NAME.toml`.
SHIPPED = ("faces", "stroop")
# Indices of buttons and conditions are numbers of eight bits.
_MOST_NAMES = 100
_MOST_CHANNELS = 10_000
_MOST_WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class OneHot:
    """Channels for the values of a column: 1 for the value that a trial has, 0 for the others."""

    column: str
    values: tuple[str, ...]
    channel: int  # of the first value; the others follow


@dataclass(frozen=True)
class ImageCode:
    """Channels for an image, named by a column: the same numbers wherever the image is shown."""

    column: str
    channel: int  # of the first number; the others follow


@dataclass(frozen=True)
class Cue:
    """A channel that is 1 from a cue's start to its end, in seconds of the run."""

    start: str  # column; trials without a cue have n/a
    end: str  # column
    column: str  # column whose value chooses the channel
    channels: tuple[tuple[str, int], ...]  # value -> channel


@dataclass(frozen=True)
class Images:
    """Numbers of images: given ones, else random ones near 0 or 1 drawn by the file's name."""

    numbers: int = 2  # an image
    exact: tuple[tuple[str, tuple[float, ...]], ...] = ()  # name -> its numbers
    near: tuple[tuple[str, tuple[float, ...]], ...] = ()  # name -> 0 or 1 that each number is near


@dataclass(frozen=True)
class CorrectRule:
    """The correct button: named by a column, or the button whose column equals the target's."""

    column: str  # its value is, or stands for, a button; with `probes` it is the target
    buttons: tuple[tuple[str, str], ...] = ()  # value -> button; none: values are the buttons
    probes: tuple[tuple[str, str], ...] = ()  # button -> column


@dataclass(frozen=True)
class ResponseRule:
    """How a person's response is coded."""

    rt: str  # column: time from the trial's onset; n/a: no response
    rt_unit_seconds: float = 1.0  # of that column: 0.001 for milliseconds
    shortest_rt_seconds: float = 0.15  # a faster response is implausible, and not scored
    no_response: tuple[str, ...] = ()  # further values of that column that mean none
    accuracy: str | None = None  # column: whether the response was correct
    correct_values: tuple[str, ...] = ("1", "true", "correct")  # of that column, where it was
    button: str | None = None  # column: the button that was pressed
    buttons: tuple[tuple[str, str], ...] = ()  # its value -> button; none: values are the buttons


@dataclass(frozen=True)
class Task:
    """A task with trials, each of which shows something and waits for one of some buttons.

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
    conditions: tuple[str, ...]  # the condition effect is the second less the first
    display_seconds: float | None  # the stimulus stays on for so long at most; None: the duration
    window_seconds: float  # responses count until so long after onset
    correct: CorrectRule
    response: ResponseRule
    inputs: tuple[OneHot | ImageCode | Cue, ...]
    images: Images = Images()
    condition_column: str | None = None  # None: all trials are of the one condition
    condition_values: tuple[tuple[str, str], ...] = ()  # value -> condition; others have none
    rows: tuple[tuple[str, tuple[str, ...]], ...] = ()  # column -> values of rows that are trials
    cut_at_cues: bool = False  # segments begin at trials with a cue only; else at every trial
    run_end: str | None = None  # column: end of the run; None: the last trial's, and the rest
    rest_seconds: float = 0.0  # after the last trial, where `run_end` is None
    # Content of the task file, which models carry; none: the task was made otherwise.
    content: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def find_task(name: str | Path) -> Task:
    """Return a task that ships with the program, or that of a TOML file.

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
    return make_task(read_task_file(Path(name)), str(name))


@cache
def _shipped(name: str) -> Task:
    file = f"{name}.toml"
    return make_task(parse_toml(read_packaged("bids_dtg.twin", f"task_files/{file}"), file), file)


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
        raise fields.error("buttons", f"has {len(buttons)}", f"2 to {_MOST_NAMES} names")
    channels = fields.take("channels", whole(1, _MOST_CHANNELS))
    if not fields.has("correct"):
        raise fields.error(
            "correct",
            "is missing",
            "how the right button of each trial is found: tasks without a right answer, as "
            "gambling or delay discounting, and trials without a right button, as no-go or stop, "
            "cannot be performed",
        )
    images = _images(fields.table("images")) if fields.has("images") else Images()
    task = Task(
        name=fields.take("name", TEXT),
        bids_tasks=fields.take("bids_tasks", TEXTS),
        buttons=buttons,
        channels=channels,
        correct=_correct(fields.table("correct"), buttons),
        response=_response(fields.table("response"), buttons),
        inputs=_inputs(fields, channels, images.numbers),
        images=images,
        rows=fields.get("rows", TEXTS_BY_NAME, ()),
        content=content,
        **_timing(fields.table("timing")),
        **(
            _condition(fields.table("condition"))
            if fields.has("condition")
            else {"conditions": ("all",)}
        ),
    )
    if task.cut_at_cues and not any(isinstance(part, Cue) for part in task.inputs):
        raise fields.error("timing.segments_begin", "is 'cues'", "inputs of the kind cue, too")
    fields.close()
    return task


def _timing(fields: TaskFields) -> dict[str, Any]:
    window = number(0, _MOST_WINDOW_SECONDS)
    timing = {
        "window_seconds": fields.take("window_seconds", window),
        "display_seconds": fields.get("display_seconds", window, None),
        "cut_at_cues": fields.get("segments_begin", choice("trials", "cues"), "trials") == "cues",
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
        raise fields.error("values", f"has {len(values)} conditions", f"at most {_MOST_NAMES}")
    if len(dict(pairs)) < len(pairs):
        raise fields.error("values", "gives a value to two conditions", "each value once")
    return {
        "conditions": tuple(name for name, _ in values),
        "condition_column": column,
        "condition_values": pairs,
    }


def _correct(fields: TaskFields, buttons: tuple[str, ...]) -> CorrectRule:
    target = fields.get("target", TEXT, None)
    if target is None:
        rule = CorrectRule(fields.take("column", TEXT), fields.get("buttons", TEXT_BY_NAME, ()))
        _require_buttons(fields, "buttons", [name for _, name in rule.buttons], buttons)
    else:
        rule = CorrectRule(target, probes=fields.take("probes", TEXT_BY_NAME))
        _require_buttons(fields, "probes", [name for name, _ in rule.probes], buttons)
    fields.close()
    return rule


def _response(fields: TaskFields, buttons: tuple[str, ...]) -> ResponseRule:
    usual = ResponseRule("")
    rule = ResponseRule(
        rt=fields.take("rt", TEXT),
        rt_unit_seconds=fields.get("rt_unit_seconds", number(0, 1), usual.rt_unit_seconds),
        shortest_rt_seconds=fields.get(
            "shortest_rt_seconds", number(-1e-9, 10), usual.shortest_rt_seconds
        ),
        no_response=fields.get("no_response", TEXTS, ()),
        accuracy=fields.get("accuracy", TEXT, None),
        correct_values=fields.get("correct_values", TEXTS, usual.correct_values),
        button=fields.get("button", TEXT, None),
        buttons=fields.get("buttons", TEXT_BY_NAME, ()),
    )
    if (rule.accuracy is None) == (rule.button is None):
        found = "and button are both missing" if rule.button is None else "and button are given"
        raise fields.error("accuracy", found, "one of them")
    _require_buttons(fields, "buttons", [name for _, name in rule.buttons], buttons)
    fields.close()
    return rule


def _require_buttons(
    fields: TaskFields, key: str, named: list[str], buttons: tuple[str, ...]
) -> None:
    if unknown := [name for name in named if name not in buttons]:
        raise fields.error(key, f"names the button '{unknown[0]}'", f"one of {', '.join(buttons)}")


def _images(fields: TaskFields) -> Images:
    numbers = fields.get("numbers", whole(1, 100), Images.numbers)
    exact = by_name(numbers_of(numbers, -10, 10), f"{numbers} numbers from -10 to 10 an image")
    near = by_name(_zeros_and_ones(numbers), f"{numbers} of the numbers 0 and 1 an image")
    images = Images(numbers, fields.get("exact", exact, ()), fields.get("near", near, ()))
    fields.close()
    if twice := sorted(dict(images.exact).keys() & dict(images.near).keys()):
        raise fields.error("near", f"has '{twice[0]}', as images.exact has", "an image once")
    return images


def _zeros_and_ones(count: int) -> Any:
    convert = numbers_of(count, 0, 1)

    def binary(value: Any) -> tuple[float, ...]:
        found = convert(value)
        if not set(found) <= {0.0, 1.0}:
            raise ValueError
        return found

    return binary


def _inputs(
    fields: TaskFields, channels: int, numbers: int
) -> tuple[OneHot | ImageCode | Cue, ...]:
    """Return the inputs of a task; two inputs with the same channel are refused."""
    inputs: list[OneHot | ImageCode | Cue] = []
    taken: dict[int, int] = {}
    for place, part in enumerate(fields.tables("inputs"), start=1):
        made, used = _KINDS[part.take("kind", choice(*_KINDS))](part, numbers)
        part.close()
        for channel in used:
            if channel >= channels:
                raise part.error("channel", f"needs channel {channel}", f"below {channels}")
            if taken.setdefault(channel, place) != place:
                raise part.error(
                    "channel", f"needs channel {channel}", f"not that of inputs[{taken[channel]}]"
                )
        inputs.append(made)
    return tuple(inputs)


def _one_hot(part: TaskFields, numbers: int) -> tuple[OneHot, range]:
    made = OneHot(part.take("column", TEXT), part.take("values", TEXTS), _channel(part, "channel"))
    return made, range(made.channel, made.channel + len(made.values))


def _image_code(part: TaskFields, numbers: int) -> tuple[ImageCode, range]:
    made = ImageCode(part.take("column", TEXT), _channel(part, "channel"))
    return made, range(made.channel, made.channel + numbers)


def _cue(part: TaskFields, numbers: int) -> tuple[Cue, list[int]]:
    channel = whole(0, _MOST_CHANNELS)
    made = Cue(
        start=part.take("start", TEXT),
        end=part.take("end", TEXT),
        column=part.take("column", TEXT),
        channels=part.take("channels", by_name(channel.convert, "a channel for each value")),
    )
    return made, [index for _, index in made.channels]


def _channel(part: TaskFields, key: str) -> int:
    return part.take(key, whole(0, _MOST_CHANNELS))


# A new kind of input is a row; a task file's `kind` chooses it.
_KINDS: Mapping[str, Any] = {"one-hot": _one_hot, "image": _image_code, "cue": _cue}
