"""Recipes: schedules, and points on which the publication and its code differ."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.dynamics.recipe import RECIPES, Recipe


@given(st.integers(1, 500), st.integers(0, 600), st.booleans())
def test_terms_have_their_full_weight_after_the_ramp(epochs, epoch, ramp):
    recipe = Recipe(epochs=epochs, ramp_states=ramp)
    states, regions = recipe.term_weights(epoch)
    assert 0.0 <= regions <= 1.0
    assert states == (regions if ramp else 1.0)
    if epoch >= epochs // 2:
        assert regions == 1.0


def test_the_learning_rate_falls_once():
    recipe = Recipe(epochs=10, learning_rate=3e-3, late_learning_rate=1e-3)
    assert [recipe.rate(epoch) for epoch in (0, 4, 5, 9)] == [3e-3, 3e-3, 1e-3, 1e-3]
    assert replace(recipe, late_learning_rate=None).rate(9) == 3e-3


def test_the_published_recipe_is_as_published():
    code = RECIPES["published"]
    assert (code.epochs, code.restarts, code.term_weights(250)) == (1001, 2, (1.0, 0.5))
    assert (code.samples, code.batch_size, code.rate(999)) == (8, 64, 1e-3)
