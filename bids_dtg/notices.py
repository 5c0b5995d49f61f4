"""Lines for people, on standard error, and the words that they are made of."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def say(message: str) -> None:
    """Print a line to standard error; the work goes on if nobody reads it any more."""
    try:
        print(message, file=sys.stderr, flush=True)
    except BrokenPipeError:
        # The line is kept, and fails again when it is next flushed, as before a fork or at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def counted(number: int, noun: str) -> str:
    """Return a number of things for people, as 1 run or 2 runs.

    Examples
    --------
    >>> counted(1, "run"), counted(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def named(labels: Sequence[str]) -> str:
    """Name the first few of some things, and say that there are more.

    Examples
    --------
    >>> named(["01", "02", "03", "04", "05", "06"])
    '01, 02, 03, 04, 05, ...'
    """
    return ", ".join([*labels[:5], *(["..."] if len(labels) > 5 else [])])
