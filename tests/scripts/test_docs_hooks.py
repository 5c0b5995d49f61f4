"""What the site is built with, beside its pages: `mkdocs.yml`, which names the hooks."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_style_sheet_is_loaded():
    """Of a key that stands there twice, MkDocs reads the second one without a word."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    keys = Counter(re.findall(r"^(\w+):", text, re.MULTILINE))
    assert [key for key, times in keys.items() if times > 1] == []
    (listed,) = re.findall(r"^extra_css: \[(.*)\]$", text, re.MULTILINE)
    docs = ROOT / "docs"
    sheets = {str(path.relative_to(docs)) for path in docs.rglob("*.css")}
    assert {name.strip() for name in listed.split(",")} == sheets
