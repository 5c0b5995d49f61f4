"""Measure the house: what ruff and the import contract cannot check, and its sizes.

python scripts/measure_house.py [--check] [--list] [ROOT]

The source is parsed and never imported. `MEASURES` has a row for each measure. `--check` exits with
1 where a value passes its limit and names what passes it; `--list` names everything that each
measure counted.
"""

from __future__ import annotations

import argparse
import ast
import gc
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from house_files import may_open, opened, reads_text
from house_source import (
    FUNCTIONS,
    House,
    Import,
    Module,
    full_name,
    is_in,
    read_house,
)


@dataclass(frozen=True)
class Word:
    """A word that the house avoids; it is counted once a line."""

    pattern: re.Pattern[str]
    most: int | None = None  # lines of the package that may have it; None: only counted


WORDS: Mapping[str, Word] = {
    "told": Word(re.compile(r"\b(fore)?told\b|_told\b"), most=0),
    "whom": Word(re.compile(r"\bwhom\b|_whom\b"), most=0),
    "tells it from": Word(re.compile(r"\btells? it from\b"), most=0),
    "stands beside": Word(re.compile(r"\bstands? beside\b"), most=0),
    "all the same": Word(re.compile(r"\ball the same\b"), most=0),
    "with a line": Word(re.compile(r"\bwith a line\b"), most=0),
    "one =": Word(re.compile(r"\bone(: [^=]+)? :?= ")),
    "for one in": Word(re.compile(r"\bfor (\(?\w+, )*\(?one\b[^:]* in\b")),
    "reference": Word(re.compile(r"\breference\b")),
}
# Names of files and keys in them stay: quoted and without a space, or of the kinds named here.
_NAMES_AND_KEYS = re.compile(r"""(["'`])[^\s"'`{}]*\1|\bplain reference\b""")
_WORD_FILES = {".py", ".html"}
# Folders of tests that run the whole program or make what tests need, below `tests`.
_OF_THE_WHOLE = (
    *(Path(), Path("builders"), Path("workflows")),
    *(Path("attacks"), Path("attacks/cases"), Path("gpu")),
)


@dataclass(frozen=True)
class Measure:
    """A row of the table."""

    name: str
    by: Callable[[House], Iterable[str]]  # a line for each thing that is counted
    most: int | None = None  # that are right

    def row(self, value: int) -> str:
        """Return a line of the table."""
        limit = "" if self.most is None else f"<= {self.most}"
        return f"{self.name:37} {value:>7}  {limit:7} {self.fault(value)}".rstrip()

    def fault(self, value: int) -> str:
        """Return how a value passes the limit; empty where it does not."""
        return "too many" if self.most is not None and value > self.most else ""


# Sizes


def modules(house: House) -> Iterator[str]:
    """Yield the modules that are no `__init__`."""
    return (module.path for module in house.modules if not module.is_package)


def code_lines(house: House) -> Iterator[str]:
    """Yield the lines that are neither empty nor comment nor docstring."""
    for module in house.modules:
        words = {line for node in module.nodes for line in _docstring(node)}
        for number, line in enumerate(module.text.splitlines(), 1):
            if number not in words and line.strip() and not line.lstrip().startswith("#"):
                yield f"{module.path}:{number}"


def _docstring(node: ast.AST) -> range:
    """Return the lines of a docstring: of what stands first in a module, class or function."""
    if not isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
        return range(0)
    if ast.get_docstring(node, clean=False) is None:
        return range(0)
    return range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)


def public(house: House, kinds: tuple[type[ast.AST], ...]) -> Iterator[str]:
    """Yield the classes or functions with a public name, methods too, but none in functions."""
    for module in house.modules:
        for node, name in _named(module.tree):
            if isinstance(node, kinds) and not any(p.startswith("_") for p in name.split(".")):
                yield f"{module.path} {name}"


def _named(node: ast.AST, prefix: str = "") -> Iterator[tuple[ast.AST, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, *FUNCTIONS)):
            yield child, f"{prefix}{child.name}"
        if isinstance(child, ast.ClassDef):
            yield from _named(child, f"{prefix}{child.name}.")
        elif not isinstance(child, FUNCTIONS):  # a definition may stand below an `if`
            yield from _named(child, prefix)


