"""Standard input, output and error of a program: usable, whatever the program was handed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from bids_dtg.notices import say

_EXIT_FAILED, _EXIT_USAGE = 1, 2


def run_program(program: str, main: Callable[[], int]) -> NoReturn:
    """Run a program's main function, and end the process with its exit code.

    The program works on where standard error cannot be written. Standard output is what was asked
    for, so that its loss is an error; but not where its reader (`head`, `less`) has left.

    Parameters
    ----------
    program
        Name of the program, for messages.
    main
        Returns the exit code, or raises SystemExit with it.
    """
    open_closed_streams()
    with suppress(AttributeError):  # another kind of stream
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            code = main()
        except SystemExit as end:  # argparse, or a signal
            code = end.code if isinstance(end.code, int) else _EXIT_USAGE * bool(end.code)
        sys.stdout.flush()
    except KeyboardInterrupt:  # before the work began
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        code = 0
    except OSError as err:
        say(f"{program}: error: standard output: {err.strerror}")
        code = _EXIT_FAILED
    # To take down an interpreter with torch in it takes half a second; nothing is left to do.
    os._exit(code)


def open_closed_streams() -> None:
    """Replace closed streams by /dev/null: files that are opened next would get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        with suppress(OSError):
            os.fstat(number)
            continue
        opened = os.open(os.devnull, os.O_RDWR)  # each lowest number that is free is the next one
        os.set_inheritable(opened, True)
        setattr(sys, name, os.fdopen(opened, "w" if number else "r", encoding="utf-8"))
