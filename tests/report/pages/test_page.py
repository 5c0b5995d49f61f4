"""Pages: templates are compiled once."""

from __future__ import annotations

import sys

from bids_dtg.report.pages import page


def test_templates_are_compiled_once_where_python_keeps_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    compiled = []
    for content in (None, b"damaged", None):
        if content:
            compiled[0].write_bytes(content)
        page._environment.cache_clear()
        assert page.load_template("twin.html").name == "twin.html"
        compiled = [*tmp_path.rglob("templates/*.pyc")]
        assert len(compiled) == 1
    made = compiled[0].stat().st_mtime_ns
    page._environment.cache_clear()
    page.load_template("twin.html")
    assert compiled[0].stat().st_mtime_ns == made
    compiled[0].unlink()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    page._environment.cache_clear()
    page.load_template("twin.html")
    assert not compiled[0].exists()
    page._environment.cache_clear()
