"""Lines for people, the words that they are made of, and the streams that they go to."""

from __future__ import annotations

import os
import re
import signal
import sys
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

# Kinds of characters (Unicode) that act instead of being seen: control characters, as those that
# begin a terminal's commands; marks that turn the direction of text; halves of characters, as
# which Python gives bytes that are no UTF-8; ends of lines and paragraphs.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}

# A note of a run that its report warns of: where a mask is usual, it was lost.
NO_MASK = "The run has no brain mask of its own: every voxel with signal was used."

_HIDDEN = "***"
# What sentences put behind an address.
_CLOSING = r"""['":;,.!?)>\]}]*"""
# The first scheme of a word; what stands before it, as a quote, holds no secret. The bound keeps
# the time from growing with the square of a word's length.
_ADDRESS = re.compile(r"([^:@?#]*?[A-Za-z][A-Za-z0-9+.-]{0,30}://)?([^?#]*)(.*)", re.DOTALL)
# A host whose colon is followed by a port, and not by half of a password.
_HOST = re.compile(rf"(\[[^]]*\])?[^:/]*(:\d{{1,5}})?(/|{_CLOSING}$)")
_QUERY = re.compile(rf"^([?#])(?!{_CLOSING}$).*?({_CLOSING})$", re.DOTALL)


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


def without_secrets(text: str) -> str:
    """Hide the parts of addresses in a text that only their host should see.

    User names and passwords (before the `@`) and queries (after the `?`) become `***`. Where it
    is not certain which part is the host, the whole address is hidden: showing too little is
    better than showing a secret.

    Parameters
    ----------
    text
        One line or several; an address ends at white space.

    Examples
    --------
    >>> without_secrets("https://ann:secret@host.example/models?token=1 does not answer")
    'https://***@host.example/models?*** does not answer'
    """
    return re.sub(r"\S+", lambda word: _without_secrets(word[0]), text)


def _without_secrets(word: str) -> str:
    found = _ADDRESS.fullmatch(word)
    assert found is not None  # anything matches
    scheme, place, query = found[1] or "", found[2], found[3]
    # A password may have a ? in it: then the host is in neither part for certain.
    if "@" in query:
        return scheme + _HIDDEN
    if "@" in place:
        place = f"{_HIDDEN}@{place.rpartition('@')[2]}"
    elif scheme and not _HOST.match(place):
        place = _HIDDEN
    if scheme or "=" in query:
        query = _QUERY.sub(rf"\1{_HIDDEN}\2", query)
    return scheme + place + query


def say(message: str) -> None:
    """Print a line to standard error; the work goes on where it cannot be printed."""
    try:
        sys.stderr.write(visible(message) + "\n")
        sys.stderr.flush()
    except (AttributeError, ValueError):  # closed, or of an encoding without such characters
        return
    except OSError:  # whoever read it has left; what it keeps would fail again at each fork
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (it stays open)


def show(line: str) -> None:
    """Print a line of what was asked for to standard output, as `visible` has it.

    `run_program` reports at the end what could not be printed.
    """
    print(visible(line))


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
    with suppress(AttributeError):  # closed, or another kind of stream
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            code = main()
        except SystemExit as end:  # argparse, or a signal
            code = end.code if isinstance(end.code, int) else 2 * bool(end.code)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:  # before the work began
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        code = 0
    except OSError as err:
        say(f"{program}: error: standard output: {err.strerror}")
        code = 1
    # To take down an interpreter with torch in it takes half a second; nothing is left to do.
    os._exit(code)


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
