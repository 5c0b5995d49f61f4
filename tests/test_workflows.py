"""The table of workflows: all that its rows name exists, also what is imported later."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import FIELDS, WORKFLOWS
from bids_dtg.workflows import find_workflow

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
                case ast.Call(
                    func=ast.Name("later" | "constant"), args=[ast.Constant(name)]
                ):
                    yield name


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_row_has_the_name_that_it_is_found_by(name):
    row = find_workflow(name)
    assert row.name == name
    presentation = row.presentation()
    assert isinstance(presentation, Presentation)
    assert presentation.dataset.workflow == name


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_a_row_reads_are_options_and_groups(name):
    row = find_workflow(name)
    names = {*row.participants_read}
    for analysis in row.analyses.values():
        names |= {*analysis.reads, *analysis.helps, *analysis.shown}
    groups = {option.group for option in FIELDS.values()}
    assert names <= FIELDS.keys() | groups


@pytest.mark.parametrize("name", sorted(set(named_later())))
def test_what_is_imported_later_is_there(name):
    assert pkgutil.resolve_name(f"bids_dtg.{name}") is not None
