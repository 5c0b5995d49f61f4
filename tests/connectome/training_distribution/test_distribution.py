from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.connectome.training_distribution.distribution import (
    FIGURES,
    Basis,
    TrainingDistribution,
)
from bids_dtg.connectome.training_distribution.figure_statistics import FigureStatistics, Parts
from bids_dtg.connectome.training_distribution.judge import (
    CHECKS,
    OF_SIMULATED_PEOPLE,
    DistributionCheck,
    verdict_of,
)
from bids_dtg.connectome.training_distribution.limits import LIMITS
from bids_dtg.connectome.training_distribution.pattern import PatternFigures, PatternPlaces
from bids_dtg.connectome.training_distribution.summary import (
    ConnectomeSummary,
    LatticeBlocks,
    Rest,
    pack_rest,
    unpack_rest,
)
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

SHAPE = (10, 8, 8)
AFFINE = np.array([[-2.0, 0, 0, 9], [0, 2, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]])
MASK = np.ones(SHAPE, bool)
VOXELS, ROIS, BLOCK = MASK.size, 4, 2
COVERED = np.ones(VOXELS, bool)
PLACES = VoxelPlaces.within(Grid(SHAPE, AFFINE), MASK)
BLOCK_OF = PLACES.lattice(BLOCK).block_of


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


# Noise of this size has a part of a run with so many degrees of freedom; a run has 1.2 a second.
NOISE, FREEDOM = 0.1, 120.0


def of_length(seed: int, share: float = 1.0) -> np.ndarray:
    """A connectome of a part of a run with this share of the usual degrees of freedom."""
    return connectome(seed, NOISE / np.sqrt(share))


def part_of(r: np.ndarray, share: float = 1.0, dof: float = FREEDOM) -> Connectome:
    return Connectome(r, round(100 * share), 100.0 * share, dof * share)


def rest_of(person: int, shares=(0.5, 0.5, 1.0), dof: float = FREEDOM) -> Rest:
    """Summaries of a person's run: its segment, and parts of other lengths."""
    places, blocks = pattern_places(), LatticeBlocks.of(BLOCK_OF)
    parts = [
        part_of(of_length(1000 * person + n, share), share, dof) for n, share in enumerate(shares)
    ]
    run = run_of(parts[-1].r, dof=dof)
    *others, segment = (ConnectomeSummary.of_part(part, run, places, blocks) for part in parts)
    return Rest(((segment,),), (tuple(others),) if others else ())


def summary_of(r: np.ndarray) -> ConnectomeSummary:
    run, blocks = run_of(r), LatticeBlocks.of(BLOCK_OF)
    return ConnectomeSummary.of_part(run.segments[0], run, pattern_places(), blocks)


@pytest.fixture(scope="module")
def judge() -> DistributionCheck:
    training = TrainingDistribution.learn([rest_of(n) for n in range(60)], BLOCK)
    return DistributionCheck(pattern_places(), training, LatticeBlocks.of(BLOCK_OF))


def run_of(
    *segments: np.ndarray,
    covered: np.ndarray = COVERED,
    share: float = 1.0,
    dof: float = FREEDOM,
    **changes,
) -> RunConnectomes:
    zeros = np.zeros(VOXELS, np.float32)
    fields = {
        "segments": tuple(part_of(r, share, dof) for r in segments),
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
        "residual_dof": dof * share * len(segments),
        "effective_dof": dof * share * len(segments) / 2,
    }
    return RunConnectomes(**(fields | changes))


def test_a_person_like_the_training_is_in_range(judge):
    verdicts = [judge.judge(run_of(connectome(n)), 0.95).verdict for n in range(200, 220)]
    assert verdicts.count("inside") >= 18


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.6, 0.8, 1.0, 1.4])
@pytest.mark.parametrize("segments", [1, 3])
def test_people_like_the_training_are_in_range_on_however_much_rest(judge, share, segments):
    """Finding A3: runs of 5 and of 10 minutes were outside, whoever they were of."""
    flagged = 0
    for n in range(60):
        parts = [of_length(50_000 + 100 * n + k, share) for k in range(segments)]
        flagged += judge.judge(run_of(*parts, share=share), 0.95).verdict != "inside"
    assert flagged <= 4


