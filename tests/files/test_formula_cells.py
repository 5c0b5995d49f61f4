"""Names that a spreadsheet would run are text in what we write, and the same names when read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.files.foreign import parse_table
from bids_dtg.files.formula_cells import with_formula, without_formula
from bids_dtg.files.regions.cells import name_cell
from bids_dtg.files.text import read_rows, tsv_text

RUN = ["=cmd|' /C calc'!A0", "@SUM(A1)", "+1+2", "-2+3+cmd", "=1"]


@pytest.mark.slow
@given(
    st.sampled_from(["=", "+", "-", "@", "'", "'=", "''-", "a", "1", " "]).flatmap(
        lambda first: st.text().map(lambda rest: first + rest)
    )
)
def test_what_was_written_is_read(text):
    assert with_formula(without_formula(text)) == text


def test_no_cell_of_a_table_is_a_formula(tmp_path):
    text = tsv_text(RUN, [RUN, [-1.5, "-0.5", "+3", "1e-3", "a"]])
    assert not [cell for cell in text.split("\t") if cell.startswith(("=", "@"))]
    path = tmp_path / "t.tsv"
    path.write_text(text)
    first, second = read_rows(path)
    assert list(first) == list(first.values()) == RUN
    assert list(second.values()) == ["-1.5", "-0.5", "+3", "1e-3", "a"]


def test_names_of_regions_are_no_formulas(tmp_path):
    assert [name_cell(name)[:2] for name in RUN] == [f"'{name[0]}" for name in RUN]
    table = parse_table(f"{name_cell(RUN[0])}\tV1\n1\t2\n", tmp_path)
    assert table.header == (RUN[0], "V1")
