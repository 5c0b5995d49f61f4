"""The examples in docstrings print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import bids_dtg

ROOT = Path(bids_dtg.__file__).parent
NAMES = sorted(
    ".".join(("bids_dtg", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
# Examples of a participant's level measure and predict.
SLOW = [name for name in NAMES if ".contrasts.participant." in name]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in NAMES]
)
def test_examples_print_what_they_say(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert results.attempted, f"the examples of {name} are not found"
    assert not results.failed
