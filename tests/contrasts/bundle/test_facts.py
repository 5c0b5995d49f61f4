from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.contrasts.bundle.facts import score_table

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_a_row_a_model():
    table = score_table(
        {
            "rows": [
                {"model": "group average", "r": [0.5259, 0.51, 0.54]},
                {"model": "network", "r": [0.5, 0.4, 0.6], "ratio": 0.0206},
            ]
        }
    )
    assert [row[0] for row in table] == ["MODEL", "group average", "network"]
    assert table[1][1] == "0.526 [0.510, 0.540]"
    assert table[2][table[0].index("RATIO")] == "0.021"
    assert table[1][table[0].index("RATIO")] == ""


@pytest.mark.parametrize("evaluation", [None, {}, {"rows": 3}, {"rows": [1, 2]}])
def test_other_cards_have_no_table(evaluation):
    assert score_table(evaluation) == []


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.sampled_from(["model", "r", "index", "x"]), JSON)))
def test_whatever_stands_there_is_printed_or_left_out(rows):
    table = score_table({"rows": rows})
    assert len(table) == len(rows) + 1
    assert len({len(row) for row in table}) == 1
