"""Participants of a model's training: left out where it is judged, and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bids_dtg.cohort.result_table import Column, ResultTable
from bids_dtg.notices import counted, named, say

TRAINED, TUNED, RELATED = "trained", "tuned", "related"
SEEN = "the model was trained or tuned on the participant"
RELATIVE = "the model was trained or tuned on a relative of the participant"
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
        What the model was, by the label of the person: `TRAINED`, `TUNED` or `RELATED`.
    more
        What ends the line on those who are no relatives.
    """
    counts = Counter(why.values())
    how = " and ".join(f"{words} on {counts[words]}" for words in (TRAINED, TUNED) if counts[words])
    own = [label for label, words in why.items() if words != RELATED]
    related = [label for label, words in why.items() if words == RELATED]
    if own:
        people = counted(len(own), "participant")
        say(f"left out: {people}; the model was {how} of them ({named(own)}){more}")
    if related:
        say(
            f"left out: {counted(len(related), 'participant')}; the model was trained or tuned on "
            f"relatives of them ({named(related)})"
        )


def reasons(why: Mapping[str, str]) -> dict[str, str]:
    """Return the reasons for the table of people who are left out, by what `say_left_out` takes."""
    return {label: RELATIVE if words == RELATED else SEEN for label, words in why.items()}


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


def seen_on_page(left_out: Mapping[str, str]) -> str:
    """Return a page's next sentences, on people who were left out; empty where there are none.

    Parameters
    ----------
    left_out
        Reasons by label; the sentences are on `SEEN` and `RELATIVE` alone.

    Examples
    --------
    >>> seen_on_page({"01": SEEN})
    ' 1 participant of the training or tuning of the model was left out (sub-01).'
    >>> seen_on_page({"02": RELATIVE})
    ' 1 relative of training or tuning participants was left out (sub-02).'
    """
    sentences = ""
    for reason, noun, of in (
        (SEEN, "participant", "of the training or tuning of the model"),
        (RELATIVE, "relative", "of training or tuning participants"),
    ):
        labels = [label for label, own in left_out.items() if own == reason]
        if labels:
            were = "was" if len(labels) == 1 else "were"
            sentences += (
                f" {counted(len(labels), noun)} {of} {were} left out "
                f"({named([f'sub-{label}' for label in labels])})."
            )
    return sentences
