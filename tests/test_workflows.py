"""The table of workflows: what its rows name is there, and what is imported later is there."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.report.presentation import Presentation
from bids_dtg.workflows import (
    DEFAULT,
    WORKFLOWS,
    all_workflows,
    constant,
    find_workflow,
    later,
)

PACKAGE = Path(__file__).parent.parent / "bids_dtg"
MODULES = sorted(PACKAGE.rglob("*.py"))


def named_later() -> Iterator[str]:
    """Yield what the source names by `later` and `constant`, as `module:name`."""
    sources = (path.read_text(encoding="utf-8") for path in MODULES)
    for source in sources:
        if "later(" not in source and "constant(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(func=ast.Name("later" | "constant"), args=[ast.Constant(name)]):
                    yield name


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_row_has_the_name_that_it_is_found_by(name):
    row = find_workflow(name)
    assert row.name == name
    presentation = row.presentation()
    assert isinstance(presentation, Presentation)
    assert presentation.name == name


def test_the_default_is_a_workflow():
    assert find_workflow(DEFAULT) is next(iter(all_workflows()))


def test_a_workflow_that_there_is_not_is_refused():
    with pytest.raises(SettingsError, match=r"--workflow is 'twins'\. Expected: one of contrasts,"):
        find_workflow("twins")


def test_features_are_in_their_table_by_name():
    tables = [row.features for row in all_workflows()]
    assert all(kind.name == name for table in tables for name, kind in table.items())
    assert set(find_workflow("contrasts").features) == {"edges", "maps", "measured"}


def test_no_two_workflows_have_features_of_one_name():
    names = [name for row in all_workflows() for name in row.features]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", sorted(set(named_later())))
def test_what_is_imported_later_is_there(name):
    assert pkgutil.resolve_name(f"bids_dtg.{name}") is not None


def test_a_function_is_called_and_a_constant_is_handed_over():
    assert later("notices:counted")(2, "run") == "2 runs"
    assert constant("workflows:DEFAULT")() == DEFAULT
