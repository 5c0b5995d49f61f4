"""Ridge and covariance of edges with figures, which need no network."""

import numpy as np
import pytest

from bids_dtg.twin.interventions.linear import LinearMap
from bids_dtg.twin.judging.baselines import BASELINES, Known, Training, predict


def people(number=50, edges=80):
    rng = np.random.default_rng(0)
    connectomes = rng.normal(size=(number, edges))
    return connectomes, connectomes[:, :5].sum(axis=1) + rng.normal(size=number)


def test_weights_are_those_of_the_baseline():
    connectomes, figure = people()
    others = np.random.default_rng(1).normal(size=(9, 80))
    row = next(row for row in BASELINES if row.name == "connectome_ridge")
    training = Training(Known(50, connectome=connectomes), figure[:, None])
    expected = predict(row, training, Known(9, connectome=others))[:, 0]
    found = LinearMap.of(connectomes, figure).predict(others)
    assert found - found.mean() == pytest.approx(expected - expected.mean(), abs=1e-6)


def test_a_direction_lowers_what_the_ridge_predicts():
    connectomes, figure = people()
    found = LinearMap.of(connectomes, figure)
    step = found.ridge_direction(connectomes).delta(1.0)
    spread = found.predict(connectomes).std(ddof=1)
    assert found.predict(step[None])[0] == pytest.approx(-spread)


def test_what_covariates_add_to_edges_and_figure_changes_no_map():
    connectomes, figure = people()
    rng = np.random.default_rng(2)
    covariates = rng.normal(size=(50, 2))
    own = LinearMap.of(connectomes, figure, covariates)
    edges = connectomes + covariates @ rng.normal(0.0, 3.0, (2, 80))
    moved = LinearMap.of(edges, figure + 9 * covariates[:, 0] - 4, covariates)
    assert moved.ridge == pytest.approx(own.ridge, abs=1e-5)
    assert moved.covariance == pytest.approx(own.covariance, abs=1e-6)
    assert own.ridge[:5].mean() > 3 * np.abs(own.ridge[5:]).mean()


def test_maps_do_not_depend_on_the_order_of_people_or_on_what_is_the_same_for_all():
    connectomes, figure = people()
    covariates = np.random.default_rng(2).normal(size=(50, 2))
    order = np.random.default_rng(3).permutation(50)
    one, other = (
        LinearMap.of(connectomes[rows], figure[rows], covariates[rows])
        for rows in (np.arange(50), order)
    )
    assert one.ridge == pytest.approx(other.ridge, abs=1e-6)
    assert one.covariance == pytest.approx(other.covariance, abs=1e-9)
    same = LinearMap.of(connectomes, figure, np.zeros((50, 1)))
    assert same.ridge == pytest.approx(LinearMap.of(connectomes, figure).ridge, abs=1e-9)


def test_nothing_is_fitted_to_figures_that_are_alike_or_of_too_few():
    connectomes, figure = people()
    assert LinearMap.of(connectomes, np.ones(50)) is None
    assert LinearMap.of(connectomes, np.where(np.arange(50) < 2, figure, np.nan)) is None
