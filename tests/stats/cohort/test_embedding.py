"""Layouts of maps: components against numpy and scikit-learn, and figures with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from bids_dtg.stats.cohort.embedding import (
    principal_components,
    silhouette,
    umap_is_missing,
    umap_layout,
    variance_shares,
)
from bids_dtg.stats.cohort.point_cloud import cloud_of


def maps(points: int, columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # Components of sizes that differ clearly: which is the first is no matter of chance.
    sizes = 2.0 ** -np.arange(min(points, columns))
    return (
        rng.standard_normal((points, len(sizes)))
        * sizes
        @ rng.standard_normal((len(sizes), columns))
    )


@given(points=st.integers(3, 9), columns=st.integers(2, 30), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_components_are_those_of_a_singular_value_decomposition(points, columns, seed):
    own = maps(points, columns, seed).astype(np.float32)
    found = principal_components(cloud_of([own]))
    centred = own - own.mean(axis=0, dtype=np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    shares = sizes**2 / np.sum(sizes**2)
    number = len(found.shares)
    np.testing.assert_allclose(found.shares, shares[:number], atol=1e-5)
    assert shares[number:].sum() < 1e-5
    wanted = np.abs(left * sizes / np.sqrt(columns))
    apart = np.diff(shares, prepend=np.inf, append=-np.inf) < -0.01  # from those beside it
    for component in np.flatnonzero(apart[:-1] & apart[1:] & (shares > 1e-3))[:number]:
        np.testing.assert_allclose(
            np.abs(found.scores[:, component]), wanted[:, component], atol=1e-3
        )


def test_components_are_those_of_scikit_learn():
    own = maps(30, 200, 0)
    found = principal_components(cloud_of([own]))
    theirs = PCA(4).fit(own)
    np.testing.assert_allclose(found.shares[:4], theirs.explained_variance_ratio_, rtol=1e-4)
    scores = theirs.transform(own) / np.sqrt(200)
    np.testing.assert_allclose(np.abs(found.scores[:, :4]), np.abs(scores), atol=1e-4)
    needed = np.searchsorted(np.cumsum(PCA().fit(own).explained_variance_ratio_), 0.9) + 1
    assert found.needed() == needed


@given(seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_order_of_people_changes_no_score(seed):
    own = maps(8, 40, seed)
    order = np.random.default_rng(seed).permutation(8)
    found = principal_components(cloud_of([own])).scores[:, :3]
    again = principal_components(cloud_of([own[order]])).scores[:, :3]
    np.testing.assert_allclose(again, found[order], atol=1e-3)
    assert (found.max(axis=0) == np.abs(found).max(axis=0)).all()


def test_points_that_are_the_same_have_no_component():
    found = principal_components(cloud_of([np.ones((5, 20))]))
    assert (found.scores.shape, len(found.shares), found.needed()) == ((5, 0), 0, 0)


def labelled(spread: float, people: int = 12, contrasts: int = 4):
    """Make maps of contrasts whose means lie one unit apart, contrast by contrast."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((contrasts, 1, 300))
    own = means + spread * rng.standard_normal((contrasts, people, 300))
    return (
        own.reshape(-1, 300),
        np.repeat(np.arange(contrasts), people),
        np.tile(np.arange(people), contrasts),
    )


def test_clusters_are_found_where_there_are_some_and_not_elsewhere():
    own, contrasts, _ = labelled(0.1)
    assert silhouette(cloud_of([own]).distances(), contrasts) > 0.8
    own, contrasts, _ = labelled(1.0)
    assert abs(silhouette(cloud_of([own]).within(contrasts).distances(), contrasts)) < 0.05
    assert np.isnan(silhouette(cloud_of([own]).distances(), ["a"] * len(own)))


def test_variance_is_shared_out_as_in_a_two_way_layout():
    rng = np.random.default_rng(0)
    contrasts, people = np.repeat(np.arange(3), 5), np.tile(np.arange(5), 3)
    own = rng.standard_normal((3, 200))[contrasts] + 2 * rng.standard_normal((5, 200))[people]
    own += 0.5 * rng.standard_normal((15, 200))
    found = variance_shares(cloud_of([own]), contrasts, people)
    grid = own.reshape(3, 5, 200)
    whole = np.square(own - own.mean(axis=0)).sum()
    between = [5 * np.square(grid.mean(axis=1) - own.mean(axis=0)).sum() / whole]
    between += [3 * np.square(grid.mean(axis=0) - own.mean(axis=0)).sum() / whole]
    assert found[:2] == pytest.approx(between, rel=1e-5)
    assert sum(found) == pytest.approx(1)
    with pytest.raises(ValueError, match="one map of each contrast"):
        variance_shares(cloud_of([own[1:]]), contrasts[1:], people[1:])


def test_umap_is_not_asked_for_what_it_cannot_lay_out():
    with pytest.raises(ValueError, match=r"8 points and 2 components: \(7, 3\)"):
        umap_layout(np.zeros((7, 3)), 0)


@pytest.mark.slow
@pytest.mark.skipif(umap_is_missing(), reason="UMAP needs the extra [umap]: pip install '.[umap]'")
@pytest.mark.parametrize("people", [2, 12])
def test_umap_keeps_clusters_apart_and_repeats_itself(people):
    own, contrasts, _ = labelled(0.3, people=people)
    scores = principal_components(cloud_of([own])).scores
    layout = umap_layout(scores, 7)
    assert layout.shape == (len(own), 2)
    assert np.isfinite(layout).all()
    np.testing.assert_array_equal(umap_layout(scores, 7), layout)
    if people > 2:
        apart = np.linalg.norm(layout[:, None] - layout, axis=2)
        assert silhouette(apart, contrasts) > 0.5
