"""Simulated regions as an atlas: who owns a voxel, and what the program reads of the files."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.dynamics.phantom.people import simulate_weights
from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.parcels import ATLAS, Parcels

ANATOMY = load_anatomy(4)


def drawn(seed: int, regions: int = 12) -> tuple[np.ndarray, Parcels]:
    _, positions, names = simulate_weights(1, regions, np.random.default_rng(seed))
    return positions, Parcels.around(positions, names, ANATOMY)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_voxel_belongs_to_the_nearest_region_of_its_side(seed):
    positions, parcels = drawn(seed)
    points = ANATOMY.places.points
    left = points[:, 0] < 0
    assert (left == (positions[parcels.owner, 0] < 0)).all()
    centre = points.mean(axis=0) * [0, 1, 1]
    voxel = seed % len(points)
    same = np.flatnonzero((positions[:, 0] < 0) == left[voxel])
    distances = np.linalg.norm(positions[same] - (points[voxel] - centre), axis=1)
    assert parcels.owner[voxel] == same[distances.argmin()]


def test_a_region_without_a_voxel_is_refused():
    places = np.array([[-40.0, 0, 0], [-900, 900, 0], [40, 0, 0], [40, 40, 0]])
    with pytest.raises(ValueError, match="no voxel is nearest to far"):
        Parcels.around(places, ["a", "far", "c", "d"], ANATOMY)


def test_the_program_reads_the_atlas_that_is_written(tmp_path):
    _, parcels = drawn(0)
    image = parcels.write(tmp_path)
    atlas = find_atlas(image, ANATOMY.places, templateflow=TemplateFlow(None))
    assert atlas.key == ATLAS
    assert tuple(atlas.parcels.values()) == parcels.names
    np.testing.assert_array_equal(atlas.labels, parcels.owner + 1)
    assert b"SIMULATED" in bytes(nib.load(image).header["descrip"])
    by_name = find_atlas(
        ATLAS, ANATOMY.places, templateflow=TemplateFlow(None), datasets=[tmp_path]
    )
    assert by_name.digest == atlas.digest
