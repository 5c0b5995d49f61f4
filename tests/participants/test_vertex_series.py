"""Parcels as means over vertices: against Connectome Workbench, and between versions of a run."""

from __future__ import annotations

import numpy as np
import pytest
from happy_person import PERSON, VERSIONS, write_happy_person
from workbench_parcels import FRAMES, STORED

from bids_dtg import load_bundle
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.participants.run_source import RunSource
from bids_dtg.settings import CleaningOptions

RULE = SpaceRule(model="fsLR parcels")


def series_of(root, **rule) -> tuple[np.ndarray, RunSource]:
    """Return a run's series (frames, parcels) and its source."""
    (run,) = find_runs(root, PERSON, rule=SpaceRule(model="fsLR parcels", **rule))
    bundle = load_bundle("hcp-glasser")
    cleaning = CleaningOptions(min_minutes=1)
    source = RunSource.of(run, bundle.space, bundle.places, cleaning)
    return np.concatenate([block.copy() for _, block in source.blocks()]), source


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own", "template"])
@pytest.mark.parametrize("version", VERSIONS)
def test_parcels_equal_workbench(shared, tmp_path, version, kind):
    root = write_happy_person(shared, tmp_path, versions=(version,), own=kind == "own")
    series, source = series_of(root)
    assert source.surface.kind == kind
    with np.load(STORED) as stored:
        wanted = stored[f"{version} {kind}"]
    np.testing.assert_allclose(series[list(FRAMES)], wanted, rtol=1e-4)
