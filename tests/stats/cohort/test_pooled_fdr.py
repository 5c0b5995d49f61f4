"""The false discovery rate that is counted in shared permutations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from bids_dtg.stats.cohort.exchangeability import permutations, sign_flips
from bids_dtg.stats.cohort.pooled_fdr import (
    LEAST_U,
    PooledCounts,
    bins_of_squared_r,
    bins_of_t,
    why_no_q,
)
from bids_dtg.stats.cohort.second_level import GroupDesign, correct_for_voxels
from bids_dtg.stats.paired import false_discovery_rate

DRAWS = 199


def counted(found, drawn, dof=30):
    """Count tests in the data and in draws, in two blocks of each."""
    counts, edges = PooledCounts(len(drawn)), bins_of_t(dof)
    half = len(drawn) // 2
    for some in (slice(0, 7), slice(7, None)):
        counts.add(found[None, some], edges)
        counts.add(drawn[:half, some], edges, first=1)
        counts.add(drawn[half:, some], edges, first=1 + half)
    return counts, edges


def pooled_q(found, drawn, least):
    """Return q of tests of at least a size by its definition, without bins."""
    rows = np.vstack([found, drawn])

    def rates(row):
        known = np.sort(row[row >= least])
        reached = (rows[:, :, None] >= known).sum(axis=1)  # (1 + draws, known)
        return known, np.minimum.accumulate(reached.mean(axis=0) / (known[:, None] <= known).sum(1))

    known, own = rates(found)
    smallest = np.array([rates(row)[1].min(initial=1.0) for row in rows])
    limit = (smallest[:, None] <= own).mean(axis=0)
    return np.minimum(np.maximum(own, limit), 1)[np.searchsorted(known, found[found >= least])]


@pytest.mark.slow
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), effect=st.sampled_from([0.0, 2.0, 6.0]))
def test_q_is_that_of_the_definition_but_for_bins(seed, effect):
    rng = np.random.default_rng(seed)
    found, drawn = np.abs(rng.standard_t(30, 40)), np.abs(rng.standard_t(30, (DRAWS, 40)))
    found[:5] += effect
    counts, edges = counted(found, drawn)
    q = counts.rates().q(found, edges)
    inside = found >= edges[0]
    # A bin is 0.5 hundredths of u wide: a few draws fall into the one of the data.
    np.testing.assert_allclose(q[inside], pooled_q(found, drawn, edges[0]), rtol=0.2, atol=0.02)
    assert (q[~inside] == 1).all()
    assert 1 / (DRAWS + 1) <= counts.rates().p_anything <= 1
    assert q.min() >= counts.rates().p_anything or q.min() == 1


@pytest.mark.slow
def test_with_unrelated_normal_people_it_finds_what_benjamini_and_hochberg_find():
    rng = np.random.default_rng(1)
    people, tests = 40, 2000
    maps = rng.standard_normal((people, tests))
    group = np.repeat([0.0, 1.0], people // 2)
    maps[:, :200] += 1.4 * group[:, None]
    design = GroupDesign(group)
    orders = permutations(499, np.arange(people), seed=1).orders
    found = correct_for_voxels(maps, design, orders)
    r = np.array([np.corrcoef(group, column)[0, 1] for column in maps.T])
    t = r * np.sqrt(38 / (1 - r**2))
    by_p = false_discovery_rate(2 * student.sf(np.abs(t), 38)) <= 0.05
    assert by_p[:200].sum() > 100
    assert found.discoveries.sum() >= 0.95 * by_p.sum()
    assert found.discoveries[200:].sum() <= 0.1 * found.discoveries.sum()


@pytest.mark.slow
def test_relatives_are_no_discoveries():
    # By p of t, as if people were unrelated, nearly all of these cohorts have discoveries.
    families = np.repeat(np.arange(12), 4)
    by_p = by_q = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shared, own = rng.standard_normal((12, 300))[families], rng.standard_normal((48, 300))
        maps = np.sqrt(0.8) * shared + np.sqrt(0.2) * own
        signs = sign_flips(199, families, seed=seed).signs
        found = correct_for_voxels(maps, GroupDesign.of_mean(48), signs)
        t = maps.mean(axis=0) / maps.std(axis=0, ddof=1) * np.sqrt(48)
        by_p += bool((false_discovery_rate(2 * student.sf(np.abs(t), 47)) <= 0.05).any())
        by_q += bool(found.discoveries.any())
    assert by_p >= 18
    assert by_q <= 3


def test_tests_of_other_degrees_of_freedom_share_the_bins():
    for dof in (3, 30, 300):
        edges = bins_of_t(dof)
        u = -np.log10(2 * student.sf(edges[:100], dof))
        np.testing.assert_allclose(u, LEAST_U + 0.005 * np.arange(100), rtol=1e-9)
        squared = bins_of_squared_r(dof)
        np.testing.assert_allclose(np.sqrt(squared / (1 - squared) * dof)[:100], edges[:100])


def test_values_that_are_not_known_count_nowhere():
    found = np.array([np.nan, 5.0, 0.1])
    counts, edges = counted(found, np.full((DRAWS, 3), np.nan))
    np.testing.assert_allclose(counts.rates().q(found, edges), [np.nan, 1 / (DRAWS + 1), 1])


def test_counts_of_tables_add_up():
    rng = np.random.default_rng(2)
    found, drawn = np.abs(rng.standard_t(30, 60)) * 2, np.abs(rng.standard_t(30, (DRAWS, 60)))
    whole, edges = counted(found, drawn)
    first, _ = counted(found[:20], drawn[:, :20])
    second, _ = counted(found[20:], drawn[:, 20:])
    first.add_all(second)
    np.testing.assert_array_equal(first.rates().q(found, edges), whole.rates().q(found, edges))
    with pytest.raises(ValueError, match="counts of 5 draws, expected 199"):
        first.add_all(PooledCounts(5))


@pytest.mark.parametrize(
    ("draws", "possible", "why"),
    [
        (199, 100, ""),
        (198, 10**6, "198 permutations"),
        (0, 1, "no permutation was asked for"),
        (999, 32, "32"),
    ],
)
def test_too_few_draws_give_no_q(draws, possible, why):
    assert (why in why_no_q(draws, possible)) if why else not why_no_q(draws, possible)
