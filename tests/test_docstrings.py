"""The examples in docstrings print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import bids_dtg

ROOT = Path(bids_dtg.__file__).parent
NAMES = sorted(
    ".".join(("bids_dtg", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
# Examples that predict a run's maps, simulate people or draw a brain are slow.
SLOW = (
    "bids_dtg.contrasts.participant.",
    "bids_dtg.dynamics.phantom.people",
    "bids_dtg.report.pictures",
)
ROWS = [
    pytest.param(name, marks=pytest.mark.slow) if name.startswith(SLOW) else name
    for name in NAMES
]


@pytest.mark.parametrize("name", ROWS)
def test_examples_print_what_they_say(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert results.attempted, f"the examples of {name} are not found"
    assert not results.failed
