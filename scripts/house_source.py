"""The package's source as `measure_house` sees it: parsed, never imported."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    """A parsed file of Python."""

    name: str  # dotted; a package has its own name, without `__init__`
    path: str  # below the root
    text: str
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """Whether it is an `__init__`."""
        return self.path.endswith("__init__.py")

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree: each measure looks at them, and to walk takes longer than that."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def origins(self) -> dict[str, str]:
        """The dotted name that each imported name stands for."""
        origins = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    origins[alias.asname or name] = name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    origins[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
        return origins


@dataclass(frozen=True)
class Import:
    """An import of one of the package's modules by another."""

    importer: str
    imported: str
    hidden: bool  # inside a function
    types_only: bool  # below `if TYPE_CHECKING`
    where: str  # path:line

    def __str__(self) -> str:
        note = " (in a function)" if self.hidden else ""
        return f"{self.where} {self.importer} -> {self.imported}{note}"


@dataclass(frozen=True)
class House:
    """Everything that is measured."""

    root: Path
    package: str
    modules: tuple[Module, ...]
    tests: tuple[Module, ...]
    imports: tuple[Import, ...]

    def inner(self, name: str) -> str:
        """Return a dotted name without the package's."""
        return name.removeprefix(f"{self.package}.")


def read_house(root: Path) -> House:
    """Parse the package that the import contract in pyproject.toml names, and the tests."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    linter = project["tool"]["importlinter"]
    package = linter["root_package"]
    modules = tuple(_parse(root, package))
    names = {module.name for module in modules}
    return House(
        root,
        package,
        modules,
        tuple(_parse(root, "tests")),
        tuple(found for module in modules for found in _imports(module, names)),
    )


def _parse(root: Path, folder: str) -> Iterator[Module]:
    for path in sorted((root / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield Module(name, path.relative_to(root).as_posix(), text, ast.parse(text))


def _imports(module: Module, names: set[str]) -> Iterator[Import]:
    nodes = module.nodes
    hidden = {id(n) for f in nodes if isinstance(f, FUNCTIONS) for n in ast.walk(f)}
    blocks = [n for n in nodes if isinstance(n, ast.If) and _is_for_types(n.test)]
    typed = {id(n) for block in blocks for line in block.body for n in ast.walk(line)}
    by_name = "import_module" in module.text  # then its strings that name modules are imports
    for node in nodes:
        for target in _imported(node, module, names, by_name):
            if target in names:
                where = f"{module.path}:{getattr(node, 'lineno', 1)}"
                is_hidden, is_typed = id(node) in hidden, id(node) in typed
                yield Import(module.name, target, is_hidden, is_typed, where)


def _is_for_types(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _imported(node: ast.AST, module: Module, names: set[str], by_name: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _from(node, module)
        for alias in node.names:
            yield full if (full := f"{base}.{alias.name}") in names else base
    elif by_name and isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value.partition(":")[0]


def _from(node: ast.ImportFrom, module: Module) -> str:
    """Return the module that `from … import` names, in full."""
    above = module.name.split(".")
    above = above[: len(above) - node.level + module.is_package] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def full_name(node: ast.AST, origins: Mapping[str, str]) -> str | None:
    """Return what a name or attribute stands for; None where it is not imported."""
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, origins)
        return owner and f"{owner}.{node.attr}"
    return origins.get(node.id) if isinstance(node, ast.Name) else None


def is_in(name: str, place: str) -> bool:
    """Whether a dotted name is that of a package or of something in it."""
    return f"{name}.".startswith(f"{place}.")
