"""The kinds of model of the slice: their rows, and their lines in `dtg-models info`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bids_dtg.bundles.kinds import Kind
from bids_dtg.notices import counted
from bids_dtg.workflows import constant, later

if TYPE_CHECKING:
    from bids_dtg.twin.bundle.bundle import TwinBundle
    from bids_dtg.twin.tasks import Task


def _facts(bundle: TwinBundle) -> list[tuple[str, str]]:
    part, recipe = bundle.part, bundle.part.recipe
    pairs = f", the pairs of {counted(part.regions, 'region')}" if part.regions else ""
    return [
        ("people", f"{part.people} in the training set, {bundle.how_known}"),
        *(("task", _task_words(task)) for task in part.tasks),
        ("connectome", f"{counted(part.edges, 'edge')}{pairs}: {part.connectome}"),
        ("twin", f"{part.architecture}, {counted(recipe.units, 'unit')}"),
        ("recipe", f"{part.recipe_name}, seed {part.seed}"),
        *_stages(bundle),
    ]


def _task_words(task: Task) -> str:
    return (
        f"{task.name}: {', '.join(task.buttons)} within {task.window_seconds:g} s, "
        f"{' and '.join(task.conditions)} trials of task-{', task-'.join(task.bids_tasks)}"
    )


def _stages(bundle: TwinBundle) -> list[tuple[str, str]]:
    """Describe each stage of the fit, as the card records it."""
    history = (bundle.card.record or {}).get("history")
    stages = history if isinstance(history, Mapping) else {}
    return [
        (str(stage), f"trained for {counted(len(epochs), 'epoch')}")
        for stage, epochs in stages.items()
        if isinstance(epochs, list)  # nobody has checked a record
    ]


DIGITAL_TWIN = Kind(
    name="digital-twin",
    workflow="twin",
    predicts="what people do in tasks",
    part=constant("twin.bundle.part:TwinPart"),
    load=later("twin.bundle.bundle:load_twin_bundle"),
    facts=_facts,
)


KINDS = (DIGITAL_TWIN,)
