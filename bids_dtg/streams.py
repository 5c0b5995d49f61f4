"""Standard input, output and error of a program: usable, whatever the program was handed.

A stream may be closed, its disk full, or the reader of its pipe gone. None of that may cost
results: a closed stream is replaced by /dev/null before another file gets its number, and what
cannot be written is dropped. Standard output is what was asked for, so that its loss is an error
at the end; but not where its reader (`head`, `less`) has left, who has what it wanted.
"""

from __future__ import annotations

import errno
import io
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from bids_dtg.notices import say

_INPUT, _OUTPUT, _ERROR = range(3)
_EXIT_FAILED, _EXIT_USAGE = 1, 2


class _Unfailing(io.FileIO):
    """A descriptor that takes all that is written to it, and keeps the error if it cannot."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while len(left):
                written = super().write(left)
                if written is None:  # a terminal that does not block, and is busy
                    select.select([], [self], [])
                left = left[written or 0 :]
        except (OSError, ValueError) as err:
            self.error = self.error or (err if isinstance(err, OSError) else OSError(str(err)))
        return size


def run_program(program: str, main: Callable[[], int]) -> NoReturn:
    """Run a program's main function on usable streams, and end the process with its exit code.

    Parameters
    ----------
    program
        Name of the program, for messages.
    main
        Returns the exit code, or raises SystemExit with it.
    """
    mend_streams()
    try:
        code = main()
    except SystemExit as end:  # argparse, or a signal
        code = end.code if isinstance(end.code, int) else _EXIT_USAGE * bool(end.code)
    except KeyboardInterrupt:  # before the work began
        code = 128 + signal.SIGINT
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    if (reason := lost_output()) is not None:
        say(f"{program}: error: standard output cannot be written: {reason}")
        code = code or _EXIT_FAILED
    # To take down an interpreter with torch in it takes half a second; nothing is left to do.
    os._exit(code)


def mend_streams() -> None:
    """Replace streams that are closed by /dev/null, and have none of them raise errors.

    To be called before any file is opened: it would get the number of a closed stream, and
    receive what is printed. Children inherit what this process has then.
    """
    for number in (_INPUT, _OUTPUT, _ERROR):  # each lowest number that is free is the next one
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(_INPUT, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = _writer(_OUTPUT, sys.stdout), _writer(_ERROR, sys.stderr)


def lost_output() -> str | None:
    """Return why standard output is not whole; None if it is, or nobody reads it any more."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, _Unfailing) else None
    if error is None or error.errno == errno.EPIPE:
        return None
    return error.strerror or str(error)


def _writer(number: int, given: TextIO | None) -> TextIO:
    """Return a stream as Python has made it, on a descriptor that does not fail."""
    lines = number == _ERROR or getattr(given, "line_buffering", False)
    return io.TextIOWrapper(
        io.BufferedWriter(_Unfailing(number)),
        encoding=given.encoding if given is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=lines,
        write_through=getattr(given, "write_through", False),
    )
