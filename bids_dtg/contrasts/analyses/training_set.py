"""Recognise participants of a model's training set, who are left out of its evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from bids_dtg.bundles.training_hashes import (
    UNCERTAIN,
    Person,
    TrainingHashes,
    hash_family,
    hash_person,
    hash_rest,
    labels_alone,
)
from bids_dtg.cohort.recognised_participants import (
    RELATED,
    TRAINED,
    TUNED,
    say_left_out,
)
from bids_dtg.contrasts.analyses.cohort import CohortFiles
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


def _hashes(files: CohortFiles, label: str) -> Person:
    """Return a person's hashes, as a bundle stores them."""
    name = _data_name(files)
    published = name and canonical_name(name)
    person = ""
    if published:
        person = hash_person(published, published_id(published, label) or label)
    elif name:
        person = hash_person(name, label)
    digests = set[str]()
    with suppress(DtgError):  # a later step says why these data cannot be used
        # Hashes of files are the same with any cleaning.
        digests = {
            file_fingerprint(run.bold)["ends_sha256"]
            for run in files.plan.request.runs(label)
        }
    families = files.plan.table_families.by_label
    family = hash_family(published or name or "", families.get(label, ""))
    return (
        person,
        *(hash_rest(digest) for digest in sorted(digests)),
        *sorted(files.sketches.get(label, {}).values()),
        *filter(None, [family]),
    )


def _data_name(files: CohortFiles) -> str | None:
    """Return the name of the dataset, without which IDs identify nobody; None: it has none."""
    return own_name(files.plan.request.dataset)


def _published(files: CohortFiles, label: str) -> tuple[str, ...]:
    """Return a person's hashes for published lists, if the ID has their form.

    If the dataset has the name of a published one, only that one's lists are used.
    """
    dataset = canonical_name(_data_name(files) or "")
    names = [name for name in published_names(label) if dataset in (None, name)]
    return tuple(
        hash_person(name, published_id(name, label) or label) for name in names
    )


def record_people(
    files: CohortFiles,
    sets: Mapping[str, Sequence[str]],
    earlier: ModelBundle | None,
) -> TrainingHashes:
    """Return the people that a new model and its earlier model were made with.

    Parameters
    ----------
    files
        The people.
    sets
        Labels by purpose, as named in `bids_dtg.stats.splits.SETS`.
    earlier
        The bundle that is fine-tuned; None for a new model.
    """
    if _data_name(files) is None:
        say(
            f"{files.plan.request.dataset.root} has no Name in dataset_description.json, so people "
            "will be recognised only by their IDs and rest files"
        )
    hashes = {
        name: tuple(_hashes(files, label) for label in labels)
        for name, labels in sets.items()
    }
    people = TrainingHashes({}).joined(TrainingHashes(hashes))
    return people if earlier is None else _people_of(earlier).joined(people)


def leave_out_seen(
    files: CohortFiles, labels: Sequence[str], *, warns: bool = True
) -> dict[str, str]:
    """Return and report which people are left out, because they or relatives shaped the model.

    Copies of a person are of one family. After people were read, they are also recognised by the
    values of their rest. `warns` says whether to warn of uncertain cases.
    """
    model_people = _people_of(files.plan.bundle)
    # Sets of the model that have the person, and that have relatives.
    matches: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    with_published_id = []
    for label in labels:
        published, _ = model_people.find(_published(files, label))
        matched, relatives_sets = model_people.find(_hashes(files, label))
        matches[label] = matched | published, relatives_sets
        if published:
            with_published_id.append(label)
    related = files.families.relatives(
        label
        for label, (_, relatives_sets) in matches.items()
        if relatives_sets & _SHAPING.keys()
    )
    reasons = {}
    for label, (sets, _) in matches.items():
        shaping = [reason for name, reason in _SHAPING.items() if name in sets]
        if shaping:
            reasons[label] = shaping[0]
        elif label in related:
            reasons[label] = RELATED
    say_left_out(reasons)
    by_id = [
        label for label in with_published_id if reasons.get(label, RELATED) != RELATED
    ]
    # In a dataset of a published name, IDs are no coincidence.
    if by_id and not canonical_name(_data_name(files) or ""):
        lists = " and ".join(published_names(by_id[0]))
        say(
            f"{counted(by_id, 'participant')} of these ({named(by_id)}) have IDs from "
            f"the published lists of {lists}, and are taken for the same people"
        )
    if warns:
        remaining = {
            label: sets for label, (sets, _) in matches.items() if label not in reasons
        }
        _warn(files, model_people, remaining)
    return reasons


def _warn(
    files: CohortFiles,
    model_people: TrainingHashes,
    matches: Mapping[str, frozenset[str]],
) -> None:
    """Warn if it is uncertain whether people who are not left out were among the model's.

    `matches` are the sets of the model that may have each of them.
    """
    model = files.plan.bundle.name
    if model_people.sets and not model_people.by_content:
        say(f"warning: {labels_alone(model)}")
    uncertain = [label for label, sets in matches.items() if UNCERTAIN in sets]
    if uncertain:
        say(
            f"warning: {model} may have been trained on "
            f"{counted(uncertain, 'participant')} ({named(uncertain)}): the "
            "publication does not say"
        )
    dataset = canonical_name(_data_name(files) or "")
    if dataset is None:
        return
    unlisted = [label for label in matches if published_id(dataset, label) is None]
    if unlisted:
        say(
            f"warning: the IDs of {counted(unlisted, 'participant')} ({named(unlisted)}) "
            f"are not in the form of {dataset}: whether {model} was trained on them is not known"
        )


def say_unlisted(bundle: ModelBundle) -> None:
    """Warn of people that a model was made with and who cannot be recognised."""
    for text in _people_of(bundle).unlisted:
        say(
            f"warning: {bundle.name} was made with people who are not listed ({text}): if "
            "they are among these participants, they are not left out"
        )


def _people_of(bundle: ModelBundle) -> TrainingHashes:
    """Return the people used to make a model; without a list, all count as unlisted."""
    if bundle.people is not None:
        return bundle.people
    card = bundle.card
    unknown = f"training people unknown: {card.title} lists nobody"
    return TrainingHashes({}, (unknown,))
