"""The model card: what a bundle says about itself in `model.json`.

A card has what every model has, and a part of its kind: `bids_dtg.bundles.kinds` says which.
`JsonFields` reads it: errors name the file and the field.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np

from bids_dtg.bundles.kinds import all_kinds
from bids_dtg.errors import BundleError
from bids_dtg.files.foreign import as_text, parse_json, read_bytes, reading

CARD_FILE = "model.json"
FORMAT_VERSION = 1  # of this file, and of people.json
WEIGHTS_FILE = "weights.safetensors"  # of a model of any kind

_DURATIONS = ("seconds", "hours")  # names of figures in a record
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")

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
        """Parse the text of a file that holds one object; BundleError where it does not."""
        with reading(source, BundleError):
            values = parse_json(text, source)
        if not isinstance(values, dict):
            raise BundleError(f"{source} holds a {type(values).__name__}", expected="an object")
        return cls(values, source)

    def require_version(self) -> None:
        """Raise where the file is of another version of the format."""
        if (version := self.whole("format_version")) != FORMAT_VERSION:
            raise BundleError(
                f"{self.source} has format version {version}",
                expected=f"{FORMAT_VERSION}",
                remedy="fetch or make the bundle again with this version of bids_dtg",
            )

    def value(self, key: str) -> Any:
        """Return what the field holds, unchecked."""
        if key not in self._values:
            raise BundleError(f"{self.source} has no field {self._prefix}{key}")
        self._read.add(key)
        return self._values[key]

    def absent(self, key: str) -> bool:
        """Return whether the field is null."""
        return self.value(key) is None

    def _checked(self, key: str, is_right: Callable[[Any], bool], expected: str) -> Any:
        found = self.value(key)
        if not is_right(found):
            raise self.wrong(key, found, expected)
        return found

    def text(self, key: str, pattern: str = "(?s:.*)", expected: str = "text") -> str:
        """Return a text that is all of a pattern, which `expected` says in words."""
        right = re.compile(pattern).fullmatch
        return str(self._checked(key, lambda v: isinstance(v, str) and bool(right(v)), expected))

    def one_of(self, key: str, legal: Collection[str]) -> str:
        """Return a text that is one of some."""
        return self.text(key, "|".join(map(re.escape, legal)), f"one of {', '.join(legal)}")

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return bool(self._checked(key, lambda found: isinstance(found, bool), "true or false"))

    def whole(self, key: str, least: int = 1) -> int:
        """Return a whole number, `least` or more."""
        expected = f"a whole number of {least} or more"
        return int(self._checked(key, lambda v: type(v) is int and v >= least, expected))

    def number(self, key: str, *, zero: bool = False) -> float:
        """Return a finite number above 0, or 0, too."""
        expected = "a finite number, 0 or more" if zero else "a number above 0"
        right = self._checked(
            key, lambda v: _are_numbers(v, ()) and (v > 0 or (zero and v == 0)), expected
        )
        return float(right)

    def numbers(self, key: str, shape: tuple[int, ...]) -> list[Any]:
        """Return finite numbers as nested lists of the given shape."""
        expected = f"{' x '.join(map(str, shape))} finite numbers"
        return list(self._checked(key, lambda found: _are_numbers(found, shape), expected))

    def nested(self, key: str) -> JsonFields:
        """Return the fields of an object inside this one; errors name both."""
        return self._wrap(key, self.value(key), key)

    def mapping_or_none(self, key: str) -> Mapping[str, Any] | None:
        """Return an object as it stands, to be checked by others; None where it is absent."""
        return None if self.absent(key) else self.nested(key).items()

    def list_of_nested(self, key: str) -> list[JsonFields]:
        """Return the fields of each object of a list."""
        found = self._checked(key, lambda found: isinstance(found, list), "a list")
        return [self._wrap(key, item, f"{key}[{n}]") for n, item in enumerate(found)]

    def record(self, kind: type[Record], *, zero: bool = False) -> Record:
        """Read an object whose keys are the fields of a flat dataclass, as `scalars`."""
        values = self.scalars(kind, zero=zero)
        self.refuse_unknown()
        return kind(**values)

    def scalars(self, kind: type[Any], *, zero: bool = False) -> dict[str, Any]:
        """Read the texts, numbers and flags of a dataclass, by their types.

        Numbers are above 0; those whose default is 0, and all with `zero`, may be 0.
        """
        values: dict[str, Any] = {}
        for own in fields(kind):
            zeros = zero or own.default == 0
            readers: dict[str, Callable[[str], Any]] = {
                "str": self.text,
                "bool": self.flag,
                "int": partial(self.whole, least=0 if zeros else 1),
                "float": partial(self.number, zero=zeros),
            }
            plain = str(own.type).removesuffix(" | None")
            if plain in readers:
                empty = plain != own.type and self.absent(own.name)
                values[own.name] = None if empty else readers[plain](own.name)
        return values

    def items(self) -> Mapping[str, Any]:
        """Return all fields, for an object whose keys are not known beforehand."""
        self._read.update(self._values)
        return self._values

    def refuse_unknown(self) -> None:
        """Raise where a field has not been read: ignoring it might change the maps."""
        for key in self._values:
            if key not in self._read:
                near = difflib.get_close_matches(key, self._read, n=1)
                raise BundleError(
                    f"{self.source} has an unknown field {self._prefix}{key}",
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


def _are_numbers(found: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a value is finite numbers of a shape, as nested lists."""
    try:
        array = np.array(found)
    except ValueError:  # lists of several lengths
        return False
    return array.shape == shape and array.dtype.kind in "if" and bool(np.isfinite(array).all())


