"""Correlations with gaps, and their intervals over people, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, pearsonr

from bids_dtg.stats.correlation import (
    correlation,
    correlation_interval,
    weighted_correlation,
)

X, NOISE = np.random.default_rng(0).standard_normal((2, 60))
Y = X + NOISE


def test_correlation_is_pearsons_r_of_what_both_have():
    values, incomplete = X[:30], Y[:30].copy()
    incomplete[[3, 7]] = np.nan
    finite = np.isfinite(incomplete)
    assert correlation(values, incomplete) == pytest.approx(
        pearsonr(values[finite], incomplete[finite])[0]
    )
    assert np.isnan(correlation(values, np.full(30, 5.0)))
    assert np.isnan(
        correlation(values, np.where(np.arange(30) < 2, incomplete, np.nan))
    )


@pytest.mark.slow
def test_interval_is_that_of_drawing_people_again():
    interval = correlation_interval(X, Y, draws=4000)
    drawn = bootstrap(
        (X, Y),
        lambda x, y: correlation(x, y),
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert interval.mean == pytest.approx(pearsonr(X, Y)[0])
    assert (interval.low, interval.high) == pytest.approx(
        (drawn.low, drawn.high), abs=0.03
    )


def test_too_few_people_have_no_interval():
    assert np.isnan(correlation_interval(X[:2], Y[:2]).low)
    assert np.isnan(correlation_interval(X, np.ones(60)).mean)
    assert np.isnan(correlation_interval(X[:2], np.full(2, np.nan)).mean)
    assert np.isnan(correlation_interval(X[:0], Y[:0]).mean)


@pytest.mark.slow
@given(st.integers(3, 12), st.integers(0, 1000))
def test_r_of_people_who_count_several_times_is_that_of_their_copies(people, seed):
    rng = np.random.default_rng(seed)
    x, y = 50 + rng.standard_normal((2, 3, people))
    drawn = rng.integers(people, size=(20, people))
    counts = np.stack(
        [np.bincount(sample, minlength=people) for sample in drawn]
    ).astype(float)
    expected = correlation(x[:, drawn], y[:, drawn])
    several = np.array([len(set(sample)) > 2 for sample in drawn])
    r = weighted_correlation(x, y, counts)
    np.testing.assert_allclose(r[:, several], expected[:, several], atol=1e-9)