def options(house: House) -> Iterator[str]:
    """Yield the options of the command line: fields made by `option` or its kind."""
    for module in house.modules:
        for node in module.nodes:
            call = node.value if isinstance(node, ast.AnnAssign) else None
            if isinstance(call, ast.Call) and "option" in ast.unparse(call.func):
                yield f"{module.path}:{node.lineno}"


# Imports


def circles(house: House) -> Iterator[str]:
    """Yield the groups of modules that import each other, whether at the top or in functions.

    A module outside a package that imports something inside it runs its `__init__` too.
    """
    graph: dict[str, set[str]] = {module.name: set() for module in house.modules}
    for found in house.imports:
        if not found.types_only:
            graph[found.importer] |= _executed(found)
    reached = {name: _reached(graph, name) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in graph
        if name in reached[name]
    }
    return (" <-> ".join(sorted(map(house.inner, group))) for group in groups)


def _executed(found: Import) -> set[str]:
    parts = found.imported.split(".")
    above = {".".join(parts[:depth]) for depth in range(1, len(parts))}
    return {found.imported} | {name for name in above if not is_in(found.importer, name)}


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph[ahead.pop()] - reached
        reached |= new
        ahead += new
    return reached


def root_imports(house: House) -> Iterator[str]:
    """Yield the inner modules' imports of the package's root."""
    to_root = (found for found in house.imports if found.imported == house.package)
    return (str(found) for found in to_root if found.importer != house.package)


# Files


def opening_modules(house: House) -> Iterator[str]:
    """Yield the modules that open files where that is not allowed, with what they use."""
    for module in house.modules:
        if not may_open(house, module) and (used := opened(house, module)):
            yield f"{module.path}: {', '.join(sorted(used))}"


def text_readers(house: House) -> Iterator[str]:
    """Yield the modules that read text which others may have written, past the one door."""
    for module in house.modules:
        if used := reads_text(house, module):
            yield f"{module.path}: {', '.join(sorted(used))}"


# Words


def words(house: House, word: str) -> Iterator[str]:
    """Yield the lines of the package's code, comments, docstrings and templates with a word."""
    files = sorted((house.root / house.package).rglob("*"))
    return _lines_with(
        house, word, (p for p in files if p.suffix in _WORD_FILES and "vendor" not in p.parts)
    )


def words_of_pages(house: House, word: str) -> Iterator[str]:
    """Yield the lines of the README, the documentation and the gallery's scripts with a word."""
    made = house.root / "docs" / "gallery"  # of the scripts, where the site was built
    pages = [
        *(p for p in sorted((house.root / "docs").rglob("*.md")) if not p.is_relative_to(made)),
        *sorted((house.root / "examples" / "gallery").glob("*.py")),
    ]
    readme = (house.root / "README.md",) if (house.root / "README.md").is_file() else ()
    return _lines_with(house, word, (*readme, *pages))


