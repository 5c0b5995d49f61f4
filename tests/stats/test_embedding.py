"""Layouts of points, against those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from bids_dtg.stats.embedding import distances, principal_components, silhouettes
from bids_dtg.stats.permutation import permuted_orders
from bids_dtg.stats.prediction import products


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    return rng.standard_normal((30, 50)) + np.repeat([0.0, 1.0, 1.5], 10)[:, None]


def test_components_and_distances_are_those_of_the_points(points):
    scores, shares = principal_components(products(points), 50)
    wanted = PCA().fit(points)
    np.testing.assert_allclose(shares, wanted.explained_variance_ratio_[:29], atol=1e-9)
    np.testing.assert_allclose(
        np.abs(scores[:, :3]),
        np.abs(wanted.transform(points)[:, :3]) / np.sqrt(50),
        atol=1e-9,
    )
    apart = np.sqrt(np.square(points[3] - points[20]).mean())
    assert distances(products(points), 50)[3, 20] == pytest.approx(apart)


def test_silhouettes_are_those_of_scikit_learn_and_of_chance(points):
    # One point has a label of its own: it counts as 0.
    apart, labels = (
        distances(products(points), 50),
        np.repeat(["a", "b", "c", "d"], (10, 10, 9, 1)),
    )
    orders = permuted_orders(np.arange(30), 20)
    scores = silhouettes(apart, labels, orders)
    wanted = [
        silhouette_score(apart, sample_labels, metric="precomputed")
        for sample_labels in (labels, *(labels[order] for order in orders))
    ]
    np.testing.assert_allclose(scores, wanted, atol=1e-12)
    assert np.isnan(silhouettes(apart, ["a"] * 30, orders)).all()
