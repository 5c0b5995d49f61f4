"""Sessions with known parameters judge an amortised model's posteriors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.amortised import AmortisedModel
from bids_dtg.dynamics.known_sessions import simulate_known
from bids_dtg.dynamics.networks import Networks, make_networks
from bids_dtg.dynamics.recipe import Recipe

RECIPE = Recipe(amortised=True, external_inputs=2, person_parameters=1, pooled=3, states=2)


@pytest.fixture(scope="module")
def networks() -> Networks:
    rng = np.random.default_rng(0)
    series, weights = rng.normal(size=(3, 5, 50)), rng.random((3, 5, 5))
    return make_networks(series, weights + weights.swapaxes(1, 2), 0.72)


def believing(log_variance: float) -> AmortisedModel:
    """Return a model whose posterior has mean 0 and this log variance, whatever it reads."""
    torch.manual_seed(0)
    model = AmortisedModel(RECIPE, regions=5).eval()
    with torch.no_grad():
        model.region_encoder.weight.zero_()
        model.region_encoder.bias[: RECIPE.region_parameters] = 0.0
        model.region_encoder.bias[RECIPE.region_parameters :] = log_variance
    return model


def test_the_prior_as_posterior_is_calibrated_and_recovers_nothing(networks: Networks) -> None:
    for own in simulate_known(believing(0.0), networks, seed=0).calibrations(seed=0):
        assert 0.84 < own.coverage < 0.96
        assert own.uniform_p > 0.001
        assert own.fault.startswith("not recovered")


def test_a_posterior_that_is_too_narrow_holds_less_than_it_says(networks: Networks) -> None:
    for own in simulate_known(believing(-4.0), networks, seed=0).calibrations(seed=0):
        assert own.coverage < 0.4
        assert own.uniform_p < 1e-6


def test_parameters_of_people_are_those_that_the_model_infers(networks: Networks) -> None:
    found = simulate_known(believing(-6.0), networks, seed=0, sessions=60, of_people=True)
    assert found.truth.std() == pytest.approx(np.exp(-3.0), rel=0.2)
    for own in found.calibrations(seed=0):
        assert own.coverage > 0.75


def test_sessions_repeat_and_do_not_depend_on_measured_series(networks: Networks) -> None:
    model, other = believing(0.0), replace(networks, series=networks.series[:, ::-1].copy())
    one, again = (simulate_known(model, own, seed=3, sessions=40) for own in (networks, other))
    assert one.truth.shape == (40, 3)
    assert one.draws.shape == (40, 99, 3)
    np.testing.assert_array_equal(one.truth, again.truth)
    np.testing.assert_array_equal(one.draws, again.draws)
    different = simulate_known(model, networks, seed=4, sessions=40)
    assert not np.allclose(one.truth, different.truth)
