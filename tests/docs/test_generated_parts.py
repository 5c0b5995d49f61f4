"""The parts of pages that come from the program are those that it makes now."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bids_dtg.cleaning.strategies import STRATEGIES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "scripts"))
from docs_hooks import filled  # noqa: E402

PAGES = [
    path for path in sorted(DOCS.rglob("*.md")) if "<!-- end of " in path.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_generated_parts_are_up_to_date(page):
    text = page.read_text()
    assert filled(text) == text, "python scripts/docs_hooks.py renews it"


def test_the_list_of_ways_to_clean_has_all_strategies():
    text = (DOCS / "how-to/cleaning.md").read_text()
    for name in STRATEGIES:
        assert f"`--denoise-strategy {name}`" in text
