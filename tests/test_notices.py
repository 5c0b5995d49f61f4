from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bids_dtg.errors import DatasetError, internal_error
from bids_dtg.notices import say, show, visible


def test_a_line_goes_to_standard_error(capsys):
    say("a → b")
    assert capsys.readouterr() == ("", "a → b\n")


@pytest.mark.parametrize("flushed", ["sys.stderr.flush()", "os.fork() or os._exit(0)"])
def test_nobody_need_read_it(flushed):
    """Some Pythons keep a line that could not be written, until it is flushed again."""
    script = f"""
import os, sys
sys.stderr = open(2, "w", buffering=4096)
from bids_dtg.errors import DatasetError, internal_error
from bids_dtg.notices import say, show, visible
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


HOSTILE = "a\x1b[2J\rb\u202ec\u2028d\x9be\x00\udcff"
SEEN = r"a\x1b[2J\rb\u202ec\u2028d\x9be\x00\xff"


def test_what_would_act_is_seen(capsys):
    assert visible(HOSTILE) == SEEN
    say(HOSTILE)
    show(HOSTILE)
    assert capsys.readouterr() == (f"{SEEN}\n", f"{SEEN}\n")


@pytest.mark.parametrize("text", ["", "sub-01: 3 maps → ok …", "Ω 日本 é", "half \ud800"])
def test_other_characters_stay(text):
    assert visible(text) == text.replace("\ud800", r"\ud800")


def test_errors_are_lines_of_the_same_kind():
    assert str(DatasetError("a\x1b[2J\nb", remedy="c\u202e")) == r"a\x1b[2J b. To do: c\u202e."
    assert r"ValueError: a\x1b[2J b." in internal_error(ValueError("a\x1b[2J\nb"))
