"""Exit codes and one-line errors of every program of the package.

Exit codes: 0 all requested work is done; 1 at least one participant failed, or
results or pages could not be written; 2 wrong arguments, dataset or model (nothing was
started); 70 internal error; 128 + n ended by signal n.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from bids_dtg.errors import (
    BundleError,
    DatasetError,
    DtgError,
    LimitError,
    SettingsError,
    did_you_mean,
    in_one_line,
    limit_error,
)
from bids_dtg.extras import broken_package, missing_extra
from bids_dtg.notices import add_to_log, close_log, say, visible
from bids_dtg.version import __version__

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 70


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong argument in one line, without the usage before it."""

    def add_usual(self) -> None:
        """Add ``-v`` and ``--version``, for programs without the options of ``bids_dtg``."""
        words = "-vv: show where an error comes from"
        self.add_argument("-v", "--verbose", action="count", default=0, help=words)
        self.add_argument(
            "--version", action="version", version=f"bids_dtg {__version__}"
        )

    taken = ""  # what an option with several values took, if places are missing

    def error(self, message: str) -> NoReturn:
        if self.taken and "arguments are required" in message:
            message += f"; {self.taken}"
        line = visible(f"{self.prog}: error: {message} (see {self.prog} --help)")
        self.exit(EXIT_USAGE, f"{line}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse an illegal value, and suggest what may be meant."""
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        words = f"invalid choice: {value!r} (choose from {', '.join(choices)})"
        near = did_you_mean(str(value), choices)
        if near:
            words += f"; {near}"
        raise argparse.ArgumentError(action, words)


def call(
    program: str, action: Callable[[], int], *, debug: bool, interrupted: str
) -> int:
    """Run a program's action; turn any exception into one line and an exit code.

    Parameters
    ----------
    program
        Name that the line begins with.
    action
        Does the work and returns the exit code.
    debug
        Whether to print tracebacks too.
    interrupted
        In words, what Ctrl-C or a signal that ends the program leaves behind.
    """
    _show_package_warnings(program, everything=debug)
    _end_by_signals(program, interrupted)
    close_log()  # of an earlier call in this process
    try:
        return action()
    except KeyboardInterrupt:
        say(f"{program}: interrupted; {interrupted}")
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of the output has closed it
        raise
    except Exception as err:
        if isinstance(err, OSError) and err.errno == errno.ENOSPC and not err.filename:
            raise  # standard output is full, which `run_program` reports
        if debug:
            traceback.print_exc()
        if isinstance(err, ImportError):
            err = missing_extra(err) or limit_error(err) or broken_package(err) or err
        names_no_file = isinstance(err, FileNotFoundError) and err.filename is None
        if names_no_file and _folder_is_gone():
            err = SettingsError(
                "the folder that the program was started in does not exist any more",
                expected="one that exists, as relative paths begin there",
                remedy="change to another folder (cd), or give absolute paths",
            )
        say(f"{program}: error: {in_one_line(err)}")
        if isinstance(err, (SettingsError, DatasetError, BundleError, LimitError)):
            return EXIT_USAGE
        is_failure = isinstance(err, (DtgError, OSError)) or limit_error(err)
        return EXIT_FAILED if is_failure else EXIT_INTERNAL


def _folder_is_gone() -> bool:
    try:
        return not Path.cwd().is_dir()
    except FileNotFoundError:
        return True


def _show_package_warnings(program: str, *, everything: bool) -> None:
    """Print the package's warnings as one line; those of libraries only when debugging."""
    shown = set()

    def show(
        message: Warning | str, category: type[Warning], filename: str, *_: object
    ) -> None:
        line = f"{program}: warning: {' '.join(str(message).split())}"
        is_own = Path(filename).is_relative_to(Path(__file__).parents[1])
        if (is_own or everything) and line not in shown:
            shown.add(line)
            say(line)

    warnings.showwarning = show  # type: ignore[assignment]


def _end_by_signals(program: str, interrupted: str) -> None:
    """Make SIGTERM and SIGHUP (a closed terminal) print a line and end the program."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        line = f"\n{program}: ended by signal {number}; {interrupted}\n"
        # Not through the stream, which refuses a second line while it writes one.
        add_to_log(line.strip())
        with suppress(OSError):
            os.write(2, line.encode())
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):  # SIGHUP: not on Windows
        number = getattr(signal, name, None)
        # A signal that is ignored, e.g. by nohup, stays ignored.
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)
