"""Files of sums over people, which sites exchange in place of people's data.

They hold sums over people and nothing of a single person; people are listed as hashes. Sums belong
to facts, as a list of regions: sums of others are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import BundleError, ForeignFileError
from bids_dtg.files.foreign import parse_json
from bids_dtg.files.tensors import read_arrays, write_arrays
from bids_dtg.notices import counted

_HASH = re.compile(r"[0-9a-f]{16}")  # of a person
_IN_WORDS = {"f": "real", "i": "whole"}
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # by array: kind of numbers (f, i) and shape


@dataclass(frozen=True)
class SumsFile:
    """The file format of a kind's sums.

    Examples
    --------
    >>> ridge = SumsFile("local ridge", "sums.safetensors", ("gram",), "mask")
    >>> ridge.error(Path("x"), "it is empty").found
    'x holds no sums of local ridge: it is empty'
    """

    kind: str  # in words
    name: str  # of the file, in a model's folder
    arrays: tuple[str, ...]  # names
    over: str  # what sums must share to be added, in words
    # Reasons why files with an array of this name, from an earlier version, cannot be used.
    outdated: Mapping[str, str] = field(default_factory=dict)

    def write(
        self, path: Path, sums: object, facts: Mapping[str, Any], people: Sequence[str]
    ) -> None:
        """Write the arrays of sums, the facts they belong to, and the people's hashes.

        Parameters
        ----------
        path
            Path of the file, named in error messages.
        sums
            Has each of the arrays as an attribute.
        facts
            What sums must share to be added, by its name in words.
        people
            What each is known again by; it is written as a hash.
        """
        notes = {"facts": _text(facts), "people": json.dumps(hidden(people))}
        write_arrays(path, {name: getattr(sums, name) for name in self.arrays}, notes)

    def read(
        self, path: Path, facts: Mapping[str, Any]
    ) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
        """Read the arrays, and the hashes of the people.

        Raises
        ------
        BundleError
            The file is damaged, or its sums have other facts.
        """
        try:
            arrays, notes = read_arrays(path)
            found = notes["facts"]
            people, theirs = (parse_json(text, str(path)) for text in (notes["people"], found))
        except ForeignFileError as err:
            raise self.error(path, err.found) from err
        except (OSError, ValueError, KeyError) as err:
            raise self.error(path, str(err)) from err
        for name, why in self.outdated.items():
            if name in arrays:
                raise BundleError(
                    f"{path} has sums of an earlier version, {why}",
                    expected="sums that count what was measured",
                    remedy="add them up again with this version",
                )
        if found != _text(facts):
            if not isinstance(theirs, dict):
                raise self.error(path, f"its facts are {found[:40]!r}")
            names = sorted({*facts, "form"})
            other = [name for name in names if theirs.get(name) != _plain(facts.get(name))]
            raise BundleError(
                f"{path} has sums of another {' and another '.join(other or ['kind'])}",
                expected=f"sums of {self.kind} over the same {self.over}",
            )
        if not isinstance(people, list) or not people or not all(map(_is_hash, people)):
            raise self.error(path, "its people are no list of hashes")
        if missing := [name for name in self.arrays if name not in arrays]:
            raise self.error(path, f"{', '.join(missing)} are missing")
        return arrays, tuple(people)

    def check_shapes(self, path: Path, arrays: Mapping[str, NDArray[Any]], shapes: Shapes) -> None:
        """Check that arrays are finite numbers of the given types and shapes.

        Raises
        ------
        BundleError
            One is not.
        """
        for name, (kind, shape) in shapes.items():
            found = arrays[name]
            if found.dtype.kind != kind or found.shape != shape:
                wanted = f"{_IN_WORDS[kind]} numbers {shape}"
                raise self.error(path, f"{name} is {found.dtype} {found.shape}, not {wanted}")
            if not np.isfinite(found).all():
                raise self.error(path, f"{name} has values that are not finite")

    def check_counts(
        self, path: Path, arrays: Mapping[str, NDArray[Any]], most: Mapping[str, int]
    ) -> None:
        """Check that arrays lie between 0 and their largest possible values.

        Raises
        ------
        BundleError
            One does not.
        """
        for name, highest in most.items():
            if arrays[name].min(initial=0) < 0 or arrays[name].max(initial=0) > highest:
                raise self.error(path, f"{name} has numbers beyond 0 to {highest}")

    def require_others(self, path: Path, theirs: Sequence[str], own: Sequence[str]) -> None:
        """Check that nobody is added twice.

        Parameters
        ----------
        path
            Path of the file, named in error messages.
        theirs
            Hashes of the people of the file.
        own
            Hashes of people in the sums so far.

        Raises
        ------
        BundleError
            Somebody is in both.
        """
        if twice := len(set(theirs) & set(own)):
            raise BundleError(
                f"{path} has sums of {counted(twice, 'participant')} whose data were added already",
                expected="sums of other people",
            )

    def error(self, path: Path, fault: str) -> BundleError:
        """Make the error for a file that has no such sums."""
        return BundleError(
            f"{path} holds no sums of {self.kind}: {fault}",
            expected=f"a file {self.name}, as another site's training writes it",
        )


def hidden(people: Sequence[str]) -> list[str]:
    """Return the hashes of people, as stored in files.

    Examples
    --------
    >>> hidden(["01"])
    ['938db8c9f82c8cb5']
    """
    coded = (text.encode("utf-8", "surrogatepass") for text in people)
    return [hashlib.sha256(text).hexdigest()[:16] for text in coded]


def _text(facts: Mapping[str, Any]) -> str:
    return json.dumps(_plain(facts), sort_keys=True)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _is_hash(found: object) -> bool:
    return isinstance(found, str) and _HASH.fullmatch(found) is not None
