from __future__ import annotations

import numpy as np
import pytest
from dk68 import dk68_regions
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import pdist, squareform
from scipy.stats import pearsonr

from bids_dtg.dynamics.measures import zero_crossings
from bids_dtg.dynamics.spatial_nulls import (
    is_mirrored,
    moran_surrogates,
    null_p,
    within_hemispheres,
)
from bids_dtg.inputs.regions.positions import read_region_positions
from bids_dtg.inputs.regions.sides import homotopic_pairs
from bids_dtg.stats.correlation import correlation

TRAINING_PEOPLE = 40


def distances_of(regions: int, seed: int) -> np.ndarray:
    """Return (regions, regions) distances of random places, mm."""
    return squareform(pdist(np.random.default_rng(seed).normal(0, 40, (regions, 3))))


def morans_i(values: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return Moran's I of maps (..., regions), by its definition."""
    weights = 1 / (distances + np.diag(np.full(len(distances), np.inf)))
    z = values - values.mean(axis=-1, keepdims=True)
    spread = (z**2).mean(axis=-1)
    return np.einsum("...i,ij,...j->...", z, weights, z) / weights.sum() / spread


@given(regions=st.integers(4, 40), seed=st.integers(0, 99))
def test_surrogates_keep_mean_variance_and_morans_i(regions, seed):
    distances = distances_of(regions, seed)
    values = 3 + np.random.default_rng(seed).gamma(1, 2, regions)
    surrogates = moran_surrogates(values, distances, 20, seed)
    assert surrogates.shape == (20, regions)
    np.testing.assert_allclose(surrogates.mean(axis=1), values.mean())
    np.testing.assert_allclose(surrogates.var(axis=1), values.var())
    np.testing.assert_allclose(morans_i(surrogates, distances), morans_i(values, distances))


def test_surrogates_are_all_ways_to_flip_and_no_others():
    values, distances = np.array([1.0, 2, 4, 8]), distances_of(4, 0)
    found = moran_surrogates(values, distances, 400, 0).round(9)
    assert len(np.unique(found, axis=0)) == 2**3  # three patterns without a mean
    assert any(np.allclose(surrogate, values) for surrogate in found)


def test_a_seed_gives_the_same_surrogates_and_units_do_not_matter():
    values, distances = np.arange(9.0) ** 2, distances_of(9, 1)
    first = moran_surrogates(values, distances, 7, 5)
    np.testing.assert_array_equal(first, moran_surrogates(values, distances, 7, 5))
    np.testing.assert_allclose(first, moran_surrogates(values, distances * 10, 7, 5))
    np.testing.assert_allclose(5 * first + 1, moran_surrogates(5 * values + 1, distances, 7, 5))
    assert not np.allclose(first, moran_surrogates(values, distances, 7, 6))


def dk68() -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the distances and pairs of the Desikan-Killiany regions."""
    regions = dk68_regions()
    return squareform(pdist(read_region_positions(regions))), homotopic_pairs(regions)


@pytest.mark.slow
@given(likeness=st.floats(0, 1), seed=st.integers(0, 99))
def test_hemispheres_stay_as_alike_as_they_are(likeness, seed):
    distances, pairs = dk68()
    rng = np.random.default_rng(seed)
    left, own = rng.normal(size=(2, 34))
    values = np.concatenate([left, likeness * left + (1 - likeness) * own + 5])
    order = rng.permutation(68)  # regions stand in any order
    place = np.argsort(order)
    moved = [(int(place[one]), int(place[other])) for one, other in pairs]
    found = within_hemispheres(values[order], distances[np.ix_(order, order)], moved, 9, seed)
    found = found[:, place]
    wanted = np.corrcoef(values[:34], values[34:])[0, 1]
    for surrogate in found:
        assert np.corrcoef(surrogate[:34], surrogate[34:])[0, 1] == pytest.approx(wanted)
    for side in (slice(0, 34), slice(34, 68)):
        np.testing.assert_allclose(found[:, side].mean(axis=1), values[side].mean())
        np.testing.assert_allclose(found[:, side].var(axis=1), values[side].var())


def surrogates_p(values, other, distances, pairs=(), number=9999, seed=0):
    """Return the p of the correlation of two maps, among surrogates of the first."""
    if pairs:
        surrogates = within_hemispheres(values, distances, pairs, number, seed)
    else:
        surrogates = moran_surrogates(values, distances, number, seed)
    return float(null_p(correlation(values, other), correlation(surrogates, other)))


def false_positives(likeness: np.ndarray, distances: np.ndarray, pairs=(), maps=250):
    """Return the shares of unrelated smooth maps that surrogates and Pearson's p call at 0.05."""
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(likeness + 1e-8 * np.eye(len(likeness)))
    calls = []
    for seed in range(maps):
        values, other = rng.standard_normal((2, len(root))) @ root.T
        p = surrogates_p(values, other, distances, pairs, number=99, seed=seed)
        calls.append((p <= 0.05, pearsonr(values, other).pvalue <= 0.05))
    return np.mean(calls, axis=0)


def test_unrelated_smooth_maps_are_called_as_often_as_the_level_says():
    distances, _ = dk68()
    one = distances[:34, :34]
    surrogates, pearson = false_positives(np.exp(-((one / 30) ** 2) / 2), one)
    assert surrogates < 0.1 < 0.2 < pearson


@pytest.mark.slow
def test_hemispheres_that_are_alike_are_not_counted_twice():
    distances, pairs = dk68()
    one = np.exp(-(distances[:34, :34] + distances[34:, 34:]) / 2 / 30)
    surrogates, pearson = false_positives(np.kron([[1, 0.9], [0.9, 1]], one), distances, pairs)
    assert surrogates < 0.09 < 0.18 < pearson


def test_maps_that_follow_each_other_are_found():
    distances, pairs = dk68()
    rng = np.random.default_rng(0)
    values = rng.normal(size=68)
    other = values + rng.normal(size=68)
    assert surrogates_p(values, other, distances, pairs, number=999) == 0.001


def test_either_map_may_be_the_one_that_is_randomised():
    distances, pairs = dk68()
    values, other = np.random.default_rng(0).normal(size=(2, 68))
    there = surrogates_p(values, other, distances, pairs, number=99)
    assert surrogates_p(other, values, distances, pairs, number=99) == there


def test_a_map_that_is_the_same_on_both_sides_is_mirrored():
    _, pairs = dk68()
    other = np.random.default_rng(0).normal(size=68)
    mirrored = np.tile(other[:34], 2)
    assert is_mirrored(mirrored, pairs)
    assert is_mirrored(mirrored + 1e-9 * np.arange(68), pairs)  # as files round
    assert not is_mirrored(other, pairs)
    assert not is_mirrored(mirrored, [])
    mirrored[5] += 0.01
    assert not is_mirrored(mirrored, pairs)


@given(arrays(float, st.integers(1, 30), elements=st.integers(-9, 9).map(float)), st.integers(0, 9))
def test_p_counts_the_map_itself(null, size):
    found = {sides: float(null_p(size, null, sides)) for sides in ("two", "greater", "less")}
    for sides, reached in {
        "two": np.abs(null) >= size,
        "greater": null >= size,
        "less": null <= size,
    }.items():
        assert found[sides] == (1 + reached.sum()) / (1 + len(null))


def test_p_of_several_statistics_are_their_own_and_rounding_counts_as_equal():
    null = np.array([[0.1, 5.0], [0.3, -7.0], [-0.2, 1.0]])
    np.testing.assert_allclose(null_p([0.2, 6.0], null), [0.75, 0.5])
    assert float(null_p(0.3, [0.1 + 0.2, 0.3 - 1e-16])) == 1.0


def test_all_flips_of_few_regions_give_the_exact_p():
    values, distances = np.array([1.0, 2, 4, 8, 3]), distances_of(5, 3)
    other = np.array([2.0, 1, 5, 9, 4])
    drawn = np.unique(moran_surrogates(values, distances, 2000, 0).round(9), axis=0)
    assert len(drawn) == 2**4
    exact = np.mean(
        np.abs([np.corrcoef(s, other)[0, 1] for s in drawn])
        >= np.corrcoef(values, other)[0, 1] - 1e-9
    )
    assert surrogates_p(values, other, distances) == pytest.approx(exact, abs=0.02)


GOOD = np.arange(5.0)


@pytest.mark.parametrize(
    ("values", "distances", "fact"),
    [
        (GOOD, distances_of(4, 0), r"found \(5,\) and \(4, 4\)"),
        (GOOD[:3], distances_of(3, 0), "3 regions: surrogates need 4"),
        (
            np.array([1, np.nan, 2, np.inf, 3]),
            distances_of(5, 0),
            r"regions \[1, 3\] have no value",
        ),
        (np.full(5, 0.1), distances_of(5, 0), "all regions have the same value"),
        (GOOD, distances_of(5, 0) + np.eye(5), "0 from a region to itself"),
        (GOOD, np.zeros((5, 5)), "above 0 to all others"),
        (GOOD, np.triu(distances_of(5, 0)), "the same from a region to another and back"),
        (GOOD, np.where(np.eye(5), 0, np.nan), "distances are finite"),
    ],
)
def test_what_cannot_be_randomised_is_refused(values, distances, fact):
    with pytest.raises(ValueError, match=fact):
        moran_surrogates(values, distances, 3, 0)


@pytest.mark.parametrize(
    ("pairs", "fact"),
    [
        ([(0, 4), (1, 5), (2, 6)], r"without one: \[3, 7\]"),
        ([(0, 4), (1, 5), (2, 6), (3, 7), (3, 7)], "found 5 pairs"),
        ([], r"without one: \[0, 1, 2, 3, 4, 5, 6, 7\]"),
    ],
)
def test_regions_without_a_pair_are_named(pairs, fact):
    with pytest.raises(ValueError, match=fact):
        within_hemispheres(np.arange(8.0), distances_of(8, 0), pairs, 3, 0)


@pytest.mark.parametrize(
    ("observed", "null", "fact"),
    [
        (0.5, [], "number > 0"),
        ([0.5, 0.1], [0.1, 0.2], r"found \(2,\)"),
        (np.nan, [0.1], "not finite"),
        (0.5, [np.inf], "not finite"),
    ],
)
def test_a_p_of_nothing_is_refused(observed, null, fact):
    with pytest.raises(ValueError, match=fact):
        null_p(observed, null)


def test_zero_crossings_follow_the_gene_map_beyond_smoothness(shared):
    """A figure of real people; the last people are for other tests."""
    maps = np.load(shared / "sip/data/region_maps.npz")
    bold = np.load(shared / "sip/data/bold_REST1_LR_50.npz")
    series = bold["bold"][:TRAINING_PEOPLE].astype(np.float32)
    regions = [str(name) for name in bold["region"]]
    distances = squareform(pdist(read_region_positions(regions)))
    crossings = zero_crossings(series)
    pairs = homotopic_pairs(regions)
    assert is_mirrored(maps["gene_pc1"], pairs)  # the map is of one hemisphere
    left = [one for one, _ in pairs]
    found, gene = crossings.mean(axis=0)[left], maps["gene_pc1"][left]
    r, p = pearsonr(found, gene)
    assert r == pytest.approx(-0.73, abs=0.02)
    assert p < 1e-5 < surrogates_p(found, gene, distances[np.ix_(left, left)]) < 0.05
