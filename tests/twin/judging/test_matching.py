"""Matched against mismatched twins, by permutation of a loss matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.twin.judging.evaluation import match, mean_of_others

SEEDS = st.integers(0, 1000)


def losses(people: int, gain: float, seed: int = 0) -> np.ndarray:
    """Return losses that depend on the person, on the twin, and on whether they match."""
    rng = np.random.default_rng(seed)
    person, twin = rng.uniform(0.05, 0.2, (2, people))
    noise = 0.01 * rng.standard_normal((people, people))
    return person + twin[:, None] + noise - gain * np.eye(people)


def test_a_twin_that_knows_its_person_is_found():
    found = match(losses(30, 0.05))
    assert found.p == pytest.approx(1 / 2001)
    assert found.mismatched - found.matched == pytest.approx(0.05, abs=0.01)
    assert found.better_than_average.mean > 0.7
    assert found.better_than_average.low < found.better_than_average.mean


def test_p_is_spread_evenly_where_nothing_matches():
    p = [match(losses(12, 0.0, seed), permutations=199).p for seed in range(100)]
    assert 0.4 < np.mean(p) < 0.6
    assert np.mean(np.array(p) < 0.05) < 0.15


def test_figures_of_a_small_matrix():
    found = match(np.array([[1.0, 5.0, 1.0], [2.0, 2.0, 6.0], [3.0, 2.0, 5.0]]))
    assert (found.matched, found.mismatched) == pytest.approx((8 / 3, 19 / 6))
    # The first is the best of its column, the second ties with the third, the third is second.
    assert found.identified.mean == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found.mean_rank == pytest.approx((1 + 1.5 + 2) / 3)
    assert found.better_than_average.mean == pytest.approx(2 / 3)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_the_order_of_people_does_not_matter(seed):
    matrix = losses(9, 0.01, seed)
    order = np.random.default_rng(seed).permutation(9)
    one, other = match(matrix), match(matrix[np.ix_(order, order)])
    assert one.p == pytest.approx(other.p, abs=0.06)  # other draws
    for name in ("matched", "mismatched", "mean_rank"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))
    assert (one.identified, one.better_than_average) == (
        other.identified,
        other.better_than_average,
    )


@settings(max_examples=20)
@given(seed=SEEDS, scale=st.floats(0.001, 1000.0))
def test_a_loss_of_the_person_alone_changes_nothing(seed, scale):
    matrix = losses(7, 0.02, seed)
    harder = matrix + 0.3 * np.arange(7)
    for other in (match(harder, permutations=99), match(scale * matrix, permutations=99)):
        one = match(matrix, permutations=99)
        assert (one.p, one.identified.mean) == (other.p, other.identified.mean)


def test_twins_that_are_all_alike_match_nobody():
    found = match(np.tile(np.linspace(0.1, 0.2, 8), (8, 1)))
    assert found.p == 1.0
    assert found.identified.mean == pytest.approx(1 / 8)
    assert found.better_than_average.mean == 0.0


@pytest.mark.parametrize(
    ("matrix", "fact"),
    [
        (np.zeros((3, 4)), r"found \(3, 4\)"),
        (np.zeros((1, 1)), r"found \(1, 1\)"),
        (np.array([[0.1, np.nan], [0.2, 0.1]]), "1 of 4 losses are not finite: .* own sequence"),
    ],
)
def test_what_cannot_be_compared_is_refused(matrix, fact):
    with pytest.raises(ValueError, match=fact):
        match(matrix)


def test_twins_of_other_groups_are_no_rivals():
    matrix, groups = losses(12, 0.02), np.arange(12) % 3
    blocked = np.where(groups[:, None] == groups[None, :], matrix, np.nan)
    found = match(blocked, groups=groups)
    of_groups = [
        match(matrix[np.ix_(own, own)]) for own in (groups == number for number in range(3))
    ]
    for name in ("matched", "mismatched", "mean_rank"):
        each = [getattr(own, name) for own in of_groups]
        assert getattr(found, name) == pytest.approx(np.mean(each))
    assert found.people == 12
    with pytest.raises(ValueError, match="not finite"):
        match(blocked)
    with pytest.raises(ValueError, match="2 people or more"):
        match(blocked, groups=np.arange(12))


def test_twins_of_relatives_are_no_other_people_s():
    losses = np.random.default_rng(0).uniform(0.2, 0.3, (6, 6))
    families = np.array([0, 1, 0, 2, 1, 3])
    apart = families[:, None] != families
    expected = np.ma.array(losses, mask=~apart).mean(axis=0)
    assert mean_of_others(losses, None, families) == pytest.approx(expected)
    # Families once: means of two are of each of one with each of the other.
    between = [
        np.mean(
            [
                losses[np.ix_(families == one, families == other)].mean()
                for one in range(4)
                if one != other
            ]
        )
        for other in range(4)
    ]
    found = match(losses, families=families)
    assert found.mismatched == pytest.approx(np.mean(between))
    own = np.diagonal(losses)
    assert found.matched == pytest.approx(
        np.mean([own[families == one].mean() for one in range(4)])
    )
    assert found.people == 4
    groups = np.array([0, 0, 0, 1, 1, 1])
    expected = np.ma.array(losses, mask=~(apart & (groups[:, None] == groups))).mean(axis=0)
    assert mean_of_others(losses, groups, families) == pytest.approx(expected)
