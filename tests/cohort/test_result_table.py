"""Tables of results: file, data dictionary and the page's table of one declaration."""

from __future__ import annotations

import json

import pytest

from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.files.columns import BY_PEOPLE, Column

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
