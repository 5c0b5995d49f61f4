from __future__ import annotations

import re
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.connectome.checks import (
    map_identity,
    mirrored_gain,
)
from bids_dtg.connectome.hemispheres import homotopic_rank, pairs_of_sides, symmetry
from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.panels.presentation import MAPS
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.inputs.runs import find_runs
from bids_dtg.report.quality import FIRST, PARCELS
from bids_dtg.settings import CleaningOptions

SHAPE = (12, 10, 8)
AFFINE = np.array([[-2.0, 0, 0, 11], [0, 2, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]])
PLACES = VoxelPlaces.within(Grid(SHAPE, AFFINE), np.ones(SHAPE, bool))
ROIS, FRAMES = 8, 400
COVERED = np.ones(PLACES.number, bool)
COLUMNS = np.arange(PLACES.number)
PAIRS = pairs_of_sides(PLACES.mirror(), COVERED)


def blobs(seed: int = 0, asymmetry: float = 0.5) -> np.ndarray:
    """Maps on both sides; on the left, stronger by so much."""
    rng = np.random.default_rng(seed)
    index = np.argwhere(np.ones(SHAPE, bool))
    centres = index[rng.permutation(len(index))[:ROIS]]
    squared = ((index[None] - centres[:, None]) ** 2).sum(axis=2)
    values = np.exp(-squared / 8.0)
    return (values * (0.5 + asymmetry) + flipped(values) * (0.5 - asymmetry)).astype(
        np.float32
    )


