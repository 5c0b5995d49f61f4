"""Columns of tables of results."""

import numpy as np
import pytest

from bids_dtg.cohort.column import BY_PEOPLE, Column, dictionary
from bids_dtg.stats.paired import Interval


def test_a_family_has_a_column_a_member_in_their_order():
    columns = Column("trials_{}", "trials of the task {}", "trials: {}").each(["b", "a"])
    assert [column.name for column in columns] == ["trials_b", "trials_a"]
    assert columns[0].meaning == "trials of the task b"
    assert columns[1].title == "trials: a"


def test_a_dictionary_says_what_columns_and_ends_of_intervals_are():
    columns = [Column("name", "Region"), Column("rt", "Mean", "response time", "s", 4, BY_PEOPLE)]
    ends = f"end of the {BY_PEOPLE} of rt"
    assert dictionary(columns) == {
        "name": {"Description": "Region"},
        "rt": {"LongName": "response time", "Description": "Mean", "Units": "s"},
        "rt_low": {"Description": f"Lower {ends}", "Units": "s"},
        "rt_high": {"Description": f"Upper {ends}", "Units": "s"},
    }


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        (Interval(1 / 3, 0.25, np.nan), ("0.333", "0.25", None)),
        ((1, 2, 3), ("1", "2", "3")),
        (0.5, ("0.5", None, None)),
        (None, (None, None, None)),
    ],
)
def test_a_value_with_an_interval_has_three_cells(value, cells):
    assert Column("r", "r", digits=3, interval=BY_PEOPLE).cells(value) == cells


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (True, "true"),
        (np.bool_(False), "false"),
        (np.float32(1 / 3), "0.3333333"),
        (1234567.89, "1234568"),
        (np.inf, None),
        (-0.0, "0"),
        (12, 12),
        ("word", "word"),
        (None, None),
    ],
)
def test_a_value_is_written_alike_everywhere(value, cell):
    assert Column("x", "x").cells(value) == (cell,)
