"""Each measure of the house finds what it is for, in a package made for it."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import measure_house  # noqa: E402
from house_source import read_house  # noqa: E402

PROJECT = """
[tool.importlinter]
root_package = "toy"
"""


@pytest.fixture
def measured(tmp_path):
    """Return a function that writes files and returns what the row with a name counted."""

    def measure(name: str, files: dict[str, str]):
        for path, text in {"pyproject.toml": PROJECT, "toy/__init__.py": "", **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(dedent(text), encoding="utf-8")
        (row,) = [row for row in measure_house.MEASURES if row.name == name]
        return sorted(row.by(read_house(tmp_path)))

    return measure


SIZED = {
    "toy/low.py": """
    '''Words.'''
    # A comment.

    class Shown:
        '''Words
        on two lines.'''

        def method(self):
            '''Do it.'''
            return (
                1
            )
        def _own(self): ...

    if Shown:
        def below(): ...

    class _Hidden:
        def method(self): ...

    def run():
        def inner(): ...
        chosen: int = map_option("group", "which")
        kept: str = field()
    """,
    "toy/top/__init__.py": "'''Only words.'''",
}


def test_a_circle_through_a_function_is_found(measured):
    files = {
        "toy/left/__init__.py": "",
        "toy/left/a.py": "from toy.left import b",
        "toy/left/b.py": "def later():\n    from .c import name",
        "toy/left/c.py": "import toy.left.a",
        "toy/left/d.py": "import typing\nif typing.TYPE_CHECKING:\n    import toy.left.e",
        "toy/left/e.py": "from toy.left.d import name",
        "toy/right/__init__.py": "from .a import name",
        "toy/right/a.py": "from toy.right import b",
        "toy/right/b.py": "NAMES = 'toy.right', 'toy.right.a'",
    }
    name = "import circles, with local imports"
    assert measured(name, files) == ["left.a <-> left.b <-> left.c"]
    assert measured(name, {"toy/left/b.py": ""}) == []
    assert measured(name, {"toy/left/d.py": "import toy.left.e"}) == ["left.d <-> left.e"]
    assert measured(name, {"toy/left/d.py": ""}) == []


def test_imports_of_the_root(measured):
    files = {
        "toy/__init__.py": "from toy import low, name",
        "toy/low.py": "",
        "toy/top.py": "from toy import low\nfrom toy import __version__\nimport toy.low",
        "toy/left.py": "def later():\n    import toy",
    }
    assert measured("imports of the package's root", files) == [
        "toy/left.py:2 toy.left -> toy (in a function)",
        "toy/top.py:2 toy.top -> toy",
    ]


OPENING = {
    "toy/files/names.py": "def read(path):\n    return path.read_text()",
    "toy/notices.py": "open('x')",
    "toy/settings/other.py": "open('x')",
    "toy/left/images.py": "import nibabel as nib\n_load = nib.load",
    "toy/left/lines.py": "def read(path):\n    return path.open(encoding='utf-8')",
    "toy/left/modes.py": "def read(path):\n    return path.open('rb')",
    "toy/left/packed.py": "from gzip import open\nopen('x')",
    "toy/left/paths.py": "from pathlib import Path\nPath.read_text('x')",
    "toy/left/moves.py": "def move(path, other):\n    path.replace(other)",
    "toy/left/arrays.py": "from numpy import save as keep\nkeep(None, None)",
    "toy/left/plain.py": """
        import dataclasses, shutil
        from toy.files.names import read
        from toy.files import names
        def nothing(store, text, path, frame):
            store.open("label")
            text.replace("a", "b")
            dataclasses.replace(text)
            frame.rename(columns={})
            frame.rename(str.lower, axis=1)
            names.write_text(path)
            path.exists()
            shutil.which("git")
            open_names = read(path)
        """,
    "toy/cleaning/table.py": "from nilearn.interfaces.fmriprep import load_confounds as by\nby(1)",
    "toy/right.py": "from nilearn.interfaces.fmriprep import load_confounds as by\nby(1)",
}


def test_modules_that_open_files(measured):
    assert measured("modules that should open no file", OPENING) == [
        "toy/left/arrays.py: numpy.save",
        "toy/left/images.py: nibabel.load",
        "toy/left/lines.py: .open",
        "toy/left/modes.py: .open",
        "toy/left/moves.py: .replace",
        "toy/left/packed.py: gzip.open",
        "toy/left/paths.py: .read_text",
        "toy/right.py: nilearn.interfaces.fmriprep.load_confounds",
        "toy/settings/other.py: open",
    ]


def test_modules_that_read_text_past_the_door(measured):
    files = {
        "toy/files/foreign.py": "def read(path):\n    return path.read_text()",
        "toy/files/bundle.py": "def read(path):\n    return path.read_bytes()",
        "toy/files/lines.py": "def read(path):\n    return path.open(newline='')",
        "toy/files/binary.py": "def read(path):\n    return path.open('rb')",
        "toy/files/rows.py": "import csv\nfrom pandas import read_csv\ncsv.reader(read_csv('x'))",
        "toy/files/right.py": """
            from toy.files import foreign
            from toy.files.foreign import read_text
            read_text(foreign.read_bytes('x'))
            """,
    }
    assert measured("modules that read text past the door", files) == [
        "toy/files/bundle.py: .read_bytes",
        "toy/files/lines.py: .open in text mode",
        "toy/files/rows.py: csv.reader, pandas.read_csv",
    ]


def test_words_are_counted_but_not_names_in_files(measured):
    files = {
        "toy/low.py": """
        # What is told, and told again.
        retold = 1
        people_told = 1
        one = anyone = 2
        anyone = 3
        if one == 2 and 'told': pass
        for position, (one, other) in enumerate([]): print(other)
        for another in []: pass
        FILES = "reference.safetensors", "SpatialReference", "reference"
        print(f"{reference.shape}")
        # the field `reference` of a card; a plain reference of benchmarks
        """,
        "toy/page.html": "<p>told</p>",
    }
    assert measured("lines with `told`", files) == [
        "toy/low.py:2 # What is told, and told again.",
        "toy/low.py:4 people_told = 1",
        "toy/page.html:1 <p>told</p>",
    ]
    assert measured("lines with `one =`", {}) == ["toy/low.py:5 one = anyone = 2"]
    assert len(measured("lines with `for one in`", {})) == 1
    assert measured("lines with `reference`", {}) == ['toy/low.py:11 print(f"{reference.shape}")']


def test_words_of_pages_are_counted_too(measured):
    files = {
        "README.md": "They were told.",
        "docs/how-to/page.md": "The key `told` stays.\nWe told you.",
        "docs/page.txt": "told",
        "toy/low.py": "# told",
    }
    assert measured("lines of pages with `told`", files) == [
        "README.md:1 They were told.",
        "docs/how-to/page.md:2 We told you.",
    ]


def test_patches_of_our_own_modules_are_counted(measured):
    files = {
        "tests/test_low.py": """
        import os
        from unittest import mock
        import toy.low
        from toy import low
        from toy.low import Reader

        def test_patches(monkeypatch):
            monkeypatch.setattr(low, "name", 1)
            monkeypatch.setattr("toy.low.name", 1)
            monkeypatch.setitem(low.TABLE, "key", 1)
            monkeypatch.delattr(Reader, "read")
            with monkeypatch.context() as patch:
                patch.setattr(toy.low, "name", 1)
            mine = Reader()
            monkeypatch.setattr(mine, "read", None)
            for place in ("toy.low.name", "toy.low.other"):
                monkeypatch.setattr(place, 1)
            with mock.patch.object(low, "name"), mock.patch(f"toy.{os}.name"):
                pass

        def test_others(monkeypatch):
            monkeypatch.setattr(os, "name", low.name)
            monkeypatch.setattr("toys.low", 1)
            monkeypatch.setenv("toy.low", "1")
            low.read(mock)
        """
    }
    where = measured("patches of own modules in tests", files)
    assert len(where) == 9
    assert "tests/test_low.py:9 low" in where
    assert "tests/test_low.py:18 place" in where


def test_folders_of_tests_mirror_the_package_or_the_repository(measured):
    files = {
        "toy/left/a.py": "",
        "docs/page.md": "",
        "tests/test_all.py": "",
        "tests/left/test_a.py": "",
        "tests/docs/test_page.py": "",
        "tests/gone/test_b.py": "",
    }
    assert measured("folders of tests that mirror none", files) == ["gone"]


def test_modules_of_tests_mirror_those_of_the_package(measured):
    files = {
        "toy/left/a.py": "",
        "toy/left/b/__init__.py": "",
        "toy/workflows/run.py": "",
        "docs/page.md": "",
        "tests/test_all.py": "",
        "tests/left/test_a.py": "",
        "tests/left/test_b.py": "",
        "tests/left/test_c.py": "",
        "tests/left/helper.py": "",
        "tests/docs/test_pages.py": "",
        "tests/workflows/test_bad_input.py": "",
    }
    assert measured("modules of tests that mirror none", files) == ["left/test_c.py"]


def test_check_names_what_passes_a_limit(measured, tmp_path, capsys):
    measured("lines of code", {"toy/low.py": "import toy\n\nold = 1\n"})
    assert measure_house.main([str(tmp_path)]) == 0
    assert "toy.low -> toy" not in capsys.readouterr().out
    assert measure_house.main(["--check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "imports of the package's root:\n  toy/low.py:1 toy.low -> toy\n" in out
    assert "lines of code:" not in out
    assert measure_house.main(["--list", str(tmp_path)]) == 0
    assert "lines of code:\n  toy/low.py:1\n  toy/low.py:3\n" in capsys.readouterr().out
    measured("lines of code", {"toy/low.py": ""})
    assert measure_house.main(["--check", str(tmp_path)]) == 0
