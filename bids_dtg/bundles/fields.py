"""Checked access to the fields of a JSON object: errors name the file and the field."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar

import numpy as np

from bids_dtg.errors import BundleError, ForeignFileError
from bids_dtg.files.foreign import parse_json

Record = TypeVar("Record")  # a flat dataclass


class JsonFields:
    """The fields of one JSON object, each read once by its kind.

    Parameters
    ----------
    values
        The JSON object that the fields are read from.
    source
        What errors name first, usually the path of the file.
    prefix
        Path of this object in the file, as ``grid.``; empty at the top.
    """

    def __init__(self, values: Mapping[str, Any], source: str, prefix: str = "") -> None:
        self.source = source
        self._values, self._prefix = dict(values), prefix
        self._read: set[str] = set()

    @classmethod
    def parse(cls, text: str, source: str) -> JsonFields:
        """Parse the text of a file that holds one object.

        Raises
        ------
        BundleError
            If the text is not JSON, or not an object.
        """
        try:
            values = parse_json(text, source)
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy="fetch or make the bundle again") from err
        if not isinstance(values, dict):
            raise BundleError(f"{source} holds a {type(values).__name__}", expected="an object")
        return cls(values, source)

    def value(self, key: str) -> Any:
        """Return what the field holds, unchecked."""
        if key not in self._values:
            raise BundleError(f"{self.source} has no field {self._prefix}{key}")
        self._read.add(key)
        return self._values[key]

    def absent(self, key: str) -> bool:
        """Return whether the field is null."""
        return self.value(key) is None

    def text(self, key: str) -> str:
        """Return a text."""
        return str(self._checked(key, lambda found: isinstance(found, str), "text"))

    def matching(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        """Return a text that is all of the pattern, which `expected` says in words."""
        found = self.text(key)
        if not pattern.fullmatch(found):
            raise self.wrong(key, found, expected)
        return found

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return bool(self._checked(key, lambda found: isinstance(found, bool), "true or false"))

    def whole(self, key: str, least: int = 1) -> int:
        """Return a whole number, `least` or more."""
        expected = f"a whole number of {least} or more"
        return int(
            self._checked(key, lambda found: type(found) is int and found >= least, expected)
        )

    def one_of(self, key: str, legal: Collection[str]) -> str:
        """Return a text that is one of some."""
        found = self.text(key)
        if found not in legal:
            raise self.wrong(key, found, f"one of {', '.join(legal)}")
        return found

    def positive(self, key: str) -> float:
        """Return a number above 0."""
        return self._number(key, lambda found: found > 0, "a number above 0")

    def not_negative(self, key: str) -> float:
        """Return a number of 0 or more."""
        return self._number(key, lambda found: found >= 0, "a finite number, 0 or more")

    def _number(self, key: str, is_right: Callable[[float], bool], expected: str) -> float:
        def is_such(found: Any) -> bool:
            return _are_numbers(found, ()) and is_right(found)

        return float(self._checked(key, is_such, expected))

    def _checked(self, key: str, is_right: Callable[[Any], bool], expected: str) -> Any:
        found = self.value(key)
        if not is_right(found):
            raise self.wrong(key, found, expected)
        return found

    def numbers(self, key: str, shape: tuple[int, ...]) -> list[Any]:
        """Return finite numbers as nested lists of the given shape."""
        found = self.value(key)
        if not _are_numbers(found, shape):
            sizes = " x ".join(str(size) for size in shape)
            raise self.wrong(key, found, f"{sizes} finite numbers")
        values: list[Any] = found
        return values

    def nested(self, key: str) -> JsonFields:
        """Return the fields of an object inside this one; errors name both."""
        return self._wrap(key, self.value(key), key)

    def mapping_or_none(self, key: str) -> Mapping[str, Any] | None:
        """Return an object as it stands, to be checked by others; None where it is absent."""
        return None if self.absent(key) else self.nested(key).items()

    def list_of_nested(self, key: str) -> list[JsonFields]:
        """Return the fields of each object of a list."""
        found = self.value(key)
        if not isinstance(found, list):
            raise self.wrong(key, found, "a list")
        return [self._wrap(key, item, f"{key}[{n}]") for n, item in enumerate(found)]

    def record(self, kind: type[Record]) -> Record:
        """Read an object whose keys are the fields of a flat dataclass."""
        values = self.scalars(kind)
        self.refuse_unknown()
        return kind(**values)

    def scalars(self, kind: type[Any], *, zero: bool = False) -> dict[str, Any]:
        """Read the texts, numbers and flags of a dataclass, by their types.

        Numbers are above 0; those whose default is 0, and all with `zero`, may be 0.
        """
        values: dict[str, Any] = {}
        for field in fields(kind):
            name, plain = field.name, str(field.type).removesuffix(" | None")
            readers: dict[str, Callable[[str], Any]] = {"str": self.text, "bool": self.flag}
            readers |= {"int": self.whole, "float": self.positive}
            if zero or field.default == 0:
                readers |= {"int": partial(self.whole, least=0), "float": self.not_negative}
            if plain in readers:
                empty = plain != field.type and self.absent(name)
                values[name] = None if empty else readers[plain](name)
        return values

    def items(self) -> Mapping[str, Any]:
        """Return all fields, for an object whose keys are not known beforehand."""
        self._read.update(self._values)
        return self._values

    def refuse_unknown(self) -> None:
        """Raise where a field has not been read: ignoring it might change the maps."""
        unknown = [key for key in self._values if key not in self._read]
        if unknown:
            near = difflib.get_close_matches(unknown[0], self._read, n=1)
            raise BundleError(
                f"{self.source} has an unknown field {self._prefix}{unknown[0]}",
                expected=f"{self._prefix}{near[0]}" if near else None,
                remedy="correct it, or install a newer bids_dtg if the bundle needs one",
            )

    def wrong(self, key: str, found: Any, expected: str) -> BundleError:
        """Make the error for a field that does not hold what it should."""
        shown = json.dumps(found, default=str)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return BundleError(f"{self.source}: {self._prefix}{key} is {shown}", expected=expected)

    def _wrap(self, key: str, found: Any, name: str) -> JsonFields:
        if not isinstance(found, dict):
            raise self.wrong(key, found, "an object")
        return JsonFields(found, self.source, f"{self._prefix}{name}.")


def finite_or_none(value: float) -> float | None:
    """Return a number as JSON has it: nothing where there is none.

    Examples
    --------
    >>> finite_or_none(0.5), finite_or_none(float("nan"))
    (0.5, None)
    """
    return float(value) if math.isfinite(value) else None


def _are_numbers(found: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a value is finite numbers of a shape, as nested lists."""
    try:
        array = np.array(found)
    except ValueError:  # lists of several lengths
        return False
    return array.shape == shape and array.dtype.kind in "if" and bool(np.isfinite(array).all())
