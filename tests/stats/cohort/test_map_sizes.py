"""Whether the size of people's maps goes with what is tested."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from bids_dtg.stats.cohort.exchangeability import permutations
from bids_dtg.stats.cohort.map_sizes import residual_sizes, sizes_p

ORDERS = permutations(199, np.arange(40), seed=1).orders
ONE = np.ones((40, 1))


def p_of(maps, tested, others=ONE):
    sizes = residual_sizes(maps, others)
    return sizes_p(sizes, tested, others, ORDERS)


def patients(number):
    return np.repeat([1.0, 0.0], [number, 40 - number])


def test_doubled_maps_of_a_group_are_found():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        group = patients(10)
        maps = rng.standard_normal((40, 300)) * np.exp(0.3 * rng.standard_normal(40))[:, None]
        assert p_of(maps * (1 + group)[:, None], group) <= 0.05


def test_maps_that_are_larger_at_both_ends_are_found():
    rng = np.random.default_rng(0)
    age = rng.standard_normal(40)
    maps = rng.standard_normal((40, 300)) * (1 + np.abs(age))[:, None]
    assert p_of(maps, age) <= 0.05


@pytest.mark.parametrize("number", [2, 10, 20])
def test_maps_of_one_size_are_found_in_one_of_twenty(number):
    found, cohorts = 0, 200
    for seed in range(cohorts):
        rng = np.random.default_rng(seed)
        maps = rng.standard_normal((40, 100)) * np.exp(rng.standard_normal(40))[:, None]
        found += p_of(maps, patients(number)) <= 0.05
    assert binom.ppf(0.0005, cohorts, 0.05) <= found <= binom.ppf(0.9995, cohorts, 0.05)


def test_sizes_that_go_with_a_covariate_alone_are_not_found():
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        motion = rng.standard_normal(40)
        age = motion + rng.standard_normal(40)
        maps = rng.standard_normal((40, 200)) * np.exp(0.3 * motion)[:, None]
        found += p_of(maps, age, np.column_stack([motion, np.ones(40)])) <= 0.05
    assert found <= binom.ppf(0.9995, 60, 0.05)


def test_a_person_with_a_column_of_their_own_has_no_size():
    maps = np.random.default_rng(0).standard_normal((40, 50))
    others = np.column_stack([patients(1), ONE])
    sizes = residual_sizes(maps, others)
    assert np.isnan(sizes[0])
    assert np.isfinite(sizes[1:]).all()
    assert 0 < sizes_p(sizes, np.arange(40.0), others, ORDERS) <= 1
