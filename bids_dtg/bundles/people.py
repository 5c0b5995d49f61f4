"""The people used to make a model: their hashes, in a file of the bundle.

A hash lets a program recognise a person. It does not hide a short id: anybody who has the file can
try all numbers of six digits.
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
from bids_dtg.inputs.rest_sketch import alike
from bids_dtg.stats.splits import SETS

PEOPLE_FILE = "people.json"
# Who may have been trained on: what is published of the model does not decide it.
UNCERTAIN = "uncertain"
_SETS = (*SETS, UNCERTAIN)
_PREFIX = "bids_dtg person 1"  # another one would make other hashes
# Hexadecimal digits of a hash of a person or of rest, of a family, and of a sketch.
_OF_PERSON, _OF_FAMILY, _OF_SKETCH = 32, 40, 64

# One person as hashes: of the data set's name and the id (empty: the data set has no name); of the
# content of each file of rest; sketches of rest or edges; and of the family, where it is known.
Person = tuple[str, ...]


@dataclass(frozen=True)
class ModelPeople:
    """All people used to make a model, or to make the models that it was made from.

    Examples
    --------
    >>> seen = ModelPeople({"training": ((hash_person("My study", "01"),),)})
    >>> sorted(seen.find([hash_person("my-study", "01")])[0])
    ['training']
    """

    sets: Mapping[str, tuple[Person, ...]]  # by `SETS`, and `UNCERTAIN`
    unlisted: tuple[str, ...] = ()  # others, in words: nobody has a list of them
    by_content: bool = True  # whether all are known by their rest, whatever their labels

    @classmethod
    def of_training(
        cls,
        data_set: str,
        sketches: Mapping[str, Collection[str]],
        families: Mapping[str, str] = MappingProxyType({}),
    ) -> ModelPeople:
        """Return the people of a training set, by their sketches.

        Parameters
        ----------
        data_set
            Name of their data set.
        sketches
            Of the data of each, by label; none: the person is known by the label alone.
        families
            Names of families by label, where known.
        """
        people = [
            (
                hash_person(data_set, label),
                *sorted(filter(None, own)),
                *filter(None, [hash_family(data_set, families.get(label, ""))]),
            )
            for label, own in sketches.items()
        ]
        return cls({"training": _sorted(people)}, by_content=all(map(any, sketches.values())))

    def count(self, name: str) -> int:
        """Return how many people are in a set."""
        return len(self.sets.get(name, ()))

    def joined(self, other: ModelPeople) -> ModelPeople:
        """Return the people of both; somebody may be in several sets."""
        both = {
            name: _sorted((*self.sets.get(name, ()), *other.sets.get(name, ()))) for name in _SETS
        }
        return ModelPeople(
            {name: people for name, people in both.items() if people},
            tuple(dict.fromkeys((*self.unlisted, *other.unlisted))),
            self.by_content and other.by_content,
        )

    def find(self, person: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Look somebody up by any of the person's hashes.

        Sketches are alike where values of rest are, whatever bytes they are stored in
        (`bids_dtg.inputs.rest_sketch`).

        Returns
        -------
        The sets that the person is in, and those that a relative is in.
        """
        known = self._sets_of_hashes
        sketches = [own for own in person if len(own) == _OF_SKETCH]
        listed = [own for own in known if len(own) == _OF_SKETCH] if sketches else []
        own = [digest for digest in person if len(digest) == _OF_PERSON]
        own += filter(None, alike(listed, sketches))
        family = [digest for digest in person if len(digest) == _OF_FAMILY]
        found, related = (
            frozenset(name for digest in digests for name in known.get(digest, ()))
            for digests in (own, family)
        )
        return found, related

    def persons_alike(self, sketches: Sequence[str]) -> tuple[str, ...]:
        """Return the first hash of the person that each sketch is of; empty: of nobody here."""
        person_of = {
            own: person[0]
            for people in self.sets.values()
            for person in people
            for own in person
            if len(own) == _OF_SKETCH
        }
        return tuple(person_of.get(own, "") for own in alike(list(person_of), sketches))

    @cached_property
    def _sets_of_hashes(self) -> dict[str, set[str]]:
        """The sets that each hash is in."""
        found: dict[str, set[str]] = {}
        for name, people in self.sets.items():
            for own in (own for person in people for own in person):
                found.setdefault(own, set()).add(name)
        return found

    def encode(self) -> bytes:
        """Make the file's bytes; equal people give equal bytes."""
        content = {
            "format_version": FORMAT_VERSION,
            "by_content": self.by_content,
            "sets": {name: _sorted(self.sets[name]) for name in _SETS if self.sets.get(name)},
            "unlisted": list(self.unlisted),
        }
        return encoded(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")

    @classmethod
    def read(cls, path: Path) -> ModelPeople:
        """Read the file; BundleError where it cannot be read, or is of another format."""
        with reading(path, BundleError):
            return cls.of(JsonFields.parse(read_text(path), str(path)))

    @classmethod
    def of(cls, fields: JsonFields) -> ModelPeople:
        """Read the fields of the file; BundleError where they are not what they should be."""
        fields.require_version()
        listed = fields.nested("sets").items()
        unlisted, by_content = fields.value("unlisted"), fields.flag("by_content")
        fields.refuse_unknown()
        sets = {name: tuple(map(tuple, people)) for name, people in listed.items()}
        return cls(sets, tuple(unlisted), by_content)


def hash_person(data_set: str, label: str) -> str:
    """Return the hash of a data set's name and an id; case and signs of the name do not count.

    Examples
    --------
    >>> hash_person("HCP-YA", "100000") == hash_person("hcp ya", "100000")
    True
    """
    return _hash("data set", _plain(data_set), label)


def hash_family(data_set: str, family: str) -> str:
    """Return the hash of a data set's name, as for `hash_person`, and a family; empty: of none."""
    if not data_set or not family:
        return ""
    return _hash("family", _plain(data_set), family, digits=_OF_FAMILY)


def hash_rest(content: str) -> str:
    """Return the hash of what identifies the content of a file of rest."""
    return _hash("rest", content, "")


def _plain(data_set: str) -> str:
    return "".join(letter for letter in data_set.casefold() if letter.isalnum())


def _hash(*parts: str, digits: int = _OF_PERSON) -> str:
    text = "\0".join((_PREFIX, *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _sorted(people: Iterable[Person]) -> tuple[Person, ...]:
    """Return people in the order of their hashes, which tells nothing, and each once."""
    return tuple(sorted(set(people)))
