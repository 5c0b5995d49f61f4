"""The people used to make a model, as hashes in a file of the bundle.

With a hash, a program can recognise a person. A hash does not hide a short id, as anybody who has
the file can try all numbers of six digits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from bids_dtg.bundles.card import FORMAT_VERSION, JsonFields
from bids_dtg.errors import BundleError
from bids_dtg.files.foreign import read_text, reading
from bids_dtg.files.text import encoded
from bids_dtg.inputs.participants import plain_column
from bids_dtg.inputs.rest_sketch import alike
from bids_dtg.stats.splits import SETS

PEOPLE_FILE = "people.json"
# People on whom the model may have been trained, as its publication does not say.
UNCERTAIN = "uncertain"
_SETS = (*SETS, UNCERTAIN)
_PREFIX = "bids_dtg person 1"  # changing it changes all hashes
# Hexadecimal digits, by which the kinds of hashes are told apart.
_OF_PERSON = 32  # or of rest
_OF_FAMILY = 40
_OF_SKETCH = 64

# One person: the hash of dataset name and id (the name may be empty), hashes of the content of each
# resting file, sketches of rest or edges, and the hash of the family, where known.
Person = tuple[str, ...]


@dataclass(frozen=True)
class TrainingHashes:
    """All people used to make a model, or the models that it was made from.

    Examples
    --------
    >>> people = TrainingHashes({"training": ((hash_person("My study", "01"),),)})
    >>> sorted(people.find([hash_person("my-study", "01")])[0])
    ['training']
    """

    sets: Mapping[str, tuple[Person, ...]]  # by `SETS` and `UNCERTAIN`
    unlisted: tuple[str, ...] = ()  # groups of people whose ids are unknown, in words
    # Whether all can be recognised by their rest, regardless of labels.
    by_content: bool = True

    @classmethod
    def of_training(
        cls,
        data_set: str,
        sketches: Mapping[str, Collection[str]],
        families: Mapping[str, str] = MappingProxyType({}),
    ) -> TrainingHashes:
        """Return the people of a training set, by their sketches.

        Parameters
        ----------
        data_set
            Name of their dataset.
        sketches
            Sketches of each person's data, by label; without any, only the label identifies them.
        families
            Names of families by label, where known.
        """
        people = []
        for label, sketches_of_person in sketches.items():
            family = hash_family(data_set, families.get(label, ""))
            hashes = [*sorted(sketches_of_person), family]
            person = (hash_person(data_set, label), *filter(None, hashes))
            people.append(person)
        by_content = all(map(any, sketches.values()))
        return cls({"training": _sorted(people)}, by_content=by_content)

    def count(self, name: str) -> int:
        """Return how many people are in a set."""
        return len(self.sets.get(name, ()))

    def joined(self, second: TrainingHashes) -> TrainingHashes:
        """Return the people of two models; a person may be in several sets."""
        sets = {}
        for name in _SETS:
            people = (*self.sets.get(name, ()), *second.sets.get(name, ()))
            if people:
                sets[name] = _sorted(people)
        return TrainingHashes(
            sets,
            tuple(dict.fromkeys((*self.unlisted, *second.unlisted))),
            self.by_content and second.by_content,
        )

    def find(self, person: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Look up a person by any of their hashes.

        Sketches match if the values of rest do, regardless of how they are stored
        (`bids_dtg.inputs.rest_sketch`).

        Returns
        -------
        The sets with the person, and the sets with a relative.
        """
        hashes = [digest for digest in person if len(digest) == _OF_PERSON]
        families = [digest for digest in person if len(digest) == _OF_FAMILY]
        sketches = [digest for digest in person if len(digest) == _OF_SKETCH]
        if sketches:
            listed = [
                digest for digest in self._sets_of_hash if len(digest) == _OF_SKETCH
            ]
            hashes += filter(None, alike(listed, sketches))
        return self._sets_with(hashes), self._sets_with(families)

    def _sets_with(self, hashes: Iterable[str]) -> frozenset[str]:
        """Return the sets that contain any of these hashes."""
        sets: set[str] = set()
        for digest in hashes:
            sets |= self._sets_of_hash.get(digest, set())
        return frozenset(sets)

    def persons_alike(self, sketches: Sequence[str]) -> tuple[str, ...]:
        """Return the first hash of each sketch's person; empty for people who are not listed."""
        first_hash = {  # of the person, by sketch
            digest: person[0]
            for people in self.sets.values()
            for person in people
            for digest in person
            if len(digest) == _OF_SKETCH
        }
        listed = alike(list(first_hash), sketches)
        return tuple(first_hash.get(sketch, "") for sketch in listed)

    @cached_property
    def _sets_of_hash(self) -> dict[str, set[str]]:
        """The sets that each hash is in."""
        sets: dict[str, set[str]] = {}
        for name, people in self.sets.items():
            for person in people:
                for digest in person:
                    sets.setdefault(digest, set()).add(name)
        return sets

    def encode(self) -> bytes:
        """Encode the file; equal people give equal bytes."""
        sets = {name: _sorted(self.sets[name]) for name in _SETS if self.sets.get(name)}
        content = {
            "format_version": FORMAT_VERSION,
            "by_content": self.by_content,
            "sets": sets,
            "unlisted": list(self.unlisted),
        }
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return encoded(text + "\n")

    @classmethod
    def read(cls, path: Path) -> TrainingHashes:
        """Read the file; BundleError if it cannot be read or has another format."""
        with reading(path, BundleError):
            return cls.of(JsonFields.parse(read_text(path), str(path)))

    @classmethod
    def of(cls, fields: JsonFields) -> TrainingHashes:
        """Read the fields of the file; BundleError if they are wrong."""
        fields.require_version()
        listed = fields.nested("sets").items()
        unlisted = fields.value("unlisted")
        by_content = fields.scalar("by_content", "bool")
        fields.refuse_unknown()
        sets = {name: tuple(map(tuple, people)) for name, people in listed.items()}
        return cls(sets, tuple(unlisted), by_content)


def labels_alone(name: str) -> str:
    """Return the note on a model, by its name, that identifies training people only by label."""
    return (
        f"{name} lists its training participants only by label, so those who have other labels "
        "now are not recognised"
    )


def hash_person(data_set: str, label: str) -> str:
    """Return the hash of a dataset's name and an id; case and punctuation of the name are ignored.

    Examples
    --------
    >>> hash_person("HCP-YA", "100000") == hash_person("hcp ya", "100000")
    True
    """
    return _hash("data set", plain_column(data_set), label)


def hash_family(data_set: str, family: str) -> str:
    """Return the hash of a dataset's name and a family; empty if either is empty."""
    if not data_set or not family:
        return ""
    return _hash("family", plain_column(data_set), family, digits=_OF_FAMILY)


def hash_rest(content: str) -> str:
    """Return the hash of the text that identifies the content of a resting file."""
    return _hash("rest", content, "")


def _hash(*parts: str, digits: int = _OF_PERSON) -> str:
    text = "\0".join((_PREFIX, *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _sorted(people: Iterable[Person]) -> tuple[Person, ...]:
    """Return each person once, in the order of their hashes, which reveals nothing."""
    return tuple(sorted(set(people)))
