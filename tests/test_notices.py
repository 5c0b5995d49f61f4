"""Lines for users: every character is visible, secrets in addresses are not, plain text stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.errors import DatasetError, internal_error
from bids_dtg.notices import duration, say, show, visible, without_secrets

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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (9e4, "25.0 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


# Secrets hold a letter that no other part of the texts has, so that a leak is seen.
_MARK = "Ж"
_PRINTABLE = st.characters(exclude_categories=("Z", "C"), exclude_characters="Ж")
SECRETS = st.tuples(st.text(_PRINTABLE, max_size=6), st.text(_PRINTABLE, max_size=6)).map(
    _MARK.join
)
HOSTS = st.sampled_from(["host", "models.example:8080", "[::1]:80", "10.0.0.1"])
PATHS = st.sampled_from(["", "/", "/owner/models/x.ckpt"])
SCHEMES = st.sampled_from(["https://", "http://", "socks5h://", "tcp://", ""])
AROUND = st.sampled_from(
    [
        "{}",
        "{}: HTTP 404",
        "Failed to parse: {}",
        "Invalid URL '{}': No host supplied",
        "ProxyError('{}')",
        "first http://a.example/x, then {} and https://b.example",
    ]
)


@given(SCHEMES, SECRETS, SECRETS, HOSTS, PATHS, AROUND)
def test_users_and_passwords_are_hidden(scheme, user, password, host, path, around):
    for who in (user, f"{user}:{password}", f"ann:{password}"):
        shown = without_secrets(around.format(f"{scheme}{who}@{host}{path}"))
        assert _MARK not in shown
        assert "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "https://raw.githubusercontent.com/owner/models/x.ckpt: HTTP 404 Not Found",
        "http://127.0.0.1:8080/x: [Errno 111] Connection refused; https://b/x: HTTP 500",
        "--scheduler tcp://node01:8786: no dask scheduler answers there",
        "http://[::1]:80/models, 'https://host:443'",
        "did you mean hcp-ya? Else give a bundle's folder",
        "BIDS_DIR=/data/ds001: is that a dataset? See #12.",
        "",
    ],
)
def test_what_has_no_secret_stays(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ann:pw@host/x", "https://***@host/x"),
        ("ann:pw@proxy:3128", "***@proxy:3128"),
        ("https://ann:p/w@host/x", "https://***@host/x"),
        ("https://ann:p?w@host/x", "https://***"),
        ("https://ann:half", "https://***"),  # the other half of the password follows a space
        ("with url: /x?token=1 (Caused by", "with url: /x?*** (Caused by"),
        ("'https://host/x?1': gone", "'https://host/x?***': gone"),
    ],
)
def test_what_is_left_of_an_address(text, shown):
    assert without_secrets(text) == shown