def _lines_with(house: House, word: str, files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        where = path.relative_to(house.root).as_posix()
        for number, (line, prose) in enumerate(_lines(path.read_text(encoding="utf-8")), 1):
            if WORDS[word].pattern.search(prose):
                yield f"{where}:{number} {line.strip()}"


@cache  # each word is looked for in the same lines
def _lines(text: str) -> list[tuple[str, str]]:
    """Return the lines of a text, each also without what stands for names."""
    lines = text.splitlines()
    return [(line, _NAMES_AND_KEYS.sub("", line)) for line in lines]


# Tests


def patches(house: House) -> Iterator[str]:
    """Yield where tests put something in the place of what our own modules and objects hold."""
    for test in house.tests:
        yield from _patches(house, test)


def _patches(house: House, test: Module) -> Iterable[str]:
    found: dict[ast.Call, str] = {}  # a function in a function is met twice
    for function in (node for node in test.nodes if isinstance(node, FUNCTIONS)):
        nodes = list(ast.walk(function))
        bound = dict(_bindings(nodes))
        for call in (n for n in nodes if isinstance(n, ast.Call) and n.args and _is_patch(n)):
            target = ast.unparse(call.args[0])
            value = bound.get(target, call.args[0])
            if any(_is_own(node, house, test.origins) for node in ast.walk(value)):
                found[call] = f"{test.path}:{call.lineno} {target}"
    return found.values()


def _bindings(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that a function gives to values, or to each of several values."""
    for node in nodes:
        if isinstance(node, ast.For):
            yield ast.unparse(node.target), node.iter
        elif isinstance(node, ast.Assign):
            yield from ((ast.unparse(target), node.value) for target in node.targets)


def _is_patch(call: ast.Call) -> bool:
    parts = ast.unparse(call.func).split(".")
    by_pytest = parts[-1] in ("setattr", "delattr", "setitem", "delitem")
    return by_pytest or "patch" in parts[-2:]  # mock.patch, mock.patch.object


def _is_own(node: ast.AST, house: House, names: Mapping[str, str]) -> bool:
    """Whether a name or a text stands for something of the package."""
    named = node.value if isinstance(node, ast.Constant) else full_name(node, names)
    return isinstance(named, str) and is_in(named, house.package)


def unmirrored(house: House) -> Iterator[str]:
    """Yield the folders of tests that mirror no folder of the package or of the repository."""
    folders = {Path(test.path).parent.relative_to("tests") for test in house.tests}
    places = (house.root / house.package, house.root)
    mirrored = {f for f in folders if any((p / f).is_dir() for p in places)}
    return (f.as_posix() for f in folders - mirrored - set(_OF_THE_WHOLE))


def unmirrored_modules(house: House) -> Iterator[str]:
    """Yield the modules of tests beside none of the package whose name they have.

    Not counted: tests of the whole program, which are named by what it does.
    """
    named = [Path(test.path).relative_to("tests") for test in house.tests]
    tests = [p for p in named if p.name.startswith("test_") and p.parent not in _OF_THE_WHOLE]
    return (test.as_posix() for test in tests if not _has_tested(house, test))


def _has_tested(house: House, test: Path) -> bool:
    """Whether there is what a test is named by; always, where its folder is none of the package."""
    tested = house.root / house.package / test.parent / test.stem.removeprefix("test_")
    is_there = tested.is_dir() or tested.with_suffix(".py").is_file()
    return is_there or not tested.parent.is_dir()


MEASURES = (
    Measure("modules without __init__", modules),
    Measure("lines of code", code_lines),
    Measure("public classes", partial(public, kinds=(ast.ClassDef,))),
    Measure("public functions and methods", partial(public, kinds=FUNCTIONS)),
    Measure("options of the command line", options),
    Measure("import circles, with local imports", circles, most=0),
    Measure("imports of the package's root", root_imports, most=0),
    Measure("modules that should open no file", opening_modules, most=0),
    Measure("modules that read text past the door", text_readers, most=0),
    *(Measure(f"lines with `{w}`", partial(words, word=w), WORDS[w].most) for w in WORDS),
    *(
        Measure(f"lines of pages with `{w}`", partial(words_of_pages, word=w), row.most)
        for w, row in WORDS.items()
        if row.most is not None
    ),
    Measure("patches of own modules in tests", patches, most=15),
    Measure("folders of tests that mirror none", unmirrored, most=0),
    Measure("modules of tests that mirror none", unmirrored_modules, most=0),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 with `--check` where a limit is passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parent.parent)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is passed")
    parser.add_argument("--list", action="store_true", help="name what each measure counted")
    asked = parser.parse_args(arguments)
    house = read_house(asked.root)
    rows = [(measure, sorted(measure.by(house))) for measure in MEASURES]
    print(*[measure.row(len(found)) for measure, found in rows], sep="\n")
    wrong = [measure for measure, found in rows if measure.fault(len(found))]
    for measure, found in rows:
        if asked.list or (asked.check and measure in wrong):
            print(f"\n{measure.name}:", *found, sep="\n  ")
    return 1 if asked.check and wrong else 0


if __name__ == "__main__":
    gc.disable()  # all trees stay to the end: to look for garbage in them takes half of the time
    sys.exit(main())
