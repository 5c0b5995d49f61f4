from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.stats.prediction.folds import Folds, repeated_folds, site_folds


@st.composite
def cohorts(draw):
    """Return families, sites and levels of people."""
    people = draw(st.integers(8, 40))
    families = draw(st.lists(st.integers(0, 30), min_size=people, max_size=people))
    sites = draw(st.lists(st.integers(3, 5), min_size=people, max_size=people))
    levels = draw(st.lists(st.integers(0, 1), min_size=people, max_size=people))
    return np.array(families), np.array(sites), np.array(levels)


@settings(max_examples=25)
@given(cohort=cohorts(), seed=st.integers(0, 99), folds=st.integers(2, 5))
def test_families_are_whole_and_everybody_is_tested_once_a_repeat(cohort, seed, folds):
    families, sites, levels = cohort
    if len(np.unique(families)) < folds:
        with pytest.raises(ValueError, match="cannot be divided into"):
            repeated_folds(families, folds=folds)
        return
    drawn = repeated_folds(families, folds=folds, repeats=3, seed=seed, sites=sites, levels=levels)
    assert (drawn.repeats, drawn.count) == (3, folds)
    tested = np.zeros((3, len(families)), int)
    for repeat, _, train, test in drawn.splits():
        assert not set(families[train]) & set(families[test])
        assert sorted([*train, *test]) == list(range(len(families)))
        tested[repeat, test] += 1
    assert (tested == 1).all()


@settings(max_examples=25)
@given(cohort=cohorts(), seed=st.integers(0, 99), folds=st.integers(2, 5))
def test_sites_and_levels_are_in_proportion(cohort, seed, folds):
    _, sites, levels = cohort
    people = np.arange(len(sites))
    drawn = repeated_folds(people, folds=folds, repeats=2, seed=seed, sites=sites, levels=levels)
    for own in drawn.fold:
        assert np.ptp(np.bincount(own, minlength=folds)) <= 1
        for stratum in {*zip(sites, levels, strict=True)}:
            inside = (sites == stratum[0]) & (levels == stratum[1])
            assert np.ptp(np.bincount(own[inside], minlength=folds)) <= 1


@settings(max_examples=25)
@given(cohort=cohorts(), seed=st.integers(0, 99))
def test_folds_differ_by_a_family_at_most(cohort, seed):
    families, *_ = cohort
    if len(np.unique(families)) < 4:
        return
    drawn = repeated_folds(families, folds=4, repeats=1, seed=seed)
    largest = np.unique(families, return_counts=True)[1].max()
    assert np.ptp(np.bincount(drawn.fold[0])) <= largest


def test_families_keep_sites_in_proportion_as_far_as_they_can():
    families, sites = np.arange(60) // 2, np.arange(60) // 20
    drawn = repeated_folds(families, folds=5, repeats=4, sites=sites)
    for own in drawn.fold:
        for site in range(3):
            assert np.bincount(own[sites == site]).tolist() == [4] * 5


def test_a_seed_gives_the_same_folds_and_repeats_differ():
    drawn = [repeated_folds(np.arange(30), repeats=3, seed=seed).fold for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    assert (drawn[0][0] != drawn[0][1]).any()


@settings(max_examples=25)
@given(cohort=cohorts())
def test_a_site_is_left_out_with_whole_families(cohort):
    families, sites, _ = cohort
    main = {np.bincount(sites[families == family]).argmax() for family in families}
    if len(main) < 2:
        with pytest.raises(ValueError, match="one site only"):
            site_folds(families, sites)
        return
    drawn, away = site_folds(families, sites), 0
    for _, _, train, test in drawn.splits():
        assert not set(families[train]) & set(families[test])
        (site,) = {np.bincount(sites[families == f]).argmax() for f in families[test]}
        away += int((sites[test] != site).sum())
    assert drawn.moved == away


def test_sites_of_unrelated_people_are_the_folds():
    drawn = site_folds(np.arange(6), np.array([2, 2, 0, 0, 1, 1]))
    assert drawn.fold.tolist() == [[2, 2, 0, 0, 1, 1]]
    assert drawn.moved == 0


def test_torn_families_are_refused():
    with pytest.raises(ValueError, match="1 families are in two folds of repeat 1"):
        Folds(np.array([[0, 0, 1], [0, 1, 1]]), np.array([5, 5, 6]))
    with pytest.raises(ValueError, match="fewer than two folds"):
        Folds(np.zeros((1, 3), int), np.arange(3))
