"""The model card: what a bundle says about itself in `model.json`.

A card has what every model has, and a part of its kind: `bids_dtg.bundles.kinds` says which.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.kinds import all_kinds
from bids_dtg.errors import BundleError, ForeignFileError, MissingFileError
from bids_dtg.files.foreign import as_text, read_bytes

CARD_FILE = "model.json"
FORMAT_VERSION = 1
WEIGHTS_FILE = "weights.safetensors"  # of a model of any kind

_DURATIONS = ("seconds", "hours")  # names of figures in a record
_FOR_READERS = ("record", "evaluation")  # written at the end

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FACT = re.compile(r"[a-z_]+(\.[a-z_]+)?")
SOURCES = ("stated", "inferred")  # by its makers; from what they published


class CardPart(ABC):
    """The part of a card that is its kind's own, a dataclass: fields beside those of every card."""

    # Keys of the card's JSON in their order; those that are not named follow.
    ORDER: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def outputs(self) -> str:
        """What the model predicts, counted, in a few words."""

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        return asdict(cast("Any", self))

    @classmethod
    @abstractmethod
    def required_files(cls, fields: JsonFields) -> tuple[str, ...]:
        """Return the files that a bundle must have, beside the weights."""

    @classmethod
    @abstractmethod
    def read(cls, fields: JsonFields, files: Mapping[str, str]) -> CardPart:
        """Read the part's fields of a card that lists some files; BundleError if they are wrong."""


Part = TypeVar("Part", bound=CardPart)


def without_times(record: Any) -> Any:
    """Return a record of a training without its durations: equal trainings are one model.

    Examples
    --------
    >>> without_times({"seed": 0, "history": [{"epoch": 1, "seconds": 7.3}]})
    {'seed': 0, 'history': [{'epoch': 1}]}
    """
    if isinstance(record, Mapping):
        kept = {key: value for key, value in record.items() if key not in _DURATIONS}
        return {key: without_times(value) for key, value in kept.items()}
    if isinstance(record, (list, tuple)):
        return [without_times(value) for value in record]
    return record


@dataclass(frozen=True)
class TrainingData:
    """What the model was trained on; a run that differs is reported."""

    data: str = "unknown"  # name of the data set
    repetition_time_s: float | None = None  # seconds a frame; None if unknown
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
    # A fact's field, as training.data -> one of `SOURCES`; empty: the maker knew the facts.
    sources: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None  # how it was trained, for readers; not interpreted
    evaluation: Mapping[str, Any] | None = None  # its scores, for readers; not interpreted

    def to_json(self) -> str:
        """Return the text of `model.json`; equal cards give equal text."""
        content: dict[str, Any] = {"format_version": FORMAT_VERSION} | dict(vars(self))
        for_readers = {name: content.pop(name) for name in _FOR_READERS}
        content |= content.pop("part").to_json()
        content["training"] = asdict(self.training)
        content["files"] = dict(sorted(self.files.items()))
        order = {key: position for position, key in enumerate(self.part.ORDER)}
        content = dict(sorted(content.items(), key=lambda item: order.get(item[0], len(order))))
        content |= for_readers
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
        kind = _supported_kind(fields)
        part = all_kinds()[kind].part()
        files = _files(fields.nested("files"), (WEIGHTS_FILE, *part.required_files(fields)))
        fields.matching("name", _NAME, "letters, digits, '.', '-', '_'")
        card: ModelCard[Any] = ModelCard(
            training=fields.nested("training").record(TrainingData),
            part=part.read(fields, files),
            files=files,
            sources=_sources(fields),
            record=fields.mapping_or_none("record"),
            evaluation=fields.mapping_or_none("evaluation"),
            **fields.scalars(cls),
        )
        if not card.for_science and not card.notice.strip():
            raise fields.wrong("notice", card.notice, "a notice, as for_science is false")
        fields.refuse_unknown()
        return card


def read_card(folder: Path) -> tuple[ModelCard[Any], bytes]:
    """Read a bundle's card and the bytes that it was read from.

    Raises
    ------
    BundleError
        If the folder or its `model.json` is missing or wrong.
    """
    path = folder / CARD_FILE
    try:
        raw = read_bytes(path)
        text = as_text(raw, path)
    except MissingFileError as err:
        found = "has no model.json" if folder.is_dir() else "is not a folder"
        raise BundleError(f"{folder} {found}", expected="a model bundle") from err
    except ForeignFileError as err:
        raise err.as_kind(BundleError) from err
    return ModelCard.from_json(text, str(path)), raw


def _supported_kind(fields: JsonFields) -> str:
    """Return the card's kind; refuse another format version before all else."""
    version = fields.whole("format_version")
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{fields.source} has format version {version}",
            expected=f"{FORMAT_VERSION}",
            remedy="fetch or make the bundle again with this version of bids_dtg",
        )
    kind = fields.text("kind")
    if kind not in (kinds := all_kinds()):
        raise BundleError(
            f"{fields.source} is a model of kind {kind}",
            expected=f"one of {', '.join(kinds)}",
        )
    return kind


def _sources(fields: JsonFields) -> dict[str, str]:
    """Return what the facts rest on."""
    inner = fields.nested("sources")
    for name, source in inner.items().items():
        if not _FACT.fullmatch(name) or source not in SOURCES:
            raise inner.wrong(name, source, f"a fact's field, and {' or '.join(SOURCES)}")
    return dict(inner.items())


def _files(fields: JsonFields, required: Sequence[str]) -> dict[str, str]:
    """Return the hashes by name; names lie in the bundle's own folder."""
    hashes = dict(fields.items())
    for name, digest in hashes.items():
        if not _NAME.fullmatch(name) or name == CARD_FILE:
            raise BundleError(
                f"{fields.source} lists a file {name!r}",
                expected="a plain file name in the bundle's folder",
            )
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise fields.wrong(name, digest, "a SHA-256 in hexadecimal")
    missing = [name for name in required if name not in hashes]
    if missing:
        raise BundleError(f"{fields.source} lists no {' and no '.join(missing)} under files")
    return hashes
