"""The simulators of test models: the published runs replayed, formulas, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from bids_dtg.dynamics.test_models import (
    Hopf,
    HopfRecipe,
    WongWang,
    WongWangRecipe,
    simulate_hopf,
    simulate_wong_wang,
    unit_noise,
)

SHORT_OF_MEAN_FIELDS = WongWangRecipe(seconds=30.0, dropped_seconds=6.0)
Arrays = Mapping[str, NDArray]


def published_mean_field(
    values: Arrays, recipe: WongWangRecipe = SHORT_OF_MEAN_FIELDS
) -> tuple[WongWang, NDArray, NDArray]:
    """Return the network, its initial state and its noise, of the fixture `replayed`."""
    network = WongWang(
        values["pmfm_w"][None],
        values["pmfm_G"][None, None],
        values["pmfm_sigma"][None],
        recipe,
    )
    noise = values["pmfm_eta"].T.astype(np.float64)[:, None, None]
    return network, values["pmfm_init"][None, None], noise


SHORT = HopfRecipe(seconds=12.0, dropped_seconds=2.0)


def published(values, recipe=SHORT):
    network = Hopf(
        values["hopf_w"][None],
        values["hopf_G"][None, None],
        values["hopf_a"][None],
        values["hopf_f"][None],
        recipe,
    )
    initial = values["hopf_init"].T[None, None]
    return network, initial, values["hopf_eta"].T.astype(np.float64)[:, None, None]


def test_of_oscillators_published_run_is_replayed(replayed):
    network, initial, noise = published(replayed)
    series = simulate_hopf(network, initial, noise)[0, 0]
    np.testing.assert_allclose(series, replayed["hopf_x"][:, 0], rtol=0, atol=1e-10)
    normalised = (series - series.mean()) / series.std()
    np.testing.assert_allclose(normalised, replayed["hopf_y"], rtol=0, atol=1e-10)


def test_both_variables_are_replayed(replayed):
    network, initial, noise = published(replayed)
    states = np.stack(list(network.states(initial, noise)))[100::50, 0, 0]
    wanted = replayed["hopf_x"].transpose(2, 1, 0)
    np.testing.assert_allclose(states, wanted, rtol=0, atol=1e-10)


def test_of_oscillators_people_and_runs_beside_each_other_are_those_alone():
    rng, shape = np.random.default_rng(1), (3, 2, 2, 5)
    weights, noise = rng.random((3, 5, 5)), rng.standard_normal((600, *shape))
    a, f, initial = rng.uniform(-1, 1, (3, 5)), rng.uniform(0, 0.1, (3, 5)), rng.random(shape)
    coupling = rng.random((3, 2))
    together = simulate_hopf(Hopf(weights, coupling, a, f, SHORT), initial, noise)
    for person in range(3):
        for run in range(2):
            p, r = slice(person, person + 1), slice(run, run + 1)
            network = Hopf(weights[p], coupling[p, r], a[p], f[p], SHORT)
            alone = simulate_hopf(network, initial[p, r], noise[:, p, r])
            np.testing.assert_allclose(together[p, r], alone, rtol=0, atol=1e-12)


def test_of_oscillators_velocity_is_that_of_the_formula():
    rng = np.random.default_rng(2)
    weights, a, f = rng.random((4, 4)), rng.uniform(-1, 1, 4), rng.uniform(0, 0.1, 4)
    x, y = rng.standard_normal((2, 4))
    network = Hopf(weights[None], np.array([[0.3]]), a[None], f[None])
    found = network.velocity(np.stack([x, y])[None, None])[0, 0]
    for i in range(4):
        growth = a[i] - x[i] ** 2 - y[i] ** 2
        into_x = sum(weights[i, j] * (x[j] - x[i]) for j in range(4))
        into_y = sum(weights[i, j] * (y[j] - y[i]) for j in range(4))
        turn = 2 * np.pi * f[i]
        assert found[0, i] == pytest.approx(growth * x[i] - turn * y[i] + 0.3 * into_x)
        assert found[1, i] == pytest.approx(growth * y[i] + turn * x[i] + 0.3 * into_y)


def oscillator_variance(recipe, runs=400):
    """Return the variance of x at a = -1, without coupling, after the start."""
    network = Hopf(
        np.zeros((1, 1, 1)),
        np.zeros((1, runs)),
        np.full((1, 1), -1.0),
        np.full((1, 1), 0.05),
        recipe,
    )
    noise = unit_noise([[np.random.default_rng(3)]], (runs, 2, 1))
    return simulate_hopf(network, np.zeros((1, 1, 2, 1)), (each[0] for each in noise)).var()


@pytest.mark.slow
def test_of_oscillators_a_halved_step_leaves_the_variance():
    recipe = HopfRecipe(seconds=30.0, dropped_seconds=5.0)
    published = oscillator_variance(recipe)
    halved = oscillator_variance(replace(recipe, step_seconds=0.01))
    assert halved == pytest.approx(published, rel=0.08)
    # Of the linear process with the diffusion 0.02 / sqrt(0.02 s): D² / 2.
    assert published == pytest.approx(0.02**2 / 0.02 / 2, rel=0.08)


def test_of_oscillators_published_frames_are_counted():
    assert HopfRecipe().kept == 180
    assert (SHORT.frames, SHORT.kept) == (12, 10)


def test_of_mean_fields_published_run_is_replayed(replayed):
    series = simulate_wong_wang(*published_mean_field(replayed))[0, 0]
    normalised = (series - series.mean()) / series.std()
    np.testing.assert_allclose(normalised, replayed["pmfm_y"], rtol=0, atol=1e-10)


def test_states_of_the_published_run_are_replayed(replayed):
    network, initial, noise = published_mean_field(replayed)
    states = np.stack(list(network.states(initial, noise)))[:3000:72, 0, 0]
    np.testing.assert_allclose(states.T, replayed["pmfm_s_every72"], rtol=0, atol=1e-10)


def test_of_mean_fields_people_and_runs_beside_each_other_are_those_alone():
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


def test_of_mean_fields_velocity_is_that_of_the_formula():
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


def test_of_mean_fields_published_frames_are_counted():
    assert WongWangRecipe().kept == 1199
    assert (SHORT_OF_MEAN_FIELDS.frames, SHORT_OF_MEAN_FIELDS.kept) == (41, 32)


def mean_field_variance(recipe, runs=400):
    """Return the variance of S around the low state, without coupling."""
    network = WongWang(np.zeros((1, 1, 1)), np.zeros((1, runs)), np.full((1, 1), 0.01), recipe)
    noise = unit_noise([[np.random.default_rng(3)]], (runs, 1))
    return simulate_wong_wang(network, np.full((1, 1, 1), 0.05), (each[0] for each in noise)).var()


@pytest.mark.slow
def test_of_mean_fields_a_halved_step_leaves_the_variance():
    recipe = WongWangRecipe(seconds=12.0, dropped_seconds=2.0)
    halved = mean_field_variance(replace(recipe, step_seconds=0.005))
    assert halved == pytest.approx(mean_field_variance(recipe), rel=0.1)


def generators(people, runs):
    return [
        [np.random.default_rng([person, run]) for run in range(runs)] for person in range(people)
    ]


def test_noise_of_a_run_does_not_depend_on_the_others():
    many = np.stack(list(islice(unit_noise(generators(2, 3), (4,)), 250)))
    alone = np.stack(list(islice(unit_noise([generators(2, 3)[1][2:]], (4,)), 250)))
    np.testing.assert_array_equal(many[:, 1:, 2:], alone)
    assert len(np.unique(many)) == many.size


def test_too_little_noise_is_refused(replayed):
    network, initial, noise = published(replayed)
    with pytest.raises(ValueError, match="enough for 6 frames of 12"):
        simulate_hopf(network, initial, noise[:300])
    network, initial, noise = published_mean_field(replayed)
    with pytest.raises(ValueError, match="enough for 4 frames of 41"):
        simulate_wong_wang(network, initial, noise[:300])
