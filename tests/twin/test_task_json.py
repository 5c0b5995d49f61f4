"""Tasks as JSON: what comes back is the task, whatever a task file says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from twin_runs import a_task

from bids_dtg.errors import SettingsError
from bids_dtg.twin.task_json import task_from_json, task_to_json
from bids_dtg.twin.tasks import SHIPPED, Task, find_task, make_task


def full() -> Task:
    """Return a task with every kind of input, and all keys that may be left out."""
    buttons = {"1": "a b", "2": 'é"'}
    content = {
        "name": "full",
        "bids_tasks": ["one", "two"],
        "buttons": ["a b", 'é"'],
        "channels": 9,
        "timing": {
            "window_seconds": 1.5,
            "segments_begin": "cues",
            "rest_seconds": 12.0,
            "display_seconds": 0.3,
            "run_end": "end",
        },
        "correct": {"column": "answer", "buttons": buttons},
        "response": {
            "rt": "rt",
            "shortest_rt_seconds": 0.1,
            "button": "key",
            "rt_unit_seconds": 0.001,
            "no_response": ["none"],
            "correct_values": ["yes"],
            "buttons": buttons,
        },
        "images": {"numbers": 2, "exact": {"x.png": [0.25, -3.0]}},
        "inputs": [
            {"kind": "one-hot", "column": "a", "values": ["x", "y"], "channel": 0},
            {"kind": "cue", "start": "s", "end": "e", "column": "c", "channels": {"p": 2, "q": 3}},
            {"kind": "image", "column": "i", "channel": 4},
        ],
        "rows": {"kind": ["trial"]},
        "condition": {"column": "c", "values": {"easy": ["1", "2"], "hard": ["3"]}},
    }
    return make_task(content, "full")


@pytest.mark.parametrize("task", [*map(find_task, SHIPPED), full()], ids=lambda task: task.name)
def test_a_task_is_the_same_after_json(task: Task) -> None:
    text = json.dumps(task_to_json(task), allow_nan=False)
    assert task_from_json(json.loads(text), "again") == task


def test_a_task_that_no_file_describes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"describes the task: stroop: .*"):
        task_to_json(a_task())
    with pytest.raises(ValueError, match="no task file describes the task stroop"):
        task_to_json(replace(find_task("stroop"), conditions=("congruent",)))


@pytest.mark.parametrize(
    ("key", "value"), [("channels", 10**400), ("timing", {"window_seconds": 10**400})]
)
def test_numbers_beyond_any_are_refused(key: str, value: object) -> None:
    content = task_to_json(find_task("stroop")) | {key: value}
    with pytest.raises(SettingsError, match=rf"model\.json: {key}.*Expected: a"):
        task_from_json(content, "model.json")
