"""Tasks as JSON: what comes back is the task, whatever a task file says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from bids_dtg.twin.task_json import task_from_json, task_to_json
from hypothesis import given, settings
from hypothesis import strategies as st
from twin_runs import a_task

from bids_dtg.errors import SettingsError
from bids_dtg.twin.tasks import SHIPPED, Task, find_task, make_task

words = st.text('ab é<"\\', min_size=1, max_size=3).filter(lambda text: text == text.strip())
lists = st.lists(words, min_size=1, max_size=4, unique=True)
seconds = st.floats(1e-3, 60)


@st.composite
def tasks(draw) -> Task:
    """Draw a task of every kind of input, with any of the keys that may be left out."""
    buttons = draw(st.lists(words, min_size=2, max_size=4, unique=True))
    by_button = st.dictionaries(words, st.sampled_from(buttons), min_size=1, max_size=3)
    hot, cued, count = draw(lists), draw(lists), draw(st.integers(1, 3))
    first = len(hot) + len(cued)
    content = {
        "name": draw(words),
        "bids_tasks": draw(lists),
        "buttons": buttons,
        "channels": first + count + draw(st.integers(0, 3)),
        "timing": {
            "window_seconds": draw(seconds),
            "segments_begin": draw(st.sampled_from(["cues", "trials"])),
            "rest_seconds": draw(st.floats(0, 3600)),
            **draw(_some(display_seconds=seconds, run_end=words)),
        },
        "correct": draw(
            st.fixed_dictionaries(
                {"target": words},
            ).flatmap(lambda own: st.just({**own, "probes": {buttons[0]: "a", buttons[1]: "b"}}))
            | _some(buttons=by_button).map(lambda own: {"column": "answer", **own})
        ),
        "response": {
            "rt": draw(words),
            "shortest_rt_seconds": draw(st.floats(0, 10)),
            **draw(st.fixed_dictionaries({"accuracy": words})
                   | st.fixed_dictionaries({"button": words})),
            **draw(_some(
                rt_unit_seconds=st.floats(1e-6, 1), no_response=lists, correct_values=lists,
                buttons=by_button,
            )),
        },
        "images": {
            "numbers": count,
            **draw(_some(
                exact=_named(st.lists(st.floats(-10, 10), min_size=count, max_size=count)),
            )),
        },
        "inputs": [
            {"kind": "one-hot", "column": "a", "values": hot, "channel": 0},
            {"kind": "cue", "start": "s", "end": "e", "column": "c",
             "channels": {name: len(hot) + number for number, name in enumerate(cued)}},
            {"kind": "image", "column": "i", "channel": first},
        ],
        **draw(_some(rows=_named(lists), condition=_conditions())),
    }  # fmt: skip
    return make_task(content, "drawn")


def _some(**values):
    return st.fixed_dictionaries({}, optional=values)


def _named(values):
    return st.dictionaries(words, values, min_size=1, max_size=3)


@st.composite
def _conditions(draw):
    values = draw(st.lists(words, min_size=1, max_size=6, unique=True))
    names = draw(st.lists(words, min_size=1, max_size=len(values), unique=True))
    shared = {name: values[number :: len(names)] for number, name in enumerate(names)}
    return {"column": draw(words), "values": shared}


@pytest.mark.slow
@given(task=tasks())
@settings(max_examples=25, deadline=None)
def test_a_task_is_the_same_after_json(task: Task) -> None:
    text = json.dumps(task_to_json(task), allow_nan=False)
    assert task_from_json(json.loads(text), "again") == task


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_tasks_are_the_same_after_json(name: str) -> None:
    task = find_task(name)
    assert task_from_json(json.loads(json.dumps(task_to_json(task))), "again") == task


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
