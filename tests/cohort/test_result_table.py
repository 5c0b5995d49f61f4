"""Tables of results: file, data dictionary and the page's table of one declaration."""

import json

import pytest

from bids_dtg.cohort.column import BY_PEOPLE, Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.files.text import read_rows

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
    assert read_rows(tmp_path / "a.tsv") == [
        {
            "model": "twin",
            "r": "0.3333333",
            "r_low": "0.1",
            "r_high": "0.5",
            "people": "9",
            "sure": "true",
        },
        {
            "model": "mean",
            "r": "n/a",
            "r_low": "n/a",
            "r_high": "n/a",
            "people": "9",
            "sure": "n/a",
        },
    ]
    words = json.loads((tmp_path / "a.json").read_text())
    assert list(words) == ["Description", "model", "r", "r_low", "r_high", "people", "sure"]
    assert words["model"] == {"LongName": "prediction", "Description": "Which"}


def test_a_table_without_rows_has_its_header():
    assert ResultTable(COLUMNS, []).text == "model\tr\tr_low\tr_high\tpeople\tsure\n"


def test_a_page_has_the_same_numbers_under_headings():
    table = ResultTable(COLUMNS, ROWS).on_page("Scores", highlight=["mean"], better=[("mean", "r")])
    assert list(table.columns) == ["prediction", "r, 95 % interval", "people", "sure"]
    assert table.rows[0] == ["twin", (1 / 3, 0.1, 0.5), 9, "yes"]
    assert table.rows[1] == ["mean", None, 9, None]
    assert (table.highlight, table.better) == (["mean"], [("mean", "r, 95 % interval")])
    few = ResultTable(COLUMNS, ROWS).on_page("Scores", ["people", "r"], headings={"people": "who"})
    assert (list(few.columns), few.rows[1]) == (["who", "r, 95 % interval"], [9, None])


def test_a_column_that_nobody_declared_is_refused():
    with pytest.raises(ValueError, match="no columns are declared for q"):
        _ = ResultTable(COLUMNS, [{"q": 1}]).text
    with pytest.raises(ValueError, match="same name"):
        ResultTable((*COLUMNS, Column("r_low", "Lower")), [])
