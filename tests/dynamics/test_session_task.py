"""Training of amortised models: people are held out whole, windows lie within sessions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.fitting import choose_trained, fit
from bids_dtg.dynamics.networks import Networks, make_networks
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.session_task import bounded

TINY = Recipe(
    amortised=True,
    states=2,
    region_parameters=2,
    hidden=8,
    encoder_units=4,
    pooled=2,
    epochs=3,
    batch_size=2,
    window=40,
    forecast_frames=3,
    generation_frames=20,
)


@pytest.fixture(scope="module")
def networks() -> Networks:
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(5, 4, 90)), axis=-1)
    weights = rng.random((5, 4, 4))
    return make_networks(walk, weights + weights.swapaxes(1, 2), 0.72)


@pytest.mark.slow
def test_training_raises_the_elbo_of_people_it_does_not_see(networks: Networks) -> None:
    recipe = replace(TINY, epochs=5, learning_rate=1e-2)
    history = fit(networks, recipe).restarts[0].history
    assert history[-1]["held_out_elbo"] > history[0]["held_out_elbo"]


@pytest.mark.slow
def test_people_who_are_held_out_do_not_move_the_weights(networks: Networks) -> None:
    (person,) = np.flatnonzero(~choose_trained(5, 4, TINY, seed=0).any(axis=1))
    changed = networks.series.copy()
    changed[person] = changed[person, :, ::-1]
    first = fit(networks, TINY).restarts[0].state
    second = fit(replace(networks, series=changed), TINY).restarts[0].state
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.slow
def test_sessions_shorter_than_a_window_are_trained_on(networks: Networks) -> None:
    short = replace(networks, series=networks.series[..., :30])
    assert np.isfinite(fit(short, replace(TINY, epochs=1)).restarts[0].elbo)


@pytest.mark.parametrize("error", [-1e6, -0.01, 0.0, 0.02, 3.0, 1e6])
def test_an_error_that_explodes_pulls_no_harder_than_a_small_one(error: float) -> None:
    given = torch.tensor(error, requires_grad=True)
    found = bounded(given)
    found.backward()  # type: ignore[no-untyped-call]
    assert abs(float(found.detach())) <= 1.0
    assert given.grad is not None
    assert 0.0 < float(given.grad) <= 1.0
    if abs(error) < 0.05:
        assert float(found.detach()) == pytest.approx(error, rel=0.05)
