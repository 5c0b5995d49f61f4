"""What the columns of the tables mean: written beside each table, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bids_dtg.workflows.columns import Meanings, explain

# Patterns of names, and what they mean; {0} is what the pattern's group matched.
_MEANINGS: Meanings = MappingProxyType(
    {
        "participant_id": "the person",
        "used": "whether the model was fitted to the person",
        "set": "of --split-file: training, validation, calibration or test; all train without it",
        "reason": "why the person was not used",
        r"trials_(.+)": "scored trials of the task {0}, in all runs",
        r"unscored_(.+)": "trials of the task {0} that are not scored: answers that are "
        "implausibly fast, or have a time or a button alone, and trials never seen",
        r"share_correct_(.+)": "share of scored trials of the task {0}; misses count as errors",
        r"below_chance_(.+)": "whether that share is below one over the number of buttons",
        "unreadable_runs": "event files that could not be read",
        "stage": "of the training: group (the network that all share), or people (all networks)",
        "epoch": "number, from 1",
        "loss": "what training lowers: cross-entropy of buttons, and squared error of BOLD if any",
        "validation_loss": "the same of the people that the best epoch is chosen by",
        "skipped": "updates left out because their gradient was not finite",
        "seconds": "of the epoch",
        "code": "number of the code, in the order of how much responses say of it",
        "explained": "share of the code's variance over people that connectomes explain, each "
        "person predicted by a map fitted to the others",
        "sd": "standard deviation of the code over people",
    }
)


def meanings(columns: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
    """Return what columns mean, as a sidecar of BIDS says it.

    Raises
    ------
    KeyError
        Nobody has said what a column means.

    Examples
    --------
    >>> meanings(["trials_faces"])
    {'trials_faces': {'Description': 'scored trials of the task faces, in all runs'}}
    """
    return explain(columns, _MEANINGS)
