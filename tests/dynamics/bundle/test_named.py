"""Bundles of named models: nothing wrong is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_named import write_tiny_named

from bids_dtg.dynamics.bundle.named import load_named_bundle
from bids_dtg.errors import BundleError


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_named(tmp_path_factory.mktemp("named") / "tiny").path


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"order": 3}, "order"),
        ({"unconnected": 1.5}, "unconnected"),
        ({"tr_seconds": 3.0}, "repetition_time_s"),
        ({"recipe_name": "hopfs"}, "recipe_name"),
        ({"calibrations": [[200, 0.9]]}, "calibrations"),
    ],
)
def test_a_card_that_cannot_be_is_refused(tiny: Path, tmp_path: Path, changes, fact: str) -> None:
    path = shutil.copytree(tiny, tmp_path / "tiny") / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(BundleError, match=fact):
        load_named_bundle(path.parent)
