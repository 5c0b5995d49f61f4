"""Columns of a table as numbers of a design."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.stats.cohort.coding import code


@given(st.lists(st.sampled_from("ABCD"), min_size=2, max_size=30).filter(lambda v: len(set(v)) > 1))
def test_levels_are_told_apart_without_a_constant(values):
    coded = code({"site": values}, len(values))
    whole = np.column_stack([np.ones(len(values)), coded.values])
    assert np.linalg.matrix_rank(whole) == len(set(values)) == whole.shape[1]
    reference = np.array(values) == min(values)
    assert not coded.values[reference].any()
    assert np.array_equal(coded.values.sum(axis=1), ~reference)


def test_numbers_stay_and_people_are_chosen():
    coded = code({"age": [3.0, 1.0, 2.0], "sex": ["M", "F", "F"]}, 3)
    assert coded.names == ("age", "sex: M")
    assert coded.of(np.array([True, False, True])).values.tolist() == [[3.0, 1.0], [2.0, 0.0]]
    assert code({}, 4).values.shape == (4, 0)


def test_what_tells_nobody_apart_is_refused():
    with pytest.raises(ValueError, match="site is the same for all 2"):
        code({"site": ["A", "A"]}, 2)
    with pytest.raises(ValueError, match="age has 1 values, expected 2"):
        code({"age": [1.0]}, 2)
