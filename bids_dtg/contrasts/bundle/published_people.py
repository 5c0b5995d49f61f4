"""The training people of published models, from lists that their makers have published.

`published_people.json` has the hashes of their ids, made by `scripts/published_people.py` from
the lists in eminSerin/deeptaskgen-paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.people import SeenPeople
from bids_dtg.files.text import read_packaged

_FILE = "published_people.json"
# How ids of a published data set look, with what studies put around them.
_IDS = {
    "HCP-YA": re.compile(r"(?:HCP)?(\d{6})(?:MR|V1MR)?", re.IGNORECASE),
    "HCP-D": re.compile(r"(HCD\d{7})(?:V1MR)?", re.IGNORECASE),
}
# The names under which people know these data sets, in letters and digits.
_NAMES = {
    "HCP-YA": ("hcpya", "hcpyoungadult", "hcp1200", "hcps1200", "hcp"),
    "HCP-D": ("hcpd", "hcpdevelopment", "hcplifespandevelopment"),
}


def published_people(data_sets: Iterable[str], unlisted: tuple[str, ...]) -> SeenPeople:
    """Return the people of published data sets.

    Parameters
    ----------
    data_sets
        Their names in the lists.
    unlisted
        Of people in no list, in words.
    """
    seen = SeenPeople({}, unlisted)
    for name in data_sets:
        seen = seen.joined(_lists()[name])
    return seen


def canonical_name(data_set: str) -> str | None:
    """Return the name that the lists have for a data set; None: it is not one of theirs.

    Examples
    --------
    >>> canonical_name("HCP Young Adult"), canonical_name("My study")
    ('HCP-YA', None)
    """
    plain = "".join(letter for letter in data_set.casefold() if letter.isalnum())
    return next((name for name, known in _NAMES.items() if plain in known), None)


def published_id(data_set: str, label: str) -> str | None:
    """Return the id that a label stands for in a published data set; None: it looks otherwise.

    Examples
    --------
    >>> published_id("HCP-D", "HCD0000000V1MR"), published_id("HCP-YA", "01")
    ('HCD0000000', None)
    """
    found = _IDS[data_set].fullmatch(label)
    return found and found[1].upper()


def published_names(label: str) -> tuple[str, ...]:
    """Return the published data sets whose ids look like a label."""
    return tuple(name for name in _IDS if published_id(name, label))


@cache
def _lists() -> dict[str, SeenPeople]:
    fields = JsonFields.parse(read_packaged("bids_dtg.contrasts.bundle", _FILE), _FILE)
    return {name: SeenPeople.of(fields.nested(name)) for name in fields.items()}
