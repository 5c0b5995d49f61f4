from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bids_dtg.notices import say


def test_a_line_goes_to_standard_error(capsys):
    say("a → b")
    assert capsys.readouterr() == ("", "a → b\n")


@pytest.mark.parametrize("flushed", ["sys.stderr.flush()", "os.fork() or os._exit(0)"])
def test_nobody_need_read_it(flushed):
    """Some Pythons keep a line that could not be written, until it is flushed again."""
    script = f"""
import os, sys
sys.stderr = open(2, "w", buffering=4096)
from bids_dtg.notices import say
say("one")
say("two")
{flushed}
print("goes on")
"""
    unread, end = os.pipe()
    os.close(unread)
    found = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=end, check=True
    )
    os.close(end)
    assert found.stdout == b"goes on\n"
