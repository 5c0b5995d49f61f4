"""The part of the card that digital twins have: to JSON and back, and wrong fields refused."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict

import pytest
from tiny_twin import tiny_fitted_twin

from bids_dtg.bundles.card import WEIGHTS_FILE, ModelCard, TrainingData
from bids_dtg.bundles.fitted import FITTED_FILE
from bids_dtg.errors import BundleError
from bids_dtg.twin.bundle.part import TwinPart
from bids_dtg.twin.recipe import Recipe
from bids_dtg.twin.tasks import find_task

PART = TwinPart(
    "lowrank",
    Recipe(),
    (find_task("faces"), find_task("stroop")),
    4950,
    people=200,
    regions=100,
)


def card(part: TwinPart = PART) -> ModelCard[TwinPart]:
    return ModelCard(
        "twin",
        "1",
        "digital-twin",
        part,
        training=TrainingData(participants=part.people),
        files=dict.fromkeys((WEIGHTS_FILE, FITTED_FILE), "0" * 64),
    )


def edited(path: str, value: object) -> str:
    """Return a card's text with the field at a dotted path changed (deleted where it is ...)."""
    content = json.loads(card().to_json())
    *parents, key = [int(name) if name.isdigit() else name for name in path.split(".")]
    target = content
    for parent in parents:
        target = target[parent]
    if value is ...:
        del target[key]
    else:
        target[key] = value
    return json.dumps(content)


ODD = dataclasses.replace(
    PART,
    architecture="hypernetwork",
    recipe=Recipe(units=3, rank=8, hyper_units=2, dropout=0.5, scale_edges=False),
    tasks=(find_task("stroop"),),
    edges=5,
    regions=0,
    people=1,
    connectome='é "z" \u2028',
    seed=2**63,
)


@pytest.mark.parametrize("part", [PART, ODD])
def test_to_json_and_back(part: TwinPart) -> None:
    back = ModelCard.from_json(card(part).to_json())
    assert back.part == part
    assert back.to_json() == card(part).to_json()


@pytest.mark.parametrize("part", [PART, ODD, dataclasses.replace(ODD, architecture="lowrank")])
def test_shapes_are_those_of_the_twin(part: TwinPart) -> None:
    names = tuple(task.name for task in part.tasks)
    fitted = tiny_fitted_twin(part.architecture, part.recipe, edges=part.edges, tasks=names)
    state = fitted.twin.state_dict()
    assert dict(part.shapes) == {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_every_field_of_the_recipe_and_the_tasks_is_in_the_card() -> None:
    content = json.loads(card().to_json())
    assert content["format_version"] == 1
    assert content["recipe"] == asdict(Recipe())
    assert [task["name"] for task in content["tasks"]] == ["faces", "stroop"]
    assert content["tasks"][1]["timing"]["window_seconds"] == 2.0
    assert not {"grid", "places", "contrasts"} & content.keys()
    assert PART.outputs == "2 tasks"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Recipe)])
def test_each_field_of_a_recipe_must_be_there_and_of_its_type(field: str) -> None:
    with pytest.raises(BundleError, match=rf"no field recipe\.{field}"):
        ModelCard.from_json(edited(f"recipe.{field}", ...))
    with pytest.raises(BundleError, match=rf"recipe\.{field} is \[\]\. Expected: "):
        ModelCard.from_json(edited(f"recipe.{field}", []))


@pytest.mark.parametrize(
    ("path", "value", "fact"),
    [
        ("format_version", 9, "has format version 9. Expected: 1. .*make the bundle again"),
        ("architecture", "high", 'is "high". Expected: one of lowrank, hypernetwork'),
        ("recipe.units", 0, "recipe.units is 0. Expected: a whole number of 1 or more"),
        ("recipe.units", 1 << 40, "Expected: at most 1048576"),
        ("recipe.rank", -1, "recipe.rank is -1. Expected: a whole number of 0 or more"),
        ("recipe.validation", 1, "recipe.validation is 1.0. Expected: a number from 0 to below 1"),
        ("recipe.times_rate", float("nan"), "times_rate is NaN. Expected: a finite number"),
        ("recipe.scale_edges", 1, "recipe.scale_edges is 1. Expected: true or false"),
        ("recipe.layers", 2, "unknown field recipe.layers"),
        ("recipe", 3, "recipe is 3. Expected: an object"),
        ("layers", 2, "unknown field layers"),
        ("edges", 4951, "edges is 4951. Expected: 4950, the pairs of 100 regions"),
        ("edges", 0, "edges is 0"),
        ("regions", True, "regions is true"),
        ("bold", 0, "unknown field bold"),
        ("seed", 0.5, "seed is 0.5"),
        ("people", 41, "training.participants is 200. Expected: 41"),
        ("tasks", [], "Expected: 1 to 100 tasks of different names"),
        ("tasks", {}, "tasks is {}. Expected: a list"),
        ("tasks.1.name", "faces", 'is ."faces", "faces".. Expected: 1 to 100 tasks of different'),
        ("tasks.0.name", ..., r"no field tasks\[0\]\.name"),
        ("tasks.0.name", 3, r"tasks\[0\]: name is 3\. Expected: a text"),
        ("tasks.1.channels", 0, r"tasks\[1\]: channels is 0\. Expected: a whole number from 1"),
        ("tasks.1.timing", ..., r"tasks\[1\]: timing is missing"),
        ("tasks.1.timing.window_seconds", None, r"tasks\[1\]: timing.window_seconds is None"),
        ("tasks.1.timing.pause", 3, r"tasks\[1\]: timing.pause has no meaning"),
        ("tasks.1.inputs.0.channel", 7, r"tasks\[1\]: inputs\[1\].channel needs channel 8"),
        ("tasks.1.correct.buttons", {"1": "blu"}, "names the button 'blu'"),
        ("grid", None, "unknown field grid"),
        ("files", {WEIGHTS_FILE: "0" * 64}, "lists no fitted.safetensors"),
        ("files", {FITTED_FILE: "0" * 64}, "lists no weights.safetensors"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named(path: str, value: object, fact: str) -> None:
    with pytest.raises(BundleError, match=fact):
        ModelCard.from_json(edited(path, value))
