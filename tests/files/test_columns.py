"""Columns of tables, and their cells."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.files.columns import BY_PEOPLE, Column
from bids_dtg.stats.paired import Interval


def test_a_family_has_a_column_a_member_in_their_order():
    columns = Column("trials_{}", "trials of the task {}", "trials: {}").each(
        ["b", "a"]
    )
    assert [column.name for column in columns] == ["trials_b", "trials_a"]
    assert columns[0].meaning == "trials of the task b"
    assert columns[1].title == "trials: a"


def test_a_dictionary_says_what_columns_and_ends_of_intervals_are():
    dictionary = Column("rt", "Mean", "response time", "s", BY_PEOPLE).dictionary()
    ends = f"end of the {BY_PEOPLE} of rt"
    assert dictionary == {
        "rt": {"LongName": "response time", "Description": "Mean", "Units": "s"},
        "rt_low": {"Description": f"Lower {ends}", "Units": "s"},
        "rt_high": {"Description": f"Upper {ends}", "Units": "s"},
    }


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        (Interval(1 / 3, 0.25, np.nan), ("0.3333333", "0.25", None)),
        ((1, 2, 3), ("1", "2", "3")),
        (0.5, ("0.5", None, None)),
        (None, (None, None, None)),
    ],
)
def test_a_value_with_an_interval_has_three_cells(value, cells):
    assert Column("r", "r", interval=BY_PEOPLE).cells(value) == cells


VALUES = (
    True,
    np.bool_(False),
    np.float32(1 / 3),
    1234567.89,
    np.inf,
    -0.0,
    12,
    "word",
    None,
)
CELLS = ("true", "false", "0.3333333", "1234568", None, "0", 12, "word", None)


@pytest.mark.parametrize(("value", "cell"), zip(VALUES, CELLS, strict=True))
def test_a_value_is_written_alike_everywhere(value, cell):
    assert Column("x", "x").cells(value) == (cell,)
