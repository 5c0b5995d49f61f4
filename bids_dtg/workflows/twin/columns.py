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
        r"observed_(.+)_(rt|effect)": "of the person in the task {0}, s: mean response time (rt), "
        "or that in the second condition less the first (effect)",
        r"(.+)_(rt|effect)": "the same as predicted, s: {0} ({1}); the model comes before the task",
        r"choice_(.+)": "share of trials of the task {0} with the person's button",
        "own_loss": "cross-entropy of the own twin's button traces",
        "group_loss": "the same of the network of the group",
        "figure": "rt, effect: r over people; choice: share of trials with the person's button; "
        "crps: of response times, s; brier: of correct, wrong and miss; loss: cross-entropy",
        "task": "of the figure",
        "condition": "of the figure",
        "model": "twin, or what stands beside it",
        "memory": "whether the prediction knows the person's own behaviour",
        "value": "of the figure: r, or a mean over people",
        "error": "mean absolute error over people, s",
        "advantage": "of the twin over this prediction; above 0 the twin is better",
        r"(.+)_(low|high)": "end ({1}) of the 95 % interval of {0}, by drawing people again; of "
        "shares of people by Wilson",
        "people": "how many",
        "verdict": "of the twin against this prediction, by the interval of its advantage",
        "probability": "of the quantile",
        "observed_seconds": "quantile of people's response times",
        "predicted_seconds": "the same of the twins",
        "matched": "mean loss of people's own twins",
        "mismatched": "mean loss of other people's twins",
        "p": "of a mean loss as low by a random assignment of twins to people, 2,000 permutations",
        r"(.+)_verdict": "verdict on {0}",
        "better_than_average": "share of people whose own twin is better than the mean of others",
        "identified": "share of people whose own twin is the best of all",
        "mean_rank": "of people's own twin among all, 1 the best",
        "below_group": "loss of the network of the group less that of own twins",
        "group_r": "r over regions and tasks of t values of BOLD over people",
        "points": "regions and tasks of that r",
        "person_r": "r over people of contrasts of BOLD, mean over regions and tasks",
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
