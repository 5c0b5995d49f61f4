"""Whom a model has seen already: such people judge and calibrate nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bids_dtg.bundles.people import (
    UNCERTAIN,
    PersonHashes,
    SeenPeople,
    Sighting,
    hash_person,
)
from bids_dtg.contrasts.analyses.source import Source
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.published_people import (
    canonical_name,
    published_id,
    published_names,
)
from bids_dtg.contrasts.bundle.registry import people_of
from bids_dtg.notices import counted, named, say

# Who tuned a model knows it as well as whom it was trained on. Who calibrated it shaped none of
# its maps: such people are judged, but not by intervals.
_SHAPING = {"training": "trained", "validation": "tuned"}
_SURE_NAME = "--data-set NAME"


@dataclass(frozen=True)
class Identities:
    """How the people of a call are recognised."""

    source: Source  # the data, and where people's rest is

    @property
    def name(self) -> str | None:
        """The data set's name: of --data-set, or its own; None: it has none."""
        return self.source.settings.modelling.data_set or self.source.own_name

    def hashes(self, label: str) -> PersonHashes:
        """Return somebody's hashes, as a bundle keeps them."""
        # A number that was given here is nobody's id.
        name = self.name if self.source.id_of(label) else None
        known = name and canonical_name(name)
        if known:
            person = hash_person(known, published_id(known, label) or label)
        else:
            person = hash_person(name, label) if name else ""
        return PersonHashes(person, self.source.rest_hashes(label))

    def published(self, label: str) -> tuple[str, ...]:
        """Return the hashes that somebody has in published lists, where ids look like theirs.

        What --data-set says is believed: then only the lists of that data set are looked at.
        """
        asked = self.source.settings.modelling.data_set
        names = published_names(label)
        if asked:
            names = tuple(name for name in names if name == canonical_name(asked))
        return tuple(hash_person(name, published_id(name, label) or label) for name in names)


def record_people(
    source: Source, sets: Mapping[str, Sequence[str]], earlier: ModelBundle | None = None
) -> SeenPeople:
    """Return whom a model that is made here has seen, and whom the model that it is made from.

    Parameters
    ----------
    source
        The data, and options.
    sets
        Labels by what they were for, as `bids_dtg.stats.splits.SETS` names it.
    earlier
        The model that it is made from; None: none.
    """
    identities = Identities(source)
    if identities.name is None:
        say(
            f"{source.dataset.root} has no name of its own: people will be recognised by their "
            f"ids and files of rest alone; {_SURE_NAME} gives it one"
        )
    kept = {
        name: tuple(identities.hashes(label) for label in labels) for name, labels in sets.items()
    }
    sums = source.settings.modelling.add_sums
    unlisted = (f"the people of {counted(len(sums), 'file')} of other sites' sums",) if sums else ()
    made = SeenPeople({}).joined(SeenPeople(kept, unlisted))
    return made if earlier is None else _known(earlier).joined(made)


def unseen(source: Source, labels: Sequence[str]) -> tuple[str, ...]:
    """Leave out those on whom a model was trained or tuned, and say what is not known of others."""
    bundle = source.bundle
    seen, identities = _known(bundle), Identities(source)
    sightings = {label: _sighting(seen, identities, label) for label in labels}
    why = {
        label: next(words for name, words in _SHAPING.items() if name in sighting.sets)
        for label, sighting in sightings.items()
        if sighting.sets & _SHAPING.keys()
    }
    if why:
        counts = Counter(why.values())
        how = " and ".join(
            f"{words} on {counts[words]}" for words in _SHAPING.values() if counts[words]
        )
        say(f"left out: {counted(len(why), 'participant')}; the model was {how} of them")
        _say_of_published(identities, seen, list(why))
    for text in seen.unlisted:
        say(
            f"warning: {bundle.card.name} has seen people who are on no list ({text}): if they "
            "are among these participants, nobody leaves them out"
        )
    kept = tuple(label for label in labels if label not in why)
    uncertain = [label for label in kept if UNCERTAIN in sightings[label].sets]
    if uncertain:
        say(
            f"warning: {counted(len(uncertain), 'participant')} may have been trained on "
            f"({named(uncertain)}): what is published of {bundle.card.name} does not decide it"
        )
    known = canonical_name(identities.name or "")
    if known and (other := [label for label in kept if published_id(known, label) is None]):
        say(
            f"warning: {counted(len(other), 'participant')} ({named(other)}) have no ids as in "
            f"{known}: whether {bundle.card.name} has seen them is not known"
        )
    alike = [label for label in kept if sightings[label].perhaps & _SHAPING.keys()]
    if alike:
        say(
            f"warning: {counted(len(alike), 'participant')} ({named(alike)}) have the ids and the "
            f"rest of people whom {bundle.card.name} has seen in a data set of another name: "
            f"they are kept; {_SURE_NAME} makes both names one"
        )
    return kept


def _known(bundle: ModelBundle) -> SeenPeople:
    """Return whom a model has seen; where nobody knows, that is on its list of the unlisted."""
    seen = people_of(bundle)
    if seen is None:
        card = bundle.card
        seen = SeenPeople({}, (f"all of {card.name} {card.version}: its bundle lists nobody",))
    return seen


def _sighting(seen: SeenPeople, identities: Identities, label: str) -> Sighting:
    own = identities.hashes(label)
    sure = seen.find(identities.published(label)).sets
    found = seen.find([own.person] if own.person else [], own.rest)
    return Sighting(found.sets | sure, found.perhaps - sure)


def _say_of_published(identities: Identities, seen: SeenPeople, labels: Sequence[str]) -> None:
    """Say who was recognised by the form of the id, where nothing says what data these are."""
    name = identities.name
    if identities.source.settings.modelling.data_set or (name and canonical_name(name)):
        return
    by_form = [label for label in labels if seen.find(identities.published(label)).sets]
    if by_form:
        say(
            f"{counted(len(by_form), 'participant')} of these ({named(by_form)}) have ids as in "
            f"the published lists of {' and '.join(published_names(by_form[0]))}; if these are "
            f"other people, say so with {_SURE_NAME}"
        )
