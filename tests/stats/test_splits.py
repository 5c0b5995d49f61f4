from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.stats.splits import DRAWN, Split, fold_people, split_people

PEOPLE = [f"{n:02d}" for n in range(40)]


@pytest.mark.slow
@given(
    families=st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from("abcdef")),
    seed=st.integers(0, 2**31),
)
def test_nobody_and_no_family_is_on_two_sides(families, seed):
    split = split_people(PEOPLE, validation=0.1, test=0.2, seed=seed, families=families)
    sets = [set(getattr(split, name)) for name in DRAWN]
    assert set().union(*sets) == set(PEOPLE)
    assert sum(map(len, sets)) == len(PEOPLE)
    split.require_whole_families(families)
    assert min(map(len, sets)) > 0


def test_the_order_of_the_labels_does_not_matter():
    shuffled = list(np.random.default_rng(0).permutation(PEOPLE))
    shares = {"validation": 0.25, "test": 0.25, "seed": 3}
    assert split_people(shuffled, **shares) == split_people(PEOPLE, **shares)
    assert split_people(PEOPLE, **(shares | {"seed": 4})) != split_people(
        PEOPLE, **shares
    )
    assert [len(getattr(split_people(PEOPLE, **shares), name)) for name in DRAWN] == [
        20,
        10,
        10,
    ]


def test_a_person_on_two_sides_is_refused():
    with pytest.raises(ValueError, match="two sets of the split: 02"):
        Split(("01", "02"), ("02",), ("03",))
    with pytest.raises(
        ValueError, match="families are in two sets of the split: smith"
    ):
        Split(("01",), ("02",), ()).require_whole_families(
            {"01": "smith", "02": "smith"}
        )


def test_shares_that_leave_nobody_are_refused():
    with pytest.raises(ValueError, match="leave nobody"):
        split_people(PEOPLE, validation=0.5, test=0.5, seed=0)
    with pytest.raises(ValueError, match="too few to be split"):
        split_people(["a", "b"], validation=0.1, test=0.1, seed=0)


@pytest.mark.slow
@given(
    families=st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from("abcdef")),
    folds=st.integers(2, 12),
    seed=st.integers(0, 2**31),
)
def test_everybody_is_left_out_once_and_families_together(families, folds, seed):
    parts = fold_people(PEOPLE, folds, seed=seed, families=families)
    assert sorted(label for fold in parts for label in fold) == PEOPLE
    together = len(set(families.values())) + len(PEOPLE) - len(families)
    assert len(parts) == min(folds, together)
    assert all(parts)
    for family in set(families.values()):
        members = {label for label in PEOPLE if families.get(label) == family}
        assert sum(bool(members & set(fold)) for fold in parts) == 1
    assert fold_people(PEOPLE[::-1], folds, seed=seed, families=families) == parts
