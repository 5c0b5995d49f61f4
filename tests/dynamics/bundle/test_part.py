"""The part of the card that network models have: to JSON and back, and wrong fields refused."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.bundles.card import WEIGHTS_FILE, ModelCard, TrainingData
from bids_dtg.bundles.fitted import FITTED_FILE
from bids_dtg.dynamics.bundle.network import NetworkPart
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.recipe import RECIPES, Recipe
from bids_dtg.errors import BundleError

PART = NetworkPart(Recipe(), regions=68, people=40, frames=1200, tr_seconds=0.72, session="REST1")


def card(part: NetworkPart = PART) -> ModelCard[NetworkPart]:
    return ModelCard(
        "net",
        "1",
        "network-model",
        part,
        training=TrainingData(repetition_time_s=part.tr_seconds, participants=part.people),
        files=dict.fromkeys((WEIGHTS_FILE, FITTED_FILE), "0" * 64),
    )


def edited(path: str, value: object) -> str:
    """Return a card's text with the field at a dotted path changed (deleted where it is ...)."""
    content = json.loads(card().to_json())
    *parents, key = path.split(".")
    target = content
    for parent in parents:
        target = target[parent]
    if value is ...:
        del target[key]
    else:
        target[key] = value
    return json.dumps(content)


small, positive = st.integers(1, 6), st.floats(1e-6, 1e6)
not_negative = st.floats(0, 1e6)


recipes = st.builds(
    Recipe,
    states=small,
    region_parameters=small,
    person_parameters=st.integers(0, 3),
    external_inputs=st.integers(0, 1),
    hidden=small,
    encoder_units=small,
    first_state_log_variance=st.floats(-5, 5),
    ramp_states=st.booleans(),
    person_penalty=not_negative,
    closed_form=st.booleans(),
    samples=small,
    epochs=small,
    ramp_epochs=st.none() | st.integers(0, 9),
    batch_size=small,
    learning_rate=positive,
    late_learning_rate=st.none() | positive,
    ramp_share=not_negative,
    held_out=st.floats(0, 0.99),
    state_penalty=not_negative,
    transition_penalty=not_negative,
    gradient_limit=positive,
    restarts=small,
)


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=9)
parts = st.builds(
    NetworkPart,
    recipe=recipes,
    regions=small,
    people=small,
    frames=small,
    tr_seconds=positive,
    recipe_name=texts,
    data_set=texts,
    session=texts,
    atlas=texts,
    atlas_digest=texts,
)


@given(part=parts)
@settings(max_examples=25, deadline=None)
def test_to_json_and_back(part: NetworkPart) -> None:
    back = ModelCard.from_json(card(part).to_json())
    assert back.part == part
    assert back.to_json() == card(part).to_json()


@given(part=parts)
@settings(max_examples=10, deadline=None)
def test_shapes_are_those_of_the_model(part: NetworkPart) -> None:
    state = NetworkModel(part.recipe, part.people, part.regions, part.frames).state_dict()
    assert dict(part.shapes) == {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_every_field_of_every_recipe_is_in_the_card(name: str) -> None:
    content = json.loads(card(replace(PART, recipe=RECIPES[name])).to_json())
    assert content["format_version"] == 1
    assert content["recipe"] == asdict(RECIPES[name])
    assert not {"grid", "places", "contrasts"} & content.keys()


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
        ("recipe.states", 0, "recipe.states is 0. Expected: a whole number of 1 or more"),
        ("recipe.states", True, "recipe.states is true. Expected: a whole number"),
        ("recipe.states", 1 << 40, "Expected: at most 1048576"),
        ("recipe.person_parameters", -1, "Expected: a whole number of 0 or more"),
        ("recipe.first_state_log_variance", float("inf"), "is Infinity. Expected: a finite"),
        ("recipe.external_inputs", 2, "Expected: a network has 1 external input or none, not 2"),
        ("recipe.held_out", 1, "recipe.held_out is 1.0. Expected: a number from 0 to below 1"),
        ("recipe.late_learning_rate", 0, "Expected: a number above 0"),
        ("recipe.layers", 2, "unknown field recipe.layers"),
        ("recipe", 3, "recipe is 3. Expected: an object"),
        ("layers", 2, "unknown field layers"),
        ("people", 41, "training.participants is 40. Expected: 41"),
        ("tr_seconds", 2.0, "training.repetition_time_s is 0.72. Expected: 2.0"),
        ("regions", 0, "regions is 0. Expected: a whole number of 1"),
        ("frames", "many", 'frames is "many"'),
        ("grid", None, "unknown field grid"),
        ("contrasts", [], "unknown field contrasts"),
        ("files", {WEIGHTS_FILE: "0" * 64}, "lists no fitted.safetensors"),
        ("files", {FITTED_FILE: "0" * 64}, "lists no weights.safetensors"),
    ],
)
def test_wrong_fields_are_named(path: str, value: object, fact: str) -> None:
    with pytest.raises(BundleError, match=fact):
        ModelCard.from_json(edited(path, value))
