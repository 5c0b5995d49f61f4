"""Measure the plan of the package: sizes, imports, parameters, documentation, words, tests.

python scripts/measure_house.py [--check] [--list] [--words] [ROOT]

The source is parsed and never imported. `LIMITS` has a row for each measure. `--check` exits with
1 where a value passes its limit and names what passes it; `--list` names everything that each
measure counted; `--words` names the lines with words that the house avoids.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from house_files import may_open, opened, reads_text
from house_source import (
    FUNCTIONS,
    Function,
    House,
    Import,
    Module,
    full_name,
    imported_names,
    is_in,
    read_house,
)

# Signatures that users outside rely on stay as they are, however many parameters they have.
PUBLIC_SIGNATURES = {
    "crr_loss": "crr_loss(pred, true, mask=None, alpha=0.25, margin=1.0) is public, with defaults",
}
# Methods that other packages ask for and document, by the class that they are added to.
HOOKS = {
    "Module": r"forward",
    "LightningModule": r"forward|on_\w+|\w+_step|\w+_dataloader|configure_optimizers",
    "LightningEnvironment": r"creates_processes_externally|main_\w+|(set_)?\w+_(rank|size)",
    "ArgumentParser": r"error|exit|format_\w+|print_\w+",
}
# Words that the house avoids; each is counted once a line.
WORDS = {
    "told": re.compile(r"\btold\b"),
    "one =": re.compile(r"\bone(: [^=]+)? :?= "),
    "for one in": re.compile(r"\bfor (\(?\w+, )*\(?one\b[^:]* in\b"),
    "reference": re.compile(r"\breference\b"),
}
# Names of files and keys in them stay: quoted and without a space, or of the kinds named here.
_NAMES_AND_KEYS = re.compile(r"""(["'`])[^\s"'`{}]*\1|\bplain reference\b""")
_WORD_FILES = {".py", ".html"}
# Folders of tests that run the whole program, below `tests`.
_OF_THE_WHOLE = (
    *(Path(), Path("builders"), Path("workflows")),
    *(Path("attacks"), Path("attacks/cases"), Path("gpu")),
)


@dataclass(frozen=True)
class Found:
    """A value, and what was counted for it."""

    value: float
    where: Sequence[str] = ()

    @staticmethod
    def count(where: Iterable[str]) -> Found:
        """Count what is listed."""
        listed = sorted(where)
        return Found(len(listed), listed)


@dataclass(frozen=True)
class Measure:
    """A row of the table."""

    name: str
    by: Callable[[House], Found]
    most: float | None = None  # largest value that is right
    least: float | None = None  # smallest value that is right

    def fault(self, value: float) -> str:
        """Return how a value passes the limit; empty where it does not."""
        if self.most is not None and value > self.most:
            return "too many"
        return "too few" if self.least is not None and value < self.least else ""

    def row(self, value: float) -> str:
        """Return a line of the table; a value is rounded down, so that 99.96 is not 100."""
        limit = "" if self.most is None else f"<= {self.most:g}"
        limit = limit if self.least is None else f">= {self.least:g}"
        shown = math.floor(value * 10) / 10
        return f"{self.name:37} {shown:>7g}  {limit:7} {self.fault(value)}".rstrip()


# Sizes


def modules(house: House) -> Found:
    """Count the modules that are no `__init__`."""
    return Found(sum(folder_sizes(house).values()))


def folder_sizes(house: House) -> Counter[str]:
    """Count the modules that are no `__init__` directly in each folder."""
    kept = [module for module in house.modules if not module.is_package]
    return Counter(module.path.rpartition("/")[0] for module in kept)


def body_sizes(house: House, share: float) -> Found:
    """Find the lines of function bodies (without docstring) that this share does not pass."""
    sizes = {f"{f.where} {house.inner(f.name)}": _body(f.node) for f in house.functions}
    return _at(share, sizes)


def module_sizes(house: House, share: float) -> Found:
    """Find the lines of modules that this share of them does not pass."""
    return _at(share, {module.path: len(module.text.splitlines()) for module in house.modules})


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return (lines[-1].end_lineno or 0) - lines[0].lineno + 1 if lines else 0


def _at(share: float, sizes: dict[str, int]) -> Found:
    """Return the value at a share of the sizes; the ten largest are listed with the largest."""
    values = sorted(sizes.values())
    if share == 0.5:
        return Found(statistics.median(values))
    largest = sorted(sizes, key=lambda name: -sizes[name])[: 10 if share == 1 else 0]
    return Found(
        values[int(share * (len(values) - 1))], [f"{name} {sizes[name]}" for name in largest]
    )


# Imports


def circles(house: House) -> Found:
    """Count the groups of modules that import each other, whether at the top or in functions.

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
    return Found.count([" <-> ".join(sorted(map(house.inner, group))) for group in groups])


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


def typed_imports(house: House) -> Found:
    """Count the imports that only types need; they are in no circle."""
    return Found.count([str(found) for found in house.imports if found.types_only])


def root_imports(house: House) -> Found:
    """Count the inner modules' imports of the package's root."""
    to_root = (found for found in house.imports if found.imported == house.package)
    return Found.count([str(found) for found in to_root if found.importer != house.package])


# Functions


def parameters(house: House, over: int) -> Found:
    """Count the functions with more parameters than this."""
    return _over(over, house, {f: f.parameters for f in house.functions})


def positional(house: House, over: int) -> Found:
    """Count the functions with more parameters by position than this."""
    return _over(over, house, {f: f.positional for f in house.functions})


def _over(limit: int, house: House, counts: Mapping[Function, int]) -> Found:
    many = [f for f, count in counts.items() if count > limit and _counted(f)]
    return Found.count([f"{f.where} {house.inner(f.name)} {counts[f]}" for f in many])


def _counted(function: Function) -> bool:
    """Leave out public signatures, and constructors of estimators: fit, predict or transform."""
    owner = function.owner
    methods = set() if owner is None else _methods(owner).keys()
    is_estimator = "fit" in methods and bool({"predict", "transform"} & methods)
    is_options = is_estimator and function.node.name == "__init__"
    return not is_options and function.node.name not in PUBLIC_SIGNATURES


def documented(house: House) -> Found:
    """Find which percentage of public functions has a docstring; list those without.

    Public: at the top of a module or in a class, with no underscore before the name, the class or
    the module. Not counted: dunder methods, setters, overloads, functions in functions, and
    methods that a base class, a protocol of the package or another package (`HOOKS`) documents.
    """
    nodes = (node for module in house.modules for node in ast.walk(module.tree))
    found = [node for node in nodes if isinstance(node, ast.ClassDef)]
    # Of two classes of one name, the one with a base is what others inherit hooks from.
    classes = {node.name: node for node in sorted(found, key=lambda node: bool(node.bases))}
    public = [f for f in _public(house) if not _is_documented_above(f, classes)]
    bare = [f"{f.where} {house.inner(f.name)}" for f in public if not ast.get_docstring(f.node)]
    return Found(100 - 100 * len(bare) / max(len(public), 1), sorted(bare))


def examples(house: House) -> Found:
    """Count the public functions whose docstring has an example."""
    texts = {house.inner(f.name): ast.get_docstring(f.node) or "" for f in _public(house)}
    return Found.count([name for name, text in texts.items() if ">>>" in text])


def _public(house: House) -> list[Function]:
    skipped = {"overload", "setter", "deleter"}
    named = [f for f in house.functions if "._" not in f.name and not f.nested]
    return [f for f in named if not f.decorators & skipped]


def _is_documented_above(function: Function, classes: Mapping[str, ast.ClassDef]) -> bool:
    owner, name = function.owner, function.node.name
    if owner is None or ast.get_docstring(function.node):
        return False
    above = _ancestors(owner, classes)
    bases = {base for each in (owner, *above) for base in _bases(each)}
    if any(re.fullmatch(HOOKS.get(base, ""), name) for base in bases - classes.keys()):
        return True
    above += [each for each in classes.values() if _is_protocol_of(each, owner)]
    found = (_methods(each).get(name) for each in above)
    return any(method is not None and ast.get_docstring(method) for method in found)


def _is_protocol_of(protocol: ast.ClassDef, owner: ast.ClassDef) -> bool:
    """Whether a class has all methods of a protocol; public ones with the same parameters."""
    own, asked = _methods(owner), _methods(protocol)
    return "Protocol" in _bases(protocol) and all(
        name in own and (name.startswith("_") or _names(own[name]) == _names(method))
        for name, method in asked.items()
    )


def _names(method: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    args = method.args
    return [arg.arg.strip("_") for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]


def _methods(owner: ast.ClassDef) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {node.name: node for node in owner.body if isinstance(node, FUNCTIONS)}


def _bases(owner: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).partition("[")[0].split(".")[-1] for base in owner.bases]


def _ancestors(owner: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    direct = [classes[name] for name in _bases(owner) if name in classes and name != owner.name]
    return direct + [above for base in direct for above in _ancestors(base, classes)]


# Files


def opening_modules(house: House, *, allowed: bool) -> Found:
    """Count the modules that open files, with what they use, where that is allowed or is not."""
    rows = [(module, opened(house, module)) for module in house.modules]
    return Found.count(
        f"{module.path}: {', '.join(sorted(used))}"
        for module, used in rows
        if used and may_open(house, module) == allowed
    )


def text_readers(house: House) -> Found:
    """Count the modules that read text which others may have written, past the one door."""
    rows = [(module, reads_text(house, module)) for module in house.modules]
    return Found.count(f"{module.path}: {', '.join(sorted(used))}" for module, used in rows if used)


# Words


def words(house: House, word: str) -> Found:
    """Count the lines of the package's code, comments, docstrings and templates with a word."""
    files = (house.root / house.package).rglob("*")
    paths = [p for p in files if p.suffix in _WORD_FILES and "vendor" not in p.parts]
    return Found.count(_lines_with(house, [word], paths))


def words_in_docs(house: House) -> Found:
    """Count the lines of the documentation with any of the words."""
    paths = [*house.root.glob("*.md"), *(house.root / "docs").rglob("*.md")]
    return Found.count(_lines_with(house, list(WORDS), paths))


def _lines_with(house: House, named: Sequence[str], paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        where = path.relative_to(house.root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            text = _NAMES_AND_KEYS.sub("", line)
            if any(WORDS[word].search(text) for word in named):
                yield f"{where}:{number} {line.strip()}"


# Tests


def patches(house: House) -> Found:
    """Count where tests put something in the place of what our own modules and objects hold."""
    return Found.count(found for test in house.tests for found in _patches(house, test))


def _patches(house: House, test: Module) -> Iterable[str]:
    names = imported_names(test.tree)
    found: dict[ast.Call, str] = {}  # a function in a function is met twice
    for function in (node for node in ast.walk(test.tree) if isinstance(node, FUNCTIONS)):
        nodes = list(ast.walk(function))
        bound = dict(_bindings(nodes))
        for call in (n for n in nodes if isinstance(n, ast.Call) and n.args and _is_patch(n)):
            target = ast.unparse(call.args[0])
            value = bound.get(target, call.args[0])
            if any(_is_own(node, house, names) for node in ast.walk(value)):
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


def unmirrored(house: House) -> Found:
    """Count the folders of tests that mirror no folder of the package or of the repository."""
    folders = {Path(test.path).parent.relative_to("tests") for test in house.tests}
    places = (house.root / house.package, house.root)
    mirrored = {f for f in folders if any((p / f).is_dir() for p in places)}
    return Found.count(f.as_posix() for f in folders - mirrored - set(_OF_THE_WHOLE))


def unmirrored_modules(house: House) -> Found:
    """Count the modules of tests beside none of the package whose name they have.

    Not counted: tests of the whole program, which are named by what it does.
    """
    named = [Path(test.path).relative_to("tests") for test in house.tests]
    tests = [p for p in named if p.name.startswith("test_") and p.parent not in _OF_THE_WHOLE]
    return Found.count(test.as_posix() for test in tests if not _has_tested(house, test))


def _has_tested(house: House, test: Path) -> bool:
    """Whether there is what a test is named by; always, where its folder is none of the package."""
    tested = house.root / house.package / test.parent / test.stem.removeprefix("test_")
    is_there = tested.is_dir() or tested.with_suffix(".py").is_file()
    return is_there or not tested.parent.is_dir()


LIMITS = (
    Measure("modules without __init__", modules),
    Measure("lines of a function's body: median", partial(body_sizes, share=0.5)),
    Measure("lines of a function's body: 90 %", partial(body_sizes, share=0.9)),
    Measure("lines of a function's body: largest", partial(body_sizes, share=1)),
    Measure("lines of a module: median", partial(module_sizes, share=0.5)),
    Measure("lines of a module: largest", partial(module_sizes, share=1)),
    Measure("import circles, with local imports", circles, most=0),
    Measure("imports for types only (not counted)", typed_imports),
    Measure("imports of the package's root", root_imports, most=0),
    Measure("functions with over 7 parameters", partial(parameters, over=7), most=0),
    Measure("functions with over 4 by position", partial(positional, over=4)),
    Measure("public functions documented, %", documented, least=100),
    Measure("public functions with examples", examples, least=40),
    Measure("modules that open files", partial(opening_modules, allowed=True)),
    Measure("modules that should open none", partial(opening_modules, allowed=False), most=0),
    Measure("modules that read text past the door", text_readers, most=0),
    *(Measure(f"words: lines with `{word}`", partial(words, word=word)) for word in WORDS),
    Measure("words: lines of docs with any", words_in_docs),
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
    parser.add_argument("--words", action="store_true", help="name the lines with avoided words")
    asked = parser.parse_args(arguments)
    house = read_house(asked.root)
    rows = [(measure, measure.by(house)) for measure in LIMITS]
    print(*[measure.row(found.value) for measure, found in rows], sep="\n")
    sizes = sorted(folder_sizes(house).items())
    print("modules by folder:", ", ".join(f"{folder} {size}" for folder, size in sizes))
    wrong = [measure for measure, found in rows if measure.fault(found.value)]
    for measure, found in rows:
        is_asked = asked.list or (asked.words and measure.name.startswith("words"))
        if is_asked or (asked.check and measure in wrong):
            print(f"\n{measure.name}:", *found.where, sep="\n  ")
    return 1 if asked.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