def finite_or_none(value: float) -> float | None:
    """Return a number as JSON has it: nothing where there is none.

    Examples
    --------
    >>> finite_or_none(0.5), finite_or_none(float("nan"))
    (0.5, None)
    """
    return float(value) if math.isfinite(value) else None


class CardPart(ABC):
    """The part of a card that is its kind's own, a dataclass: fields beside those of every card."""

    @property
    @abstractmethod
    def outputs(self) -> str:
        """What the model predicts, counted, in a few words."""

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        return asdict(cast("Any", self))

    @property
    @abstractmethod
    def required_files(self) -> tuple[str, ...]:
        """Names of the files that a bundle must have, beside the weights."""

    @classmethod
    @abstractmethod
    def read(cls, fields: JsonFields) -> CardPart:
        """Read the part's fields of a card; BundleError if they are wrong."""


Part = TypeVar("Part", bound=CardPart)


def without_times(record: Any) -> Any:
    """Return a record of a training without its durations: equal trainings are one model.

    Examples
    --------
    >>> without_times({"seed": 0, "history": [{"epoch": 1, "seconds": 7.3}]})
    {'seed': 0, 'history': [{'epoch': 1}]}
    """
    if isinstance(record, Mapping):
        return {key: without_times(own) for key, own in record.items() if key not in _DURATIONS}
    if isinstance(record, (list, tuple)):
        return [without_times(value) for value in record]
    return record


@dataclass(frozen=True)
class TrainingData:
    """What the model was trained on; a run that differs is reported."""

    data: str = "unknown"  # name of the data set
    repetition_time_s: float | None = None  # seconds per frame; None if unknown
    cleaning: str = "unknown"  # how the runs were cleaned, in words
    participants: int | None = None  # how many people; None if unknown
    voxel_size_mm: float | None = None  # edge of a voxel of the runs; None: as the model's grid

    @property
    def simulated(self) -> bool:
        """Whether nobody real is in it, as its name says."""
        return self.data.startswith("SIMULATED")


@dataclass(frozen=True, eq=False)
class ModelCard(Generic[Part]):
    """Everything that code and readers need to know about a model but its numbers."""

    name: str  # letters, digits, dot, dash and underscore; the bundle's folder has it too
    version: str  # the model's own version
    kind: str  # which code runs it: a row of `bids_dtg.bundles.kinds`
    part: Part  # what its kind says of it
    licence: str = "unknown"  # SPDX name, or words
    citation: str = ""  # what users are asked to cite
    description: str = ""  # a line or two in plain words
    training: TrainingData = TrainingData()
    for_science: bool = True  # False: every output and log carries the notice
    notice: str = ""  # shown to users at each use, as data-use terms; may be empty
    files: Mapping[str, str] = field(default_factory=dict)  # name -> SHA-256 in hexadecimal
    # A fact's field, as training.data -> stated (by its makers) or inferred (from what they
    # published); empty: the maker knew the facts.
    sources: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None  # how it was trained, for readers; not interpreted
    evaluation: Mapping[str, Any] | None = None  # its scores, for readers; not interpreted

    def to_json(self) -> str:
        """Return the text of `model.json`; equal cards give equal text."""
        own = dict(vars(self))
        for_readers = {name: own.pop(name) for name in ("record", "evaluation")}
        own |= {"training": asdict(self.training), "files": dict(sorted(self.files.items()))}
        part = own.pop("part").to_json()
        content = {"format_version": FORMAT_VERSION, **own, **part, **for_readers}
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def with_source(self, field: str, text: str) -> str:
        """Return what the card says in a field, and whether its makers stated it, where known."""
        return f"{text} ({self.sources[field]})" if text and field in self.sources else text

    @classmethod
    def from_json(cls, text: str, source: str = CARD_FILE) -> ModelCard[Any]:
        """Read the text of `model.json`.

        Parameters
        ----------
        text
            Content of the file, JSON.
        source
            What errors name, usually the file's path.

        Raises
        ------
        BundleError
            If a field is missing, unknown or wrong, or the card is of another format version.
            Unknown fields are refused, as they might change the maps.
        """
        fields = JsonFields.parse(text, source)
        fields.require_version()
        kinds = all_kinds()
        part = kinds[fields.one_of("kind", kinds)].part().read(fields)
        files = dict(fields.nested("files").items())
        for name, digest in files.items():
            if not _NAME.fullmatch(name) or name == CARD_FILE or not _SHA256.fullmatch(str(digest)):
                expected = "plain names in the bundle's folder, each with a SHA-256 in hexadecimal"
                raise fields.wrong("files", {name: digest}, expected)
        if lacking := {WEIGHTS_FILE, *part.required_files} - files.keys():
            raise BundleError(f"{source} lists no {' and no '.join(sorted(lacking))} under files")
        fields.text("name", _NAME.pattern, "letters, digits, '.', '-', '_'")
        card: ModelCard[Any] = ModelCard(
            training=fields.nested("training").record(TrainingData),
            part=part,
            files=files,
            sources=dict(fields.nested("sources").items()),
            record=fields.mapping_or_none("record"),
            evaluation=fields.mapping_or_none("evaluation"),
            **fields.scalars(cls),
        )
        if not card.for_science and not card.notice.strip():
            raise fields.wrong("notice", card.notice, "a notice, as for_science is false")
        fields.refuse_unknown()
        return card


def read_card(folder: Path) -> tuple[ModelCard[Any], bytes]:
    """Read a bundle's card and the bytes that it was read from; BundleError where it is wrong."""
    path = folder / CARD_FILE
    with reading(path, BundleError):
        raw = read_bytes(path)
        text = as_text(raw, path)
    return ModelCard.from_json(text, str(path)), raw
