from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.connectome.range.judge import CHECKS, RangeJudge, verdict_of
from bids_dtg.connectome.range.limits import LIMITS
from bids_dtg.connectome.range.pattern import PatternFigures, PatternPlaces, pattern_figures
from bids_dtg.connectome.range.training import FIGURES, Basis, Cells, TrainingRange
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

SHAPE = (10, 8, 8)
AFFINE = np.array([[-2.0, 0, 0, 9], [0, 2, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]])
MASK = np.ones(SHAPE, bool)
VOXELS, ROIS, BLOCK = MASK.size, 4, 2
COVERED = np.ones(VOXELS, bool)
PLACES = VoxelPlaces.within(Grid(SHAPE, AFFINE), MASK)
CELL = PLACES.lattice(BLOCK).cell


def maps() -> np.ndarray:
    index = np.argwhere(MASK)
    centres = np.array([[1, 2, 2], [2, 6, 5], [7, 3, 6], [8, 6, 1]])
    squared = ((index[None] - centres[:, None]) ** 2).sum(axis=2)
    bumps = np.exp(-squared / 8.0).reshape(ROIS, *SHAPE)
    both_sides = bumps + 0.6 * bumps[:, ::-1]
    return both_sides.reshape(ROIS, -1).astype(np.float32)


def pattern_places() -> PatternPlaces:
    return PatternPlaces(maps(), PLACES.mirror(), PLACES.neighbours())


def connectome(seed: int, noise: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    strength = 1 + 0.1 * rng.normal(size=(ROIS, 1))
    return (strength * maps() + noise * rng.normal(size=(ROIS, VOXELS))).astype(np.float32)


@pytest.fixture(scope="module")
def judge() -> RangeJudge:
    cells, places = Cells.of(CELL), pattern_places()
    basis = Basis.fit(np.stack([cells.means(connectome(n), COVERED) for n in range(60)]), 60)
    held_out = []
    for n in range(100, 160):
        r = connectome(n)
        pattern = pattern_figures(r, COVERED, places)
        held_out.append(basis.figures(cells.means(r, COVERED), pattern))
    training = TrainingRange.fit(basis, BLOCK, held_out, 60)
    return RangeJudge(places, training, cells)


def run_of(*segments: np.ndarray, covered: np.ndarray = COVERED, **changes) -> RunConnectomes:
    zeros = np.zeros(VOXELS, np.float32)
    fields = {
        "segments": tuple(Connectome(r, 100, 400.0) for r in segments),
        "whole": None,
        "odd": None,
        "even": None,
        "agreement": zeros,
        "icc": zeros,
        "covered": covered,
        "roi_coverage": np.ones(ROIS),
        "series": np.random.default_rng(0).normal(size=(100, ROIS)),
        "roi_r": np.eye(ROIS),
        "tsnr": zeros,
    }
    return RunConnectomes(**(fields | changes))


def test_a_person_like_the_training_is_in_range(judge):
    verdicts = [judge.judge(run_of(connectome(n)), 0.95).verdict for n in range(200, 220)]
    assert verdicts.count("in range") >= 18


def test_noise_is_far_and_named(judge):
    judged = judge.judge(run_of(connectome(300, noise=0.5)), 0.95)
    assert judged.verdict == "outside"
    assert judged.distance > judge.training.outside
    assert any("usually" in reason for reason in judged.reasons)


def test_swapped_sides_are_told_without_statistics(judge):
    plain = RangeJudge(pattern_places())
    r = connectome(301)
    swapped = np.ascontiguousarray(r.reshape(ROIS, *SHAPE)[:, ::-1].reshape(ROIS, -1))
    judged = plain.judge(run_of(swapped), None)
    assert judged.distance is None
    assert judged.verdict == "outside"
    assert any("swapped" in reason or "maps lie" in reason for reason in judged.reasons)
    assert plain.judge(run_of(r), None).verdict == "in range"


def test_the_mean_over_segments_is_judged(judge):
    one, two = connectome(302), connectome(303)
    alone = [judge.judge(run_of(r), 0.95).figures["roi_map_match"] for r in (one, two)]
    both = judge.judge(run_of(one, two), 0.95).figures["roi_map_match"]
    assert both == pytest.approx(np.mean(alone))


def test_missing_places_count_as_usual_in_the_distance_but_are_flagged(judge):
    covered = np.argwhere(MASK)[:, 2] >= 2
    r = connectome(304)
    r[:, ~covered] = 0
    judged = judge.judge(run_of(r, covered=covered), 0.95)
    assert judged.distance < judge.training.outside
    assert judged.verdict == "outside"
    assert any("75% of the model's grey matter" in reason for reason in judged.reasons)


@pytest.mark.parametrize("figure", CHECKS)
def test_checks_rise_from_in_range_to_outside(figure):
    limit = LIMITS[figure]
    step = -0.01 if limit.low_is_bad else 0.01
    values = (limit.unusual - step, limit.unusual + step, limit.outside + step)
    assert [verdict_of(figure, x) for x in values] == ["in range", "unusual", "outside"]
    assert verdict_of(figure, float("nan")) == "in range"


def test_cells_are_means_of_what_is_covered():
    cells = Cells.of(CELL)
    r = np.arange(VOXELS, dtype=np.float32)[None]
    covered = COVERED.copy()
    first = np.ravel_multi_index(np.indices((2, 2, 2)).reshape(3, -1), SHAPE)
    covered[first[1:]] = False
    zeroed = np.where(covered, r, 0).astype(np.float32)
    assert cells.means(zeroed, covered)[0, 0] == 0.0
    covered[first] = False
    assert np.isnan(cells.means(np.where(covered, r, 0).astype(np.float32), covered)[0, 0])


def test_what_cannot_be_learned_from_is_refused(judge):
    with pytest.raises(ValueError, match="need more samples"):
        Basis.fit(np.zeros((4, ROIS, 20), np.float32), 4)
    with pytest.raises(ValueError, match="more than 16 samples"):
        TrainingRange.fit(judge.training.basis, 2, [np.zeros(len(FIGURES))] * 5, 5)
    with pytest.raises(ValueError, match="cells"):
        judge.training.basis.figures(np.zeros((ROIS, 3), np.float32), PatternFigures(*[0.5] * 6))
