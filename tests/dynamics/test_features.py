"""Features of regions, and how much of them regional parameters explain."""

from __future__ import annotations

import numpy as np
import pytest
from dk68 import dk68_regions
from hypothesis import given
from hypothesis import strategies as st
from network_bundle import chance_networks
from scipy.spatial.distance import pdist, squareform
from scipy.stats import linregress, pearsonr

from bids_dtg.dynamics.features import (
    features_of,
    regress,
    regress_regions,
    surrogates_of,
    unmirrored,
)
from bids_dtg.dynamics.measures import zero_crossings
from bids_dtg.inputs.cortex import homotopic_pairs, read_region_positions

PEOPLE = chance_networks()


def theta_of(
    seed: int = 0, people: int = 4, regions: int = 30, parameters: int = 3
) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((people, regions, parameters))


def test_features_are_those_of_a_plain_loop():
    features = features_of(PEOPLE)
    for person in range(3):
        series, weights = PEOPLE.series[person], PEOPLE.weights[person]
        np.testing.assert_allclose(
            features["in_strength"][person], weights.sum(axis=1), rtol=1e-5
        )
        centrality = features["centrality"][person]
        growth = weights @ centrality / centrality
        np.testing.assert_allclose(growth, growth[0], rtol=1e-5)
        assert np.linalg.norm(centrality) == pytest.approx(1.0)
        for region in range(6):
            mean_r = pearsonr(series[region], series.mean(axis=0))[0]
            input_r = pearsonr(series[region], weights[region] @ series)[0]
            assert features["mean_signal_r"][person, region] == pytest.approx(
                mean_r, abs=1e-5
            )
            assert features["network_input_r"][person, region] == pytest.approx(
                input_r, abs=1e-5
            )


def test_regression_is_least_squares_of_the_z_scored_feature():
    theta = theta_of()
    feature = 3 * theta[..., 0] - theta[..., 2] + theta_of(1)[..., 0]
    count, adjusted_r2, weights, _ = regress(feature, theta)
    design = np.column_stack([np.ones(120), theta.reshape(120, 3)])
    z = ((feature - feature.mean()) / feature.std()).ravel()
    expected, (squares,), _, _ = np.linalg.lstsq(design, z, rcond=None)
    assert count == 120
    assert weights == pytest.approx(expected[1:])
    assert adjusted_r2 == pytest.approx(1 - squares / 116 / (120 / 119))


def test_p_of_a_weight_is_that_of_a_simple_regression():
    theta = theta_of(parameters=1)
    feature = 0.2 * theta[..., 0] + theta_of(1)[..., 0]
    expected = linregress(theta[..., 0].ravel(), feature.ravel())
    _, _, weights, p = regress(feature, theta)
    assert weights[0] * feature.std() == pytest.approx(expected.slope)
    assert p[0] == pytest.approx(expected.pvalue)
    assert np.isnan(regress(feature, np.ones_like(theta))[3][0])


def test_regional_fit_is_of_the_means_over_people():
    theta = theta_of()
    feature = theta[..., 0] + theta_of(1)[..., 0]
    surrogates = np.random.default_rng(2).standard_normal((199, 30))
    *fit, _, correlations, _ = regress_regions(feature, theta, surrogates)
    assert fit[0] == 30
    assert fit == pytest.approx(
        regress(feature.mean(axis=0), theta.mean(axis=0)[None])[:2]
    )
    r = pearsonr(theta.mean(axis=0)[:, 1], feature.mean(axis=0))[0]
    assert correlations[1] == pytest.approx(r)


def test_p_is_the_rank_among_surrogates():
    theta = theta_of(parameters=1)
    feature = 0.3 * theta[..., 0] + theta_of(1)[..., 0]
    surrogates = np.random.default_rng(2).standard_normal((99, 30))
    r = pearsonr(theta.mean(axis=0)[:, 0], feature.mean(axis=0))[0]
    chance = [pearsonr(theta.mean(axis=0)[:, 0], row)[0] for row in surrogates]
    rank = (1 + np.count_nonzero(np.abs(chance) >= abs(r))) / 100
    _, _, p, _, p_of_r = regress_regions(feature, theta, surrogates)
    assert p == pytest.approx(rank)
    assert p_of_r[0] == pytest.approx(rank)
    # A map that is its own surrogate is as large as itself.
    _, _, p, _, p_of_r = regress_regions(
        feature, theta, np.tile(feature.mean(axis=0), (99, 1))
    )
    assert (p, p_of_r[0]) == (1.0, 1.0)


