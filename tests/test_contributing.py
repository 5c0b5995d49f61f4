"""What CONTRIBUTING.md names is there: nouns of the flow, processes, tables and files."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# The tables that people add to: each is named in "Where do I add what?".
TABLES = {
    "bids_dtg.__all__",
    "bids_dtg.contrasts.bundle.kinds.KINDS",
    "bids_dtg.contrasts.bundle.registry.PUBLISHED",
    "bids_dtg.cleaning.strategies.STRATEGIES",
    "bids_dtg.cli.spellings.ALIASES",
    "bids_dtg.connectome.form.FORMS",
    "bids_dtg.connectome.training_distribution.limits.LIMITS",
    "bids_dtg.contrasts.plan.RECIPES",
    "bids_dtg.dynamics.bundle.kind.KINDS",
    "bids_dtg.dynamics.judging.predictions.REFERENCES",
    "bids_dtg.dynamics.recipe.RECIPES",
    "bids_dtg.inputs.studies.STUDIES",
    "bids_dtg.contrasts.panels.words.COLUMNS",
    "bids_dtg.contrasts.panels.run.PANELS",
    "bids_dtg.report.quality.FIRST",
    "bids_dtg.settings.OPTIONS",
    "bids_dtg.statistics.analyses.ANALYSES",
    "bids_dtg.workflows.WORKFLOWS",
}


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def named(text: str) -> list[str]:
    """Return the dotted names of the package in a text."""
    return re.findall(r"\bbids_dtg(?:\.\w+)+", text)


def paths(text: str) -> list[str]:
    """Return the files and folders in backticks."""
    quoted = re.findall(r"`([^`\s]+)`", text)
    return [name for name in quoted if "/" in name or name.endswith((".md", ".yml"))]


def find(name: str) -> object:
    """Import a module, or what it holds."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", sorted(set(named(PAGE))))
def test_what_is_named_is_there(name):
    assert find(name) is not None


@pytest.mark.parametrize("path", sorted(set(paths(PAGE)) - {"../shared", "site/"}))
def test_files_are_there(path):
    assert (ROOT / path).exists()


def test_the_flow_is_of_types():
    flow = named(section("The way of a run"))
    assert len(flow) == 9
    assert all(isinstance(find(name), type) for name in flow)


def test_every_table_is_named():
    rows = [line.split("|") for line in section("Where do I add what?").splitlines() if "|" in line]
    column = {name for row in rows for name in named(row[2])}
    assert {name for name in column if re.search(r"\.([A-Z_]+|__all__)$", name)} == TABLES
    assert all(len(find(name)) > 0 for name in TABLES)


def test_every_row_is_filled_in():
    lines = [line for line in section("Where do I add what?").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(rows) > 15
    assert all(len(row) == 3 and all(row) for row in rows)
    assert all("`" in row[1] for row in rows[2:])


def test_make_targets_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([a-z-]+)", PAGE, re.MULTILINE))
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"lint", "test", "docs"} <= targets


def test_make_test_slow_finds_all_slow_tests():
    """It collects the files of tests that write the mark; other files must not set it."""
    others = [path for path in (ROOT / "tests").rglob("*.py") if path.name[:5] != "test_"]
    marking = [path.name for path in others if re.search(r"\.slow\b", path.read_text("utf-8"))]
    assert len(others) > 20
    assert not marking, "mark a slow test in its own file"
