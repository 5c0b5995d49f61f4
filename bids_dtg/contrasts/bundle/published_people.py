"""The training people of published models, from lists that their makers have published.

`published_people.json` has the hashes of their ids, made by `scripts/published_people.py` from
the lists in eminSerin/deeptaskgen-paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.people import ModelPeople
from bids_dtg.files.text import read_packaged

_FILE = "published_people.json"
# Ids of a published data set, with the additions of other studies.
_IDS = {
    "HCP-YA": re.compile(r"(?:HCP)?(\d{6})(?:MR|V1MR)?", re.IGNORECASE),
    "HCP-D": re.compile(r"(HCD\d{7})(?:V1MR)?", re.IGNORECASE),
}
# Names of these data sets, in letters and digits.
_NAMES = {
    "HCP-YA": ("hcpya", "hcpyoungadult", "hcp1200", "hcps1200", "hcp"),
    "HCP-D": ("hcpd", "hcpdevelopment", "hcplifespandevelopment"),
}


def published_people(data_sets: Iterable[str], unlisted: tuple[str, ...]) -> ModelPeople:
    """Return the people of published data sets.

    Parameters
    ----------
    data_sets
        Their names in the lists.
    unlisted
        Descriptions of people who are in no list.
    """
    seen = ModelPeople({}, unlisted)
    for name in data_sets:
        seen = seen.joined(_lists()[name])
    return seen


def canonical_name(data_set: str) -> str | None:
    """Return a data set's name in the lists; None: it is not one of them.

    Examples
    --------
    >>> canonical_name("HCP Young Adult"), canonical_name("My study")
    ('HCP-YA', None)
    """
    plain = "".join(letter for letter in data_set.casefold() if letter.isalnum())
    return next((name for name, known in _NAMES.items() if plain in known), None)


def published_id(data_set: str, label: str) -> str | None:
    """Return the id of a label in a published data set; None: it has another form.

    Examples
    --------
    >>> published_id("HCP-D", "HCD0000000V1MR"), published_id("HCP-YA", "01")
    ('HCD0000000', None)
    """
    found = _IDS[data_set].fullmatch(label)
    return found and found[1].upper()


def published_names(label: str) -> tuple[str, ...]:
    """Return the published data sets whose ids have the form of a label."""
    return tuple(name for name in _IDS if published_id(name, label))


@cache
def _lists() -> dict[str, ModelPeople]:
    fields = JsonFields.parse(read_packaged("bids_dtg.contrasts.bundle", _FILE), _FILE)
    return {name: ModelPeople.of(fields.nested(name)) for name in fields.items()}
