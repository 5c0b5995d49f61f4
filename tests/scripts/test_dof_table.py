"""The table of degrees of freedom in docs/explanation/cleaning.md is what its script prints."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import dof_table  # noqa: E402


def test_the_page_has_what_the_script_prints(capsys):
    dof_table.main()
    printed = capsys.readouterr().out
    assert printed in (ROOT / "docs/explanation/cleaning.md").read_text()
    rows = [line.split("|")[3].strip() for line in printed.splitlines()[2:]]
    assert rows == ["55", "31", "12", "7", "3"]
