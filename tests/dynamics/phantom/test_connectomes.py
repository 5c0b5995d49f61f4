from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bids_dtg.dynamics.phantom.connectomes import perturbed, simulate_weights
from bids_dtg.inputs.regions.sides import homotopic_pairs


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(2, 40), st.integers(0, 1000))
def test_weights_are_those_of_undirected_networks(people, half, seed):
    weights, positions, names = simulate_weights(people, 2 * half, np.random.default_rng(seed))
    assert weights.shape == (people, 2 * half, 2 * half)
    np.testing.assert_array_equal(weights, weights.transpose(0, 2, 1))
    assert not np.diagonal(weights, axis1=1, axis2=2).any()
    assert weights.min() == 0 or half == 2
    assert (weights.max(axis=(1, 2)) == 1).all()
    left, right = positions[:half], positions[half:]
    assert (left[:, 0] < 0).all()
    np.testing.assert_array_equal(left * [-1, 1, 1], right)
    assert homotopic_pairs(names) == [(r, r + half) for r in range(half)]


def test_weights_resemble_measured_ones():
    weights, positions, _ = simulate_weights(8, 68, np.random.default_rng(0))
    rows, columns = np.triu_indices(68, 1)
    pairs = weights[:, rows, columns]
    assert (pairs > 0).mean() == pytest.approx(0.52, abs=0.01)
    assert 0.6 < weights.sum(axis=2).mean() < 1.4
    assert np.median(pairs[pairs > 0]) < 0.02  # heavy tail: the largest is 1
    distance = np.linalg.norm(positions[rows] - positions[columns], axis=1)
    assert spearmanr(distance, pairs.mean(axis=0)).statistic < -0.8
    alike = np.corrcoef(pairs)[np.triu_indices(8, 1)]
    assert 0.7 < alike.mean() < 0.97
    assert alike.max() < 1


@settings(max_examples=20)
@given(st.floats(0.0, 1.0), st.integers(0, 1000), st.booleans())
def test_perturbed_weights_keep_their_form(amount, seed, clip):
    weights, *_ = simulate_weights(2, 10, np.random.default_rng(0))
    found = perturbed(weights, amount, np.random.default_rng(seed), clip=clip)
    assert found.shape == weights.shape
    assert not np.diagonal(found, axis1=1, axis2=2).any()
    np.testing.assert_array_equal(found.max(axis=(1, 2)), 1)
    assert not clip or found.min() >= 0


def test_perturbation_has_the_amount_that_is_asked_for():
    weights, *_ = simulate_weights(2, 68, np.random.default_rng(0))
    same = perturbed(weights, 0.0, np.random.default_rng(1))
    np.testing.assert_array_equal(same, weights)
    noisy = perturbed(weights, 0.01, np.random.default_rng(1), clip=False)
    off = ~np.eye(68, dtype=bool)
    difference = (noisy - weights)[:, off]
    assert difference.std() == pytest.approx(0.01, rel=0.05)
    assert noisy.min() < 0
