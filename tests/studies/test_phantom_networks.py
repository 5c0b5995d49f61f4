"""Kinds by voxel on the phantom: scores are kept by kind, and what is kept is not fitted again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.settings import ModellingOptions

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from phantom_networks import of_phantom


@pytest.mark.slow
def test_a_later_call_fits_only_the_kinds_that_it_lacks(tmp_path):
    kinds = {name: tmp_path / f"{name}.json" for name in ("linear", "linear-parcel")}
    kinds["linear"].write_text(json.dumps({"residual r": 0.25}))
    for _ in range(2):
        found = of_phantom(1, "folds", 8, 3, kinds, ModellingOptions(), "cpu")
        assert found["linear"] == {"residual r": 0.25}
        assert all(map(np.isfinite, found["linear-parcel"].values()))
        assert found["linear-parcel"] == json.loads(kinds["linear-parcel"].read_text())
