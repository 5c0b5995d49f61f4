"""Lines for people, on standard error."""

from __future__ import annotations

import os
import sys


def say(message: str) -> None:
    """Print a line to standard error; the work goes on if nobody reads it any more."""
    try:
        print(message, file=sys.stderr, flush=True)
    except BrokenPipeError:
        # The line is kept, and fails again when it is next flushed, as before a fork or at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
