"""Clusters and where they lie, on regions that are known."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.stats.cohort.group_maps import find_clusters, signs_of
from bids_dtg.stats.cohort.peaks import RegionNames, find_peaks

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
GRID = Grid((91, 109, 91), AFFINE, "MNI152NLin6Asym", "2")
PLACES = VoxelPlaces.within(GRID, np.ones(GRID.shape, bool))


@pytest.fixture(scope="module")
def regions():
    return RegionNames(PLACES, [find_atlas(name, PLACES) for name in ("Schaefer400", "HCP")])


def blob(centre, radius_mm: float = 5.0) -> np.ndarray:
    return np.exp(-(((PLACES.points - centre) ** 2).sum(axis=1)) / (2 * radius_mm**2))


@pytest.mark.slow
def test_peaks_lie_in_their_regions_and_are_in_the_order_of_strength(regions):
    hippocampus, motor, outside = (-26, -20, -14), (40, -20, 56), (80, -120, 70)
    values = 5 * blob(hippocampus) - 9 * blob(motor) + 4 * blob(outside)
    peaks = find_peaks(values, np.abs(values) > 2, PLACES, regions)
    assert [(peak.x, peak.y, peak.z) for peak in peaks] == [motor, hippocampus, outside]
    assert [round(peak.value) for peak in peaks] == [-9, 5, 4]
    motor_region, hippocampus_region, none = (peak.region for peak in peaks)
    assert "RH_SomMot" in motor_region
    assert "HIPPOCAMPUS_LEFT" in hippocampus_region
    assert none == ""
    clusters = find_clusters(signs_of(values, np.abs(values) > 2), PLACES.neighbours())
    sizes = sorted(8.0 * np.bincount(clusters[clusters >= 0]))
    assert sorted(peak.size_mm3 for peak in peaks) == sizes


def test_other_peaks_of_a_cluster_and_empty_maps_are_no_clusters(regions):
    values = blob((0, 0, 0), 12) + 0.9 * blob((30, 0, 0), 12)
    assert len(find_peaks(values, values > 0.2, PLACES, regions)) == 1
    assert find_peaks(values, np.zeros(PLACES.number, bool), PLACES, regions) == []
    assert find_peaks(values, values > 0.2, PLACES, RegionNames(PLACES, []))[0].region == ""
