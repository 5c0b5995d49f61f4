"""Regions of simulated brains come in two mirrored hemispheres."""

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
from bids_dtg.phantom.regions import (
    ATLAS,
    Parcels,
    RegionPlan,
    draw_positions,
    draw_region_run,
    region_names,
)


@pytest.mark.parametrize("regions", [2, 7])
def test_regions_that_make_no_two_hemispheres_are_refused(regions):
    with pytest.raises(ValueError, match=f"not {regions}"):
        region_names(regions)


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(0, 1000))
def test_places_are_mirrored_and_named_side_by_side(half, seed):
    places = draw_positions(half, np.random.default_rng(seed))
    names = region_names(2 * half)
    left = np.array([name.startswith("lh") for name in names])
    assert (left == (places[:, 0] < 0)).all()
    np.testing.assert_array_equal(places[left] * [-1, 1, 1], places[~left])


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
    assert (left == (positions[parcels.region_of_voxel, 0] < 0)).all()
    centre = points.mean(axis=0) * [0, 1, 1]
    voxel = seed % len(points)
    same = np.flatnonzero((positions[:, 0] < 0) == left[voxel])
    distances = np.linalg.norm(positions[same] - (points[voxel] - centre), axis=1)
    assert parcels.region_of_voxel[voxel] == same[distances.argmin()]


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
    np.testing.assert_array_equal(atlas.labels, parcels.region_of_voxel + 1)
    assert b"SIMULATED" in bytes(nib.load(image).header["descrip"])
    by_name = find_atlas(
        ATLAS, ANATOMY.places, templateflow=TemplateFlow(None), datasets=[tmp_path]
    )
    assert by_name.digest == atlas.digest


PARCELS = Parcels.around(np.array([[-40.0, 0, 0], [40, 0, 0]]), "lr", load_anatomy(4))


def drawn_run(series: np.ndarray, seed: int) -> np.ndarray:
    run = draw_region_run(
        PARCELS, series, np.random.default_rng(seed), repetition_time_s=1.0
    )
    return np.concatenate([block.copy() for block in run.blocks()])


def test_the_series_are_in_their_parcels_and_nowhere_else():
    series = np.random.default_rng(1).standard_normal((60, 2)).astype(np.float32)
    added = drawn_run(series, 3) - drawn_run(np.zeros_like(series), 3)
    grey = PARCELS.anatomy.grey_in_brain
    beside = np.setdiff1d(np.arange(added.shape[1]), grey)
    assert len(beside)
    assert not added[:, beside].any()
    for region in range(2):
        own = added[:, grey[PARCELS.region_of_voxel == region]]
        assert np.corrcoef(own.mean(axis=1), series[:, region])[0, 1] > 0.999


def test_another_stream_gives_another_run():
    series = np.zeros((60, 2), np.float32)
    np.testing.assert_array_equal(drawn_run(series, 3), drawn_run(series, 3))
    assert abs(drawn_run(series, 3) - drawn_run(series, 4)).max() > 1


@pytest.mark.parametrize(
    ("frames", "seconds"), [(99, 1.0), (2001, 1.0), (300, 0.4), (300, 3.1)]
)
def test_impossible_runs_are_refused(frames, seconds):
    with pytest.raises(ValueError, match=f"not {frames} of {seconds:g} s"):
        RegionPlan(frames=frames, repetition_time_s=seconds)
