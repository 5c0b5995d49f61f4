"""How programs end: exit codes and lines of signals."""

from __future__ import annotations

import subprocess
import sys

import pytest

IN_MIDST = """
import io, os, signal, sys

class Raw(io.FileIO):
    sent = False

    def write(self, content):
        if not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGHUP)
        return super().write(content)

sys.stderr = io.TextIOWrapper(io.BufferedWriter(Raw(2, "w")), line_buffering=True)
from bids_dtg.cli.exits import call
from bids_dtg.notices import say
sys.exit(call("program", lambda: say("sub-01") or 0, debug=False, interrupted="all is kept"))
"""

UNDER_NOHUP = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from bids_dtg.cli.exits import call
work = lambda: os.kill(os.getpid(), signal.SIGHUP) or 0
sys.exit(call("program", work, debug=False, interrupted="all is kept"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_terminal_that_closes_does_not_end_a_program_under_nohup():
    done = subprocess.run(
        [sys.executable, "-c", UNDER_NOHUP], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_signal_while_a_line_is_written_ends_the_program_as_any_other():
    done = subprocess.run(
        [sys.executable, "-c", IN_MIDST], capture_output=True, text=True
    )
    assert done.returncode == 128 + 1
    assert done.stderr.count("program: ended by signal 1; all is kept\n") == 1
