from __future__ import annotations

from itertools import permutations as all_orders

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from bids_dtg.stats.cohort.exchangeability import permutation_p, permutations, sign_flips

COHORTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=1, max_size=14
)  # family and site of each person
SWITCHES = st.booleans()


@pytest.mark.parametrize(
    ("column", "alike"), [([1, 1, 1, 2, 2, 2], True), ([1, 1, 2, 1, 2, 2], False)]
)
def test_a_column_that_no_order_changes_is_reported(column, alike):
    drawn = permutations(99, families=range(6), sites=[0, 0, 0, 1, 1, 1])
    assert bool(drawn.trouble_with("group", column)) == alike
    assert not permutations(99, families=[0] * 6).trouble_with("group", column)


def is_allowed(order, families, sites, within) -> bool:
    """Say from the definition whether an order keeps sites, and families whole."""
    if (sites[order] != sites).any():
        return False
    for family in np.unique(families):
        (own,) = np.nonzero(families == family)
        origin = np.unique(families[order[own]])
        if len(origin) != 1 or len(own) != (families == origin[0]).sum():
            return False
        for site in np.unique(sites[own]):
            moved = order[own[sites[own] == site]]
            if not within and (np.diff(moved) < 0).any():
                return False
    return True


@pytest.mark.slow
@given(COHORTS, SWITCHES, SWITCHES, st.integers(0, 99))
def test_sites_are_kept_and_families_stay_whole(cohort, by_site, within, seed):
    families, sites = np.array(cohort).T
    sites = sites if by_site else np.zeros_like(sites)
    found = permutations(
        20, families, sites=sites if by_site else None, within_families=within, seed=seed
    )
    assert found.orders.shape == (20, len(cohort))
    np.testing.assert_array_equal(np.sort(found.orders, axis=1), [np.arange(len(cohort))] * 20)
    assert all(is_allowed(order, families, sites, within) for order in found.orders)
    again = permutations(
        20, families, sites=sites if by_site else None, within_families=within, seed=seed
    )
    np.testing.assert_array_equal(found.orders, again.orders)


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(
    ("families", "sites"),
    [
        ([0, 0, 1, 1, 2, 3], [0] * 6),
        ([0, 0, 1, 1, 2, 2], [0, 1, 1, 0, 1, 1]),
        ([0, 1, 0, 1, 2, 0], [0] * 6),
        ([0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 1, 1]),
        ([0, 0, 0, 1, 1, 2], [1, 1, 0, 1, 1, 1]),
    ],
)
def test_every_possible_order_is_drawn_alike(families, sites, within):
    families, sites = np.array(families), np.array(sites)
    allowed = {
        order
        for order in all_orders(range(6))
        if is_allowed(np.array(order), families, sites, within)
    }
    n = 400 * len(allowed)
    found = permutations(n, families, sites=sites, within_families=within, seed=3)
    drawn, times = np.unique(found.orders, axis=0, return_counts=True)
    assert {tuple(order) for order in drawn.tolist()} == allowed
    assert found.possible == len(allowed)
    assert np.abs(times - 400).max() < 5 * np.sqrt(400)


def test_people_of_a_cohort_are_permuted_freely_within_sites():
    found = permutations(5, np.arange(40), sites=np.arange(40) % 2)
    assert found.words == ("People were permuted within 2 sites: nobody is known to be related.",)
    assert found.smallest_p == 1 / 6
    assert permutations(5, np.arange(40)).words == (
        "People were permuted freely: nobody is known to be related.",
    )


def test_words_say_what_families_did():
    families, sites = [0, 0, 1, 1, 2, 3, 3, 3], [0, 1, 0, 1, 0, 0, 0, 0]
    found = permutations(9, families, sites=sites, within_families=True)
    assert found.words[0] == (
        "Whole families of equal size were swapped with each other within 2 sites (families by "
        "number of people: 1 of 1, 2 of 2, 1 of 3)."
    )
    assert found.words[1:4] == (
        "Families in several sites: 2; each was swapped only with those that have as many people "
        "in the same sites.",
        "Families that are like no other, and were not swapped: 2.",
        "People were also permuted within families and sites.",
    )
    assert found.possible == 2 * 6


