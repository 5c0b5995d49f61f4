"""Tasks: those that come with the program, that of the documentation, and invalid files."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.twin import Task, find_task, read_trials
from bids_dtg.twin.tasks import SHIPPED, make_task

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "twin.md"
OWN = {
    "name": "own",
    "bids_tasks": ["own"],
    "buttons": ["left", "right"],
    "channels": 4,
    "timing": {"window_seconds": 1.5},
    "condition": {"column": "kind", "values": {"easy": ["a"], "hard": ["b", "c"]}},
    "correct": {"column": "side"},
    "response": {"rt": "rt", "button": "key"},
    "inputs": [
        {"kind": "one-hot", "column": "side", "values": ["left", "right"], "channel": 0}
    ],
}
IMAGE = {"kind": "image", "column": "picture", "channel": 2}


def changed(path: str, value: object) -> dict[str, object]:
    """Return the file with another value at a dotted path; None takes the key away."""
    content = copy.deepcopy(OWN)
    *tables, key = path.split(".")
    table: dict[str, object] = content
    for name in tables:
        table = table.setdefault(name, {})
    if value is None:
        del table[key]
    else:
        table[key] = value
    return content


def test_shipped_tasks_are_the_published_ones():
    faces, stroop = map(find_task, SHIPPED)
    assert isinstance(faces, Task)
    assert (faces.channels, stroop.channels) == (8, 8)
    assert faces.conditions == ("shape", "face")
    assert stroop.conditions == ("congruent", "incongruent")
    assert (faces.cut_at_cues, stroop.cut_at_cues) == (True, False)
    assert (faces.window_seconds, stroop.window_seconds) == (2.0, 2.0)
    assert hash(faces) != hash(stroop)


def test_the_task_of_the_documentation_is_read():
    text = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[
        1
    ]
    task = make_task(tomllib.loads(text), "docs")
    cells = {
        "event": "trial",
        "direction": ">",
        "flankers": "other",
        "key": "j",
        "rt": "512",
    }
    rows = [
        cells | {"onset": "3"},
        cells | {"onset": "5", "key": "f"},
        {**cells, "event": "rest"},
    ]
    trials = read_trials(task, rows)
    assert trials.stimulus.tolist() == [[0, 1, 0, 1]] * 2
    assert trials.condition.tolist() == [1, 1]
    assert trials.correct.tolist() == [True, False]
    np.testing.assert_allclose(trials.rt_seconds, 0.512)


def test_a_file_of_ones_own_is_found_by_its_path(tmp_path):
    path = tmp_path / "own.toml"
    text = PAGE.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    path.write_text(text, encoding="utf-8")
    assert find_task(path).name == find_task(str(path)).name == "flanker"


@pytest.mark.parametrize(
    ("path", "value", "fact"),
    [
        ("name", None, r"name is missing. Expected: a text"),
        ("colour", "red", r"colour is not known. Expected: one of "),
        (
            "timing.window_seconds",
            "two",
            r"timing.window_seconds is 'two'. Expected: a number",
        ),
        (
            "timing.display_seconds",
            0,
            r"timing.display_seconds is 0. Expected: a number above 0",
        ),
        (
            "timing.segments_begin",
            "cues",
            r"is 'cues'. Expected: an input of the kind cue",
        ),
        ("buttons", ["left"], r"buttons has 1. Expected: 2 to 100"),
        (
            "buttons",
            ["left", "left"],
            r"buttons is \['left', 'left'\]. Expected: .*differ",
        ),
        ("channels", 1, r"inputs\[1\].channel needs channel 1. Expected: below 1"),
        (
            "condition.values",
            {"easy": ["a"], "hard": "a"},
            r"a value to two conditions",
        ),
        ("correct", None, r"correct is missing. .*without a correct answer .gambling"),
        (
            "correct.buttons",
            {"L": "up"},
            r"correct.buttons names the button 'up'. .*left, right",
        ),
        (
            "response.accuracy",
            "hit",
            r"response.accuracy and button are given. .*one of them",
        ),
        ("inputs", [], r"inputs is \[\]. Expected: a list of tables"),
        (
            "inputs",
            [{"kind": "sound"}],
            r"inputs\[1\].kind is 'sound'. .*one-hot, image, cue",
        ),
        (
            "inputs",
            [IMAGE, IMAGE],
            r"inputs\[2\].channel needs channel 2. .*inputs\[1\]",
        ),
        (
            "images.exact",
            {"a.bmp": [1]},
            r"images.exact is {'a.bmp': \[1\]}. .*2 numbers",
        ),
        (
            "images.exact",
            {"a": [1, 99]},
            r"is {'a': \[1, 99\]}. .*2 numbers from -10 to 10",
        ),
        (
            "images",
            {k: {"a": [1, 0]} for k in ("exact", "near")},
            r"near has 'a', as images.exac",
        ),
        ("name", " ", r"name is ' '. Expected: a text"),
        ("channels", 0, r"channels is 0. Expected: a whole number from 1"),
        ("inputs", ["side"], r"inputs is \['side'\]. Expected: a list of tables"),
        (
            "condition.values",
            {f"c{n}": f"{n}" for n in range(101)},
            r"has 101 conditions. .*100",
        ),
    ],
)
def test_wrong_files_are_refused_by_one_line(path, value, fact):
    with pytest.raises(SettingsError, match=rf"^own\.toml: .*{fact}") as caught:
        make_task(changed(path, value), "own.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_task_keeps_its_content_which_makes_it_again(name):
    task = find_task(name)
    again = make_task(
        json.loads(json.dumps(task.content, allow_nan=False)), "model.json"
    )
    assert again == task
    assert again.content == task.content
