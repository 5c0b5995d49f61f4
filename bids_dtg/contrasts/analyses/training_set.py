"""Recognise participants of a model's training set, who are left out of its evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from bids_dtg.bundles.people import (
    UNCERTAIN,
    ModelPeople,
    Person,
    hash_family,
    hash_person,
    hash_rest,
)
from bids_dtg.cohort.known_people import (
    RELATED,
    TRAINED,
    TUNED,
    labels_alone,
    say_left_out,
)
from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.registry import (
    canonical_name,
    published_id,
    published_names,
)
from bids_dtg.errors import DtgError
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.inputs.dataset import own_name
from bids_dtg.notices import counted, named, say

# People that a model was tuned on count like its training people.
_SHAPING = {"training": TRAINED, "validation": TUNED}


def _hashes(cohort: Cohort, label: str) -> Person:
    """Return a person's hashes, as a bundle stores them."""
    name = _data_name(cohort)
    known = name and canonical_name(name)
    if known:
        person = hash_person(known, published_id(known, label) or label)
    else:
        person = hash_person(name, label) if name else ""
    digests = set[str]()
    with suppress(DtgError):  # a later step says why these data cannot be used
        # Hashes of files are the same with any cleaning.
        digests = {
            file_fingerprint(run.bold)["ends_sha256"]
            for run in cohort.request.runs(label)
        }
    family = hash_family(
        known or name or "", cohort.table_families.by_label.get(label, "")
    )
    return (
        person,
        *(hash_rest(digest) for digest in sorted(digests)),
        *sorted(cohort.sketches.get(label, {}).values()),
        *filter(None, [family]),
    )


def _data_name(cohort: Cohort) -> str | None:
    """Return the name of the dataset, without which IDs identify nobody; None: it has none."""
    return own_name(cohort.request.dataset)


def _published(cohort: Cohort, label: str) -> tuple[str, ...]:
    """Return a person's hashes for published lists, if the ID has their form.

    If the dataset has the name of a published one, only that one's lists are used.
    """
    known = canonical_name(_data_name(cohort) or "")
    names = tuple(name for name in published_names(label) if known in (None, name))
    return tuple(
        hash_person(name, published_id(name, label) or label) for name in names
    )


def record_people(
    cohort: Cohort,
    sets: Mapping[str, Sequence[str]],
    earlier: ModelBundle | None = None,
) -> ModelPeople:
    """Return the people that a new model and its earlier model were made with.

    Parameters
    ----------
    cohort
        The people.
    sets
        Labels by purpose, as named in `bids_dtg.stats.splits.SETS`.
    earlier
        The bundle that is fine-tuned; None for a new model.
    """
    if _data_name(cohort) is None:
        say(
            f"{cohort.request.dataset.root} has no Name in dataset_description.json, so people "
            "will be recognised only by their IDs and rest files"
        )
    kept = {
        name: tuple(_hashes(cohort, label) for label in labels)
        for name, labels in sets.items()
    }
    made = ModelPeople({}).joined(ModelPeople(kept))
    return made if earlier is None else _known(earlier).joined(made)


def leave_out_seen(
    cohort: Cohort, labels: Sequence[str], *, warns: bool = True
) -> dict[str, str]:
    """Return and report which people are left out, because they or relatives shaped the model.

    Copies of a person are of one family. After people were read, they are also recognised by the
    values of their rest. `warns` says whether to warn of uncertain cases.
    """
    seen = _known(cohort.bundle)
    matches, by_form = {}, []
    for label in labels:
        sure, _ = seen.find(_published(cohort, label))
        found, relatives = seen.find(_hashes(cohort, label))
        matches[label] = found | sure, relatives
        by_form += [label] if sure else []
    related = cohort.families.relatives(
        label
        for label, (_, relatives) in matches.items()
        if relatives & _SHAPING.keys()
    )
    why = {
        label: next(
            (words for name, words in _SHAPING.items() if name in sets), RELATED
        )
        for label, (sets, _) in matches.items()
        if sets & _SHAPING.keys() or label in related
    }
    say_left_out(why)
    by_form = [label for label in by_form if why.get(label, RELATED) != RELATED]
    if by_form and not canonical_name(
        _data_name(cohort) or ""
    ):  # the dataset has no known name
        say(
            f"{counted(len(by_form), 'participant')} of these ({named(by_form)}) have IDs from "
            f"the published lists of {' and '.join(published_names(by_form[0]))}, and are taken "
            "for the same people"
        )
    if warns:
        _warn(
            cohort,
            seen,
            {own: sets for own, (sets, _) in matches.items() if own not in why},
        )
    return why


def _warn(
    cohort: Cohort, seen: ModelPeople, kept: Mapping[str, frozenset[str]]
) -> None:
    """Warn if it is uncertain whether people who are kept were among the model's."""
    bundle = cohort.bundle
    if seen.sets and not seen.by_content:
        say(f"warning: {labels_alone(bundle.card.name)}")
    uncertain = [label for label, sets in kept.items() if UNCERTAIN in sets]
    if uncertain:
        say(
            f"warning: {bundle.card.name} may have been trained on "
            f"{counted(len(uncertain), 'participant')} ({named(uncertain)}): the "
            "publication does not say"
        )
    known = canonical_name(_data_name(cohort) or "")
    if known and (
        other := [label for label in kept if published_id(known, label) is None]
    ):
        say(
            f"warning: the IDs of {counted(len(other), 'participant')} ({named(other)}) are not in "
            f"the form of {known}: whether {bundle.card.name} was trained on them is not known"
        )


def say_unlisted(bundle: ModelBundle) -> None:
    """Warn of people that a model was made with and who cannot be recognised."""
    for text in _known(bundle).unlisted:
        say(
            f"warning: {bundle.card.name} was made with people who are not listed ({text}): if "
            "they are among these participants, they are not left out"
        )


def _known(bundle: ModelBundle) -> ModelPeople:
    """Return the people used to make a model; without a list, all count as unlisted."""
    seen = bundle.people
    if seen is None:
        card = bundle.card
        seen = ModelPeople(
            {}, (f"training people unknown: {card.name} {card.version} lists nobody",)
        )
    return seen
