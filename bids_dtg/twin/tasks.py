"""Tasks as data: what is shown, which button is correct, and how responses are coded."""

from __future__ import annotations

from dataclasses import dataclass


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
    column: str  # whose value chooses the channel
    channels: tuple[tuple[str, int], ...]  # value -> channel


@dataclass(frozen=True)
class Images:
    """Numbers of images: those given, and else random ones near 0 or near 1, by the file's name."""

    numbers: int = 2  # an image
    exact: tuple[tuple[str, tuple[float, ...]], ...] = ()  # name -> its numbers
    near: tuple[tuple[str, tuple[int, ...]], ...] = ()  # name -> 0 or 1 that each number is near


@dataclass(frozen=True)
class CorrectRule:
    """The correct button: of a column's value, or that whose column equals the target's."""

    column: str  # its value is, or stands for, a button; with `probes` it is the target
    buttons: tuple[tuple[str, str], ...] = ()  # value -> button; none: values are the buttons
    probes: tuple[tuple[str, str], ...] = ()  # button -> column


@dataclass(frozen=True)
class ResponseRule:
    """How a person's response is coded."""

    rt: str  # column: time from the trial's onset; n/a: no response
    rt_unit_seconds: float = 1.0  # of that column: 0.001 for milliseconds
    shortest_rt_seconds: float = 0.15  # a faster response is implausible, and not scored
    accuracy: str | None = None  # column: whether the response was correct
    correct_values: tuple[str, ...] = ("1", "true", "correct")  # of that column, where it was
    button: str | None = None  # column: the button that was pressed
    buttons: tuple[tuple[str, str], ...] = ()  # its value -> button; none: values are the buttons


@dataclass(frozen=True)
class Task:
    """A task with trials, each of which shows something and waits for one of some buttons."""

    name: str
    bids_tasks: tuple[str, ...]  # task entities of its event files
    buttons: tuple[str, ...]
    channels: int  # of the stimulus
    conditions: tuple[str, ...]  # the contrast of the first two is second - first
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
