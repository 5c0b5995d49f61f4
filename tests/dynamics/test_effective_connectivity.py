"""Effective connectivity: its gradient, its recovery, and where connections may be."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov

from bids_dtg.dynamics.effective_connectivity import (
    Connections,
    EffectiveConnectivity,
    EffectiveModel,
    UnboundedError,
    descent,
    everywhere,
    misfit,
    response,
    unconnected,
)
from bids_dtg.dynamics.lag_covariances import LagCovariances

TR = 0.72


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def drawn(rng: np.random.Generator, regions: int = 6, share: float = 0.4) -> EffectiveConnectivity:
    """Return a process by chance, some of whose connections are there."""
    there = rng.random((regions, regions)) < share
    coupling = 0.25 * rng.random((regions, regions)) * there
    np.fill_diagonal(coupling, -rng.uniform(0.8, 1.2, regions))
    return EffectiveConnectivity(coupling, rng.uniform(0.5, 1.5, regions))


def test_covariances_solve_the_equations_of_the_process(rng) -> None:
    own = drawn(rng)
    expected = solve_continuous_lyapunov(own.coupling, -np.diag(own.noise))
    np.testing.assert_allclose(own.covariance, expected, atol=1e-12)
    np.testing.assert_allclose(own.lagged(TR), expm(TR * own.coupling) @ expected, atol=1e-12)


def test_the_process_of_frames_has_the_same_covariances(rng) -> None:
    own = drawn(rng)
    found = own.in_frames(TR)
    (step,) = found.transitions
    np.testing.assert_allclose(step @ found.covariance, own.lagged(TR), atol=1e-12)
    np.testing.assert_allclose(
        step @ own.covariance @ step.T + found.noise, own.covariance, atol=1e-12
    )
    assert np.linalg.eigvalsh(found.noise).min() > 0


def test_equal_and_chained_regions_have_covariances() -> None:
    # Such a matrix has one eigenvector alone.
    own = EffectiveConnectivity(np.diag(-np.ones(4)) + np.diag([0.5] * 3, 1), np.ones(4))
    expected = solve_continuous_lyapunov(own.coupling, -np.eye(4))
    np.testing.assert_allclose(own.covariance, expected, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences(rng) -> None:
    own = drawn(rng)
    series = rng.standard_normal((6, 200))
    covariances = LagCovariances.of(series + np.roll(series, 1, axis=1)).values
    found, small = misfit(own, covariances, TR), 1e-6

    def value(coupling: np.ndarray, noise: np.ndarray) -> float:
        return misfit(EffectiveConnectivity(coupling, noise), covariances, TR).value

    for cell in np.ndindex(6, 6):
        step = np.zeros((6, 6))
        step[cell] = small
        both = [value(own.coupling + sign * step, own.noise) for sign in (1, -1)]
        assert found.coupling[cell] == pytest.approx((both[0] - both[1]) / (2 * small), abs=1e-8)
    for region in range(6):
        step = np.zeros(6)
        step[region] = small
        both = [value(own.coupling, own.noise + sign * step) for sign in (1, -1)]
        assert found.noise[region] == pytest.approx((both[0] - both[1]) / (2 * small), abs=1e-8)


@pytest.mark.slow
def test_connections_of_a_known_process_are_found(rng) -> None:
    true = drawn(rng)
    covariances = np.stack([true.covariance, true.lagged(TR)])
    start = unconnected(covariances, TR)
    way = descent(start, covariances, TR, everywhere(6), size=0.003)
    found = next(islice(way, 2999, None))
    np.testing.assert_allclose(found.coupling, true.coupling, atol=0.02)
    np.testing.assert_allclose(found.noise, true.noise, rtol=0.02)


def test_connections_that_may_not_be_stay_at_none(rng) -> None:
    true = drawn(rng)
    allowed = true.coupling > 0
    covariances = np.stack([true.covariance, true.lagged(TR)])
    way = descent(unconnected(covariances, TR), covariances, TR, allowed, size=0.01)
    found = next(islice(way, 49, None))
    away = ~allowed & ~np.eye(6, dtype=bool)
    assert not found.coupling[away].any()
    assert found.coupling[allowed].all()


@pytest.mark.slow
def test_a_person_starts_at_the_groups_and_moves_towards_the_own(rng) -> None:
    group = drawn(rng)
    covariances = np.stack([group.covariance, group.lagged(TR), group.lagged(2 * TR)])
    model = EffectiveModel(covariances, 500.0, everywhere(6), TR)
    white = rng.standard_normal((6, 400)) + rng.standard_normal((1, 400))
    own = LagCovariances.of(white + 0.8 * np.roll(white, 1, axis=1))
    found = model.infer(own)
    before, after = (misfit(one, own.values, TR).value for one in (model.start, found))
    assert after < before
    assert np.abs(found.coupling - model.start.coupling).max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("equal", [True, False])
def test_awkward_series_have_a_stationary_process(equal: bool, rng) -> None:
    one = rng.standard_normal((1, 90)).cumsum(axis=1)
    series = np.repeat(one, 8, axis=0) if equal else rng.standard_normal((8, 90)).cumsum(axis=1)
    own = LagCovariances.of(series)
    model = EffectiveModel(own.values, 10.0, everywhere(8), TR)
    found = model.infer(own)
    assert found.stationary
    assert np.isfinite(found.coupling).all()
    assert np.linalg.eigvalsh(found.covariance).min() > 0


def test_steps_that_are_too_large_keep_to_bounds() -> None:
    covariances = np.stack([np.full((4, 4), 0.9) + 0.1 * np.eye(4), np.full((4, 4), 0.8)])
    way = descent(unconnected(covariances, TR), covariances, TR, everywhere(4), size=2.0)
    assert all(own.stationary for own in islice(way, 20))


def test_activity_without_bounds_is_an_error() -> None:
    own = EffectiveConnectivity(np.array([[-1.0, 2.0], [2.0, -1.0]]), np.ones(2))
    for asked in (lambda: own.covariance, lambda: response(own, 0)):
        with pytest.raises(UnboundedError, match="without bounds"):
            asked()


def test_half_of_the_people_or_homotopy_allow_a_connection() -> None:
    weights = np.zeros((4, 4, 4))
    weights[:2, 0, 1] = weights[:2, 1, 0] = 5.0
    weights[:1, 1, 2] = weights[:1, 2, 1] = 9.0
    found = Connections.of(weights, [(2, 3)]).allowed
    assert [tuple(cell) for cell in np.argwhere(np.triu(found))] == [(0, 1), (2, 3)]
