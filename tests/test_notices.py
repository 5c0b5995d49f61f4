from __future__ import annotations

from bids_dtg.errors import DatasetError, internal_error
from bids_dtg.notices import say, show, visible

HOSTILE = "a\x1b[2J\rb\u202ec\u2028d\x9be\x00\udcff"
SEEN = r"a\x1b[2J\rb\u202ec\u2028d\x9be\x00\xff"


def test_what_would_act_is_seen(capsys):
    assert visible(HOSTILE) == SEEN
    say(HOSTILE)
    show(HOSTILE)
    assert capsys.readouterr() == (f"{SEEN}\n", f"{SEEN}\n")


def test_errors_are_lines_of_the_same_kind():
    assert str(DatasetError("a\x1b[2J\nb", remedy="c\u202e")) == r"a\x1b[2J b. To do: c\u202e."
    assert r"ValueError: a\x1b[2J b." in internal_error(ValueError("a\x1b[2J\nb"))