def test_mirrored_maps_count_once():
    pairs = homotopic_pairs(["L_a", "L_b", "R_b", "R_a"])
    assert unmirrored(np.array([1.0, 5.0, 5.0, 1.0]), pairs).tolist() == [0, 1]
    assert unmirrored(np.array([1.0, 5.0, 5.1, 1.0]), pairs).tolist() == [0, 1, 2, 3]
    assert unmirrored(np.array([1.0, 5.0]), []).tolist() == [0, 1]


def places_of(regions: int, seed: int) -> np.ndarray:
    """Return random places (regions, 3), mm."""
    return np.random.default_rng(seed).normal(0, 40, (regions, 3))


def morans_i(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return Moran's I of maps (..., regions), by its definition."""
    weights = 1 / (squareform(pdist(places)) + np.diag(np.full(len(places), np.inf)))
    z = values - values.mean(axis=-1, keepdims=True)
    return (
        np.einsum("...i,ij,...j->...", z, weights, z)
        / weights.sum()
        / (z**2).mean(axis=-1)
    )


@given(regions=st.integers(4, 40), seed=st.integers(0, 99))
def test_surrogates_keep_mean_variance_and_morans_i(regions, seed):
    places = places_of(regions, seed)
    values = 3 + np.random.default_rng(seed).gamma(1, 2, regions)
    surrogates = surrogates_of(values, places, (), 20, seed)
    assert surrogates.shape == (20, regions)
    np.testing.assert_allclose(surrogates.mean(axis=1), values.mean())
    np.testing.assert_allclose(surrogates.var(axis=1), values.var())
    np.testing.assert_allclose(morans_i(surrogates, places), morans_i(values, places))
    np.testing.assert_allclose(
        surrogates, surrogates_of(values, places * 10, (), 20, seed)
    )


def dk68() -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return the places and pairs of the Desikan-Killiany regions."""
    regions = dk68_regions()
    return read_region_positions(regions), homotopic_pairs(regions)


def test_hemispheres_stay_as_alike_as_they_are():
    places, pairs = dk68()
    rng = np.random.default_rng(0)
    left_values, difference = rng.normal(size=(2, 34))
    values = np.concatenate([left_values, left_values + difference + 5])
    order = rng.permutation(68)  # regions stand in any order
    place = np.argsort(order)
    moved = [(int(place[first]), int(place[second])) for first, second in pairs]
    surrogates = surrogates_of(values[order], places[order], moved, 9, 0)[:, place]
    wanted = np.corrcoef(values[:34], values[34:])[0, 1]
    for surrogate in surrogates:
        assert np.corrcoef(surrogate[:34], surrogate[34:])[0, 1] == pytest.approx(
            wanted
        )
    for side in (slice(0, 34), slice(34, 68)):
        np.testing.assert_allclose(
            surrogates[:, side].mean(axis=1), values[side].mean()
        )
        np.testing.assert_allclose(surrogates[:, side].var(axis=1), values[side].var())


def p_of(values: np.ndarray, second_map: np.ndarray, places: np.ndarray, seed: int = 0):
    """Return the p of the correlation of two maps, among surrogates of the first."""
    surrogates = surrogates_of(values, places, (), 99, seed)
    return float(regress_regions(values, second_map[None, :, None], surrogates)[4][0])


@pytest.mark.slow
def test_unrelated_smooth_maps_are_called_as_often_as_the_level_says():
    places = dk68()[0][:34]
    likeness = np.exp(-((squareform(pdist(places)) / 30) ** 2) / 2)
    root = np.linalg.cholesky(likeness + 1e-8 * np.eye(len(likeness)))
    rng, called = np.random.default_rng(0), []
    for seed in range(250):
        values, second_map = rng.standard_normal((2, len(root))) @ root.T
        p_values = (
            p_of(values, second_map, places, seed),
            pearsonr(values, second_map).pvalue,
        )
        called.append([p <= 0.05 for p in p_values])
    surrogates, pearson = np.mean(called, axis=0)
    assert surrogates < 0.1 < 0.18 < pearson


def test_zero_crossings_follow_the_gene_map_beyond_smoothness(shared):
    """A figure of real people; the last people are for other tests."""
    maps = np.load(shared / "sip/data/region_maps.npz")
    bold = np.load(shared / "sip/data/bold_REST1_LR_50.npz")
    regions = [str(name) for name in bold["region"]]
    crossings = zero_crossings(bold["bold"][:40].astype(np.float32)).mean(axis=0)
    kept_regions = unmirrored(maps["gene_pc1"], homotopic_pairs(regions))
    assert len(kept_regions) == 34  # the map is of one hemisphere
    region_crossings, gene = crossings[kept_regions], maps["gene_pc1"][kept_regions]
    r, p = pearsonr(region_crossings, gene)
    assert r == pytest.approx(-0.73, abs=0.02)
    assert (
        p
        < 1e-5
        < p_of(region_crossings, gene, read_region_positions(regions)[kept_regions])
        < 0.05
    )
