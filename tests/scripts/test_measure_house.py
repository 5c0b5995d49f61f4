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
[[tool.importlinter.contracts]]
type = "independence"
modules = ["toy.left", "toy.right"]
[[tool.importlinter.contracts]]
type = "layers"
layers = ["toy.top", "toy.left | toy.right", "toy.files : toy.cleaning", "(toy.low)"]
"""


@pytest.fixture
def measured(tmp_path):
    """Return a function that writes files and returns what the row with a name found."""

    def measure(name: str, files: dict[str, str]):
        for path, text in {"pyproject.toml": PROJECT, "toy/__init__.py": "", **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(dedent(text), encoding="utf-8")
        (row,) = [row for row in measure_house.LIMITS if row.name == name]
        found = row.by(read_house(tmp_path))
        return found.value, list(found.where)

    return measure


def test_modules_by_folder(measured):
    files = {f"toy/top/m{number}.py": "" for number in range(3)}
    files |= {"toy/top/__init__.py": "", "toy/top/inner/a.py": "", "toy/low.py": ""}
    assert measured("modules without __init__", files) == (5, [])
    folders = ["toy/top 3", "toy 1", "toy/top/inner 1"]
    value, where = measured("modules in the largest folder", {})
    assert (value, sorted(where)) == (3, sorted(folders))


def test_bodies_are_measured_without_docstrings(measured):
    files = {
        "toy/low.py": """
        def long():
            '''Say

            a lot.
            '''
            a = 1
            b = (
                2
            )
            return a + b

        def short(): return 1

        class Asked:
            def nothing(self):
                '''Only words.'''
        """
    }
    name = "lines of a function's body: "
    value, where = measured(f"{name}largest", files)
    assert (value, where[0]) == (5, "toy/low.py:2 low.long 5")
    assert measured(f"{name}median", {}) == (1, [])
    assert measured(f"{name}90 %", {}) == (1, [])
    files = {"toy/top.py": "a = 1\n" * 7, "toy/left.py": "a = 1\n" * 2}
    assert measured("lines of a module: largest", files)[0] == 17
    assert measured("lines of a module: median", files)[0] == 4.5  # 0, 2, 7 and 17


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
    assert measured(name, files) == (1, ["left.a <-> left.b <-> left.c"])
    for_types = measured("imports for types only (not counted)", {})
    assert for_types == (1, ["toy/left/d.py:3 toy.left.d -> toy.left.e"])
    assert measured(name, {"toy/left/b.py": ""}) == (0, [])
    assert measured(name, {"toy/left/d.py": "import toy.left.e"})[0] == 1
    assert measured(name, {"toy/left/d.py": ""})[0] == 0


def test_a_circle_through_an_init_or_a_name_is_found(measured):
    files = {
        "toy/left/__init__.py": "from toy.low import name",
        "toy/left/a.py": "",
        "toy/low.py": "import toy.left.a",
        "toy/top/__init__.py": "import importlib\nimportlib.import_module('toy.top.a')",
        "toy/top/a.py": "from toy.top import name",
        "toy/right/__init__.py": "from .a import name",
        "toy/right/a.py": "from toy.right import name",
    }
    name = "import circles, with local imports"
    assert measured(name, files) == (3, ["left <-> low", "right <-> right.a", "top <-> top.a"])


def test_imports_of_the_root(measured):
    files = {
        "toy/__init__.py": "from toy import low, name",
        "toy/low.py": "",
        "toy/top.py": "from toy import low\nfrom toy import __version__\nimport toy.low",
        "toy/left.py": "def later():\n    import toy",
    }
    assert measured("imports of the package's root", files) == (
        2,
        ["toy/left.py:2 toy.left -> toy (in a function)", "toy/top.py:2 toy.top -> toy"],
    )


def test_imports_that_point_upward_or_aside(measured):
    files = {
        "toy/top.py": "import toy.left, toy.low",
        "toy/left.py": "def later():\n    from toy import top",
        "toy/right.py": "import toy.left\nimport toy.files.names",
        "toy/files/names.py": "import toy.cleaning",
        "toy/cleaning.py": "import toy.files.names",
        "toy/low.py": "import os, toy.files.names",
        "toy/lost.py": "import toy.top",
    }
    assert measured("upward imports, with local imports", files) == (
        3,
        [
            "toy/left.py:2 toy.left -> toy.top (in a function)",
            "toy/low.py:1 toy.low -> toy.files.names",
            "toy/right.py:1 toy.right -> toy.left",
        ],
    )
    assert measured("modules in no layer", {}) == (1, ["toy.lost"])


def test_functions_with_many_parameters(measured):
    files = {
        "toy/low.py": """
        from dataclasses import dataclass

        def eight(a, b, c, d, *, e, f, g, **h): ...
        def seven(a, b, c, d, *, e, f, g): ...
        def crr_loss(a, b, c, d, e, f, g, h): ...

        @dataclass
        class Data:
            a: int; b: int; c: int; d: int; e: int; f: int; g: int; h: int
            def method(self, a, b, c, d): ...
            @staticmethod
            def static(a, b, c, d, *e): ...

        class Estimator:
            def __init__(self, a, b, c, d, e, f, g, h): ...
            def fit(self, x, a, b, c, d): ...
            def predict(self, x): ...

        class Other:
            def __init__(self, a, /, b, c, d, e, f, g, h): ...
            def fit(self, x): ...
        """
    }
    assert measured("functions with over 7 parameters", files) == (
        2,
        ["toy/low.py:21 low.Other.__init__ 8", "toy/low.py:4 low.eight 8"],
    )
    assert measured("functions with over 4 by position", {}) == (
        3,
        [
            "toy/low.py:13 low.Data.static 5",
            "toy/low.py:17 low.Estimator.fit 5",
            "toy/low.py:21 low.Other.__init__ 8",
        ],
    )


DOCUMENTED = """
from typing import Protocol
from argparse import ArgumentParser

