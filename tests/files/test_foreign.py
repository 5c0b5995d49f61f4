from __future__ import annotations

import csv
import io
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bids_dtg.errors import ForeignFileError, MissingFileError, RunError, SettingsError
from bids_dtg.files import foreign

READERS = {
    "bytes": foreign.read_bytes,
    "text": foreign.read_text,
    "json": foreign.read_json,
    "object": foreign.read_json_object,
    "toml": foreign.read_toml,
    "table": foreign.read_table,
    "table of any delimiter": lambda path: foreign.read_table(path, None),
    "columns": lambda path: foreign.text_columns(foreign.read_bytes(path), path),
}
each_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


SPECIAL = {
    "no regular file": os.mkfifo,
    "a folder": Path.mkdir,
    "a broken link": lambda path: path.symlink_to("nowhere"),
}


@each_reader
@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.timeout(5)
def test_what_is_no_file_is_refused_at_once(tmp_path, read, what):
    SPECIAL[what](tmp_path / "x")
    with pytest.raises(ForeignFileError, match=f"x cannot be read: it is {what}"):
        read(tmp_path / "x")


@each_reader
def test_missing_files_are_an_error_of_their_own(tmp_path, read):
    with pytest.raises(MissingFileError, match="cannot be read: N"):
        read(tmp_path / "x")
    (tmp_path / "x").touch()
    with pytest.raises(MissingFileError, match="cannot be read: N"):
        read(tmp_path / "x" / "y")


def test_pointers_are_named(tmp_path):
    (tmp_path / "x").write_text("/annex/objects/MD5E-s12--abc.tsv\n")
    with pytest.raises(ForeignFileError, match=r"pointer.*datalad get"):
        foreign.read_table(tmp_path / "x")


@pytest.mark.parametrize("read", [foreign.read_text, foreign.read_json, foreign.read_table])
@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ('{"Name": "Zürich"}'.encode("utf-16"), "it is UTF-16"),
        ('{"Name": "Bern"}'.encode("utf-16-le"), "it is binary, or UTF-16"),
        ('{"Name": "Zürich"}'.encode("latin-1"), "no UTF-8 at byte 11"),
    ],
)
def test_other_encodings_are_refused(tmp_path, read, content, fact):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ForeignFileError, match=rf"{fact}.*To do: save it as UTF-8"):
        read(tmp_path / "x")


def test_a_mark_at_the_start_is_no_text(tmp_path):
    (tmp_path / "x").write_text('{"a": 1}', encoding="utf-8-sig")
    assert foreign.read_json_object(tmp_path / "x") == {"a": 1}


@pytest.mark.parametrize("text", ["", "{", '{"a": 1} x', "[" * 200_000])
def test_damaged_json_becomes_a_line(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(ForeignFileError, match="x cannot be read as JSON"):
        foreign.read_json(tmp_path / "x")


def test_what_is_no_object_is_named(tmp_path):
    (tmp_path / "x").write_text("[]")
    with pytest.raises(ForeignFileError, match="no JSON object"):
        foreign.read_json_object(tmp_path / "x")


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", "[[a]]\n[a]"])
def test_damaged_toml_becomes_a_line(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(ForeignFileError, match="x cannot be read as TOML"):
        foreign.read_toml(tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\tb\n" + "x" * 200_000 + "\t1\n", "field larger"),
        ("a\tb\n1\t2\t3\n", "line 2 has 3 cells, the header 2"),
        ('a\tb\n"1\t2\t3\n', "has 3 cells"),
    ],
)
def test_damaged_tables_become_a_line(tmp_path, text, found):
    (tmp_path / "x").write_text(text)
    with pytest.raises(ForeignFileError, match=f"cannot be read as a table.*{found}"):
        foreign.read_table(tmp_path / "x")


def test_tables_of_all_systems_are_alike(tmp_path):
    path = tmp_path / "x"
    wanted = [{"a": "1", "b": "two words"}, {"a": "", "b": "3"}]
    for text in (
        "a\tb\n1\ttwo words\n\t3\n",
        "a\tb\r\n1\ttwo words\r\n\t3\r\n\r\n",
        "a\tb\r1\ttwo words\r\t3",
        '"a"\t"b"\n"1"\t"two words"\n""\t"3"\n',
        "a\tb\t\n1\ttwo words\t\n\t3\n",
        'a,b\n1,"two words"\n,3',
    ):
        path.write_bytes(text.encode())
        assert foreign.read_table(path, None).dicts() == wanted


def test_quotes_within_text_stay(tmp_path):
    (tmp_path / "x").write_text('a\tb\n"so" called\t1\n')
    assert foreign.read_table(tmp_path / "x").dicts() == [{"a": '"so" called', "b": "1"}]


def test_short_lines_and_double_names_are_counted(tmp_path):
    (tmp_path / "x").write_text("a\tb\ta\n1\n1\t2\t3\n")
    table = foreign.read_table(tmp_path / "x")
    assert (table.short, table.twice()) == (1, ("a",))


def test_only_wanted_columns_are_kept_of_bytes_with_a_mark(tmp_path):
    content = b'\xef\xbb\xbfa\t"b"\tc\n1\t2\n3\t4\t5\n'
    table = foreign.parse_table(content, tmp_path / "x", wanted=lambda name: name != "b")
    assert table.dicts() == [{"a": "1", "c": ""}, {"a": "3", "c": "5"}]
    assert table.short == 1
    with pytest.raises(ForeignFileError, match="cannot be read as a table: 'utf-8' codec"):
        foreign.parse_table(b"\xff\xfe", tmp_path / "x")


def test_too_little_memory_is_a_line(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("{}")

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(json, "loads", full)
    with pytest.raises(ForeignFileError, match="not enough memory"):
        foreign.read_json(tmp_path / "x")


def test_a_participants_file_is_looked_at_first(tmp_path):
    with pytest.raises(RunError, match=r"sub-01: .*broken link|cannot be read"):
        foreign.read_content(tmp_path / "x", "01")


def test_errors_keep_their_words_as_another_kind(tmp_path):
    with pytest.raises(ForeignFileError) as caught:
        foreign.read_text(tmp_path)
    error = caught.value.as_kind(SettingsError, "--atlas: ")
    assert isinstance(error, SettingsError)
    assert str(error) == f"--atlas: {tmp_path} cannot be read: it is a folder. Expected: a file."


quick = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.slow
@each_reader
@quick
@given(content=st.binary(max_size=300))
def test_any_bytes_give_values_or_the_one_error(tmp_path, read, content):
    (tmp_path / "x").write_bytes(content)
    with suppress(ForeignFileError):
        read(tmp_path / "x")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8)


@pytest.mark.slow
@quick
@given(
    rows=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(cells, min_size=n, max_size=n).filter(any), max_size=5)
    ),
    delimiter=st.sampled_from("\t,"),
)
def test_rows_come_back_as_a_spreadsheet_wrote_them(tmp_path, rows, delimiter):
    header = [f"c{n}" for n in range(len(rows[0]) if rows else 1)]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    (tmp_path / "x").write_bytes(text.getvalue().encode())
    table = foreign.read_table(tmp_path / "x", delimiter)
    assert [list(row) for row in table.rows] == rows
    assert table.header == tuple(header)
