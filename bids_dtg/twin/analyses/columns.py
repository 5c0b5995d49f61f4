"""What the columns of the tables mean: written beside each table, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bids_dtg.cohort.columns import Meanings, explain
from bids_dtg.stats.verdict import RULE

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
        "figure": "of moves: a figure of a task; of evaluations rt, effect: r over people; "
        "choice: share of trials with the person's button; "
        "crps: of response times, s; brier: of correct, wrong and miss; loss: cross-entropy",
        "task": "of the figure",
        "condition": "of the figure",
        "model": "twin, or what stands beside it",
        "memory": "whether the prediction knows the person's own behaviour",
        "value": "of the figure: r, or a mean over people",
        "error": "mean absolute error over people, s",
        "advantage": "of the twin over this prediction; above 0 the twin is better",
        "advantage_(low|high)|below_(?:group|others)_(low|high)": "end ({0}) of the 95 % interval: "
        "Student's t; of r over people, by drawing people again (BCa)",
        "advantage_p|below_(?:group|others)_p": "two-sided p by sign flips over people; of r over "
        "people, of their shares in it (jackknife)",
        r"(.+)_(low|high)": "end ({1}) of the 95 % interval of {0}, by drawing people again; of "
        "shares of people by Wilson",
        "people": "how many",
        "verdict": f"on the twin against this prediction: {RULE}",
        "direction": "along which connectomes are moved: which figure it is meant to change",
        "dose": "of the move: how often people differ in the figure by one standard deviation, as "
        "twins have it, or of random directions in connectomes",
        "intended": "whether the direction is meant to change this figure",
        "unit": "of the figure: s, or share of trials",
        "before": "mean over people, before the move",
        "after": "the same after it",
        "change": "mean over people of the figure after the move less before",
        "calibrated_change": "the change times the slope of people's observed on their twins' "
        "figures, over people whom the model was not fitted to; n/a with fewer than 10 of them",
        "move_rms": "size of the move: rms over edges, Fisher z",
        "between_people_rms": "difference of two people's connectomes, rms over edges and pairs",
        "controls_as_large": "random directions that change the figure as much, either way; n/a at "
        "doses that they are not moved by",
        "controls": "random directions: mixtures of people's deviations from their mean",
        "control": "number of the random direction",
        "target": "the figure that is attributed: mean response time (rt), or that in the second "
        "condition less the first (effect)",
        "rank": "by size, 1 the largest",
        "edge": "number of the edge: pairs of regions row by row, from 1",
        "region_[12]": "of the edge",
        "region": "name",
        "seconds_per_z": "by how much the figure changes with a unit of Fisher z, s: of the edge, "
        "or the mean over the region's edges; over people and noisy copies (SmoothGrad)",
        "p_fwe": "the same of the largest of all values (family-wise)",
        "length": "of the whole attribution, the root of its sum of squares, s a unit of Fisher z",
        "tested_length": "of the attribution that is compared with the null: codes found again, "
        "some people, no noise",
        "tested_r": "r over edges of that attribution and the twin's own",
        "null_length": "mean length under the null",
        "null_length_95": "95th percentile of lengths under the null",
        "null_(lowest|highest)": "{0} mean change along directions of weights that go with the "
        "figure given to other people; n/a for figures that are not meant",
        "p_change": "of a change as large along such directions",
        "r_in_sample": "of people's scores on the direction with their own figure, who made it",
        "r_left_out": "the same of people left out of making it; the model may know them",
        "p_(in_sample|left_out)": "of an r as negative where figures are given to other people",
        "p_length": "of a length as large where people's behaviour is permuted",
        "spread": "SD over people whose twins perform of the figure along the attribution, s: by "
        "how much it differs between them if it depends on edges so",
        "null_spread": "mean spread under the null",
        "null_spread_95": "95th percentile of spreads under the null",
        "p_spread": "of a spread as large where people's behaviour is permuted",
        "permutations": "of behaviour over people",
        "comparison": "what differs between the attributions that are compared",
        "comparisons": "how many",
        "r_(mean|lowest|highest)": "{0} r over edges of the two attributions",
        "probability": "of the quantile",
        "observed_seconds": "quantile of people's response times",
        "predicted_seconds": "the same of the twins",
        "curve_of": "people: what they did; twin, group_network: what the networks say",
        "seconds_from_onset": "of a trial",
        "share_answered": "share of scored trials that are answered by then, mean over people",
        "share_answered_correctly": "the same with the correct button; n/a where none is correct",
        "matched": "mean loss of people's own twins",
        "mismatched": "mean loss of other people's twins",
        "p": "of twins over people: of a mean loss as low by 2,000 random assignments; of "
        "attributions: of a value as large where people's behaviour is permuted",
        r"(.+)_verdict": f"on own twins, by {{0}}: {RULE}",
        "better_than_average": "share of people whose own twin is better than the mean of others",
        "identified": "share of people whose own twin is the best of all",
        "mean_rank": "of people's own twin among all, 1 the best",
        "below_others": "mean loss of other people's twins on a person less that of the own, mean "
        "over people",
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
