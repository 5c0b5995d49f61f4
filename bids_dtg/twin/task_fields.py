"""Values of a task file: each key is read by name and checked; unknown keys are refused."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bids_dtg.errors import SettingsError

T = TypeVar("T")
Default = TypeVar("Default")
_LONGEST = 80  # characters of a wrong value that a message quotes
_MOST_ITEMS = 10_000  # of a list


# A conversion, which raises TypeError or ValueError for a wrong value, and what is expected.
Check = tuple[Callable[[Any], T], str]


class TaskFields:
    """A table of a task file that returns checked values by key.

    Parameters
    ----------
    content
        The table, as a TOML reader returns it.
    source
        Name of the file, for messages.
    place
        Key of the table in the file, with a dot at its end; empty for the file itself.

    Examples
    --------
    >>> TaskFields({"window_seconds": 2}, "own.toml").take("window_seconds", number(0, 60))
    2.0
    """

    def __init__(self, content: Mapping[str, Any], source: str, place: str = ""):
        self._content, self._source = content, source
        self._place = place
        self._keys: list[str] = []  # that were looked for

    def take(self, key: str, check: Check[T]) -> T:
        """Return the value of a required key, checked.

        Raises
        ------
        SettingsError
            The key is absent, or the check refuses its value.
        """
        convert, expected = check
        if not self.has(key):
            raise self.error(key, "is missing", expected)
        value = self._content[key]
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            words = f"is {shortened(repr(value), _LONGEST)}"
            raise self.error(key, words, expected) from None

    def get(self, key: str, check: Check[T], default: Default) -> T | Default:
        """Return the value of a key, checked; or the default where the key is absent.

        Raises
        ------
        SettingsError
            The check refuses the value.
        """
        return self.take(key, check) if self.has(key) else default

    def has(self, key: str) -> bool:
        """Return whether the table has a key, which `close` then accepts."""
        self._keys.append(key)
        return key in self._content

    def table(self, key: str) -> TaskFields:
        """Return a table inside this one."""
        return TaskFields(self.take(key, TABLE), self._source, f"{self._place}{key}.")

    def tables(self, key: str) -> list[TaskFields]:
        """Return the tables of a list, counted from 1 in messages."""
        return [
            TaskFields(content, self._source, f"{self._place}{key}[{number}].")
            for number, content in enumerate(self.take(key, TABLES), start=1)
        ]

    def close(self) -> None:
        """Refuse keys that were not read.

        Raises
        ------
        SettingsError
            A key was not read; the message names it and the most similar known key.
        """
        for key in self._content:
            if key not in self._keys:
                near = difflib.get_close_matches(key, self._keys, n=1) or self._keys
                raise self.error(key, "is not known", f"one of {', '.join(near)}")

    def error(self, key: str, fact: str, expected: str) -> SettingsError:
        """Return the error about a key."""
        words = f"{self._source}: {self._place}{key} {fact}"
        return SettingsError(words, expected=expected)


def number(low: float, high: float) -> Check[float]:
    """Return the check for a number above `low` and at most `high`."""

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        if not (math.isfinite(value) and low < value <= high):
            raise ValueError
        return float(value)

    return convert, f"a number above {low:g}, at most {high:g}"


def whole(low: int, high: int) -> Check[int]:
    """Return the check for a whole number from `low` to `high`."""

    def convert(value: Any) -> int:
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or not low <= value <= high
        ):
            raise ValueError
        return value

    return convert, f"a whole number from {low} to {high}"


def choice(*legal: str) -> Check[str]:
    """Return the check for one of the legal words."""

    def convert(value: Any) -> str:
        if value not in legal:
            raise ValueError
        return str(value)

    return convert, f"one of {', '.join(legal)}"


def by_name(
    item: Callable[[Any], T], expected: str
) -> Check[tuple[tuple[str, T], ...]]:
    """Return the check for a table by name, which gives pairs of name and converted value."""

    def convert(value: Any) -> tuple[tuple[str, T], ...]:
        return tuple(
            (_text(name), item(content)) for name, content in _table(value).items()
        )

    return convert, expected


def numbers_of(
    count: int, fits: Callable[[Any], bool]
) -> Callable[[Any], tuple[float, ...]]:
    """Return a converter of a list of `count` numbers that fit."""

    def convert(value: Any) -> tuple[float, ...]:
        if not isinstance(value, list) or len(value) != count:
            raise ValueError
        if any(isinstance(item, bool) or not fits(item) for item in value):
            raise ValueError
        return tuple(map(float, value))

    return convert


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError
    return value.strip()


def _texts(value: Any) -> tuple[str, ...]:
    """Take a list of distinct texts; a text alone is a list of one."""
    items = tuple(map(_text, [value] if isinstance(value, str) else value))
    if not items or len(items) > _MOST_ITEMS or len(set(items)) < len(items):
        raise ValueError
    return items


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value or len(value) > _MOST_ITEMS:
        raise TypeError
    return value


def _tables(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or len(value) > _MOST_ITEMS:
        raise TypeError
    return [_table(item) for item in value]


def shortened(text: str, longest: int) -> str:
    """Return a text, cut to at most `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


TEXT: Check[str] = (_text, "a text")
TEXTS: Check[tuple[str, ...]] = (_texts, "a list of different texts")
TABLE: Check[dict[str, Any]] = (_table, "a table with keys")
TABLES: Check[list[dict[str, Any]]] = (_tables, "a list of tables")
TEXT_BY_NAME = by_name(_text, "a table of texts")
TEXTS_BY_NAME = by_name(_texts, "a table of texts, or of lists of them")
