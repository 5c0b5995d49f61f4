"""What the columns of a set's tables of behaviour mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bids_dtg.cohort.columns import Meanings, explain

_MEANINGS: Meanings = MappingProxyType(
    {
        # Not "task" and "run": pybids takes keys of that name for entities, and refuses.
        "task_name": "task, by its name in the model or in the task file",
        "condition": "condition of the trials; effect: the second condition less the first",
        "trials": "trials that figures are of: those of the participant that are scored; all where "
        "the sequence is somebody else's",
        "own_sequence": "whether the trials are the participant's own; false: of the first event "
        "file of the task in the dataset, whose responses are ignored",
        "predicted_rt_seconds": "mean over trials of the median response time that the twin gives "
        "each, s: an estimate",
        "group_rt_seconds": "the same of the network of the group, which knows no connectome, s",
        "observed_rt_seconds": "mean response time of the participant, s",
        "observed_median_rt_seconds": "median response time of the participant, s",
        r"predicted_(correct|miss)": "mean over trials of the twin's probability of the "
        "outcome {0}: an estimate",
        r"observed_(correct|miss)": "share of the participant's trials with the outcome {0}",
        "events_file": "event file of the run",
        "trial": "number of the trial in its run, by onset, from 1",
        "onset": "of the trial in its run, s",
        "correct_button": "button that is correct",
        r"predicted_rt_q(\d+)_seconds": "time by which {0} % of the twin's responses to the trial "
        "are given, s: an estimate",
        "predicted_button": "likeliest button of the twin at the end of the response window",
        "p_correct": "probability of the correct button, by the twin: an estimate",
        "p_miss": "probability of no response within the window, by the twin: an estimate",
        "observed_button": "button that the participant pressed; n/a: none, or not known",
        "scored": "whether the participant's response counts in figures",
    }
)
# In the table of trials these are of a single trial.
_OF_TRIALS: Meanings = MappingProxyType(
    {
        "condition": "condition of the trial",
        "observed_rt_seconds": "response time of the participant, s",
        "observed_correct": "whether the participant pressed the correct button",
        **_MEANINGS,
    }
)


def meanings(columns: Iterable[str], *, trials: bool = False) -> Mapping[str, Mapping[str, str]]:
    """Return what columns mean, as a sidecar of BIDS says it.

    Parameters
    ----------
    columns
        Names.
    trials
        Whether a row is a trial; False: a task and condition.

    Raises
    ------
    KeyError
        Nobody has said what a column means.

    Examples
    --------
    >>> meanings(["onset"], trials=True)
    {'onset': {'Description': 'of the trial in its run, s'}}
    """
    return explain(columns, _OF_TRIALS if trials else _MEANINGS)
