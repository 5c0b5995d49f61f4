from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bids_dtg.dynamics.phantom.connectomes import simulate_weights
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
