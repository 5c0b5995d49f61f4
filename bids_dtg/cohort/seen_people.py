"""Participants of a model's training: left out where it is judged, and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.notices import counted, named, say

TRAINED, TUNED = "trained", "tuned"
SEEN = "the model was trained or tuned on the participant"
EXCLUDED = "desc-participants_excluded"  # the table of everybody who was left out
_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("reason", "Why the participant was left out"),
)
# Said of a model whose people have neither sketches nor hashes of their files.
_LABELS_ALONE = (
    "{} lists people by their labels alone: those of them who have other labels now are not "
    "recognised"
)


def say_left_out(why: Mapping[str, str], more: str = "") -> None:
    """Report people who are left out; nothing where there are none.

    Parameters
    ----------
    why
        What the model was, by the label of the person: `TRAINED` or `TUNED`.
    more
        What ends the line.
    """
    if not why:
        return
    counts = Counter(why.values())
    how = " and ".join(f"{words} on {counts[words]}" for words in (TRAINED, TUNED) if counts[words])
    people = counted(len(why), "participant")
    say(f"left out: {people}; the model was {how} of them ({named(list(why))}){more}")


def labels_alone(name: str) -> str:
    """Return the sentence on a model, by its name, that knows no content of people's data."""
    return _LABELS_ALONE.format(name)


def left_out_table(left_out: Mapping[str, str]) -> ResultTable:
    """Return the table `EXCLUDED` of reasons by label; an empty one has no rows.

    Examples
    --------
    >>> left_out_table({"01": SEEN}).rows
    [{'participant_id': 'sub-01', 'reason': 'the model was trained or tuned on the participant'}]
    """
    rows = [
        {"participant_id": f"sub-{label}", "reason": reason}
        for label, reason in sorted(left_out.items())
    ]
    return ResultTable(_COLUMNS, rows, "Participants who were left out")


def seen_on_page(labels: Sequence[str]) -> str:
    """Return a page's next sentence, on people who were left out; empty where there are none.

    Examples
    --------
    >>> seen_on_page(["01"])
    ' 1 participant of the training or tuning of the model was left out (sub-01).'
    """
    if not labels:
        return ""
    were = "was" if len(labels) == 1 else "were"
    return (
        f" {counted(len(labels), 'participant')} of the training or tuning of the model {were} "
        f"left out ({named([f'sub-{label}' for label in labels])})."
    )