def flipped(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(
        rows.reshape(-1, *SHAPE)[:, ::-1].reshape(len(rows), -1)
    )


def test_a_connectome_that_is_its_maps_is_told_by_them_and_its_mirror_image_less():
    maps = blobs()
    assert map_identity([2 * maps + 0.1], maps, COLUMNS, COVERED) == 1
    assert map_identity([flipped(maps)], maps, COLUMNS, COVERED) < 1
    assert np.isnan(map_identity([np.zeros_like(maps)], maps, COLUMNS, COVERED))
    assert symmetry(maps + flipped(maps), PAIRS) == pytest.approx(1)


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_figures_are_those_of_plain_formulas(share):
    """Places that are not covered do not count."""
    rng = np.random.default_rng(5)
    maps = blobs()
    mirror = PLACES.mirror()
    r = rng.normal(0.2, 0.3, maps.shape).astype(np.float32) + 0.5 * maps
    covered = rng.random(PLACES.number) < share
    with_maps = np.corrcoef(r[:, covered], maps[:, covered])[:ROIS, ROIS:]
    pairs = [
        n for n in np.flatnonzero(covered) if mirror[n] >= 0 and covered[mirror[n]]
    ]
    sides = zip(r[:, pairs], r[:, mirror[pairs]], strict=True)
    expected = (
        (with_maps.argmax(axis=1) == np.arange(ROIS)).mean(),
        np.mean([np.corrcoef(a, b)[0, 1] for a, b in sides]),
    )
    figures = (
        map_identity([r], maps, COLUMNS, covered),
        symmetry(r, pairs_of_sides(mirror, covered)),
    )
    assert figures == pytest.approx(expected, abs=1e-5)


def test_the_rank_of_homotopic_pairs_is_that_of_a_plain_count():
    """Parcels stand in any order; one is constant, and two are in one hemisphere only."""
    rng = np.random.default_rng(3)
    left_hemisphere = rng.standard_normal((60, 33))
    right_hemisphere = left_hemisphere + 3 * rng.standard_normal((60, 33))
    right_hemisphere[:, 5] = 7.0
    names = [*(f"L_{n}_ROI" for n in range(33)), *(f"Right_{n}" for n in range(33))]
    names += ["L_alone", "vermis"]
    order = rng.permutation(68)
    series = np.hstack(
        [left_hemisphere, right_hemisphere, rng.standard_normal((60, 2))]
    )[:, order]
    homotopic = ParcelPlaces(tuple(names[place] for place in order)).homotopic
    pairs = [number for number in range(33) if number != 5]
    r = {
        (source, target): np.corrcoef(
            left_hemisphere[:, source], right_hemisphere[:, target]
        )[0, 1]
        for source in pairs
        for target in pairs
    }
    less = [r[pair] < r[side, side] for pair in r if len({*pair}) == 2 for side in pair]
    assert homotopic_rank(series, homotopic) == pytest.approx(np.mean(less))
    assert 0.6 < np.mean(less) < 0.99
    assert np.isnan(homotopic_rank(series, homotopic[:, :29]))


METRICS = {metric.name: metric for metric in MAPS}
LIMITED = [metric for metric in (*FIRST, *PARCELS, *MAPS) if metric.unusual is not None]


@pytest.mark.parametrize("metric", LIMITED, ids=lambda metric: metric.name)
def test_every_limit_orders_its_steps(metric):
    worse = -1e-3 if metric.low_is_bad else 1e-3
    values = (metric.unusual - worse, metric.unusual + worse, metric.outside + worse)
    assert [metric.steps(value) for value in values] == [0, 1, 2]


def test_a_value_at_the_limit_has_reached_it():
    metric = QualityMetric("share", "A share", unusual=0.8, outside=0.5)
    assert [metric.steps(value) for value in (0.8, 0.5, float("nan"))] == [1, 2, 0]


def test_metrics_of_one_name_have_the_same_limits():
    for metric in (*FIRST, *PARCELS):
        namesake = METRICS.get(metric.name, metric)
        assert (metric.unusual, metric.outside) == (namesake.unusual, namesake.outside)


# --- sides that are exchanged


def read(
    brain: np.ndarray, maps: np.ndarray, seed: int, *, mirrored: bool = False
) -> float:
    """Simulate a run of a brain with such networks, and read it with a model's maps."""
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((FRAMES, ROIS)) @ brain + 0.5 * rng.standard_normal(
        (FRAMES, brain.shape[1])
    )
    if mirrored:
        frames = flipped(frames)
    centred = maps - maps.mean(axis=1, keepdims=True)
    series = frames @ np.linalg.pinv(centred.astype(np.float64))
    correlations = np.corrcoef(series.T, frames.T)
    r = correlations[:ROIS, ROIS:].astype(np.float32)
    return mirrored_gain([r], correlations[:ROIS, :ROIS], maps, COLUMNS, PAIRS)


def test_the_other_reading_follows_from_the_connectome():
    """What is computed for a mirrored run is what the run shows the right way round."""
    maps = blobs(0, asymmetry=0.4)
    stored, mirrored = (
        read(maps, maps, 1, mirrored=mirrored) for mirrored in (False, True)
    )
    assert np.isnan(stored)
    assert mirrored > METRICS["mirrored_gain"].outside


@pytest.mark.parametrize("asymmetry", [0.0, 0.01])
@pytest.mark.parametrize("mirrored", [False, True])
def test_where_maps_are_nearly_symmetric_nothing_is_said(asymmetry, mirrored):
    """Finding D16."""
    for seed in range(12):
        maps = blobs(seed, asymmetry)
        gain = read(maps, maps, seed, mirrored=mirrored)
        assert METRICS["mirrored_gain"].steps(gain) == 0


def test_maps_without_another_side_tell_nothing():
    half = np.zeros(SHAPE, bool)
    half[:5] = True
    places = VoxelPlaces.within(Grid(SHAPE, AFFINE), half)
    maps = blobs(0, 0.4)[:, half.ravel()]
    pairs = pairs_of_sides(places.mirror(), np.ones(places.number, bool))
    assert np.isnan(mirrored_gain([maps], np.eye(ROIS), maps, COLUMNS, pairs))


@pytest.mark.slow
@pytest.mark.parametrize("mirrored", [False, True])
def test_nothing_is_said_of_the_sides_of_a_real_brain_read_with_the_demo_s_maps(
    shared, tmp_path, mirrored
):
    """Finding D16: all real people were asked to check their sides; mirrored, they fit alike."""
    root = shared / "data/real/fmriprep_like"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    (run,) = (
        run for run in find_runs(root, "HAPPYTEST") if run.space == "MNI152NLin6Asym"
    )
    if mirrored:
        run = replace(
            run, bold=_mirror(run.bold, tmp_path), mask=_mirror(run.mask, tmp_path)
        )
    cleaning = CleaningOptions(denoise_strategy="simple", min_minutes=1.0)
    reader = Reader(load_bundle("demo"), cleaning)
    measured = reader.measure(run)
    judged = reader.judge(measured.connectomes, measured.mask_overlap)
    assert not any(re.search(r"\bsides?\b", reason) for reason in judged.reasons)


def _mirror(path, folder):
    image = nib.load(path)
    copy = folder / path.name
    nib.save(
        nib.Nifti1Image(image.dataobj, np.diag([-1.0, 1, 1, 1]) @ image.affine), copy
    )
    for sidecar in path.parent.glob(path.name.removesuffix(".nii.gz") + ".json"):
        shutil.copy(sidecar, folder)
    return copy
