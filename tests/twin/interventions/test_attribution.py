"""Which edges figures depend on, beside permuted behaviour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twin_runs import fitted_quickly

from bids_dtg.twin.interventions.attribution import (
    FittedPeople,
    map_correlations,
    p_of,
    permuted_twins,
    region_means,
    with_factor_map,
)
from bids_dtg.twin.interventions.gradients import smooth_gradients


@pytest.mark.slow
def test_edges_of_response_times_are_significant_against_permuted_behaviour():
    fitted, connectomes, segments, _ = fitted_quickly()
    people = FittedPeople.of(fitted, connectomes, segments)
    some = np.arange(6)
    shown = connectomes[some], segments.people(some)
    loaded = np.arange(45) < 9
    found = smooth_gradients(fitted.twin.weights, *shown, copies=1, noise=0.0)

    def overlap(gradients):
        edges = gradients.edges[0]
        return np.corrcoef(edges, loaded)[0, 1] if edges.any() else 0.0

    null = [
        overlap(smooth_gradients(each.weights, *shown, copies=1, noise=0.0))
        for each in permuted_twins(fitted, people, permutations=19, seed=1)
    ]
    assert overlap(found) > 0.3
    assert p_of(overlap(found), np.array(null)) == pytest.approx(0.05)


@pytest.mark.slow
def test_the_same_people_give_the_same_map():
    fitted, connectomes, segments, _ = fitted_quickly()
    people = FittedPeople.of(fitted, connectomes, segments)
    again = with_factor_map(fitted.twin, people)
    weights = fitted.twin.edge_weights.numpy()
    # Weights are of order one; how single precision rounds depends on the processor.
    assert again.edge_weights.numpy() == pytest.approx(weights, rel=1e-5, abs=1e-5)
    assert again.edge_weights is not fitted.twin.edge_weights
    shown = connectomes[:3], segments.people(np.arange(3))
    one, other = (
        smooth_gradients(twin.weights, *shown, copies=1, noise=0.0).edges
        for twin in (fitted.twin, again)
    )
    assert other == pytest.approx(one, abs=1e-5)


@pytest.mark.slow
def test_a_covariate_that_is_how_long_people_take_leaves_connectomes_nothing():
    fitted, connectomes, segments, takes = fitted_quickly()
    people, same = (
        FittedPeople.of(fitted, connectomes, segments, covariates=covariates)
        for covariates in (None, takes[:, None])
    )
    assert with_factor_map(fitted.twin, people).edge_weights.any()
    assert not with_factor_map(fitted.twin, same).edge_weights.any()
    half = same.of_rows(np.arange(15))
    assert not with_factor_map(fitted.twin, half).edge_weights.any()


def test_factors_that_no_bundle_keeps_are_refitted():
    from dataclasses import replace

    fitted, connectomes, segments, _ = fitted_quickly()
    kept = FittedPeople.of(fitted, connectomes, segments)
    found = FittedPeople.of(replace(fitted, own_factors=None), connectomes, segments)
    # Signs of factors may differ, the networks that they give may not.
    one, other = (each.factors.factors @ each.factors.directions.T for each in (kept, found))
    assert one == pytest.approx(other, abs=1e-3)
    halves = found.of_rows(np.arange(15))
    assert len(halves.connectomes) == len(halves.factors.factors) == 15


def test_twins_without_factors_have_no_null():
    from bids_dtg.twin.fitting import fit
    from bids_dtg.twin.recipe import Recipe, find_architecture

    _, connectomes, segments, _ = fitted_quickly()
    recipe = Recipe(
        units=6, hyper_units=4, hyper_epochs=1, hyper_updates=1, batch_people=4, batch_segments=2
    )
    fitted = fit(connectomes, segments, architecture=find_architecture("published", recipe))
    with pytest.raises(ValueError, match="published has no latent factors"):
        FittedPeople.of(fitted, connectomes, segments)
    with pytest.raises(ValueError, match="each permutation would be a training"):
        next(permuted_twins(fitted, None))


def test_correlations_are_those_of_numpy():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 20))
    expected = [np.corrcoef(*pair)[0, 1] for pair in zip(first, second, strict=True)]
    assert map_correlations(first, second) == pytest.approx(expected)


@given(st.integers(2, 9), st.integers(0, 99))
def test_region_means_are_those_of_rows_of_the_matrix(regions, seed):
    edges = np.random.default_rng(seed).normal(size=regions * (regions - 1) // 2)
    matrix = np.zeros((regions, regions))
    matrix[np.triu_indices(regions, 1)] = edges
    expected = (matrix + matrix.T).sum(axis=1) / (regions - 1)
    assert region_means(edges, regions) == pytest.approx(expected)


def test_edges_of_other_regions_are_refused():
    with pytest.raises(ValueError, match="not the pairs of 4 regions"):
        region_means(np.zeros(5), 4)
