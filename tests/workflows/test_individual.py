"""Contrasts of which a model knows nothing individual: named wherever their maps are shown."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_bundle import tiny_masks, write_tiny_bundle
from tiny_job import TinyJob, map_facts

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.part import Recentring
from bids_dtg.contrasts.recentring import Correction


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Maps by a model whose first gain is 0, and whose third contrast does not vary either."""
    job = TinyJob(tmp_path_factory.mktemp("individual"), ("01", "02"))
    job.reports = True
    voxels = int(tiny_masks()[1].sum())
    correction = Correction(np.array([0, 0.7, 0.4], np.float32), np.ones((3, voxels), np.float32))
    labels = [contrast.label for contrast in job.bundle.contrasts]
    job.model = job.folder / "model"
    facts = {"recentring": Recentring(12, 1), "same_for_all": (labels[2],)}
    job.bundle = write_tiny_bundle(job.model, correction=correction, **facts)
    assert job.run() == 0
    return job


def test_the_sidecar_of_such_a_map_says_so(job):
    assert load_bundle(job.model).card.part.not_individual == (
        job.bundle.contrasts[0].label,
        job.bundle.contrasts[2].label,
    )
    for contrast in job.bundle.contrasts:
        (path,) = job.out.glob(f"sub-01/func/*_contrast-{contrast.label}_*desc-synthetic*")
        sidecar = map_facts(path)
        if contrast.index == 1:
            assert "Individual" not in sidecar
        else:
            assert sidecar["Individual"] is False
            assert "the same for everybody" in sidecar["IndividualNote"]
