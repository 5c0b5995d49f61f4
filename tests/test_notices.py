"""Lines for users: every character is visible, secrets in addresses are not, plain text stays."""

from __future__ import annotations

import pytest

from bids_dtg.errors import DatasetError, in_one_line
from bids_dtg.notices import duration, say, show, visible, without_secrets

HOSTILE = "a\x1b[2J\rb\u202ec\u2028d\x9be\x00\udcff"
SEEN = r"a\x1b[2J\rb\u202ec\u2028d\x9be\x00\xff"


def test_what_would_act_is_seen(capsys):
    assert visible(HOSTILE) == SEEN
    say(HOSTILE)
    show(HOSTILE)
    assert capsys.readouterr() == (f"{SEEN}\n", f"{SEEN}\n")


def test_errors_are_lines_of_the_same_kind():
    assert (
        str(DatasetError("a\x1b[2J\nb", remedy="c\u202e"))
        == r"a\x1b[2J b. To do: c\u202e."
    )
    assert r"ValueError: a\x1b[2J b." in in_one_line(ValueError("a\x1b[2J\nb"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (9e4, "25.0 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    "text",
    [
        "https://raw.githubusercontent.com/owner/models/x.ckpt: HTTP 404 Not Found",
        "http://127.0.0.1:8080/x: [Errno 111] Connection refused; https://b/x: HTTP 500",
        "http://[::1]:80/models, 'https://host:443'",
        "did you mean hcp-ya? Else give a bundle's folder",
        "BIDS_DIR=/data/ds001: is that a dataset? See #12.",
    ],
)
def test_what_has_no_secret_stays(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ProxyError('http://ann:pw@host/x')", "ProxyError('http://***@host/x')"),
        ("https://ann:p/w@host/x", "https://***@host/x"),
        ("https://ann:p?w@host/x", "https://***@host/x"),
        ("with url: /x?token=1 (Caused by", "with url: /x?*** (Caused by"),
    ],
)
def test_what_is_left_of_an_address(text, shown):
    assert without_secrets(text) == shown
