"""Posteriors from simulations are those that theory knows, and say what they cannot know."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.dynamics.calibration import calibration, histogram, ranks
from bids_dtg.dynamics.posterior import SimulatedStatistics

SD = 0.1  # of what is seen of a parameter


def simulated(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two parameters; the first is seen with noise, of the second nothing is seen."""
    rng = np.random.default_rng(seed)
    unit = rng.random((number, 2))
    seen = unit[:, :1] + SD * rng.standard_normal((number, 1))
    return unit, np.concatenate([seen, rng.standard_normal((number, 2))], axis=1)


@pytest.fixture(scope="module")
def known() -> SimulatedStatistics:
    return SimulatedStatistics(*simulated(600, 0))


def test_a_posterior_is_that_of_the_formula(known: SimulatedStatistics) -> None:
    found = known.posterior(np.array([0.5, 0.0, 0.0]), np.random.default_rng(0), 4000)
    assert found.unit[:, 0].mean() == pytest.approx(0.5, abs=0.03)
    assert found.unit[:, 0].std() == pytest.approx(SD, rel=0.2)
    # Of the second parameter the prior is left.
    assert found.unit[:, 1].std() == pytest.approx(np.sqrt(1 / 12), rel=0.15)
    assert not found.beyond
    assert not found.unusual.any()


def test_a_session_beyond_all_simulations_is_told(known: SimulatedStatistics) -> None:
    found = known.posterior(np.array([9.0, 0.0, 0.0]), np.random.default_rng(0))
    assert found.beyond
    assert found.unusual.tolist() == [True, False, False]
    assert found.unit[:, 0].mean() > 0.8  # of the closest simulations


def test_calibration_tells_good_posteriors_from_narrow_wide_and_empty_ones(
    known: SimulatedStatistics,
) -> None:
    rng = np.random.default_rng(1)
    truth, seen = simulated(200, 2)
    draws = np.stack([known.posterior(row, rng, 99).unit for row in seen])
    first, second = (calibration(truth[:, n], draws[:, :, n], rng) for n in range(2))
    assert first.fault == ""
    assert first.rho > 0.9
    assert "not recovered: in 200 simulations" in second.fault
    assert second.rho < 0.3
    middle = draws[:, :, :1].mean(axis=1)
    narrow = calibration(truth[:, 0], middle + 0.4 * (draws[:, :, 0] - middle), rng)
    assert "not calibrated: in 200 simulations, 90 % intervals held" in narrow.fault
    assert narrow.uniform_p < 0.001
    shifted = calibration(truth[:, 0], draws[:, :, 0] + 0.04, rng)
    assert "not calibrated" in shifted.fault


def test_ranks_of_equal_draws_are_broken_by_chance() -> None:
    found = ranks(np.zeros(500), np.zeros((500, 9)), np.random.default_rng(0))
    assert sorted(set(found.tolist())) == list(range(10))
    assert histogram(np.array([0, 9, 9]), 9).tolist() == [1, *[0] * 8, 2]


def test_few_simulations_are_refused() -> None:
    with pytest.raises(ValueError, match="of the same 60 or more simulations"):
        SimulatedStatistics(*simulated(20, 0))