def test_it_is_said_where_no_permutation_or_too_few_are_left():
    alone = permutations(9, [0, 0, 1, 1, 1, 2])
    assert (alone.possible, alone.smallest_p) == (1, 1.0)
    assert alone.words[-1].startswith("No permutation is left: no family is like another")
    few = permutations(99, [0, 1, 2, 2])
    assert few.words[-1] == "Only 2 different orders exist, so no p is below 0.5."
    assert "orders exist" not in permutations(99, np.arange(9)).words[-1]


@given(COHORTS)
def test_signs_of_a_family_are_flipped_together(cohort):
    families = np.array(cohort)[:, 0]
    found = sign_flips(30, families, seed=1)
    assert set(np.unique(found.signs)) <= {-1, 1}
    for family in np.unique(families):
        assert (np.ptp(found.signs[:, families == family], axis=1) == 0).all()
    assert found.possible == 2 ** len(np.unique(families))


def test_families_flip_apart_from_each_other():
    found = sign_flips(4000, [0, 0, 1, 2], seed=1)
    _, times = np.unique(found.signs, axis=0, return_counts=True)
    assert len(times) == 8
    assert np.abs(times - 500).max() < 5 * np.sqrt(500)
    assert found.words[0] == "Signs were flipped, those of each of 3 families together."
    assert sign_flips(4, [0, 1]).words[0].endswith("nobody is known to be related.")


@pytest.mark.parametrize("families", [4, 7])
def test_the_smallest_p_that_flips_of_signs_can_give_is_that_of_both_sides(families):
    found = sign_flips(999, np.arange(families))
    data = np.ones(families)
    least = (np.abs(found.signs @ data) >= families).mean()
    assert float(found.words[-1].split()[-1].rstrip(".")) == pytest.approx(2 / 2**families, rel=0.1)
    assert least == pytest.approx(2 / 2**families, rel=0.5)
    assert "flips of signs exist" not in sign_flips(99, np.arange(9)).words[-1]
    assert sign_flips(9, [3, 3, 3]).words[-1].endswith("so no two-sided p is below 1.")


def test_p_counts_ties_and_keeps_gaps():
    null = np.array([[1.0, 5.0, 0.0], [2.0, 6.0, 0.0], [3.0, 7.0, 0.0]])
    found = permutation_p([3.0 + 1e-9, 1.0, np.nan], null)
    np.testing.assert_array_equal(found, [0.5, 1.0, np.nan])
    np.testing.assert_array_equal(permutation_p([3.0 + 1e-9, np.nan], null[:, 0]), [0.5, np.nan])


def test_p_is_uniform_where_families_are_alike_and_the_phenotype_tells_nothing():
    rng, p = np.random.default_rng(8), []
    families = np.repeat(np.arange(15), 2)
    orders = permutations(199, families, sites=np.repeat([0, 1, 2], 10), seed=4).orders
    for _ in range(300):
        y, x = (rng.normal(size=15)[families] + rng.normal(size=30) for _ in range(2))
        p.append(permutation_p(abs(x @ y), abs(y[orders] @ x))[0])
    spread = np.array(p) - rng.uniform(size=300) / 200  # ties are broken at random
    assert kstest(spread, "uniform").pvalue > 0.01


def test_what_cannot_be_permuted_is_refused():
    with pytest.raises(ValueError, match="0 draws of people"):
        permutations(0, [1, 2])
    with pytest.raises(ValueError, match=r"families of the shape \(0,\)"):
        sign_flips(9, [])
    with pytest.raises(ValueError, match=r"sites of the shape \(3,\), expected \(2,\)"):
        permutations(9, [1, 2], sites=[1, 1, 1])
