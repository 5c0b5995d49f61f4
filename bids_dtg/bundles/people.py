"""The people used to make a model: their hashes, in a file of the bundle.

A hash lets a program recognise a person. It does not hide a short id: anybody who has the file can
try all numbers of six digits.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.errors import BundleError, ForeignFileError
from bids_dtg.files.foreign import read_text, reading
from bids_dtg.inputs.rest_sketch import alike
from bids_dtg.stats.splits import SETS

PEOPLE_FILE = "people.json"
# Who may have been trained on: what is published of the model does not decide it.
UNCERTAIN = "uncertain"
_SETS = (*SETS, UNCERTAIN)
_FORMAT = 1
_PREFIX = "bids_dtg person 1"  # another one would make other hashes
_HASH = re.compile(r"[0-9a-f]{32}")
_SKETCH = re.compile(r"[0-9a-f]{64}")
_FAMILY = re.compile(r"[0-9a-f]{40}")
_REMEDY = "fetch or make the bundle again"


@dataclass(frozen=True, order=True)
class PersonHashes:
    """One person as hashes, 32 hexadecimal digits each but for sketches and family."""

    person: str = ""  # of the data set's name and the id; empty: the data set has no name
    rest: tuple[str, ...] = ()  # of the content of each file of rest
    sketches: tuple[str, ...] = ()  # of values of rest, or edges (`bids_dtg.inputs.rest_sketch`)
    family: str = ""  # of the data set's name and the family's, 40 digits; empty: not known

    @property
    def listed(self) -> tuple[str, ...]:
        """All that are known."""
        return tuple(filter(None, (self.person, *self.rest, *self.sketches, self.family)))


@dataclass(frozen=True)
class PersonMatch:
    """The sets of a model that a person is in."""

    sets: frozenset[str] = frozenset()  # by data set and id, or by rest
    related: frozenset[str] = frozenset()  # sets that a relative is in


@dataclass(frozen=True)
class ModelPeople:
    """All people used to make a model, or to make the models that it was made from.

    Examples
    --------
    >>> ann = PersonHashes(hash_person("My study", "01"))
    >>> seen = ModelPeople({"training": (ann,)})
    >>> sorted(seen.find([hash_person("my-study", "01")]).sets)
    ['training']
    """

    sets: Mapping[str, tuple[PersonHashes, ...]]  # by `SETS`, and `UNCERTAIN`
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
            Names of families by label, of those who have one.
        """
        people = [
            PersonHashes(
                hash_person(data_set, label),
                sketches=tuple(sorted(filter(None, own))),
                family=hash_family(data_set, families.get(label, "")),
            )
            for label, own in sketches.items()
        ]
        return cls({"training": _sorted(people)}, by_content=all(own.sketches for own in people))

    def count(self, name: str) -> int:
        """Return how many people are in a set."""
        return len(self.sets.get(name, ()))

    def joined(self, other: ModelPeople) -> ModelPeople:
        """Return the people of both; somebody may be in several sets."""
        both = {
            name: _sorted((*self.sets.get(name, ()), *other.sets.get(name, ()))) for name in _SETS
        }
        sets = {name: people for name, people in both.items() if people}
        return ModelPeople(
            sets,
            tuple(dict.fromkeys((*self.unlisted, *other.unlisted))),
            self.by_content and other.by_content,
        )

    def find(
        self,
        persons: Collection[str],
        rest: Collection[str] = (),
        sketches: Collection[str] = (),
        family: str = "",
    ) -> PersonMatch:
        """Look somebody up.

        Parameters
        ----------
        persons
            Hashes of the names that the data set may have, and the id; empty: it has no name.
        rest
            Hashes of the content of each file of rest.
        sketches
            What `bids_dtg.inputs.rest_sketch` makes of the values of rest: other bytes of the same
            values have the same sketch.
        family
            Hash of the family; empty: not known.
        """
        sets = self._sets_of_hashes
        sure = {name for own in (*persons, *rest) for name in sets.get(own, ())}
        known = [own for own in sets if _SKETCH.fullmatch(own)] if sketches else []
        for number in alike(known, list(sketches)):
            sure |= sets[known[number - 1]] if number else set()
        return PersonMatch(frozenset(sure), frozenset(sets.get(family, ())))

    def persons_alike(self, sketches: Sequence[str]) -> tuple[str, ...]:
        """Return the first hash of the person that each sketch is of; empty: of nobody here."""
        person_of = {
            own: person.person
            for people in self.sets.values()
            for person in people
            for own in person.sketches
        }
        known = list(person_of)
        return tuple(
            person_of[known[number - 1]] if number else "" for number in alike(known, sketches)
        )

    @cached_property
    def _sets_of_hashes(self) -> dict[str, set[str]]:
        """The sets that a hash of whatever kind is in; kinds differ in digits, or in prefixes."""
        found: dict[str, set[str]] = {}
        for name, people in self.sets.items():
            for own in (own for person in people for own in person.listed):
                found.setdefault(own, set()).add(name)
        return found

    def encode(self) -> bytes:
        """Make the file's bytes; equal people give equal bytes."""
        content = {
            "format_version": _FORMAT,
            "by_content": self.by_content,
            "sets": {
                name: [
                    [person.person, *person.listed[bool(person.person) :]]
                    for person in _sorted(self.sets[name])
                ]
                for name in _SETS
                if self.sets.get(name)
            },
            "unlisted": list(self.unlisted),
        }
        return (json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n").encode(
            "utf-8", "backslashreplace"
        )

    @classmethod
    def read(cls, path: Path) -> ModelPeople:
        """Read the file.

        Raises
        ------
        BundleError
            If it cannot be read, or is of another format.
        """
        try:
            with reading(path):
                return cls.of(JsonFields.parse(read_text(path), str(path)))
        except ForeignFileError as err:
            raise err.as_kind(BundleError, remedy=_REMEDY) from err

    @classmethod
    def of(cls, fields: JsonFields) -> ModelPeople:
        """Read the fields of the file.

        Raises
        ------
        BundleError
            If they are not what they should be.
        """
        version = fields.whole("format_version")
        if version != _FORMAT:
            raise BundleError(
                f"{fields.source} has format version {version}",
                expected=str(_FORMAT),
                remedy=_REMEDY,
            )
        listed = dict(fields.nested("sets").items())
        unlisted, by_content = fields.value("unlisted"), fields.flag("by_content")
        fields.refuse_unknown()
        sets = {
            name: tuple(
                PersonHashes(
                    hashes[0],
                    tuple(own for own in hashes[1:] if _HASH.fullmatch(own)),
                    tuple(own for own in hashes[1:] if _SKETCH.fullmatch(own)),
                    next(filter(_FAMILY.fullmatch, hashes[1:]), ""),
                )
                for hashes in people
            )
            for name, people in listed.items()
        }
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
    return _hash("family", _plain(data_set), family, digits=40)


def hash_rest(content: str) -> str:
    """Return the hash of what identifies the content of a file of rest."""
    return _hash("rest", content, "")


def _plain(data_set: str) -> str:
    return "".join(letter for letter in data_set.casefold() if letter.isalnum())


def _hash(*parts: str, digits: int = 32) -> str:
    text = "\0".join((_PREFIX, *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _sorted(people: Iterable[PersonHashes]) -> tuple[PersonHashes, ...]:
    """Return people in the order of their hashes, which tells nothing, and each once."""
    return tuple(sorted(set(people)))
