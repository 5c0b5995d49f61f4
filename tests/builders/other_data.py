"""The same training on other data, for models of every workflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def require_refused(
    bundle: Path, train: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Require that a training is refused at once where its data have changed.

    What was recorded is changed in place of the data, which all tests read.
    """
    record = bundle.parent / "data_sha256.json"
    whole = record.read_text()
    files = json.loads(whole)
    name = max(files, key=lambda one: files[one]["size"])
    files[name] |= {"mtime_ns": 1, "sha256": "0"}
    record.write_text(json.dumps(files))
    try:
        assert train() == 2
    finally:
        record.write_text(whole)
    said = capsys.readouterr().err
    assert f"holds a model already, made of other data ({name} has changed)" in said
    assert "epoch" not in said
