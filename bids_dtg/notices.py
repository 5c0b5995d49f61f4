"""Lines for people, and the words that they are made of."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

# Kinds of characters (Unicode) that act instead of being seen: control characters, as those that
# begin a terminal's commands; marks that turn the direction of text; halves of characters, as
# which Python gives bytes that are no UTF-8; ends of lines and paragraphs.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}

# A note of a run that its report warns of: where a mask is usual, it was lost.
NO_MASK = "The run has no brain mask of its own: every voxel with signal was used."


def visible(text: str) -> str:
    r"""Return text as one line of which every character is seen, and none acts.

    Names of folders, labels and what hosts answer may hold anything. What would move a
    terminal's cursor, turn the direction of text or begin a line is shown as its escape, and so
    are bytes that are no UTF-8.

    Examples
    --------
    >>> print(visible("sub-\x1b[2J\nall done"), visible("caf\u00e9"), visible("sub-\udcff"))
    sub-\x1b[2J\nall done café sub-\xff
    """
    if text.isprintable():
        return text
    with suppress(UnicodeEncodeError):  # half a character that stands for no byte
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _ACTING else char
        for char in text
    )


def say(message: str) -> None:
    """Print a line to standard error; the work goes on where it cannot be printed."""
    _print(message, sys.stderr)


def show(line: str) -> None:
    """Print a line of what was asked for to standard output, as `visible` has it.

    `bids_dtg.streams` reports at the end of the program what could not be printed.
    """
    print(visible(line))


def _print(message: str, stream: TextIO | None) -> None:
    if stream is None:  # closed before the program began
        return
    try:
        stream.write(visible(message) + "\n")
        stream.flush()
    except ValueError:  # closed since, or of an encoding without such characters
        return
    except OSError:
        with suppress(OSError, ValueError):
            _forget(stream)


def _forget(stream: TextIO) -> None:
    """Drop what a stream keeps, which fails again when it is flushed, as before a fork."""
    number = stream.fileno()
    kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        stream.flush()
    finally:
        os.dup2(kept, number)
        os.close(kept)
        os.close(nowhere)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number of things for people, as 1 run or 2 runs.

    Examples
    --------
    >>> counted(1, "run"), counted(2, "run"), counted(2, "family", "families")
    ('1 run', '2 runs', '2 families')
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def named(labels: Sequence[str]) -> str:
    """Name the first few of some things, and count the others.

    Examples
    --------
    >>> named(["01", "02", "03", "04", "05", "06"])
    '01, 02, 03, 04, 05, ...'
    """
    return ", ".join([*labels[:5], *(["..."] if len(labels) > 5 else [])])


def duration(seconds: float) -> str:
    """Return a time for people, as 40 s, 12 min or 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
