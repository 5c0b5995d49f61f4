"""Tables of results: file, data dictionary and the page's table of one declaration."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bids_dtg.cohort.result_table import BY_PEOPLE, Column, ResultTable
from bids_dtg.stats.paired import Interval

COLUMNS = (
    Column("model", "Which", "prediction"),
    Column("r", "Pearson r", "r, 95 % interval", interval=BY_PEOPLE),
    Column("people", "How many"),
    Column("sure", "Whether it is"),
)
ROWS = [
    {"model": "twin", "r": (1 / 3, 0.1, 0.5), "people": 9, "sure": True},
    {"model": "mean", "r": None, "people": 9},
]


def test_a_table_and_its_dictionary_follow_from_the_columns(tmp_path):
    ResultTable(COLUMNS, ROWS, "A row a model").write(tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_text().splitlines() == [
        "model\tr\tr_low\tr_high\tpeople\tsure",
        "twin\t0.3333333\t0.1\t0.5\t9\ttrue",
        "mean\tn/a\tn/a\tn/a\t9\tn/a",
    ]
    words = json.loads((tmp_path / "a.json").read_text())
    assert list(words) == [
        "Description",
        "model",
        "r",
        "r_low",
        "r_high",
        "people",
        "sure",
    ]
    assert words["model"] == {"LongName": "prediction", "Description": "Which"}


def test_a_table_without_rows_has_its_header():
    assert ResultTable(COLUMNS, []).text == "model\tr\tr_low\tr_high\tpeople\tsure\n"


def test_a_page_has_the_same_numbers_under_headings():
    table = ResultTable(COLUMNS, ROWS).on_page(
        "Scores", model="model", better=[("mean", "r")]
    )
    assert list(table.columns) == ["prediction", "r, 95 % interval", "people", "sure"]
    assert table.rows[0] == ["twin", (1 / 3, 0.1, 0.5), 9, "yes"]
    assert table.rows[1] == ["mean", None, 9, None]
    assert (table.model, table.better) == ("model", [("mean", "r, 95 % interval")])
    few = ResultTable(COLUMNS, ROWS).on_page("Scores", ["people", "r"])
    assert (list(few.columns), few.rows[1]) == (
        ["people", "r, 95 % interval"],
        [9, None],
    )


def test_a_column_that_nobody_declared_is_refused():
    with pytest.raises(ValueError, match="no columns are declared for q"):
        _ = ResultTable(COLUMNS, [{"q": 1}]).text


def test_a_family_has_a_column_a_member_in_their_order():
    columns = Column("trials_{}", "trials of the task {}", "trials: {}").each(
        ["b", "a"]
    )
    assert [column.name for column in columns] == ["trials_b", "trials_a"]
    assert columns[0].meaning == "trials of the task b"
    assert columns[1].title == "trials: a"


def test_a_dictionary_says_what_columns_and_ends_of_intervals_are():
    found = Column("rt", "Mean", "response time", "s", BY_PEOPLE).dictionary()
    ends = f"end of the {BY_PEOPLE} of rt"
    assert found == {
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
