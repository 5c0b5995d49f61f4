"""Named models: their sessions have the covariances that theory says, and rows agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

from bids_dtg.dynamics.forms import NAMED as RECIPES
from bids_dtg.dynamics.measures import connectivity
from bids_dtg.dynamics.named import NAMED, Substrate

WEIGHTS = np.array([[0.0, 1.0, 0.2], [1.0, 0.0, 0.0], [0.2, 0.0, 0.0]])


def test_each_recipe_is_a_row() -> None:
    assert tuple(NAMED) == RECIPES
    assert all(1 <= len(row.parameters) <= 3 for row in NAMED.values())


def test_oscillators_far_below_the_bifurcation_are_a_linear_process() -> None:
    # dz = A z dt + noise, z = (x, y) of each region; the cubic term is small with little noise.
    coupling, a, frequency = 0.8, -0.4, 0.05
    substrate = Substrate(WEIGHTS, np.full(3, frequency), 1.0)
    g = coupling / np.sqrt(1.04)  # the largest eigenvalue of these connections
    inner = np.diag(a - g * WEIGHTS.sum(axis=1)) + g * WEIGHTS
    turn = 2 * np.pi * frequency * np.eye(3)
    drift = np.block([[inner, -turn], [turn, inner]])
    covariance = solve_continuous_lyapunov(drift, -np.eye(6))[:3, :3]
    sd = np.sqrt(covariance.diagonal())
    wanted = covariance / np.outer(sd, sd)
    values = np.tile([coupling, a, 0.02], (20, 1))
    series = NAMED["hopf"].simulate(substrate, values, 400, np.random.default_rng(0))
    assert series.shape == (20, 3, 400)
    found = connectivity(series).mean(axis=0)
    np.testing.assert_allclose(found, wanted, atol=0.04)
    assert 0.2 < wanted[0, 1] < 0.9  # what is compared is neither none nor all


def test_coupling_and_noise_change_mean_field_models() -> None:
    substrate = Substrate(WEIGHTS, np.full(3, 0.05), 0.72)
    values = np.array([[0.05, 0.02], [1.0, 0.02], [0.05, 0.1]])
    series = NAMED["wong-wang"].simulate(substrate, values, 40, np.random.default_rng(0))
    low, coupled, noisy = series
    assert low.mean() < coupled.mean()
    assert low.std(axis=1).mean() < noisy.std(axis=1).mean()


@pytest.mark.parametrize(
    ("weights", "found"), [(np.zeros((3, 3)), "some are not 0"), (np.ones((3, 2)), "regions,")]
)
def test_connectomes_that_couple_nothing_are_refused(weights: np.ndarray, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        Substrate(weights, np.full(3, 0.05), 1.0)
