"""Figures of the documentation stand beside what they were measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def paragraphs(page: Path) -> list[str]:
    return [" ".join(text.split()) for text in page.read_text().split("\n\n")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_published_r_names_its_minutes_of_rest(page):
    published = [p for p in paragraphs(page) if "0.516" in p and "publication" in p]
    assert all("58 minutes" in paragraph for paragraph in published)
