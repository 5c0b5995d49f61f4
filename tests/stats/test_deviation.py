"""Deviations: the mean and the spread of people, with and without one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.lattice import Lattice, single_lattice
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.stats.deviation import Deviation, PeopleSums

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def lattice() -> Lattice:
    mask = np.ones((12, 12, 8), bool)
    return VoxelPlaces.within(Grid(mask.shape, AFFINE), mask).lattice(4)


def people(count: int, seed: int, places: int) -> np.ndarray:
    """Make maps (people, 3, places): a common mean, a spread of 0.5, and one that is alike."""
    rng = np.random.default_rng(seed)
    mean = 2 * rng.normal(size=(3, places))
    own = 0.5 * rng.normal(size=(count, 3, places))
    own[:, 2] = 0
    return (mean + own).astype(np.float32)


def fit(maps: np.ndarray, blocks: Lattice, pooling_mm: float | None = None) -> Deviation:
    sums = PeopleSums.of(maps, blocks)
    return sums.deviation(segments=4, of="cohort", pooling_mm=pooling_mm)


@given(count=st.integers(2, 30), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_unscaled_deviations_of_its_own_people_add_up_to_nothing(count, seed):
    maps = people(count, seed, 40)
    found = fit(maps, single_lattice(40, 1))
    assert np.abs(np.sum(maps.astype(np.float64) - found.mean, axis=0)).max() <= 1e-5


def test_a_small_spread_is_found_beside_a_large_mean():
    rng = np.random.default_rng(0)
    maps = np.float32(3e5) + rng.normal(size=(20, 1, 30)).astype(np.float32)
    found = fit(maps, single_lattice(30, 1), pooling_mm=0.0)
    np.testing.assert_allclose(found.spread, maps.astype(float).std(axis=0, ddof=1), rtol=1e-6)


def test_the_spread_is_the_standard_deviation_with_n_less_one():
    maps = people(7, 0, 30)
    found = fit(maps, single_lattice(30, 1), pooling_mm=0.0)
    np.testing.assert_allclose(found.spread[:2], maps[:, :2].std(axis=0, ddof=1), rtol=1e-5)
    whole = fit(maps, single_lattice(30, 1), pooling_mm=None)
    pooled = np.sqrt(maps[:, :2].astype(float).var(axis=0, ddof=1).mean(axis=1))
    np.testing.assert_allclose(whole.spread[:2, 0], pooled, rtol=1e-5)


@given(seed=st.integers(0, 99), lost=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_sums_without_a_person_are_those_of_the_others(seed, lost):
    blocks = lattice()
    maps = people(10, seed, len(blocks.block_of))
    rng = np.random.default_rng(seed)
    maps[rng.random(maps.shape) < 0.1] = np.nan
    maps[:, 0, 5] = np.nan  # nobody has it
    rest = PeopleSums.of(maps, blocks).without(maps[lost])
    assert rest.people == 9
    found = rest.deviation(segments=4, of="cohort")
    wanted = fit(np.delete(maps, lost, axis=0), blocks)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-6)
    np.testing.assert_allclose(found.spread, wanted.spread, rtol=1e-4)
    assert np.isnan(found.mean[0, 5])
    assert np.isnan(found.deviations(maps[lost])[0, 5])


def test_what_is_alike_for_everybody_has_no_deviation():
    blocks = lattice()
    maps = people(12, 1, len(blocks.block_of))
    found = fit(maps, blocks)
    assert found.has_none.tolist() == [False, False, True]
    values = found.deviations(maps[3])
    assert np.isnan(values[2]).all()
    assert np.isfinite(values[:2]).all()


def test_deviations_of_new_people_are_in_units_of_the_spread():
    blocks = lattice()
    maps = people(80, 2, len(blocks.block_of))
    found = fit(maps[:40], blocks)
    values = np.stack([found.deviations(own)[:2] for own in maps[40:]])
    assert values.std() == pytest.approx(np.sqrt(1 + 1 / 40), rel=0.02)
    assert np.abs(values.mean()) < 0.02


def test_what_cannot_be_is_refused():
    blocks, maps = single_lattice(4, 1), np.zeros((3, 4), np.float32)
    sums = PeopleSums.of([maps], blocks)
    with pytest.raises(ValueError, match="two people or more can differ, found 1"):
        sums.deviation(segments=1, of="cohort")
    with pytest.raises(ValueError, match=r"maps are \(3, 4\), found \(2, 4\)"):
        sums.add(maps[:2])
    with pytest.raises(ValueError, match=r"maps are \(3, 4\), found \(3, 3\)"):
        sums.without(maps[:, :3])
    ones = np.ones((3, 4), np.float32)
    good = Deviation(12, 4, "training", maps, ones, blocks)
    with pytest.raises(ValueError, match=r"maps are \(3, 4\), found \(3, 5\)"):
        good.deviations(np.zeros((3, 5), np.float32))
    with pytest.raises(ValueError, match="two or more people"):
        Deviation(12, 4, "passers-by", maps, ones, blocks)
    with pytest.raises(ValueError, match="two or more people"):
        Deviation(1, 4, "training", maps, ones, blocks)
    with pytest.raises(ValueError, match="spread and mean are"):
        Deviation(12, 4, "training", maps[:2], ones, blocks)
    for wrong in (0.0, -1.0, np.nan, np.inf):
        bad = ones.copy()
        bad[1, 2] = wrong
        with pytest.raises(ValueError, match="the spread of a contrast is above 0, or 0 through"):
            Deviation(12, 4, "training", maps, bad, blocks)
