from __future__ import annotations

import numpy as np
import pytest
from bids_dtg.dynamics.hopf import HopfRecipe

from bids_dtg.connectome.edges import fc_strength
from bids_dtg.dynamics.measures import connectivity
from bids_dtg.dynamics.networks import normalised
from bids_dtg.dynamics.phantom.connectomes import simulate_weights
from bids_dtg.dynamics.phantom.people import simulate_hopf_people

SHORT = HopfRecipe(seconds=40.0, dropped_seconds=10.0)


@pytest.fixture(scope="module")
def weights():
    return simulate_weights(3, 10, np.random.default_rng(0))[0]


def simulated(weights, **options):
    return simulate_hopf_people(weights, recipe=SHORT, **options)


def test_people_have_series_of_one_unit(weights):
    people = simulated(weights)
    series = people.networks.series
    assert series.shape == (3, 10, SHORT.kept)
    assert series.mean() == pytest.approx(0, abs=1e-6)
    assert series.std() == pytest.approx(1, abs=1e-6)
    assert series.std(axis=2).max() > 1.2 * series.std(axis=2).min()
    assert people.networks.tr_seconds == SHORT.frame_seconds
    np.testing.assert_array_equal(people.networks.weights, weights)
    assert people.networks.regions[5] == "rh-r01"


def test_a_seed_gives_the_same_people(weights):
    first, again, other = (simulated(weights, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.networks.series, again.networks.series)
    for name, values in first.regional.items():
        np.testing.assert_array_equal(values, again.regional[name])
        assert np.abs(values - other.regional[name]).min() > 0
    assert np.abs(first.networks.series - other.networks.series).mean() > 0.1


def test_further_runs_have_other_noise_and_the_same_parameters(weights):
    people = simulated(weights)
    runs = people.again([0, 1, 2])
    assert runs.shape == (3, 3, *people.networks.series.shape[1:])
    np.testing.assert_allclose(runs[:, 0], people.networks.series, atol=1e-5)
    assert np.abs(runs[:, 1] - runs[:, 2]).mean() > 0.1
    np.testing.assert_allclose(people.again([2])[:, 0], runs[:, 2], atol=1e-5)


def test_a_person_does_not_depend_on_the_others(weights):
    few, many = simulated(weights[:2]), simulated(weights)
    for name, values in few.regional.items():
        np.testing.assert_array_equal(values, many.regional[name][:2])


def test_parameters_lie_where_the_publication_puts_them(weights):
    hopf = simulated(weights)
    assert np.abs(hopf.regional["a"]).max() < 1
    assert 0.03 < hopf.regional["f"].min() < hopf.regional["f"].max() < 0.07
    np.testing.assert_allclose(hopf.personal["G"], [0, 0.35, 0.7])


def test_weights_are_divided_by_the_largest(weights):
    counts = 1000 * weights
    people = simulated(counts)
    np.testing.assert_array_equal(people.networks.weights, normalised(counts))


def test_regions_have_the_names_that_are_given(weights):
    names = [f"r{number}" for number in range(10)]
    assert simulated(weights, regions=names).networks.regions == tuple(names)
    with pytest.raises(ValueError, match="even number of regions"):
        simulated(weights[:, :9, :9])


@pytest.mark.slow
def test_oscillators_above_the_bifurcation_are_louder(measured_weights):
    people = simulate_hopf_people(measured_weights)
    assert people.networks.series.shape == (8, 68, 180)
    a, sd = people.regional["a"][0], people.networks.series[0].std(axis=-1)  # G = 0
    assert sd[a > 0.2].min() > 2 * sd[a < -0.2].max()
    strength = fc_strength(connectivity(people.networks.series))
    assert strength[-1] > strength[0] + 0.3
