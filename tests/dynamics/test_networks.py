"""People's networks as arrays: weights and shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bids_dtg.dynamics.networks import (
    make_networks,
    normalised,
    standardised,
)

COUNTS = arrays(np.int64, (2, 4, 4), elements=st.integers(0, 9000)).filter(
    lambda counts: (counts * ~np.eye(4, dtype=bool)).any(axis=(1, 2)).all()
)


@pytest.mark.slow
@given(COUNTS)
def test_each_persons_largest_weight_is_1_and_no_region_is_its_own_neighbour(counts) -> None:
    weights = normalised(counts)
    np.testing.assert_array_equal(weights.max(axis=(1, 2)), 1.0)
    assert not weights[:, range(4), range(4)].any()


def symmetric(rng: np.random.Generator, people: int) -> np.ndarray:
    weights = rng.random((people, 3, 3))
    return weights + weights.swapaxes(1, 2)


def test_network_input_is_the_weighted_sum_of_the_others() -> None:
    rng = np.random.default_rng(0)
    networks = make_networks(rng.normal(size=(2, 3, 50)), symmetric(rng, 2), 0.8)
    expected = np.einsum("pij,pjt->pit", networks.weights, networks.series)
    np.testing.assert_allclose(networks.network_input, expected, atol=1e-5)


@pytest.mark.slow
@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=20).filter(lambda x: np.ptp(x) > 1e-3))
def test_standardised_series_have_mean_0_and_sd_1(values) -> None:
    series = standardised(np.array([values]))
    assert abs(series.mean()) < 1e-4
    assert series.std() == pytest.approx(1.0, abs=1e-3)


def test_some_people_in_another_order_keep_their_own_rows() -> None:
    rng = np.random.default_rng(0)
    networks = make_networks(rng.normal(size=(3, 3, 50)), symmetric(rng, 3), 0.8)
    part = networks.of(("p03", "p01"))
    np.testing.assert_array_equal(part.series, networks.series[[2, 0]])
    np.testing.assert_array_equal(part.weights, networks.weights[[2, 0]])
