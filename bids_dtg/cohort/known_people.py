"""Recognises copies of a participant, and participants on whom a model was trained.

Copies are recognised by the values of their resting runs, and count as one family in every split
and fold. A model's training participants are named, and left out of its evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from bids_dtg.cohort.result_table import Column, ResultTable
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.participants import Families
from bids_dtg.inputs.rest_sketch import alike_pairs
from bids_dtg.notices import counted, named, say

# Sketches of rest or edges (see `bids_dtg.inputs.rest_sketch`), by label and by session or run.
Sketches = Mapping[str, Mapping[str, str]]

# Reasons for leaving a participant out of a model's evaluation, as in the table of the excluded.
TRAINED = "the model was trained on the participant"
TUNED = "the model was tuned on the participant"
RELATED = "the model was trained or tuned on a relative of the participant"
EXCLUDED = "desc-participants_excluded"  # the table of participants who were left out
_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("reason", "Why the participant was left out"),
)


def with_copies(
    families: Families,
    sketches: Sketches,
    what: str = "rest",
    options: str = "--session-label, --participant-label",
    used: Collection[str] | None = None,
) -> Families:
    """Return families in which people with the same rest are related.

    Parameters
    ----------
    families
        Families from tables; the families of a person's copies are merged.
    sketches
        Sketches of all people to compare.
    what
        What was sketched, in words.
    options
        Options that exclude a copy of a person's own rest, for the error message.
    used
        Names of the sessions or runs that are used; None: all.

    Raises
    ------
    DatasetError
        Two sessions or runs of a person have the same rest, which no second scan would give.

    Examples
    --------
    >>> from bids_dtg.inputs.rest_sketch import sketch
    >>> import numpy as np
    >>> own, other = np.random.default_rng(1).standard_normal((2, 20, 100))
    >>> rest = {"01": own, "02": other, "c01": 2 * own[::-1]}
    >>> known = {label: {"rest": sketch(values)} for label, values in rest.items()}
    >>> with_copies(Families({}, ""), known).copies
    (('01', 'c01'),)
    """
    listed = [
        (who, name, own) for who, of in sketches.items() for name, own in of.items()
    ]
    same = {label: [label] for label in sketches}
    twice: dict[str, str] = {}
    for first, second in alike_pairs([own for _, _, own in listed]):
        (one, name, _), (other, again, _) = listed[first], listed[second]
        if one == other:
            if used is None or {name, again} <= {*used}:
                twice.setdefault(one, f"sub-{one} in {name} and {again}")
        elif same[one] is not same[other]:
            same[one] += same[other]
            same |= dict.fromkeys(same[other], same[one])
    if twice:
        people = counted(len(twice), "participant")
        raise DatasetError(
            f"the same {what} occurs twice ({people}): {named([*twice.values()])}",
            expected="sessions and runs that were scanned separately",
            remedy="remove the copy"
            + (f", or exclude it ({options})" if options else ""),
        )
    copies = tuple(dict.fromkeys(tuple(own) for own in same.values() if len(own) > 1))
    by_label = dict(families.by_label)
    for own in copies:
        known = {by_label[label] for label in own if label in by_label}
        alone = " and ".join(f"sub-{label}" for label in own) + f" (the same {what})"
        name = min(known, default=alone)
        relatives = [label for label, family in by_label.items() if family in known]
        by_label |= dict.fromkeys((*relatives, *own), name)
    return replace(families, by_label=by_label, copies=copies)


def copies_in_words(
    families: Families, sketches: Sketches, what: str = "rest"
) -> tuple[str, ...]:
    """Return sentences on people who have several labels, or cannot be compared with others."""
    found = []
    if families.copies:
        pairs = named(
            [" = ".join(f"sub-{label}" for label in own) for own in families.copies]
        )
        found.append(
            f"the same {what} under several labels ({counted(len(families.copies), 'time')}): "
            f"{pairs}; these labels count as one family"
        )
    unknown = [
        f"sub-{label}" for label, own in sketches.items() if not any(own.values())
    ]
    if unknown and len(sketches) > 1:
        found.append(
            f"the {what} of {counted(len(unknown), 'participant')} cannot be compared with that of "
            f"others ({named(unknown)}), so their copies are not recognised"
        )
    return tuple(found)


def _seen_in_words(why: Mapping[str, str], more: str = "") -> Iterator[str]:
    for reason, words, end in (
        (TRAINED, "trained on them", more),
        (TUNED, "tuned on them", more),
        (RELATED, "trained or tuned on relatives of them", ""),
    ):
        if who := [label for label, own in why.items() if own == reason]:
            people = counted(len(who), "participant")
            yield f"left out: {people}: the model was {words} ({named(who)}){end}"


def say_left_out(why: Mapping[str, str], more: str = "") -> None:
    """Print which people are left out, if any.

    Parameters
    ----------
    why
        `TRAINED`, `TUNED` or `RELATED`, by the label of the person.
    more
        Ends the line on people who are not relatives.
    """
    say(*_seen_in_words(why, more))


def seen_on_page(left_out: Mapping[str, str]) -> str:
    """Return sentences for a page on people who were left out; empty where there are none.

    Parameters
    ----------
    left_out
        Reasons by label; only the reasons of `say_left_out` are mentioned.

    Examples
    --------
    >>> seen_on_page({"01": TRAINED})
    ' Left out: 1 participant: the model was trained on them (01).'
    """
    return "".join(f" L{line[1:]}." for line in _seen_in_words(left_out))


def labels_alone(name: str) -> str:
    """Return the note on a model, by its name, that identifies training people only by label."""
    return (
        f"{name} lists its training participants only by label, so those who have other labels "
        "now are not recognised"
    )


def left_out_table(left_out: Mapping[str, str]) -> ResultTable:
    """Return the table `EXCLUDED` of reasons by label; it may have no rows."""
    rows = [
        {"participant_id": f"sub-{label}", "reason": reason}
        for label, reason in sorted(left_out.items())
    ]
    return ResultTable(_COLUMNS, rows, "Participants who were left out")
