"""Addresses as people may see them: without user names, passwords and tokens."""

from __future__ import annotations

import re

HIDDEN = "***"
# The first scheme of a word; what stands before it, as a quote, holds no secret. The bound keeps
# the time from growing with the square of a word's length.
_SCHEME = re.compile(r"[^:@?#]*?[A-Za-z][A-Za-z0-9+.-]{0,30}://")
_QUERY = re.compile(r"[?#]")
# What sentences put behind an address.
_CLOSING = "'\":;,.!?)>]}"


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
    return re.sub(r"\S+", lambda word: _hidden(word[0]), text)


def _hidden(word: str) -> str:
    """Return one word without the secrets of the addresses in it."""
    scheme = match[0] if (match := _SCHEME.match(word)) else ""
    rest = word[len(scheme) :]
    start = match.start() if (match := _QUERY.search(rest)) else len(rest)
    place, query = rest[:start], rest[start:]
    # A password may have a ? in it: then the host is in neither part for certain.
    if "@" in query:
        return f"{scheme}{HIDDEN}"
    if "@" in place:
        place = f"{HIDDEN}@{place.rpartition('@')[2]}"
    elif scheme and not _has_port(place):
        place = HIDDEN
    asks = query.strip(_CLOSING) if scheme else "=" in query
    return f"{scheme}{place}{_closed(query) if asks else query}"


def _has_port(place: str) -> bool:
    """Return whether what follows a host's colon is a port, and not half of a password."""
    host = place.partition("/")[0].rpartition("]")[2].rstrip(_CLOSING)
    return re.fullmatch(r"[^:]*(:\d{1,5})?", host) is not None


def _closed(query: str) -> str:
    """Return a hidden query, with the sentence's marks behind it."""
    return f"{query[0]}{HIDDEN}{query[len(query.rstrip(_CLOSING)) :]}"
