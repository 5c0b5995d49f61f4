"""Pages that are read from top to bottom are short: the README, and those of start and how-to."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
READ_WHOLE = [*sorted((DOCS / "start").glob("*.md")), *sorted((DOCS / "how-to").glob("*.md"))]


def test_the_readme_has_at_most_120_lines():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", READ_WHOLE, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_a_page_of_start_or_how_to_has_at_most_900_words(page):
    words = page.read_text(encoding="utf-8").split()
    assert len(words) <= 900, "put figures into docs/evidence.md, reasons into docs/explanation"


@pytest.mark.parametrize("kind", ["start", "how-to", "reference", "explanation"])
def test_the_home_page_leads_to_every_page(kind):
    home = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS).as_posix() for path in (DOCS / kind).glob("*.md")]
    pages += ["evidence.md", "tried.md", "limits.md"]
    assert pages
    assert [page for page in pages if f"]({page}" not in home] == []
