from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from replayed_wong_wang import SHORT, published

from bids_dtg.dynamics.steps import unit_noise
from bids_dtg.dynamics.wong_wang import (
    PUBLISHED_PAPER,
    WongWang,
    WongWangRecipe,
    simulate_wong_wang,
)


def test_published_run_is_replayed(replayed):
    series = simulate_wong_wang(*published(replayed))[0, 0]
    normalised = (series - series.mean()) / series.std()
    np.testing.assert_allclose(normalised, replayed["pmfm_y"], rtol=0, atol=1e-10)


def test_states_of_the_published_run_are_replayed(replayed):
    network, initial, noise = published(replayed)
    states = np.stack(list(network.states(initial, noise)))[:3000:72, 0, 0]
    np.testing.assert_allclose(states.T, replayed["pmfm_s_every72"], rtol=0, atol=1e-10)


def test_without_j_coupling_is_that_of_a_larger_coupling(replayed):
    network, initial, _ = published(replayed, replace(SHORT, coupling_times_j=False))
    stronger = replace(network, coupling=network.coupling / 0.2609, recipe=SHORT)
    velocity = network.velocity(initial)
    np.testing.assert_allclose(velocity, stronger.velocity(initial), rtol=1e-12)
    assert np.abs(velocity - published(replayed)[0].velocity(initial)).max() > 0.1


def test_people_and_runs_beside_each_other_are_those_alone():
    rng, shape = np.random.default_rng(1), (3, 2, 5)
    recipe = WongWangRecipe(seconds=7.2, dropped_seconds=0.0)
    weights, noise = rng.random((3, 5, 5)), rng.standard_normal((720, *shape))
    sigma, initial, coupling = rng.random((3, 5)) / 25, rng.random(shape), rng.random((3, 2)) / 5
    together = simulate_wong_wang(WongWang(weights, coupling, sigma, recipe), initial, noise)
    for person in range(3):
        for run in range(2):
            p, r = slice(person, person + 1), slice(run, run + 1)
            network = WongWang(weights[p], coupling[p, r], sigma[p], recipe)
            alone = simulate_wong_wang(network, initial[p, r], noise[:, p, r])
            np.testing.assert_allclose(together[p, r], alone, rtol=0, atol=1e-12)


def test_velocity_is_that_of_the_formula():
    rng = np.random.default_rng(2)
    weights, state = rng.random((4, 4)), rng.random(4)
    network = WongWang(weights[None], np.array([[0.19]]), np.zeros((1, 4)))
    found = network.velocity(state[None, None])[0, 0]
    for i in range(4):
        current = 0.2609 * state[i] + 0.295 + 0.19 * 0.2609 * (weights[i] @ state)
        excess = 270 * current - 108
        rate = excess / (1 - np.exp(-0.154 * excess))
        assert found[i] == pytest.approx(-state[i] / 0.1 + (1 - state[i]) * 0.641 * rate)


def test_rate_has_its_limit_where_the_input_is_at_the_threshold():
    at_threshold = np.full((1, 1, 1), (108 / 270 - 0.295) / 0.2609)
    network = WongWang(np.zeros((1, 1, 1)), np.zeros((1, 1)), np.zeros((1, 1)))
    (state,) = at_threshold[0, 0]
    (found,) = network.velocity(at_threshold)[0, 0]
    assert found == pytest.approx(-state / 0.1 + (1 - state) * 0.641 / 0.154)


def test_published_frames_are_counted():
    assert WongWangRecipe().kept == 1199
    assert PUBLISHED_PAPER.kept == 1200
    assert (SHORT.frames, SHORT.kept) == (41, 32)
    assert WongWangRecipe().candidates[[0, -1]].tolist() == [0.16, 0.22]
    assert PUBLISHED_PAPER.candidates[[0, -1]].tolist() == [0.17, 0.22]


def stationary_variance(recipe, runs=400):
    """Return the variance of S around the low state, without coupling."""
    network = WongWang(np.zeros((1, 1, 1)), np.zeros((1, runs)), np.full((1, 1), 0.01), recipe)
    noise = unit_noise([[np.random.default_rng(3)]], (runs, 1))
    return simulate_wong_wang(network, np.full((1, 1, 1), 0.05), (each[0] for each in noise)).var()


@pytest.mark.slow
def test_only_noise_that_is_scaled_leaves_the_variance_when_the_step_is_halved():
    recipe = WongWangRecipe(seconds=12.0, dropped_seconds=2.0)
    published = stationary_variance(recipe)
    halved = stationary_variance(replace(recipe, step_seconds=0.005))
    scaled = stationary_variance(replace(recipe, noise_scaling="root-time"))
    scaled_halved = stationary_variance(
        replace(recipe, step_seconds=0.005, noise_scaling="root-time")
    )
    assert scaled == published
    assert scaled_halved == pytest.approx(scaled, rel=0.1)
    assert halved == pytest.approx(2 * published, rel=0.15)
