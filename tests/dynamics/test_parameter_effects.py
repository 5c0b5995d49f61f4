"""Effects of regional parameters, for a model with known effects."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bids_dtg.dynamics.parameter_effects import (
    FIGURES,
    ParameterEffects,
    parameter_effects,
    typical_input,
)

from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks, standardised
from bids_dtg.dynamics.recipe import Recipe

FRAMES = 400


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
    recipe = Recipe(states=1, region_parameters=2, hidden=4, external_inputs=int(external))
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
def found(networks: Networks) -> ParameterEffects:
    return parameter_effects(_model(), networks, simulations=250, seed=1)


def test_a_parameter_that_opens_inputs_is_found_and_an_idle_one_is_not(
    found: ParameterEffects,
) -> None:
    assert found.figures.keys() == FIGURES.keys()
    assert found.region.shape == (250, 2)
    for name in FIGURES:
        of_first, of_second = found.spearman[name]
        assert of_first > 0.25, name
        assert abs(of_second) < 0.2, name
        assert found.slopes[name][0] > 2 * abs(found.slopes[name][1]), name
        assert 0.05 < found.r2[name] < 1, name


def test_same_seed_same_effects(networks: Networks, found: ParameterEffects) -> None:
    again = parameter_effects(_model(), networks, simulations=250, seed=1)
    other = parameter_effects(_model(), networks, simulations=250, seed=2)
    for name in FIGURES:
        np.testing.assert_array_equal(again.figures[name], found.figures[name])
        assert not np.array_equal(other.figures[name], found.figures[name])


def test_a_model_without_external_input_has_no_role_of_it(networks: Networks) -> None:
    assert parameter_effects(_model(external=False), networks, simulations=10).figures.keys() == {
        "low_power",
        "network",
    }


def test_the_given_input_has_more_power_than_four_in_five(networks: Networks) -> None:
    power = np.square(networks.network_input).mean(-1)
    assert (power < np.square(typical_input(networks)).mean()).sum() == int(0.8 * power.size)
