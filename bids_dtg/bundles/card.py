"""The model card, in a bundle's file `model.json`.

A card has fields that every model has, and a part for its kind (`bids_dtg.bundles.kinds`).
`JsonFields` reads it; errors name the file and the field.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Generic, TypeVar, cast

import numpy as np

from bids_dtg.bundles.kinds import all_kinds
from bids_dtg.errors import MAKE_WITH_THIS_VERSION, BundleError
from bids_dtg.files.foreign import parse_json_object, reading

CARD_FILE = "model.json"
FORMAT_VERSION = 1  # of this file, and of people.json
WEIGHTS_FILE = "weights.safetensors"  # of a model of any kind

_DURATIONS = ("seconds", "hours")  # keys of durations in a record
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Record = TypeVar("Record")  # a flat dataclass


class JsonFields:
    """The fields of a JSON object, each read and checked by its type.

    Parameters
    ----------
    values
        The JSON object.
    source
        What errors name first, usually the path of the file.
    prefix
        Path of this object in the file, e.g. ``grid.``; empty at the top.
    """

    def __init__(
        self, values: Mapping[str, Any], source: str, prefix: str = ""
    ) -> None:
        self.source = source
        self._values = dict(values)
        self._prefix = prefix
        self._keys_read: set[str] = set()

    @classmethod
    def parse(cls, text: str, source: str) -> JsonFields:
        """Parse the text of a file, which must hold one object; else raise BundleError."""
        with reading(source, BundleError):
            return cls(parse_json_object(text, source), source)

    def require_version(self) -> None:
        """Raise BundleError if the file has another format version."""
        version = self.scalar("format_version", "int")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{self.source} has format version {version}",
                expected=f"{FORMAT_VERSION}",
                remedy=MAKE_WITH_THIS_VERSION,
            )

    def value(self, key: str) -> Any:
        """Return the value of a field, unchecked."""
        if key not in self._values:
            raise BundleError(f"{self.source} has no field {self._prefix}{key}")
        self._keys_read.add(key)
        return self._values[key]

    def absent(self, key: str) -> bool:
        """Return whether the field is null."""
        return self.value(key) is None

    def _checked(self, key: str, is_right: Callable[[Any], bool], expected: str) -> Any:
        value = self.value(key)
        if not is_right(value):
            raise self.wrong(key, value, expected)
        return value

    def text(self, key: str, pattern: str = "(?s:.*)", expected: str = "text") -> str:
        """Return a text that matches a pattern, which `expected` describes."""

        def matches(value: Any) -> bool:
            return isinstance(value, str) and bool(re.fullmatch(pattern, value))

        return str(self._checked(key, matches, expected))

    def one_of(self, key: str, legal: Collection[str]) -> str:
        """Return a text that is one of the legal ones."""
        pattern = "|".join(map(re.escape, legal))
        return self.text(key, pattern, f"one of {', '.join(legal)}")

    def scalar(self, key: str, kind: str) -> Any:
        """Return a text, a flag or a number of 0 or more, by the name of its type."""
        value = self._checked(key, *_SCALARS[kind])
        return float(value) if kind == "float" else value

    def numbers(self, key: str, shape: tuple[int, ...]) -> list[Any]:
        """Return finite numbers as nested lists of the given shape."""
        expected = f"{' x '.join(map(str, shape))} finite numbers"
        numbers = self._checked(key, lambda value: _are_numbers(value, shape), expected)
        return list(numbers)

    def nested(self, key: str) -> JsonFields:
        """Return the fields of an object inside this one; errors name both."""
        return self._wrap(key, self.value(key), key)

    def mapping_or_none(self, key: str) -> Mapping[str, Any] | None:
        """Return an object unchecked; None if it is null."""
        return None if self.absent(key) else self.nested(key).items()

    def list_of_nested(self, key: str) -> list[JsonFields]:
        """Return the fields of each object in a list."""
        items = self._checked(key, lambda value: isinstance(value, list), "a list")
        return [self._wrap(key, item, f"{key}[{n}]") for n, item in enumerate(items)]

    def record(self, kind: type[Record]) -> Record:
        """Read an object whose keys are the fields of a flat dataclass, as `scalars` does."""
        values = self.scalars(kind)
        self.refuse_unknown()
        return kind(**values)

    def scalars(self, kind: type[Any]) -> dict[str, Any]:
        """Read the texts, numbers and flags of a dataclass, by their types."""
        values: dict[str, Any] = {}
        for attribute in fields(kind):
            name, plain_type = attribute.name, str(attribute.type)
            optional = plain_type.endswith(" | None")
            plain_type = plain_type.removesuffix(" | None")
            if plain_type in _SCALARS:
                is_null = optional and self.absent(name)
                values[name] = None if is_null else self.scalar(name, plain_type)
        return values

    def items(self) -> Mapping[str, Any]:
        """Return all fields, for an object with arbitrary keys."""
        self._keys_read.update(self._values)
        return self._values

    def refuse_unknown(self) -> None:
        """Raise BundleError for a field that was not read, as ignoring it might change the maps."""
        for key in self._values:
            if key not in self._keys_read:
                raise BundleError(
                    f"{self.source} has an unknown field {self._prefix}{key}",
                    remedy="correct it, or install a newer bids_dtg if the bundle needs one",
                )

    def wrong(self, key: str, value: Any, expected: str) -> BundleError:
        """Return the error for a field with a wrong value."""
        shown = json.dumps(value, default=str)
        return BundleError(
            f"{self.source}: {self._prefix}{key} is {shown:.60}", expected=expected
        )

    def _wrap(self, key: str, value: Any, name: str) -> JsonFields:
        if not isinstance(value, dict):
            raise self.wrong(key, value, "an object")
        return JsonFields(value, self.source, f"{self._prefix}{name}.")


def _are_numbers(value: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a value is nested lists of finite numbers with a shape."""
    try:
        array = np.array(value)
    except ValueError:  # lists of different lengths
        return False
    numeric = array.dtype.kind in "if"
    return array.shape == shape and numeric and bool(np.isfinite(array).all())


