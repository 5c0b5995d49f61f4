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


def test_what_the_recipes_show_is_of_the_networks_that_were_trained():
    (claim,) = (p for p in paragraphs(ROOT / "docs/evidence/group.md") if "local ridge beats" in p)
    assert "16 features, 8 mm, 360 updates" in claim
    assert "8,300 updates" in claim


def test_the_paper_s_linear_model_stands_beside_the_same_model_of_the_phantom():
    rows = (ROOT / "docs/evidence/phantom.md").read_text().splitlines()
    cells = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in rows if "|" in row[1:]}
    assert cells["linear (Tavor), r"] == "0.367 (0.127)"
    assert not cells["linear, whole brain, r"]  # the paper has none such
