from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.stats.kernel_ridge import (
    KernelRidge,
    choose_penalty,
    inner_products,
    leave_one_out_weights,
)

PEOPLE, ROIS, CONTRASTS, VOXELS = 9, 4, 3, 30
RNG = np.random.default_rng(0)
X = RNG.normal(1, 1, (PEOPLE, ROIS, VOXELS)).astype(np.float32)
Y = RNG.normal(2, 1, (PEOPLE, CONTRASTS, VOXELS)).astype(np.float32)


def primal(x, y, penalty, new):
    """Solve ridge regression with a coefficient for each entry of the connectome."""
    flat = (x - x.mean(axis=0)).reshape(len(x), -1).astype(float)
    ridge = penalty * np.square(flat).sum() / len(x)
    gram = flat.T @ flat + ridge * np.eye(flat.shape[1])
    target = (y - y.mean(axis=0)).reshape(len(y), -1)
    own = (new - x.mean(axis=0)).ravel()
    maps = y.mean(axis=0).ravel() + own @ np.linalg.solve(gram, flat.T @ target)
    return maps.reshape(y.shape[1:])


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_it_is_ridge_regression(penalty):
    found = KernelRidge(X[1:], Y[1:], penalty).predict(X[0])
    np.testing.assert_allclose(found, primal(X[1:], Y[1:], penalty, X[0]), atol=1e-4)


def test_inner_products_do_not_depend_on_the_slabs():
    slab_bytes = 7 * 4 * ROIS * (PEOPLE + PEOPLE - 1)  # of seven voxels; the last one is thinner
    found = inner_products(X, X[1:], slab_bytes=slab_bytes)
    flat = X.reshape(PEOPLE, -1).astype(float)
    np.testing.assert_allclose(found, flat @ flat[1:].T, rtol=1e-5)


def test_leaving_each_one_out_is_a_fit_on_all_the_others():
    weights = leave_one_out_weights(inner_products(X, X), 0.3)
    for n in range(PEOPLE):
        others = np.delete(np.arange(PEOPLE), n)
        expected = KernelRidge(X[others], Y[others], 0.3).predict(X[n])
        np.testing.assert_allclose(np.tensordot(weights[n], Y, axes=1), expected, atol=1e-4)
    assert not np.diagonal(weights).any()


def test_a_large_penalty_leaves_the_mean():
    found = KernelRidge(X[1:], Y[1:], 1e9).predict(X[0])
    np.testing.assert_allclose(found, Y[1:].mean(axis=0), atol=1e-5)


def test_people_must_match():
    with pytest.raises(ValueError, match="2 people or more"):
        KernelRidge(X[:1], Y[:1], 1.0)


def error_of_left_out(x, y, penalty, families):
    """Fit again without each family, with the ridge that everybody's fit has."""
    flat, maps = x.reshape(len(x), -1).astype(float), y.reshape(len(y), -1).astype(float)
    ridge = penalty * np.square(flat - flat.mean(axis=0)).sum() / len(x)
    error = 0.0
    for family in np.unique(families):
        inside = families == family
        mean_x, mean_y = flat[~inside].mean(axis=0), maps[~inside].mean(axis=0)
        own = flat[~inside] - mean_x
        gram = own @ own.T + ridge * np.eye(len(own))
        dual = np.linalg.solve(gram, maps[~inside] - mean_y)
        predicted = mean_y + (flat[inside] - mean_x) @ own.T @ dual
        error += np.square(maps[inside] - predicted).sum()
    return error


@pytest.mark.parametrize("families", [np.arange(24), np.arange(24) // 3])
@pytest.mark.parametrize("share", [0.03, 0.3, 1.0, 3.0])
def test_the_penalty_is_the_best_for_people_who_are_left_out(families, share):
    rng = np.random.default_rng(round(100 * share))
    x = rng.normal(size=(24, 2, 8))
    y = np.einsum("nrv,qr->nqv", x, rng.normal(size=(3, 2)))
    y += rng.normal(size=y.shape) * y.std() / share
    penalties = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
    errors = [error_of_left_out(x, y, penalty, families) for penalty in penalties]
    found = choose_penalty(inner_products(x, x), inner_products(y, y), families, penalties)
    assert found == penalties[int(np.argmin(errors))]


def test_maps_that_rest_does_not_know_get_the_largest_penalty():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 2, 50)), rng.normal(size=(40, 2, 50))
    assert choose_penalty(inner_products(x, x), inner_products(y, y)) == 100.0
    # Two people know nothing of each other, and a family alone is no reason to choose nothing.
    two = inner_products(x[:2], x[:2]), inner_products(y[:2], y[:2])
    assert choose_penalty(*two) == choose_penalty(*two, np.zeros(2, int)) == 100.0
