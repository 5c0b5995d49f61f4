"""What the BIDS validator says of an output, and what .bidsignore hides from it."""

from __future__ import annotations

import json
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from tiny_job import TinyJob

from bids_dtg.files.derivatives import IGNORED

DOCS = Path(__file__).parents[2] / "docs"


def issues_of(folder: Path) -> list[tuple[str, str]]:
    """Return code and place of what the validator calls errors."""
    words = ["bids-validator-deno", "--json", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["issues"]["issues"]
    return [
        (issue["code"], issue.get("location", ""))
        for issue in found
        if issue["severity"] == "error"
    ]


@pytest.mark.slow
def test_it_passes_as_bidsignore_hides_what_it_does_not_know(tmp_path):
    if not shutil.which("bids-validator-deno"):
        pytest.skip("no bids-validator-deno here")
    job = TinyJob(tmp_path)
    job.reports = True
    assert job.run("--half-maps", "--write-connectome") == 0
    assert issues_of(job.out) == []
    (job.out / ".bidsignore").unlink()
    hidden = issues_of(job.out)
    assert {code for code, _ in hidden} == {"NOT_INCLUDED"}
    patterns = [pattern.rstrip("/") for pattern in IGNORED]
    for _, place in hidden:
        parts = place.strip("/").split("/")
        assert any(fnmatch(part, pattern) for part in parts for pattern in patterns), place


def test_the_documentation_lists_all_that_is_hidden():
    _, _, text = (DOCS / "outputs.md").read_text().partition("### What the BIDS validator")
    section = text.partition("\n## ")[0]
    assert [pattern for pattern in IGNORED if f"`{pattern}`" not in section] == []