# What values must be by the name of their type, also in words.
_SCALARS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda value: isinstance(value, str), "text"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (
        lambda value: type(value) is int and value >= 0,
        "a whole number of 0 or more",
    ),
    "float": (
        lambda value: _are_numbers(value, ()) and bool(value >= 0),
        "a number of 0 or more",
    ),
}


def finite_or_none(value: float) -> float | None:
    """Return a number for JSON; None if it is not finite.

    Examples
    --------
    >>> finite_or_none(0.5), finite_or_none(float("nan"))
    (0.5, None)
    """
    return float(value) if math.isfinite(value) else None


class CardPart(ABC):
    """The part of a card for its kind: a dataclass with fields besides those of every card."""

    @property
    @abstractmethod
    def outputs(self) -> str:
        """What the model predicts, with numbers, in a few words."""

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        return asdict(cast("Any", self))

    @abstractmethod
    def required_files(self, listed: Collection[str]) -> tuple[str, ...]:
        """Return the files that a bundle must have besides the weights.

        `listed` are the names that its card lists, where one of two files is needed.
        """

    @classmethod
    @abstractmethod
    def read(cls, fields: JsonFields) -> CardPart:
        """Read the part's fields of a card; BundleError if they are wrong."""


Part = TypeVar("Part", bound=CardPart)


def without_times(record: Any) -> Any:
    """Return the record of a training without durations, so that equal trainings are one model.

    Examples
    --------
    >>> without_times({"seed": 0, "history": [{"epoch": 1, "seconds": 7.3}]})
    {'seed': 0, 'history': [{'epoch': 1}]}
    """
    if isinstance(record, Mapping):
        return {
            key: without_times(value)
            for key, value in record.items()
            if key not in _DURATIONS
        }
    if isinstance(record, (list, tuple)):
        return [without_times(value) for value in record]
    return record


@dataclass(frozen=True)
class TrainingData:
    """What the model was trained on; a run that differs is reported."""

    data: str = "unknown"  # name of the dataset
    repetition_time_s: float | None = None  # seconds per frame; None if unknown
    cleaning: str = "unknown"  # how the runs were cleaned, in words
    participants: int | None = None  # how many people; None if unknown
    # Voxel size of the runs; None: that of the model's grid.
    voxel_size_mm: float | None = None

    @property
    def simulated(self) -> bool:
        """Whether all people are simulated, as its name says."""
        return self.data.startswith("SIMULATED")


@dataclass(frozen=True, eq=False)
class ModelCard(Generic[Part]):
    """All facts about a model except its weights, for the program and for readers."""

    # Letters, digits, dot, dash and underscore; the bundle's folder has it too.
    name: str
    version: str  # of the model
    kind: str  # which code runs it: a row of `bids_dtg.bundles.kinds`
    part: Part  # the fields of its kind
    licence: str = "unknown"  # SPDX name, or words
    citation: str = ""  # what users are asked to cite
    description: str = ""  # a line or two in plain words
    training: TrainingData = TrainingData()
    for_science: bool = True  # False: every output and log carries the notice
    notice: str = ""  # shown to users at each use, e.g. data-use terms; may be empty
    # Name -> SHA-256 in hexadecimal.
    files: Mapping[str, str] = field(default_factory=dict)
    # Field (e.g. training.data) -> "stated" by the makers, or "inferred" from what they published;
    # empty where the makers wrote the card.
    sources: Mapping[str, str] = field(default_factory=dict)
    # How it was trained and its scores, for readers; not interpreted.
    record: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    def to_json(self) -> str:
        """Return the text of `model.json`; equal cards give equal text."""
        values = dict(vars(self))
        part = values.pop("part").to_json()
        for_readers = {name: values.pop(name) for name in ("record", "evaluation")}
        values["training"] = asdict(self.training)
        values["files"] = dict(sorted(self.files.items()))
        content = {"format_version": FORMAT_VERSION, **values, **part, **for_readers}
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def with_source(self, field: str, text: str) -> str:
        """Return a text on a field, with its source (stated or inferred) where known."""
        if text and field in self.sources:
            return f"{text} ({self.sources[field]})"
        return text

    @classmethod
    def from_json(cls, text: str, source: str = CARD_FILE) -> ModelCard[Any]:
        """Read the text of `model.json`, of a model of any kind.

        Parameters
        ----------
        text
            Content of the file, JSON.
        source
            What errors name, usually the file's path.

        Raises
        ------
        BundleError
            A field is missing, unknown or wrong, or the card has another format version.
            Unknown fields are refused, as they might change the maps.
        """
        fields = JsonFields.parse(text, source)
        fields.require_version()
        kinds = all_kinds()
        part = kinds[fields.one_of("kind", kinds)].bundle().PART.read(fields)
        files = dict(fields.nested("files").items())
        for name, digest in files.items():
            is_plain = _NAME.fullmatch(name) and name != CARD_FILE
            if not is_plain or not _SHA256.fullmatch(str(digest)):
                expected = "plain names in the bundle's folder, each with a SHA-256 in hexadecimal"
                raise fields.wrong("files", {name: digest}, expected)
        missing = {WEIGHTS_FILE, *part.required_files(files)} - files.keys()
        if missing:
            raise BundleError(
                f"{source} lists no {' and no '.join(sorted(missing))} under files"
            )
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
            raise fields.wrong(
                "notice", card.notice, "a notice, as for_science is false"
            )
        fields.refuse_unknown()
        return card
