from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.connectome.checks import (
    LIMITS,
    Limit,
    PatternPlaces,
    map_identity_and_symmetry,
)
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

SHAPE = (9, 8, 7)
AFFINE = np.array([[-2.0, 0, 0, 8], [0, 2, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]])
MASK = np.ones(SHAPE, bool)
VOXELS = MASK.size
EVERYWHERE = np.ones(VOXELS, bool)


def smooth_maps(rois: int = 5, seed: int = 0) -> np.ndarray:
    """Bumps, most of them on one side."""
    rng = np.random.default_rng(seed)
    index = np.argwhere(MASK)
    centres = index[rng.permutation(len(index))[:rois]]
    squared = ((index[None] - centres[:, None]) ** 2).sum(axis=2)
    return np.exp(-squared / 6.0).astype(np.float32)


def pattern_places(maps: np.ndarray, mask: np.ndarray) -> PatternPlaces:
    voxels = VoxelPlaces.within(Grid(SHAPE, AFFINE), mask)
    return PatternPlaces(maps, voxels.mirror())


@pytest.fixture(scope="module")
def places() -> PatternPlaces:
    return pattern_places(smooth_maps(), MASK)


def flipped(r: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(r.reshape(-1, *SHAPE)[:, ::-1].reshape(len(r), -1))


def test_a_connectome_that_is_its_maps_is_told_by_them_and_its_mirror_image_less(places):
    assert map_identity_and_symmetry(2 * places.maps + 0.1, EVERYWHERE, places)[0] == 1
    assert map_identity_and_symmetry(flipped(places.maps), EVERYWHERE, places)[0] < 1


def test_symmetry_is_one_where_both_sides_are_the_same(places):
    maps = places.maps + flipped(places.maps)
    assert map_identity_and_symmetry(maps, EVERYWHERE, places)[1] == pytest.approx(1)


def test_what_is_not_covered_does_not_count(places):
    covered = EVERYWHERE.copy()
    covered[:100] = False
    r = places.maps.copy()
    r[:, :100] = 9 * np.random.default_rng(0).normal(size=(len(r), 100))
    assert map_identity_and_symmetry(r, covered, places)[0] == 1
    assert np.isnan(map_identity_and_symmetry(r, ~EVERYWHERE, places)).all()


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_figures_are_those_of_plain_formulas(places, share):
    rng = np.random.default_rng(5)
    r = rng.normal(0.2, 0.3, places.maps.shape).astype(np.float32) + 0.5 * places.maps
    covered = rng.random(VOXELS) < share
    r[:, ~covered] = 0
    rows, maps = r.astype(float), places.maps.astype(float)
    with_maps = np.corrcoef(rows[:, covered], maps[:, covered])[:5, 5:]
    pairs = np.argwhere(places.mirror >= 0)[:, 0]
    pairs = pairs[covered[pairs] & covered[places.mirror[pairs]]]
    sides = zip(rows[:, pairs], rows[:, places.mirror[pairs]], strict=True)
    expected = (
        (with_maps.argmax(axis=1) == np.arange(5)).mean(),
        np.mean([np.corrcoef(a, b)[0, 1] for a, b in sides]),
    )
    found = map_identity_and_symmetry(r, covered, places)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("figure", LIMITS)
def test_every_limit_orders_its_steps(figure):
    limit = LIMITS[figure]
    worse = -1e-3 if limit.outside < limit.unusual else 1e-3
    values = (limit.unusual - worse, limit.unusual + worse, limit.outside + worse)
    assert [limit.steps(value) for value in values] == [0, 1, 2]


def test_a_value_at_the_limit_is_beyond_it_only_where_that_is_asked_for():
    limit = Limit(0.8, 0.5)
    assert [limit.steps(value) for value in (0.8, 0.5)] == [0, 1]
    assert [limit.steps(value, included=True) for value in (0.8, 0.5)] == [1, 2]
    assert limit.steps(float("nan"), included=True) == 0
