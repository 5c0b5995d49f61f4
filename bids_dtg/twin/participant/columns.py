"""Columns of an average's tables of behaviour: a row a task and condition, or a row a trial."""

from __future__ import annotations

from bids_dtg.cohort.column import Column
from bids_dtg.twin.participant.behaviour import QUANTILES

# Not "task" and "run": pybids takes keys of that name for entities, and refuses.
_TASK = Column("task_name", "Task, by its name in the model or in the task file")
_OWN = Column(
    "own_sequence",
    "Whether the trials are the participant's own; false: those of the first event file of the "
    "task in the dataset, with its responses ignored",
)
BEHAVIOUR = (
    _TASK,
    Column("condition", "Condition of the trials; effect: the second condition less the first"),
    Column(
        "trials",
        "Number of trials of the figures: the participant's scored trials; all trials where the "
        "sequence is not the participant's own",
    ),
    _OWN,
    Column(
        "predicted_rt_seconds",
        "Mean over trials of the twin's mean response time: an estimate",
        unit="s",
    ),
    Column(
        "group_rt_seconds",
        "Mean over trials of the group network's mean response time, without a connectome",
        unit="s",
    ),
    Column("observed_rt_seconds", "Mean response time of the participant", unit="s"),
    Column("observed_median_rt_seconds", "Median response time of the participant", unit="s"),
    *(
        column.of(outcome)
        for outcome in ("correct", "miss")
        for column in (
            Column(
                "predicted_{}",
                "Mean over trials of the twin's probability of the outcome {}: an estimate",
            ),
            Column("observed_{}", "Share of the participant's trials with the outcome {}"),
        )
    ),
)
TRIALS = (
    _TASK,
    Column("events_file", "Event file of the run"),
    _OWN,
    Column("trial", "Number of the trial in its run, by onset, from 1"),
    Column("onset", "Onset of the trial in its run", unit="s"),
    Column("condition", "Condition of the trial"),
    Column("correct_button", "The correct button"),
    *Column(
        "predicted_rt_q{}_seconds",
        "Time by which the twin gives {} % of its responses to the trial: an estimate",
        unit="s",
    ).each(round(100 * share) for share in QUANTILES),
    Column("predicted_button", "Likeliest button of the twin at the end of the response window"),
    Column("p_correct", "Probability of the correct button, by the twin: an estimate"),
    Column("p_miss", "Probability of no response within the window, by the twin: an estimate"),
    Column("observed_rt_seconds", "Response time of the participant", unit="s"),
    Column("observed_button", "Button that the participant pressed; n/a: none, or not known"),
    Column("observed_correct", "Whether the participant pressed the correct button"),
    Column("scored", "Whether the participant's response counts in figures"),
)
