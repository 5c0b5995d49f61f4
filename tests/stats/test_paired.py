from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest, false_discovery_control

from bids_dtg.stats.paired import (
    bootstrap_interval,
    cliffs_delta,
    false_discovery_rate,
    sign_flip_test,
    t_interval,
    wilson_interval,
)


def test_p_is_that_of_all_sign_flips():
    d = np.array([0.3, 0.5, -0.1, 0.8, 0.2, 0.4, 0.1, 0.6])
    flips = np.array(list(itertools.product([-1, 1], repeat=len(d))))
    exact = (np.abs(flips @ d) >= abs(d.sum()) - 1e-9).mean()
    assert sign_flip_test(d[None], permutations=20_000)[0] == pytest.approx(
        exact, abs=0.004
    )


def test_p_is_uniform_where_nothing_differs_and_small_where_something_does():
    rng = np.random.default_rng(0)
    p = sign_flip_test(rng.normal(size=(400, 20)), permutations=999)
    assert 0.02 < (p < 0.05).mean() < 0.09
    assert sign_flip_test(1 + rng.normal(size=(1, 30)), permutations=999)[0] == 0.001
    assert np.isnan(sign_flip_test(np.array([[np.nan, 1.0]]), permutations=9)[0])


@pytest.mark.slow
@given(arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
def test_fdr_is_scipys(p):
    np.testing.assert_allclose(
        false_discovery_rate(p), false_discovery_control(p), atol=1e-12
    )
    holed = np.append(p, np.nan)
    np.testing.assert_allclose(
        false_discovery_rate(holed)[:-1], false_discovery_rate(p)
    )


@pytest.mark.slow
@given(
    arrays(float, st.integers(1, 15), elements=st.integers(0, 5).map(float)),
    arrays(float, st.integers(1, 15), elements=st.integers(0, 5).map(float)),
)
def test_cliffs_delta_is_that_of_all_pairs(first, second):
    expected = np.sign(np.subtract.outer(first, second)).mean()
    assert cliffs_delta(first, second) == pytest.approx(expected)


@pytest.mark.parametrize("people", [4, 8, 40])
def test_the_interval_covers_the_mean_as_often_as_it_says(people):
    draws = np.random.default_rng(0).normal(size=(2000, people))
    intervals = [t_interval(values) for values in draws]
    hits = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.935 < hits < 0.965
    with_nan = np.append(np.arange(5.0), np.nan)
    assert t_interval(with_nan) == t_interval(with_nan[:5])


def test_the_interval_of_a_share_is_wilson_s():
    for hits, people in [(0, 10), (3, 12), (39, 39)]:
        expected = binomtest(hits, people).proportion_ci(method="wilson")
        interval = wilson_interval(hits / people, people)
        assert (interval.low, interval.high) == pytest.approx(
            (expected.low, expected.high), abs=1e-6
        )


def test_bootstrap_is_of_people():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        interval = bootstrap_interval(rng.standard_normal(30), draws=500)
        covered.append(interval.low <= 0 <= interval.high)
    assert 0.88 < np.mean(covered) < 0.99
    with_gap = bootstrap_interval(np.array([1.0, 2.0, 3.0, np.nan]))
    assert (with_gap.mean, with_gap.low >= 1.0, with_gap.high <= 3.0) == (
        2.0,
        True,
        True,
    )
    assert np.isnan(bootstrap_interval(np.array([1.0, 2.0])).low)
    assert np.isnan(bootstrap_interval(np.array([np.nan])).mean)
