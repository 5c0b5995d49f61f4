"""Recognises copies of a participant, and participants on whom a model was trained.

Copies are recognised by the values of their resting runs, and count as one family in every split
and fold. A model's training participants are named, and left out of its evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError
from bids_dtg.files.columns import Column
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
    >>> first, second = np.random.default_rng(1).standard_normal((2, 20, 100))
    >>> rest = {"01": first, "02": second, "c01": 2 * first[::-1]}
    >>> sketches = {label: {"rest": sketch(values)} for label, values in rest.items()}
    >>> with_copies(Families(), sketches).copies
    (('01', 'c01'),)
    """
    scans, digests = [], []
    for label, scans_of_person in sketches.items():
        for scan, digest in scans_of_person.items():
            scans.append((label, scan))
            digests.append(digest)
    # The labels of each person; those of copies share one list.
    labels_of = {label: [label] for label in sketches}
    twice: dict[str, str] = {}
    for first, second in alike_pairs(digests):
        (label, scan), (copy, copied_scan) = scans[first], scans[second]
        if label == copy:
            if used is None or {scan, copied_scan} <= {*used}:
                twice.setdefault(label, f"sub-{label} in {scan} and {copied_scan}")
        elif labels_of[label] is not labels_of[copy]:
            labels_of[label] += labels_of[copy]
            labels_of |= dict.fromkeys(labels_of[copy], labels_of[label])
    if twice:
        people = counted(twice, "participant")
        remedy = "remove the copy"
        if options:
            remedy += f", or exclude it ({options})"
        raise DatasetError(
            f"the same {what} occurs twice ({people}): {named([*twice.values()])}",
            expected="sessions and runs that were scanned separately",
            remedy=remedy,
        )
    several = [tuple(labels) for labels in labels_of.values() if len(labels) > 1]
    copies = tuple(dict.fromkeys(several))
    by_label = dict(families.by_label)
    for labels in copies:
        merged = {by_label[label] for label in labels if label in by_label}
        people = " and ".join(f"sub-{label}" for label in labels)
        family = min(merged, default=f"{people} (the same {what})")
        relatives = [label for label, name in by_label.items() if name in merged]
        by_label |= dict.fromkeys((*relatives, *labels), family)
    return replace(families, by_label=by_label, copies=copies)


def copies_in_words(
    families: Families, sketches: Sketches, what: str = "rest"
) -> tuple[str, ...]:
    """Return sentences on people who have several labels, or cannot be compared with others."""
    lines = []
    if families.copies:
        number = counted(families.copies, "time")
        equal = [
            " = ".join(f"sub-{label}" for label in labels) for labels in families.copies
        ]
        lines.append(
            f"the same {what} under several labels ({number}): {named(equal)}; these labels count "
            "as one family"
        )
    unknown = [
        f"sub-{label}"
        for label, scans_of_person in sketches.items()
        if not any(scans_of_person.values())
    ]
    if unknown and len(sketches) > 1:
        lines.append(
            f"the {what} of {counted(unknown, 'participant')} cannot be compared with that of "
            f"others ({named(unknown)}), so their copies are not recognised"
        )
    return tuple(lines)


def _seen_in_words(reasons: Mapping[str, str], note: str = "") -> Iterator[str]:
    for reason, words, end in (
        (TRAINED, "trained on them", note),
        (TUNED, "tuned on them", note),
        (RELATED, "trained or tuned on relatives of them", ""),
    ):
        labels = [
            label
            for label, reason_of_person in reasons.items()
            if reason_of_person == reason
        ]
        if labels:
            people = counted(labels, "participant")
            yield f"left out: {people}: the model was {words} ({named(labels)}){end}"


def say_left_out(reasons: Mapping[str, str], note: str = "") -> None:
    """Print which people are left out, if any.

    Parameters
    ----------
    reasons
        `TRAINED`, `TUNED` or `RELATED`, by the label of the person.
    note
        Ends the line on people who are not relatives.
    """
    say(*_seen_in_words(reasons, note))


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


def left_out_table(left_out: Mapping[str, str]) -> ResultTable:
    """Return the table `EXCLUDED` of reasons by label; it may have no rows."""
    rows = [
        {"participant_id": f"sub-{label}", "reason": reason}
        for label, reason in sorted(left_out.items())
    ]
    return ResultTable(_COLUMNS, rows, "Participants who were left out")
