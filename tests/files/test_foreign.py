"""Files of other programs: found, checked, read, or refused in one line."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bids_dtg.errors import ForeignFileError, MissingFileError, RunError, SettingsError
from bids_dtg.files import foreign
from bids_dtg.notices import with_formula

READERS = {
    "bytes": foreign.read_bytes,
    "text": foreign.read_text,
    "object": foreign.read_json_object,
    "toml": foreign.read_toml,
    "table": foreign.read_table,
    "table of any delimiter": lambda path: foreign.read_table(path, None),
}
each_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


SPECIAL = {
    "not a regular file": os.mkfifo,
    "a folder": Path.mkdir,
}


@each_reader
@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.timeout(5)
def test_what_is_no_file_is_refused_at_once(tmp_path, reader, what):
    SPECIAL[what](tmp_path / "x")
    with pytest.raises(ForeignFileError, match=f"x cannot be read: it is {what}"):
        reader(tmp_path / "x")


@each_reader
def test_missing_files_are_an_error_of_their_own(tmp_path, reader):
    with pytest.raises(MissingFileError, match="cannot be read: N"):
        reader(tmp_path / "x")
    (tmp_path / "x").touch()
    with pytest.raises(MissingFileError, match="cannot be read: N"):
        reader(tmp_path / "x" / "y")


def test_files_without_content_are_named(tmp_path):
    (tmp_path / "x").write_text("/annex/objects/MD5E-s12--abc.tsv\n")
    (tmp_path / "y").symlink_to("nowhere")
    for name in "xy":
        with pytest.raises(
            ForeignFileError, match=rf"{name} has no content.*pointer.*datalad get"
        ):
            foreign.read_table(tmp_path / name)


@pytest.mark.parametrize(
    "reader", [foreign.read_text, foreign.read_json_object, foreign.read_table]
)
@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ('{"Name": "Zürich"}'.encode("utf-16"), "not UTF-8 at byte 0"),
        ('{"Name": "Bern"}'.encode("utf-16-le"), "it is binary, or UTF-16"),
        ('{"Name": "Zürich"}'.encode("latin-1"), "not UTF-8 at byte 11"),
    ],
)
def test_other_encodings_are_refused(tmp_path, reader, content, fact):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ForeignFileError, match=rf"{fact}.*To do: save it as UTF-8"):
        reader(tmp_path / "x")


def test_a_mark_at_the_start_is_no_text(tmp_path):
    (tmp_path / "x").write_text('{"a": 1}', encoding="utf-8-sig")
    assert foreign.read_json_object(tmp_path / "x") == {"a": 1}


@pytest.mark.parametrize("text", ["", "{", '{"a": 1} x', "[" * 200_000])
def test_damaged_json_becomes_a_line(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(ForeignFileError, match="x cannot be read as JSON"):
        foreign.read_json_object(tmp_path / "x")


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
    ("text", "fault"),
    [
        ("a\tb\n" + "x" * 200_000 + "\t1\n", "field larger"),
        ("a\tb\n1\t2\t3\n", "line 2 has 3 cells, the header 2"),
        ("a;b\n1;2,5\n", "semicolons separate its columns, instead of tabs or commas"),
        ('a\tb\n"1\t2\t3\n', "has 3 cells"),
    ],
)
def test_damaged_tables_become_a_line(tmp_path, text, fault):
    (tmp_path / "x").write_text(text)
    with pytest.raises(ForeignFileError, match=f"cannot be read as a table.*{fault}"):
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
    assert foreign.read_table(tmp_path / "x").dicts() == [
        {"a": '"so" called', "b": "1"}
    ]


def test_short_lines_and_double_names_are_counted(tmp_path):
    (tmp_path / "x").write_text("a\tb\ta\n1\n1\t2\t3\n")
    table = foreign.read_table(tmp_path / "x")
    assert (table.short, table.twice()) == (1, ("a",))


def test_only_wanted_columns_are_kept_of_bytes_with_a_mark(tmp_path):
    content = b'\xef\xbb\xbfa\t"b"\tc\n1\t2\n3\t4\t5\n'
    table = foreign.parse_table(
        content, tmp_path / "x", wanted=lambda name: name != "b"
    )
    assert table.dicts() == [{"a": "1", "c": ""}, {"a": "3", "c": "5"}]
    assert table.short == 1
    with pytest.raises(
        ForeignFileError, match="cannot be read as a table: 'utf-8' codec"
    ):
        foreign.parse_table(b"\xff\xfe", tmp_path / "x")


def test_too_little_memory_is_a_line(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("{}")

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(json, "loads", full)
    with pytest.raises(ForeignFileError, match="not enough memory"):
        foreign.read_json_object(tmp_path / "x")


KEY = b".git/annex/objects/zV/8w/MD5E-s1--abc.nii.gz/MD5E-s1--abc.nii.gz"


@pytest.mark.parametrize(
    "content",
    [
        b"/annex/objects/MD5E-s1--abc.nii.gz\n",
        *(b"../" * depth + KEY for depth in (0, 4, 40)),  # links checked out as text
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    ],
)
def test_pointers_of_any_depth_are_known(tmp_path, content):
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(content)
    assert foreign.is_pointer(content)
    with pytest.raises(RunError, match=rf"sub-01: .*pointer.*datalad get {path}"):
        foreign.require_contents([path], "01")


def test_files_that_mention_the_annex_are_no_pointers():
    image = nib.Nifti1Image(np.zeros((1, 1, 1), np.uint8), np.eye(4))
    image.header["descrip"] = b"x/annex/objects/x"
    content = image.to_bytes()
    for start in (
        content,
        gzip.compress(content),
        b"csf\tnote\n1\t/annex/objects/x\n",
        b"",
    ):
        assert not foreign.is_pointer(start)


def test_a_command_for_all_names_each_once_and_can_be_typed(tmp_path):
    paths = [
        tmp_path / "my data" / name
        for name in ("a.nii.gz", "b.nii.gz", "whole.tsv", "none")
    ]
    paths[0].parent.mkdir()
    for path in paths[:2]:
        path.symlink_to("../.git/annex/objects/x")
    paths[2].touch()
    with pytest.raises(
        RunError, match=rf"To do: datalad get '{paths[0]}' '{paths[1]}'\.$"
    ):
        foreign.require_contents([*paths, *paths], "01")
    with pytest.raises(RunError, match=r"sub-01: .*whole\.tsv is empty"):
        foreign.require_contents(paths[2:], "01")
    with pytest.raises(RunError, match=r"sub-01: .*none cannot be read: No such file"):
        foreign.require_contents(paths[3:], "01")


# Synology, QNAP, NetApp, Apple, Windows and ext4.
DRIVES = [
    "@eaDir",
    "#recycle",
    ".snapshot",
    "~snapshot",
    "__MACOSX",
    "$RECYCLE.BIN",
    "lost+found",
]


@pytest.mark.parametrize("drive", DRIVES)
def test_folders_of_drives_are_not_entered(tmp_path, drive):
    root = tmp_path / drive / "data"  # the data themselves may be in a snapshot
    files = [
        root / "map.nii.gz",
        root / "a" / "map.nii.gz",
        root / "a@b" / "map.nii.gz",
    ]
    for path in files:
        for place in (
            path,
            path.parent / drive / path.name,
            path.parent / drive / "a" / path.name,
        ):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    assert sorted(foreign.files_below(root)) == sorted(files)
    assert foreign.matching(root, "**/*.nii.gz") == sorted(files)
    beside = [root / "a" / ".." / "map.nii.gz"]
    assert foreign.matching(root / "a", "../map.nii.gz") == beside
    assert foreign.matching(root / "a", f"../{drive}/*.nii.gz") == []


def test_links_in_circles_are_entered_once_and_hidden_files_are_left_out(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("#1_map.nii.gz", "._1_map.nii.gz"):
        (tmp_path / "a" / name).touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert list(foreign.files_below(tmp_path)) == [tmp_path / "a" / "#1_map.nii.gz"]


def test_a_file_is_hashed_anew_once_it_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    for number, content in enumerate((b"weights", b"Weights")):
        path.write_bytes(content)
        os.utime(path, ns=(number, number))
        assert foreign.sha256_of_file(path) == hashlib.sha256(content).hexdigest()
        with monkeypatch.context() as patched:
            patched.delattr(hashlib, "file_digest")
            assert foreign.sha256_of_file(path) == hashlib.sha256(content).hexdigest()


def test_errors_keep_their_words_as_another_kind(tmp_path):
    with pytest.raises(ForeignFileError) as caught:
        foreign.read_text(tmp_path)
    error = caught.value.as_kind(SettingsError, "--atlas: ")
    assert isinstance(error, SettingsError)
    assert (
        str(error)
        == f"--atlas: {tmp_path} cannot be read: it is a folder. Expected: a file."
    )


quick = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.slow
@each_reader
@quick
@given(content=st.binary(max_size=300))
def test_any_bytes_give_values_or_the_one_error(tmp_path, reader, content):
    (tmp_path / "x").write_bytes(content)
    with suppress(ForeignFileError):
        reader(tmp_path / "x")


letters = st.characters(codec="utf-8", exclude_characters="\0\r\n")
# Spreadsheets write no apostrophe before a formula, which this program does.
cells = st.text(letters, max_size=8).filter(lambda cell: with_formula(cell) == cell)


@pytest.mark.slow
@quick
@given(
    rows=st.integers(1, 4).flatmap(
        lambda n: st.lists(
            st.lists(cells, min_size=n, max_size=n).filter(any), max_size=5
        )
    ),
    delimiter=st.sampled_from("\t,"),
)
def test_rows_come_back_as_a_spreadsheet_wrote_them(tmp_path, rows, delimiter):
    header = [f"c{n}" for n in range(len(rows[0]) if rows else 1)]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(
        [header, *rows]
    )
    (tmp_path / "x").write_bytes(text.getvalue().encode())
    table = foreign.read_table(tmp_path / "x", delimiter)
    assert [list(row) for row in table.rows] == rows
    assert table.header == tuple(header)
