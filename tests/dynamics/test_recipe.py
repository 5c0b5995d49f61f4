"""Recipes: schedules, and the doubtful points of the original."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.dynamics.recipe import RECIPES, Recipe, find_recipe, with_fields
from bids_dtg.errors import SettingsError


@given(st.integers(1, 500), st.integers(0, 600), st.booleans())
def test_terms_have_their_full_weight_after_the_ramp(epochs: int, epoch: int, ramp: bool) -> None:
    recipe = Recipe(epochs=epochs, ramp_states=ramp)
    states, regions = recipe.term_weights(epoch)
    assert 0.0 <= regions <= 1.0
    assert states == (regions if ramp else 1.0)
    if epoch >= epochs // 2:
        assert regions == 1.0


def test_the_learning_rate_falls_after_the_ramp_alone() -> None:
    recipe = Recipe(epochs=10, learning_rate=3e-3, late_learning_rate=1e-3)
    assert [recipe.rate(epoch) for epoch in (0, 4, 5, 9)] == [3e-3, 3e-3, 1e-3, 1e-3]
    assert replace(recipe, late_learning_rate=None).rate(9) == 3e-3


def test_published_recipes_are_as_published() -> None:
    code, paper = RECIPES["published-code"], RECIPES["published-paper"]
    assert (code.epochs, paper.epochs) == (1001, 1000)
    assert code.term_weights(250) == (1.0, 0.5)
    assert paper.term_weights(250) == (0.5, 0.5)
    for recipe in (code, paper):
        assert (recipe.samples, recipe.batch_size, recipe.rate(999)) == (8, 64, 1e-3)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(SettingsError, match="published-cod"):
        find_recipe("published-cod")


def test_fields_are_changed_by_their_names() -> None:
    texts = ["external_inputs=0", "sampled_coupling=FALSE", "generation_weight=2.5"]
    changed = with_fields(find_recipe("amortised"), texts)
    assert changed == replace(
        find_recipe("amortised"), external_inputs=0, sampled_coupling=False, generation_weight=2.5
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("states", "is 'states'. Expected: NAME=VALUE, NAME one of amortised"),
        ("colour=3", "is 'colour=3'. Expected: NAME=VALUE"),
        ("states=two", "states is 'two'. Expected: a whole number, as 3"),
        ("states=0", "states is '0'"),
        ("closed_form=1", "closed_form is '1'. Expected: true or false"),
        ("generation_weight=nan", "generation_weight is 'nan'"),
        ("generation_weight=-1", "generation_weight is '-1'"),
        ("held_out=1", "held_out is '1'"),
        ("innovation=none", "innovation is 'none'. Expected: a word, as stationary"),
        ("amortised=false", "1 external input"),
        ("innovation=unit", "a variance of 1"),
        (
            "gradient_limit=3",
            "changes gradient_limit, which a model with amortised encoders does not have. "
            "Expected: other fields, or amortised=false",
        ),
    ],
)
def test_wrong_fields_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        with_fields(find_recipe("amortised"), [text])
