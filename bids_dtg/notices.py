"""Text for users: how it is made safe to print, where it is printed, and common phrases."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

# Unicode categories of characters that act instead of being shown: control characters, such as
# those that begin terminal commands; format characters, such as those that reverse the direction
# of text; surrogates, with which Python represents bytes that are not UTF-8; line and paragraph
# separators.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}

_FORMULA_SIGNS = ("=", "+", "-", "@")  # with which cells begin that a spreadsheet runs
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf", re.ASCII)

# Notes about a run that its report repeats as flags.
SAME_SIDES = (
    "The right hemisphere has the values of the left: "
    "one of them was copied over the other."
)
TEMPLATE_SURFACE = "Parcels are means over the vertices of a template's surface"
NO_MASK = "The run has no brain mask of its own: every voxel with signal was used."


def visible(text: str) -> str:
    r"""Return text as one line that is safe to print.

    Folder names, labels and answers from hosts may contain anything. Characters that would move
    the terminal's cursor, reverse the direction of text or begin a new line are shown as escape
    sequences, and so are bytes that are not UTF-8.

    Examples
    --------
    >>> print(visible("sub-\x1b[2J\nall done"), visible("caf\u00e9"), visible("sub-\udcff"))
    sub-\x1b[2J\nall done café sub-\xff
    """
    if text.isprintable():
        return text
    with suppress(UnicodeEncodeError):  # a surrogate that represents no byte
        text = text.encode("utf-8", "surrogateescape").decode(
            "utf-8", "backslashreplace"
        )
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in _ACTING
        else char
        for char in text
    )


def one_line(text: str) -> str:
    """Return text as one line with single spaces, safe to print."""
    return visible(" ".join(text.split()))


def visible_lines(text: str) -> str:
    """Make each line of a text safe to print, as `visible` does."""
    return "\n".join(map(visible, text.split("\n")))


def without_formula(text: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would run; numbers stay as they are.

    Spreadsheets run cells that begin with =, +, - or @ (OWASP, "CSV injection"), and names of
    regions and columns come from other people's files. `with_formula` returns the text.

    Examples
    --------
    >>> [without_formula(text) for text in ("=cmd()", "-0.5", "V1")]
    ["'=cmd()", '-0.5', 'V1']
    """
    if not text.lstrip("'").startswith(_FORMULA_SIGNS) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def with_formula(cell: str) -> str:
    """Return the text that `without_formula` was given.

    Examples
    --------
    >>> with_formula("'=cmd()"), with_formula("'a'")
    ('=cmd()', "'a'")
    """
    is_escaped = cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA_SIGNS)
    return cell[1:] if is_escaped else cell


def without_secrets(text: str) -> str:
    """Hide users, passwords and queries in the addresses (URLs) of a text.

    Examples
    --------
    >>> without_secrets("https://ann:secret@host.example/models?token=1 does not answer")
    'https://***@host.example/models?*** does not answer'
    """
    return re.sub(r"\?\S*=\S*", "?***", re.sub(r"://\S*@", "://***@", text))


# Descriptor of the file that keeps what is said, which forked processes share; None: none is open.
_log_file: int | None = None
_lines_before = deque[str](maxlen=1000)  # of a call, before its log is opened


def open_log(path: Path) -> None:
    """Keep what is said in a file, with times, and what was said before in this call."""
    global _log_file
    before = "".join(_lines_before)
    close_log()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        _log_file = os.open(path, flags, 0o666)
        os.write(_log_file, before.encode("utf-8", "backslashreplace"))


def add_to_log(*lines: str) -> None:
    """Keep lines; those that are shown by `say` are kept anyway."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    dated = [f"{now} {visible(line)}\n" for line in lines]
    if _log_file is None:
        _lines_before.extend(dated)
        return
    with suppress(OSError):  # a full disk is reported where results are written
        # At once, so that lines of several processes do not mix.
        os.write(_log_file, "".join(dated).encode("utf-8", "backslashreplace"))


def close_log() -> None:
    """End the log of a call, or forget what was said before it."""
    global _log_file
    if _log_file is not None:
        os.close(_log_file)
    _log_file = None
    _lines_before.clear()


def say(*lines: str, timed: bool = False) -> None:
    """Print lines to standard error, with the time if asked for; do nothing if that fails."""
    add_to_log(*lines)
    before = f"{time.strftime('%H:%M:%S')} " if timed else ""
    try:
        sys.stderr.writelines(f"{before}{visible(line)}\n" for line in lines)
        sys.stderr.flush()
    except (AttributeError, ValueError):  # none, or its encoding lacks these characters
        return
    except OSError:
        # Its reader has ended; buffered text would raise again at each fork.
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (it stays open)


def show(*lines: str) -> None:
    """Print lines of results to standard output, made safe by `visible`.

    If standard output fails, `run_program` reports it at the end.
    """
    for line in lines:
        print(visible(line))


def open_streams() -> None:
    """Open standard streams that are closed on /dev/null, before other files get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def run_program(program: str, main: Callable[[], int]) -> NoReturn:
    """Run a program's main function, and end the process with its exit code.

    The program continues if standard error cannot be written. A failure of standard output is an
    error, as the user asked for that output, unless its reader (`head`, `less`) has ended.

    Parameters
    ----------
    program
        Name of the program, for messages.
    main
        Function that returns the exit code, or raises SystemExit with it.
    """
    open_streams()
    with suppress(AttributeError):  # another kind of stream
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            code = main()
        except SystemExit as end:  # argparse, or a signal
            code = 2 if end.code else 0
            if isinstance(end.code, int):
                code = end.code
        sys.stdout.flush()
    except KeyboardInterrupt:  # pressed before the work began
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        code = 0
    except OSError as err:
        say(f"{program}: error: standard output: {err.strerror}")
        code = 1
    # Exit at once: nothing is left to do, and with torch imported, shutdown takes half a second.
    os._exit(code)


def counted(things: int | Sized, noun: str, plural: str = "") -> str:
    """Return a number, or that of some things, with their noun, such as 1 run or 2 runs.

    Examples
    --------
    >>> counted(1, "run"), counted(["rest", "task"], "run"), counted(2, "family", "families")
    ('1 run', '2 runs', '2 families')
    """
    number = len(things) if isinstance(things, Sized) else things
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def in_minutes(number: float) -> str:
    """Return a number of minutes as text.

    Examples
    --------
    >>> in_minutes(1.0), in_minutes(4.5)
    ('1 minute', '4.5 minutes')
    """
    return f"{number:g} minute{'' if number == 1 else 's'}"


def named(labels: Sequence[str]) -> str:
    """Name the first five labels; an ellipsis stands for the rest.

    Examples
    --------
    >>> named(["01", "02", "03", "04", "05", "06"])
    '01, 02, 03, 04, 05, ...'
    """
    text = ", ".join(labels[:5])
    return f"{text}, ..." if len(labels) > 5 else text


def duration(seconds: float) -> str:
    """Return a duration as text, such as 40 s, 12 min or 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
