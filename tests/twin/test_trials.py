"""Trials of event files: what is read, what is left out, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from twin_runs import a_run

from bids_dtg.errors import RunError
from bids_dtg.twin.tasks import find_task, make_task
from bids_dtg.twin.trials import half_of, read_trials


def stroop_row(onset: float | str = 2.0, **cells: object) -> dict[str, str]:
    """Return a row of a Stroop file: the word green in blue ink, answered correctly at 0.9 s."""
    row = {
        "onset": onset,
        "duration": 2.25,
        "trial_type": "inc6",
        "response_time": 0.9,
        "accuracy_binarized": "1.0",
        "stimulus_text": "green",
        "stimulus_color": "blue",
    }
    return {name: str(cell) for name, cell in (row | cells).items()}


def faces_row(onset: float, **cells: object) -> dict[str, str]:
    """Return a row of a faces file: the right side matches, answered correctly at 0.7 s."""
    row = {
        "onset": onset,
        "duration": 1.9,
        "trial_type": "shape",
        "response_time": 0.7,
        "accuracy_binarized": 1.0,
        "cueStartTime": "n/a",
        "cueEndTime": "n/a",
        "runEndTime": "n/a",
        "stimLeft": "circle.bmp",
        "stimTop": "oval-vertical.bmp",
        "stimRight": "oval-vertical.bmp",
    }
    return {name: str(cell) for name, cell in (row | cells).items()}


def keys(**changes: object):
    """Return a task of two keys, of which the file has the one pressed."""
    content = {
        "name": "keys",
        "bids_tasks": ["keys"],
        "buttons": ["left", "right"],
        "channels": 2,
        "timing": {"window_seconds": 1.5, "display_seconds": 1.0},
        "correct": {"column": "side", "buttons": {"L": "left", "R": "right"}},
        "response": {
            "rt": "rt",
            "rt_unit_seconds": 0.001,
            "button": "key",
            "no_response": ["0"],
        },
        "inputs": [
            {"kind": "one-hot", "column": "side", "values": ["L", "R"], "channel": 0}
        ],
    }
    return make_task(content | changes, "keys.toml")


def keys_row(onset: float, key: str, rt: object, side: str = "L") -> dict[str, str]:
    return {
        "onset": str(onset),
        "duration": "n/a",
        "side": side,
        "key": key,
        "rt": str(rt),
    }


def test_faces_have_cues_images_and_blocks():
    rows = [
        faces_row(11.06, cueStartTime=8.03, cueEndTime=11.01),
        faces_row(14.1, accuracy_binarized=0),
        faces_row(32.0, trial_type="face", cueStartTime=29.0, cueEndTime=31.9, response_time="NaN",
                  accuracy_binarized=0, runEndTime=394.4),
    ]  # fmt: skip
    trials = read_trials(find_task("faces"), rows)
    assert trials.cues.tolist() == [[1, 8.03, 11.01], [0, 29.0, 31.9]]
    assert trials.cut.tolist() == [True, False, True]
    assert trials.begin_seconds.tolist() == [8.03, 14.1, 29.0]
    assert trials.condition.tolist() == [0, 0, 1]
    assert trials.correct_button.tolist() == [1, 1, 1]
    assert trials.button.tolist() == [
        1,
        0,
        -1,
    ]  # an error is the other one of two buttons
    assert trials.correct.tolist() == [True, False, False]
    assert trials.stimulus[0].tolist() == [0, 0, 1, 0, 1, 1, 1, 0]
    assert trials.run_seconds == 394.4
    assert trials.notes == ()
    assert trials.scored.all()


def test_pressed_keys_and_milliseconds():
    rows = [keys_row(1, "left", 500), keys_row(4, "right", 600), keys_row(7, "n/a", 0)]
    trials = read_trials(keys(), rows)
    assert trials.button.tolist() == [0, 1, -1]
    assert trials.correct.tolist() == [True, False, False]
    np.testing.assert_allclose(trials.rt_seconds, [0.5, 0.6, math.nan])
    assert trials.condition.tolist() == [0, 0, 0]
    assert trials.scored.all()


def test_times_in_milliseconds_of_a_task_in_seconds_are_refused():
    rows = [stroop_row(4.0 * n, response_time=900 + n) for n in range(6)]
    with pytest.raises(
        RunError, match="6 of 6 responses of the column response_time come later"
    ):
        read_trials(find_task("stroop"), rows, "a.tsv")
    seconds = [stroop_row(4.0 * n, response_time=0.9) for n in range(6)]
    trials = read_trials(
        find_task("stroop"), [*seconds, stroop_row(30.0, response_time=2.3)]
    )
    assert (trials.rt_seconds[-1], bool(trials.scored.all())) == (2.3, True)
    task = find_task("stroop")
    task = replace(task, response=replace(task.response, rt_unit_seconds=0.001))
    assert read_trials(task, rows).rt_seconds[0] == pytest.approx(0.9)


@pytest.mark.parametrize("cell", ["0.5", "2", "100", "yes", "-1", "Hit", "2.0"])
def test_accuracies_that_are_neither_right_nor_wrong_are_refused(cell):
    rows = [stroop_row(2.0), stroop_row(6.0, accuracy_binarized=cell)]
    fact = f"has '{cell}' under accuracy_binarized in line 3"
    with pytest.raises(RunError, match=fact) as caught:
        read_trials(find_task("stroop"), rows, "a.tsv")
    assert "one of 1, true, correct, 0, false, incorrect, wrong, error" in str(
        caught.value
    )
    task = find_task("stroop")
    with_cell = replace(task, response=replace(task.response, correct_values=(cell,)))
    assert read_trials(with_cell, rows).correct.tolist() == [False, True]


@pytest.mark.parametrize("rt", [-0.1, 0.0, 0.149])
def test_implausible_responses_are_counted_and_not_scored(rt):
    rows = [stroop_row(2.0, response_time=rt), stroop_row(4.25)]
    trials = read_trials(find_task("stroop"), rows)
    assert trials.scored.tolist() == [False, True]
    assert (trials.button[0], trials.correct[0]) == (-1, False)
    assert trials.notes == ("not scored: 1 response faster than 0.15 s",)
    limit = replace(find_task("stroop").response, shortest_rt_seconds=-math.inf)
    limited = read_trials(replace(find_task("stroop"), response=limit), rows)
    assert limited.rt_seconds[0] == rt
    assert limited.notes == ()


@pytest.mark.parametrize(
    ("onsets", "onsets_kept", "note"),
    [
        (("n/a", 4.25), [4.25], "1 row without an onset left out"),
        ((" NaN ", 4.25), [4.25], "1 row without an onset left out"),
        (("n/a", "n/a", 4.25), [4.25], "2 rows without an onset left out"),
        ((2, 5, 2), [2, 5], "1 repeated row left out"),
    ],
)
def test_rows_that_are_no_trial_are_left_out_and_counted(onsets, onsets_kept, note):
    trials = read_trials(find_task("stroop"), [stroop_row(onset) for onset in onsets])
    assert trials.onset_seconds.tolist() == onsets_kept
    assert trials.notes == (note,)


@pytest.mark.parametrize("column", ["onset", "duration", "cueStartTime", "runEndTime"])
def test_times_of_stimuli_in_milliseconds_are_refused(column):
    """Response times are in seconds."""
    rows = [
        faces_row(
            4.0 * n, cueStartTime=4.0 * n - 3, cueEndTime=4.0 * n - 1, runEndTime=30
        )
        for n in range(1, 7)
    ]
    read_trials(find_task("faces"), rows)
    for row in rows:
        row[column] = str(1000 * float(row[column]))
    if column == "cueStartTime":
        rows = [
            {**row, "cueEndTime": str(1000 * float(row["cueEndTime"]))} for row in rows
        ]
    with pytest.raises(
        RunError, match=f"a.tsv: the column {column} gives .* divide milliseconds"
    ):
        read_trials(find_task("faces"), rows, "a.tsv")


def test_of_two_trials_at_once_the_first_is_not_seen_and_not_scored():
    rows = [stroop_row(2), stroop_row(2, stimulus_text="red"), stroop_row(5)]
    trials = read_trials(find_task("stroop"), rows)
    assert trials.display_seconds.tolist() == [0, 2, 2]
    assert trials.unscored == (0,)
    assert trials.notes == ("not scored: 1 trial at the onset of the next",)


def test_values_that_stand_for_no_condition_are_listed_with_counts():
    values = ["con1", "CON1", "neutral7", "CON1", "n/a"]
    rows = [
        stroop_row(onset=str(3 * n), trial_type=value) for n, value in enumerate(values)
    ]
    trials = read_trials(find_task("stroop"), rows)
    assert trials.condition.tolist() == [0, -1, -1, -1, -1]
    assert trials.notes == (
        "4 trials in no condition, as the task file does not list 'CON1' (2), 'neutral7' (1), "
        "'n/a' (1)",
    )


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"onset": "soon"}, r"'soon' under onset in line 2\. Expected: a number"),
        ({"onset": "1e999"}, r"'1e999' under onset in line 2"),
        (
            {"onset": "1200000"},
            r"'1200000' under onset in line 2\. Expected: a number up to 86400",
        ),
        (
            {"stimulus_text": "purple"},
            r"'purple' under stimulus_text .* one of red, green, blue",
        ),
        (
            {"stimulus_color": "n/a"},
            r"'n/a' under stimulus_color .*the correct button; .*no-go",
        ),
        ({"stimulus_color": "x" * 999}, r"'x{59}…' under stimulus_color"),
        ({"response_time": "fast"}, r"'fast' under response_time"),
        ({"onset": "n/a"}, r"no trial of the task stroop"),
    ],
)
def test_wrong_cells_are_refused(changes, fact):
    with pytest.raises(RunError, match=f"sub-01_events.tsv has {fact}"):
        read_trials(find_task("stroop"), [stroop_row(**changes)], "sub-01_events.tsv")


def test_times_that_no_trial_can_have_are_refused():
    task = keys(timing={"window_seconds": 1.5})
    with pytest.raises(
        RunError, match=r"'n/a' under duration in line 2\. Expected: above 0, or "
    ):
        read_trials(task, [keys_row(1, "left", 500)])
    with pytest.raises(
        RunError, match=r"'2' under cueEndTime .* later than cueStartTime"
    ):
        read_trials(find_task("faces"), [faces_row(5.0, cueStartTime=3, cueEndTime=2)])


def test_halves_of_a_run_have_its_trials_once():
    onset = np.arange(2.0, 40.0, 3.0)
    cues = [[0, begin - 2.5, begin - 1.5] for begin in onset[[0, 3, 7, 10]]]
    run = replace(a_run(onset, run_seconds=42.0, cues=cues), unscored=(1, 5, 9))
    first, second = (half_of(run, number) for number in (0, 1))
    joined = np.concatenate([first.onset_seconds, second.onset_seconds])
    np.testing.assert_array_equal(joined, run.onset_seconds)
    assert first.onset_seconds.max() < 21 <= second.onset_seconds.min()
    np.testing.assert_array_equal(np.append(first.scored, second.scored), run.scored)
    np.testing.assert_array_equal(
        second.rt_seconds, run.rt_seconds[len(first.rt_seconds) :]
    )
    begins = np.append(first.begin_seconds, second.begin_seconds)
    np.testing.assert_array_equal(begins, run.begin_seconds)