def test_a_length_that_does_not_fit_its_noise_is_not_in_range(judge):
    few = [judge.judge(run_of(of_length(60_000 + n, 0.5)), 0.95) for n in range(20)]
    assert [judged.verdict for judged in few].count("inside") <= 2
    assert any("usually" in reason for judged in few for reason in judged.reasons)


@pytest.mark.slow
def test_where_degrees_of_freedom_are_not_known_time_is_taken(judge):
    for share in (0.5, 1.0):
        runs = [run_of(of_length(70_000 + n, share), share=share) for n in range(20)]
        unknown = [
            replace(run, residual_dof=np.nan, segments=(part_of(run.segments[0].r, share, np.nan),))
            for run in runs
        ]
        for known, other in zip(runs, unknown, strict=True):
            distances = [judge.judge(run, 0.95).distance for run in (known, other)]
            assert distances[0] == pytest.approx(distances[1])


def test_a_range_of_runs_without_degrees_of_freedom_goes_by_time():
    training = TrainingDistribution.learn([rest_of(n, dof=np.nan) for n in range(30)], BLOCK)
    assert training.statistics.by_time
    judge = DistributionCheck(pattern_places(), training, LatticeBlocks.of(BLOCK_OF))
    for share in (0.5, 1.0):
        runs = [run_of(of_length(80_000 + n, share), share=share) for n in range(20)]
        verdicts = [judge.judge(run, 0.95).verdict for run in runs]
        assert verdicts.count("inside") >= 18


def test_noise_is_far_and_named(judge):
    judged = judge.judge(run_of(connectome(300, noise=0.5)), 0.95)
    assert judged.verdict == "outside"
    assert judged.distance > judge.training.outside
    assert any("usually" in reason for reason in judged.reasons)


