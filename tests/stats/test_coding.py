"""Columns of a table as numbers of a design."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.stats.coding import Coded, add_levels, code


@pytest.mark.slow
@given(
    st.lists(st.sampled_from("ABCD"), min_size=2, max_size=30).filter(
        lambda v: len(set(v)) > 1
    )
)
def test_levels_are_told_apart_without_a_constant(values):
    coded = code({"site": values}, len(values))
    whole = np.column_stack([np.ones(len(values)), coded.values])
    assert np.linalg.matrix_rank(whole) == len(set(values)) == whole.shape[1]
    reference = np.array(values) == min(values)
    assert not coded.values[reference].any()
    assert np.array_equal(coded.values.sum(axis=1), ~reference)


def test_numbers_stay():
    coded = code({"age": [3.0, 1.0, 2.0], "sex": ["M", "F", "F"]}, 3)
    assert coded.names == ("age", "sex: M")
    assert coded.values.tolist() == [[3.0, 1.0], [1.0, 0.0], [2.0, 0.0]]
    assert code({}, 4).values.shape == (4, 0)


def test_what_tells_nobody_apart_is_refused():
    with pytest.raises(ValueError, match="site is the same for all 2"):
        code({"site": ["A", "A"]}, 2)
    with pytest.raises(ValueError, match="age has 1 values, expected 2"):
        code({"age": [1.0]}, 2)


@pytest.mark.slow
@given(
    st.lists(st.sampled_from("ABC"), min_size=8, max_size=30),
    st.integers(0, 2**31),
)
def test_added_levels_and_others_never_depend_on_each_other(levels, seed):
    rng = np.random.default_rng(seed)
    numbers = np.column_stack([rng.normal(size=len(levels)), np.array(levels) == "A"])
    added = add_levels(
        Coded(("age", "a"), numbers), "site", levels, rng.normal(size=len(levels))
    )
    assert added.names[:2] == ("age", "a")
    whole = np.column_stack([np.ones(len(levels)), added.values])
    rank = np.linalg.matrix_rank(
        np.column_stack([np.ones(len(levels)), numbers[:, :1]])
    )
    sites = np.array([[level == site for site in "ABC"] for level in levels], float)
    every = np.column_stack([np.ones(len(levels)), numbers, sites])
    assert np.linalg.matrix_rank(whole) == np.linalg.matrix_rank(every)
    if 0 < np.count_nonzero(numbers[:, 1]) < len(levels):
        assert np.linalg.matrix_rank(whole) == whole.shape[1] >= rank


def test_levels_that_leave_nothing_of_what_is_tested_are_refused():
    none = code({}, 4)
    with pytest.raises(ValueError, match="the same for all people of a site"):
        add_levels(none, "site", ["A", "A", "B", "B"], np.array([0.0, 0.0, 1.0, 1.0]))
    age = code({"age": [1.0, 3.0, 2.0, 5.0]}, 4)
    with pytest.raises(ValueError, match="4 people are too few"):
        add_levels(age, "site", ["A", "A", "B", "B"], np.array([0.0, 1.0, 1.0, 4.0]))
