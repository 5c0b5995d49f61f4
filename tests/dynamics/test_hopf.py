from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_dtg.dynamics.hopf import Hopf, HopfRecipe, simulate_hopf
from bids_dtg.dynamics.steps import unit_noise

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


def test_published_run_is_replayed(replayed):
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


def test_noise_of_departure_gives_another_run(replayed):
    network, initial, noise = published(replayed, replace(SHORT, noise_of="departure"))
    series = simulate_hopf(network, initial, noise)[0, 0]
    assert np.abs(series - replayed["hopf_x"][:, 0]).max() > 0.01
    # It is the published run where the noise comes a step earlier.
    earlier = simulate_hopf(network, initial, noise[1:])[0, 0]
    np.testing.assert_allclose(earlier, replayed["hopf_x"][:, 0], rtol=0, atol=1e-10)


def test_people_and_runs_beside_each_other_are_those_alone():
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


def test_velocity_is_that_of_the_formula():
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


def stationary_variance(recipe, runs=400):
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
def test_only_noise_that_is_scaled_leaves_the_variance_when_the_step_is_halved():
    recipe = HopfRecipe(seconds=30.0, dropped_seconds=5.0)
    published = stationary_variance(recipe)
    halved = stationary_variance(replace(recipe, step_seconds=0.01))
    scaled = stationary_variance(replace(recipe, noise_scaling="root-time"))
    scaled_halved = stationary_variance(
        replace(recipe, step_seconds=0.01, noise_scaling="root-time")
    )
    assert scaled == published
    assert scaled_halved == pytest.approx(scaled, rel=0.08)
    assert halved == pytest.approx(2 * published, rel=0.08)
    # Of the linear process with the diffusion 0.02 / sqrt(0.02 s): D² / 2.
    assert scaled == pytest.approx(0.02**2 / 0.02 / 2, rel=0.08)


def test_published_frames_are_counted():
    assert HopfRecipe().kept == 180
    assert (SHORT.frames, SHORT.kept) == (12, 10)
