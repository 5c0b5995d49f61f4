"""How every program of the package ends: exit codes, and errors as one line.

Exit codes: 0 all requested work done; 1 at least one participant failed, or
results could not be written; 2 wrong arguments, dataset or model (nothing was
started); 70 an internal error; 128 + n ended by signal n.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from bids_dtg.errors import BundleError, DatasetError, DtgError, SettingsError, internal_error
from bids_dtg.notices import say

EXIT_FAILED, EXIT_USAGE, EXIT_INTERNAL = 1, 2, 70


class Parser(argparse.ArgumentParser):
    """Tells of a wrong argument in one line, without the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def call(program: str, action: Callable[[], int], *, debug: bool, interrupted: str) -> int:
    """Run a program's action; turn whatever it raises into one line and an exit code.

    Parameters
    ----------
    program
        Name that the line begins with.
    action
        Does the work and returns the exit code.
    debug
        Print tracebacks too.
    interrupted
        What Ctrl-C leaves behind, in words.
    """
    try:
        code = action()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; nor must the flush at exit complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say(f"{program}: interrupted; {interrupted}")
        return 128 + signal.SIGINT
    except Exception as err:
        if debug:
            traceback.print_exc()
        if isinstance(err, DtgError):
            say(f"{program}: error: {err}")
            usage = isinstance(err, (SettingsError, DatasetError, BundleError))
            return EXIT_USAGE if usage else EXIT_FAILED
        say(f"{program}: {internal_error(err)}")
        return EXIT_INTERNAL
