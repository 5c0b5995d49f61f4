"""Tasks as JSON with the keys of a task file, so that a model carries its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bids_dtg.errors import SettingsError
from bids_dtg.twin.tasks import (
    CorrectRule,
    Cue,
    ImageCode,
    Images,
    OneHot,
    ResponseRule,
    Task,
    make_task,
)


def task_to_json(task: Task) -> dict[str, Any]:
    """Return a task with the keys of a task file, from which `task_from_json` makes it again.

    Raises
    ------
    ValueError
        No task file describes such a task, for example because it was made without rules.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> task_to_json(find_task("stroop"))["buttons"]
    ['red', 'green', 'blue']
    """
    content = {
        "name": task.name,
        "bids_tasks": list(task.bids_tasks),
        "buttons": list(task.buttons),
        "channels": task.channels,
        "rows": _lists(task.rows),
        "timing": _timing(task),
        "condition": _condition(task),
        "correct": _correct(task.correct),
        "response": _response(task.response),
        "images": _images(task.images),
        "inputs": [_input(part) for part in task.inputs],
    }
    content = _given(content)
    try:
        same = make_task(content, task.name) == task
    except SettingsError as err:
        raise ValueError(f"no task file describes the task: {err}") from err
    if not same:
        raise ValueError(f"no task file describes the task {task.name}")
    return content


def task_from_json(content: Mapping[str, Any], source: str) -> Task:
    """Return the task that `task_to_json` described; messages name `source`.

    Raises
    ------
    SettingsError
        A key is absent, unknown, or has a wrong value.

    Examples
    --------
    >>> from bids_dtg.twin.tasks import find_task
    >>> task_from_json(task_to_json(find_task("faces")), "model.json") == find_task("faces")
    True
    """
    return make_task(content, source)


def _timing(task: Task) -> dict[str, Any]:
    return _given(
        {
            "window_seconds": task.window_seconds,
            "display_seconds": task.display_seconds,
            "segments_begin": "cues" if task.cut_at_cues else "trials",
            "run_end": task.run_end,
            "rest_seconds": task.rest_seconds,
        }
    )


def _condition(task: Task) -> dict[str, Any] | None:
    if task.condition_column is None:
        return None
    values = {
        name: [value for value, condition in task.condition_values if condition == name]
        for name in task.conditions
    }
    return {"column": task.condition_column, "values": values}


def _correct(rule: CorrectRule) -> dict[str, Any]:
    if rule.probes:
        return {"target": rule.column, "probes": dict(rule.probes)}
    return _given({"column": rule.column, "buttons": dict(rule.buttons)})


def _response(rule: ResponseRule) -> dict[str, Any]:
    lists = {"no_response": list(rule.no_response), "correct_values": list(rule.correct_values)}
    return _given({**vars(rule), **lists, "buttons": dict(rule.buttons)})


def _images(images: Images) -> dict[str, Any]:
    return _given(
        {"numbers": images.numbers, "exact": _lists(images.exact), "near": _lists(images.near)}
    )


def _input(part: OneHot | ImageCode | Cue) -> dict[str, Any]:
    match part:
        case OneHot():
            return {"kind": "one-hot", **vars(part), "values": list(part.values)}
        case ImageCode():
            return {"kind": "image", **vars(part)}
        case Cue():
            return {"kind": "cue", **vars(part), "channels": dict(part.channels)}


def _lists(pairs: Sequence[tuple[str, Sequence[Any]]]) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in pairs}


def _given(content: Mapping[str, Any]) -> dict[str, Any]:
    """Drop None and empty values: a task file has no such key."""
    return {key: value for key, value in content.items() if value not in (None, {}, [])}
