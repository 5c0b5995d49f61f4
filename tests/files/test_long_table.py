"""Long tables: whole or absent, and the same bytes for the same rows."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.errors import OutputError
from bids_dtg.files.long_table import LongTable

COLUMNS = ("name", "index", "mean")
rows = st.lists(
    st.tuples(
        st.text("abcé ß", max_size=4).map(lambda text: f"x{text}x"),
        st.integers(0, 9),
        st.one_of(st.none(), st.floats(-9, 9)),
    ),
    max_size=30,
)


def make(path, parts):
    with LongTable(path, COLUMNS) as table:
        for part in parts:
            table.add(b"".join(line(*row) for row in part))
    return path


def line(name, index, mean):
    return f"{name}\t{index}\t{'n/a' if mean is None else repr(mean)}\n".encode()


@pytest.mark.slow
@given(parts=st.lists(rows, max_size=4))
def test_parts_stand_behind_each_other(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    path = make(folder / "t.tsv.gz", parts)
    head, body = gzip.decompress(path.read_bytes()).split(b"\n", 1)
    assert head == b"name\tindex\tmean"
    assert body == b"".join(line(*row) for part in parts for row in part)
    assert make(folder / "again.tsv.gz", parts).read_bytes() == path.read_bytes()


def test_an_exception_leaves_what_was_there(tmp_path):
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(b"before")
    with pytest.raises(TypeError), LongTable(path, COLUMNS) as table:
        table.add("no bytes")
    assert [file.name for file in tmp_path.iterdir()] == ["t.tsv.gz"]
    assert path.read_bytes() == b"before"


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"t\.tsv\.gz"),
        LongTable(tmp_path / "file" / "t.tsv.gz", COLUMNS),
    ):
        pass
