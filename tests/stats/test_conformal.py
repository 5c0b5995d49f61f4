from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.stats.conformal import (
    Calibration,
    ErrorSums,
    PooledError,
    ScoreCounts,
    block_edge,
    coverage,
)

MASK = np.ones((8, 9, 7), bool)
MASK[0] = False
VOXELS = int(MASK.sum())
LATTICE = VoxelPlaces.within(Grid(MASK.shape, np.diag([2.0, 2, 2, 1])), MASK).lattice(2)


def people(count: int, seed: int, scale: float | np.ndarray = 1.0) -> list[np.ndarray]:
    """Errors of people whose noise differs: (2 contrasts, voxels)."""
    rng = np.random.default_rng(seed)
    level = np.exp(0.2 * rng.normal(size=count))
    noise = rng.normal(size=(count, 2, VOXELS)) * level[:, None, None]
    return list((noise * scale).astype(np.float32))


def calibrated(errors: list[np.ndarray], pooling_mm: float | None = 8.0) -> Calibration:
    sums, counts = ErrorSums(LATTICE), ScoreCounts(2)
    for one in errors:
        sums.add(one)
    for one in errors:
        counts.add(one, sums.without(one).pooled_error(pooling_mm).at_places())
    return Calibration(
        len(errors), 4, (50, 90), counts.quantiles((50, 90)), sums.pooled_error(pooling_mm)
    )


@pytest.mark.parametrize("pooling_mm", [None, 8.0])
def test_new_people_are_covered_as_promised(pooling_mm):
    calibration = calibrated(people(60, 0), pooling_mm)
    new = people(200, 1)
    for level in calibration.levels:
        widths = calibration.half_widths(level)
        share = np.mean([coverage(errors, widths) for errors in new])
        assert share == pytest.approx(level / 100, abs=0.02)


def lacking(errors: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Take from half of the people a region, and from half of them a contrast."""
    rng = np.random.default_rng(seed)
    region = np.argwhere(MASK)[:, 1] < 4
    left = [one.copy() for one in errors]
    for one in left:
        if rng.random() < 0.5:
            one[:, region] = np.nan
        if rng.random() < 0.5:
            one[1] = np.nan
    return left


@pytest.mark.parametrize("seed", range(4))
def test_new_people_are_covered_where_half_of_the_others_lack_data(seed):
    calibration = Calibration.fit(lacking(people(80, seed), seed), LATTICE, 4)
    assert not calibration.without_interval.any()
    new = people(200, seed + 100)
    for level in (50, 90, 95):
        held = np.mean([coverage(errors, calibration.half_widths(level)) for errors in new], axis=0)
        assert held == pytest.approx([level / 100] * 2, abs=0.025)


def test_fewer_than_ten_people_in_a_cell_make_no_interval():
    errors = people(20, 0)
    # Blocks are of two voxels an edge: those whose first half lies here were measured in nine.
    region = np.argwhere(MASK)[:, 1] < 4
    for one in errors[:11]:
        one[0, region] = np.nan
        one[1] = np.nan
    calibration = Calibration.fit(errors, LATTICE, 4)
    widths = calibration.half_widths(90)
    assert np.isnan(widths[0, region]).all()
    assert np.isfinite(widths[0, ~region]).all()
    assert np.isnan(widths[1]).all()
    np.testing.assert_array_equal(calibration.without_interval, np.isnan(widths))
    share = coverage(people(1, 9)[0], widths)
    assert 0.8 < share[0] < 1
    assert np.isnan(share[1])


def test_what_was_not_measured_counts_nowhere_in_the_sums():
    whole, left = people(12, 0), lacking(people(12, 0), 3)
    sums = ErrorSums(LATTICE)
    for one in left:
        sums.add(one)
    known = np.isfinite(left)
    assert sums.values.sum(axis=1).tolist() == known.sum(axis=(0, 2)).tolist()
    squares = np.square(np.where(known, whole, 0)).sum(axis=(0, 2))
    assert sums.squares.sum(axis=1) == pytest.approx(squares)
    others = sums.without(left[0])
    assert (others.measured <= sums.measured).all()
    assert others.values.sum() == known[1:].sum()


def test_widths_follow_places_where_errors_are_large():
    scale = np.where(np.argwhere(MASK)[:, 1] < 4, 1.0, 3.0)
    widths = calibrated(people(60, 0, scale), 2.0).half_widths(90)
    index = np.argwhere(MASK)[:, 1]
    low, high = widths[:, index < 2].mean(), widths[:, index > 6].mean()
    assert high / low == pytest.approx(3.0, rel=0.15)
    local = [
        np.mean([coverage(e[:, part], widths[:, part]) for e in people(100, 1, scale)])
        for part in (index < 2, index > 6)
    ]
    assert local == pytest.approx([0.9, 0.9], abs=0.03)


@given(cut=st.integers(1, 7), seed=st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_sums_of_two_groups_are_those_of_all(cut, seed):
    errors = people(8, seed)

    def sums(part: list[np.ndarray]) -> ErrorSums:
        one = ErrorSums(LATTICE)
        for each in part:
            one.add(each)
        return one

    together, whole = sums(errors[:cut]) + sums(errors[cut:]), sums(errors)
    assert together.people == 8
    np.testing.assert_allclose(together.squares, whole.squares, rtol=1e-12)
    left = whole.without(errors[-1])
    np.testing.assert_allclose(left.squares, sums(errors[:-1]).squares, rtol=1e-9)


def test_counts_add_up_and_are_taken_off():
    one, two, both = ScoreCounts(2), ScoreCounts(2), ScoreCounts(2)
    usual = np.ones((2, VOXELS), np.float32)
    first, second = people(2, 3)
    one.add(first, usual)
    two.add(second, usual)
    both.add(first, usual)
    both.add(second, usual)
    np.testing.assert_array_equal((one + two).counts, both.counts)
    np.testing.assert_array_equal((both - two).counts, one.counts)
    assert (both - two).people == 1


def test_quantiles_are_those_of_the_scores():
    counts = ScoreCounts(1)
    errors = np.linspace(-4, 4, 100_001, dtype=np.float32)[None]
    counts.add(errors, np.full_like(errors, 2.0))
    assert counts.quantiles((50, 90))[0].tolist() == pytest.approx([1.0, 1.8], abs=1e-3)
    # What is beyond the last bin is counted, not lost.
    counts.add(np.full_like(errors, 1e6), np.full_like(errors, 2.0))
    assert counts.quantiles((45,))[0, 0] == pytest.approx(1.8, abs=1e-3)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="nobody was added"):
        ErrorSums(LATTICE).pooled_error(None)
    with pytest.raises(ValueError, match="nobody was added"):
        ScoreCounts(2).quantiles()
    sums = ErrorSums(LATTICE)
    with pytest.raises(ValueError, match=rf"errors are \(2, {VOXELS}\)"):
        sums.add(np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match="above 0"):
        PooledError(np.zeros((2, 4, 5, 4), np.float32), LATTICE)
    calibration = calibrated(people(12, 0))
    with pytest.raises(ValueError, match=r"levels are \(50, 90\), not 99"):
        calibration.half_widths(99)


def test_cells_have_about_eight_mm():
    assert [block_edge(mm) for mm in (1.0, 2.0, 3.0, 8.0, 12.0)] == [8, 4, 3, 1, 1]
