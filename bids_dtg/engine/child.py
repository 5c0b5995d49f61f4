"""What a process does that another one has started to share the work: signals, pipes, its end."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import NoReturn

from bids_dtg.engine.machine import end_with_parent


def be_child(work: Callable[[], None], inherited: Sequence[Connection]) -> NoReturn:
    """Work, and end this process; it ends with its parent, and by SIGTERM, whatever it does.

    Parameters
    ----------
    work
        What the process is for.
    inherited
        Ends of pipes that it has because it was forked: closed, so that pipes break when the
        process at their other end is gone.
    """
    code: object = 1
    try:
        end_with_parent()
        for end in inherited:
            end.close()
        # Ctrl-C reaches all processes of a terminal; the first one decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _end)
        work()
        code = 0
    except SystemExit as end_:
        code = end_.code
    except Exception:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        # The interpreter would wait for threads; one that a signal interrupted may never end.
        os._exit(code if isinstance(code, int) else 1)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)  # half-written files are removed on the way
