"""Typical and atypical people: by each person's map against the mean of the others, counted out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bids_dtg.stats.cohort.typicality import (
    deviations_from_median,
    rank_correlation,
    typicality,
    unusual,
)


@given(people=st.integers(2, 9), places=st.integers(4, 60), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_each_is_compared_with_the_mean_of_the_others(people, places, seed):
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal(places) + rng.standard_normal((people, places))
    found = typicality(maps)
    for person, own in enumerate(maps):
        others = np.delete(maps, person, axis=0).mean(axis=0)
        distance = np.sqrt(np.mean((own - others) ** 2))
        assert found.distance[person] == pytest.approx(distance, rel=1e-6)
        assert found.r[person] == pytest.approx(np.corrcoef(own, others)[0, 1], abs=1e-6)


def test_a_planted_stranger_is_found_and_nobody_else():
    rng = np.random.default_rng(0)
    maps = rng.standard_normal(500) + 0.5 * rng.standard_normal((20, 500))
    maps[7] = rng.standard_normal(500)
    found = typicality(maps.astype(np.float32))
    assert np.flatnonzero(unusual(found.distance)).tolist() == [7]
    assert np.flatnonzero(unusual(found.r, low=True)).tolist() == [7]


def test_an_amplitude_is_unusual_by_distance_and_not_by_pattern():
    rng = np.random.default_rng(0)
    maps = rng.standard_normal(500) + 0.5 * rng.standard_normal((20, 500))
    maps[7] *= 3
    found = typicality(maps)
    assert unusual(found.distance)[7]
    assert not unusual(found.r, low=True).any()


def test_places_that_somebody_lacks_do_not_count():
    rng = np.random.default_rng(1)
    maps = rng.standard_normal((6, 40))
    gaps = maps.copy()
    gaps[2, 5], gaps[4, 30:] = np.nan, np.inf
    kept = np.delete(np.arange(30), 5)
    found, wanted = typicality(gaps), typicality(maps[:, kept])
    np.testing.assert_allclose(found.distance, wanted.distance)
    np.testing.assert_allclose(found.r, wanted.r)


def test_a_constant_map_has_a_distance_and_no_r():
    found = typicality(np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]))
    assert np.isfinite(found.distance).all()
    assert np.isnan(found.r).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="compared with others, found 1"):
        typicality(np.zeros((1, 3)))


def test_where_most_are_the_same_nobody_is_unusual():
    assert np.isnan(deviations_from_median(np.array([1.0, 1, 1, 1, 9]))).all()
    assert not unusual([1.0, 1, 1, 1, 9]).any()
    assert np.isnan(deviations_from_median(np.array([1.0, 9]))).all()
    gaps = deviations_from_median(np.array([1.0, 2, np.nan, 3, 90]))
    assert np.isnan(gaps).tolist() == [False, False, True, False, False]


def test_rank_correlations_are_scipy_s():
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 6, (2, 30)).astype(float)
    x[4] = np.nan
    known = np.isfinite(x)
    found = rank_correlation(x, y)
    assert found.mean == pytest.approx(spearmanr(x[known], y[known]).statistic)
    assert found.low < found.mean < found.high
    alike = rank_correlation(np.arange(6.0), np.arange(6.0))
    assert (alike.mean, alike.high <= 1) == (pytest.approx(1), True)
    few = rank_correlation(np.arange(4.0), np.arange(4.0))
    assert np.isnan([few.low, few.high]).all()
    assert np.isnan(rank_correlation(np.ones(9), np.arange(9.0)).mean)


def test_the_interval_holds_the_truth_of_19_samples_in_20():
    rng = np.random.default_rng(0)
    rho, held = 0.6, 0
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's, of two normal variables
    for _ in range(400):
        x = rng.standard_normal(30)
        found = rank_correlation(x, rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(30))
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98
