from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.files.paths import PathNames

FOLDER_NAME = st.text("abcé_-. 7+%", min_size=1, max_size=5).filter(
    lambda name: name == name.strip() and set(name) - {"."}
)
FOLDERS = st.lists(FOLDER_NAME, min_size=1, max_size=4).map(
    lambda parts: Path("/", *parts)
)
WORDS = st.text("xyz ,:()'", max_size=8)


@pytest.mark.slow
@given(
    folders=st.dictionaries(
        st.sampled_from(["input", "output", "work", "model"]), FOLDERS
    ),
    text=st.lists(
        st.tuples(WORDS, st.integers(0, 3), st.sampled_from(["", "/", "/f.txt"]))
    ),
)
def test_no_folder_stays_whatever_lies_in_which(folders, text):
    names = PathNames().plus(folders)
    message = ""
    for words, number, below in text:
        folder = list(folders.values())[number % len(folders)] if folders else "sub-01"
        message += f"{words} {folder}{below}"
    hidden = names.hide(message + " ")
    assert not any(
        f" {folder}/" in hidden or f" {folder} " in hidden
        for folder in folders.values()
    )
    assert names.hide(hidden) == hidden


@pytest.mark.slow
@given(WORDS, FOLDERS, FOLDERS)
def test_the_longest_folder_counts(words, outer, inner):
    inner = outer / inner.relative_to("/")
    names = PathNames().plus({"outer": outer, "inner": inner})
    assert names.hide(f"{words} {inner}/z {outer}/z") == f"{words} <inner>/z <outer>/z"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/d/in is empty.", "<input> is empty."),
        ("found /d/in.", "found <input>."),
        ("'/d/in/sub-01/x y.tsv'", "'<input>/sub-01/x y.tsv'"),
        ("--atlas=/d/in/a.nii", "--atlas=<input>/a.nii"),
        ("file:///d/in/a", "<input>/a"),
        ("in:/d/in/a", "in:<input>/a"),
        ("/d/inner/a", "<elsewhere>"),
        ("/x/d/in/a", "<elsewhere>"),
        ("/d/in-2/a /d/in.old/a", "<elsewhere> <elsewhere>"),
        (
            "[Errno 2] No such file: '/home/Ann Lee/x y/z'",
            "[Errno 2] No such file: '<elsewhere>'",
        ),
        ("file:///home/ann/x", "<elsewhere>"),
        ("/home/ann/x: is gone", "<elsewhere>: is gone"),
        ("see https://doi.org/10.1/x and a/b, 3/4 mm/s, r / ICC", None),
        ("sub-01/func/x.json", None),
        ("<input>/sub-01/x", None),
        ("/", None),
    ],
)
def test_what_is_hidden_and_what_stays(text, hidden):
    names = PathNames().plus({"input": Path("/d/in")})
    assert names.hide(text) == (text if hidden is None else hidden)


def test_a_pattern_is_hidden_up_to_its_braces_and_the_root_never():
    names = PathNames().plus({"output": Path("/"), "masks": Path("/d/m/{sub}/x.nii")})
    assert names.hide("/d/m/01/x.nii of mm/s / r") == "<masks>/01/x.nii of mm/s / r"
    assert PathNames().name(Path("/d/x.tsv")) == "<elsewhere>/x.tsv"
