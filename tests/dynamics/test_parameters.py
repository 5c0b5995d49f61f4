"""The order and signs of regional parameters, their roles, and what a second session repeats."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks, standardised
from bids_dtg.dynamics.parameters import (
    FIGURES,
    SIGNED_BY,
    align,
    parameter_effects,
    retest,
)
from bids_dtg.dynamics.recipe import Recipe

FRAMES = 400
Effects = dict[str, np.ndarray]


def chance(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_alignment_undoes_any_order_and_signs():
    theta = chance(5, 20, 4)
    features = {name: theta[..., number] for number, name in enumerate(SIGNED_BY)}
    kl = np.array([3.0, 2.0, 1.0, 0.0]) + np.abs(0.1 * chance(5, 20, 4, seed=1))
    shuffled, signs = np.array([2, 0, 3, 1]), np.array([-1.0, 1.0, 1.0, -1.0])
    mixed = theta[..., shuffled] * signs
    alignment = align(mixed, kl[..., shuffled], features)
    np.testing.assert_array_equal(alignment.apply(mixed), theta)
    of_means = align(mixed, kl.mean(axis=(0, 1))[shuffled], features)
    np.testing.assert_array_equal(of_means.order, alignment.order)


def test_what_regions_have_in_common_is_no_agreement_within_a_region():
    common = 10 * chance(1, 30, 1)
    pair_agreement, people_agreement = retest(
        common + chance(40, 30, 1, seed=1), common + chance(40, 30, 1, seed=2)
    )
    assert pair_agreement[0] > 0.95
    assert abs(people_agreement[0]) < 0.1


def test_a_level_that_differs_between_sessions_is_no_agreement():
    first = chance(12, 5, 1)
    np.testing.assert_allclose(retest(first, first), 1.0)
    assert (np.array(retest(first, first + 3.0)) < 0.5).all()


@pytest.fixture(scope="module")
def networks() -> Networks:
    rng = np.random.default_rng(0)
    # Slow: a frame's input is seen a frame later.
    walk = rng.standard_normal((2, 3, FRAMES + 10)).cumsum(axis=-1)
    return Networks(
        people=("01", "02"),
        regions=("A", "B", "C"),
        series=standardised(walk[..., 10:] - walk[..., :-10]),
        weights=rng.uniform(0, 1, (2, 3, 3)).astype("f4"),
        tr_seconds=0.72,
    )


def _model(external: bool = True) -> NetworkModel:
    """The more of the first parameter, the more the inputs open; the second does nothing."""
    recipe = Recipe(
        states=1, region_parameters=2, hidden=4, external_inputs=int(external)
    )
    torch.manual_seed(0)
    model = NetworkModel(recipe, people=2, regions=3, frames=FRAMES)
    with torch.no_grad():
        for weights in model.transition.parameters():
            weights.zero_()
        hidden, out = model.transition.hidden, model.transition.out
        # -x / 2, by two units; then what is above 0 of theta + input, less what is above 0 of
        # theta: the inputs go through where theta is high.
        hidden.weight[:2, 0] = torch.tensor([1.0, -1.0])
        hidden.weight[2, 1:] = 1.0
        hidden.weight[2, 2] = 0.0
        hidden.weight[3, 1] = 1.0
        out.weight[0] = torch.tensor([-0.5, 0.5, 1.0, -1.0])
        model.observation.weight.fill_(1.0)
        model.observation_log_variance.fill_(-4.0)
        model.state_log_variance.fill_(-1.0)
    return model


@pytest.fixture(scope="module")
def effects(networks) -> Effects:
    return parameter_effects(_model(), networks, simulations=250, seed=1)


def test_a_parameter_that_opens_inputs_is_found_and_an_idle_one_is_not(effects):
    rhos = effects
    assert rhos.keys() == FIGURES.keys()
    for name in FIGURES:
        of_first, of_second = rhos[name]
        assert of_first > 0.25, name
        assert abs(of_second) < 0.2, name