class Asked(Protocol):
    def __exit__(self, kind, error, trace): ...
    def run(self, job):
        '''Run.'''

class Follows:
    def __exit__(self, *_): ...
    def run(self, job): ...

class Lacks:
    def run(self, job): ...

class Differs:
    def __exit__(self, *_): ...
    def run(self, work): ...

class Below(Follows):
    def extra(self): ...

class Base:
    def made(self):
        '''Make.'''

class Child(Base):
    def made(self): ...
    def _own(self): ...
    def __len__(self): ...
    @property
    def size(self): ...
    @size.setter
    def size(self, value): ...

class Parser(ArgumentParser):
    def error(self, message): ...
    def wholly_new(self): ...

class _Hidden:
    def run(self): ...

def shown():
    '''Show.

    >>> shown()
    '''
    def inner(): ...

def bare(): ...
def _hidden():
    '''>>> _hidden()'''
"""


def test_public_functions_without_docstring_are_named(measured):
    files = {"toy/low.py": DOCUMENTED, "toy/_own.py": "def nobody(): ..."}
    value, where = measured("public functions documented, %", files)
    assert [line.split()[1] for line in where] == [
        "low.Lacks.run",
        "low.Differs.run",
        "low.Below.extra",
        "low.Child.size",
        "low.Parser.wholly_new",
        "low.bare",
    ]
    assert value == 100 - 100 * 6 / 9  # Asked.run, Base.made and shown have one
    assert measured("public functions with examples", {}) == (1, ["low.shown"])


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
    allowed = ["toy/files/names.py: .read_text", "toy/notices.py: open"]
    assert measured("modules that open files", OPENING) == (2, allowed)
    assert measured("modules that should open none", {}) == (
        9,
        [
            "toy/left/arrays.py: numpy.save",
            "toy/left/images.py: nibabel.load",
            "toy/left/lines.py: .open",
            "toy/left/modes.py: .open",
            "toy/left/moves.py: .replace",
            "toy/left/packed.py: gzip.open",
            "toy/left/paths.py: .read_text",
            "toy/right.py: nilearn.interfaces.fmriprep.load_confounds",
            "toy/settings/other.py: open",
        ],
    )


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
    assert measured("modules that read text past the door", files) == (
        3,
        [
            "toy/files/bundle.py: .read_bytes",
            "toy/files/lines.py: .open in text mode",
            "toy/files/rows.py: csv.reader, pandas.read_csv",
        ],
    )


def test_words_are_counted_but_not_names_in_files(measured):
    files = {
        "toy/low.py": """
        # What is told, and told again.
        _told = retold = 1
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
        "docs/page.md": "The reference is told.\n",
    }
    assert measured("words: lines with `told`", files) == (
        2,
        ["toy/low.py:2 # What is told, and told again.", "toy/page.html:1 <p>told</p>"],
    )
    assert measured("words: lines with `one =`", {}) == (1, ["toy/low.py:4 one = anyone = 2"])
    assert measured("words: lines with `for one in`", {})[0] == 1
    assert measured("words: lines with `reference`", {}) == (
        1,
        ['toy/low.py:10 print(f"{reference.shape}")'],
    )
    assert measured("words: lines of docs with any", {})[0] == 1


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
    value, where = measured("patches of own modules in tests", files)
    assert value == 9
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
    assert measured("folders of tests that mirror none", files) == (1, ["gone"])


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
    assert measured("modules of tests that mirror none", files) == (1, ["left/test_c.py"])


def test_check_names_what_passes_a_limit(measured, tmp_path, capsys):
    files = {
        "toy/low.py": "import toy.top\nimport toy\ndef run(): ...\n",
        "toy/top.py": "one = 1\n",
    }
    measured("modules in no layer", files)
    assert measure_house.main([str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "modules by folder: toy 2\n" in table
    assert "toy.low -> toy.top" not in table
    assert measure_house.main(["--check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "upward imports, with local imports:\n  toy/low.py:1 toy.low -> toy.top\n" in out
    assert "words: lines with `one =`:" not in out
    assert measure_house.main(["--words", str(tmp_path)]) == 0
    assert "words: lines with `one =`:\n  toy/top.py:1 one = 1\n" in capsys.readouterr().out


def test_check_is_content_with_a_house_within_its_limits(measured, tmp_path):
    example = "def shown{}():\n    '''Show.\n\n    >>> 1\n    1\n    '''\n"
    measured("modules in no layer", {"toy/low.py": "".join(map(example.format, range(40)))})
    assert measure_house.main(["--check", str(tmp_path)]) == 0
    measured("modules in no layer", {"toy/low.py": "".join(map(example.format, range(39)))})
    assert measure_house.main(["--check", str(tmp_path)]) == 1