def flipped(r: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(r.reshape(ROIS, *SHAPE)[:, ::-1].reshape(ROIS, -1))


def test_swapped_sides_are_told_without_statistics():
    plain, r = DistributionCheck(pattern_places()), connectome(301)
    judged = plain.judge(run_of(flipped(r)), None)
    assert judged.distance is None
    assert judged.verdict == "outside"
    assert any("swapped" in reason for reason in judged.reasons)
    assert plain.judge(run_of(r), None).verdict == "inside"


@pytest.mark.parametrize("model", ["asymmetric maps", "maps that are nearly symmetric"])
@pytest.mark.parametrize("reading", ["as stored", "mirrored"])
def test_nothing_is_said_of_sides_where_they_cannot_be_told(model, reading):
    """Finding D16: real people were told to check their sides, the right way round and mirrored."""
    own = maps()
    if model != "asymmetric maps":
        noise = 0.001 * np.random.default_rng(3).normal(size=own.shape)
        own = ((own + flipped(own)) / 2 + noise).astype(np.float32)
    plain = DistributionCheck(PatternPlaces(own, PLACES.mirror(), PLACES.neighbours()))
    # People whose connectomes follow the maps, but whose sides differ in other ways.
    for seed in range(20):
        r = (own + flipped(own) + 0.5 * np.random.default_rng(seed).normal(size=own.shape)) / 2
        read = r if reading == "as stored" else flipped(r)
        judged = plain.judge(run_of(read.astype(np.float32)), None)
        assert not any("side" in reason for reason in judged.reasons)


def test_a_run_without_the_global_signal_is_found_and_named(judge):
    """Rows that have no mean over the brain, and are the same in all else."""
    for seed in range(400, 410):
        r = connectome(seed)
        without = r - r.mean(axis=1, keepdims=True)
        judged = judge.judge(run_of(without), 0.95)
        assert judged.verdict != "inside"
        assert any("global signal" in reason for reason in judged.reasons)
        # Nor is it a matter of the ROIs' signs.
        signs = np.array([1, -1, 1, -1], np.float32)[:, None]
        rows = [judge.training.basis.figures(summary_of(own))[-1] for own in (r, signs * r)]
        assert rows[0] == pytest.approx(rows[1], abs=0.05)


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
    assert [verdict_of(figure, x) for x in values] == ["inside", "unusual", "outside"]
    assert verdict_of(figure, float("nan")) == "inside"


def test_cells_are_means_of_what_is_covered():
    blocks = LatticeBlocks.of(BLOCK_OF)
    r = np.arange(VOXELS, dtype=np.float32)[None]
    covered = COVERED.copy()
    first = np.ravel_multi_index(np.indices((2, 2, 2)).reshape(3, -1), SHAPE)
    covered[first[1:]] = False
    zeroed = np.where(covered, r, 0).astype(np.float32)
    assert blocks.means(zeroed, covered)[0, 0] == 0.0
    covered[first] = False
    assert np.isnan(blocks.means(np.where(covered, r, 0).astype(np.float32), covered)[0, 0])


def test_what_cannot_be_learned_from_is_refused(judge):
    with pytest.raises(ValueError, match="need more samples"):
        Basis.fit(np.zeros((4, ROIS, 20), np.float32), 4)
    nothing = Parts(0, np.zeros((5, len(FIGURES))), *np.ones((4, 5)))
    with pytest.raises(ValueError, match="more than 20 samples"):
        TrainingDistribution.fit(judge.training.basis, 2, [nothing])
    with pytest.raises(ValueError, match="blocks"):
        judge.training.basis.figures(
            ConnectomeSummary(
                np.zeros((ROIS, 3), np.float32), PatternFigures(*[0.5] * 6), 100.0, 2.0, 100.0, 50
            )
        )
    with pytest.raises(ValueError, match="10 people and 20 segments are needed, found 9 and 9"):
        TrainingDistribution.learn([rest_of(n) for n in range(9)], BLOCK)


def test_summaries_come_back_as_they_were_kept_to_the_rounding():
    rest = rest_of(1, dof=np.nan) + rest_of(2)
    blocks, notes = pack_rest(rest)
    back = unpack_rest(blocks, json.loads(json.dumps(notes)))
    assert [len(length) for length in back.lengths] == [1, 1, 2, 2]
    for ours, theirs in zip(rest.lengths, back.lengths, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(other.blocks, one.blocks, atol=1e-3)
            assert other.pattern == one.pattern
            np.testing.assert_equal(
                [getattr(other, name) for name in ("residual_dof", "memory_s", "seconds")],
                [getattr(one, name) for name in ("residual_dof", "memory_s", "seconds")],
            )


def test_figures_that_are_never_defined_change_no_distance():
    """Of maps without an other side nothing can be told of sides."""
    rng = np.random.default_rng(0)
    samples = [
        Parts(n, np.append(rng.normal(size=7), np.nan)[None], *np.ones((4, 1))) for n in range(40)
    ]
    usual = FigureStatistics.fit(samples)
    assert 0 < usual.distance(samples[0]) < 3
    known = replace(samples[0], figures=np.append(samples[0].figures[0, :7], 0.5)[None])
    assert usual.distance(known) == pytest.approx(usual.distance(samples[0]), rel=1e-3)


def test_a_model_of_simulated_people_says_that_real_runs_are_outside(judge):
    simulated = replace(judge, simulated=True)
    runs = [run_of(of_length(60_000 + n, 0.5)) for n in range(5)]
    runs += [run_of(connectome(n)) for n in range(200, 205)]
    for run in runs:
        plain, told = judge.judge(run, 0.95), simulated.judge(run, 0.95)
        assert told.verdict == plain.verdict
        first = () if plain.verdict == "inside" else (OF_SIMULATED_PEOPLE,)
        assert told.reasons == (*first, *plain.reasons)
    assert {simulated.judge(run, 0.95).verdict != "inside" for run in runs} == {True, False}
