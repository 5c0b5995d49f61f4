"""Where a person's own session lies among simulated ones."""

from __future__ import annotations

import numpy as np
import pytest
from network_bundle import chance_networks

from bids_dtg.dynamics.judging.predictive import (
    CHECKS,
    check_person,
    predictive_p,
    summarise,
)
from bids_dtg.dynamics.linear import LagCovariances, yule_walker
from bids_dtg.dynamics.measures import (
    connectivity,
    fc_fit,
    fcd_shares,
    ks_distance,
    zero_crossings,
)

PROCESS = yule_walker(LagCovariances.of(chance_networks().series[0]).values, 1)


def sessions(count: int, frames: int = 60, seed: int = 0) -> np.ndarray:
    return PROCESS.simulate(count, frames, np.random.default_rng(seed))


def test_each_figure_is_of_each_session():
    session, simulated = sessions(1, 120)[0], sessions(20, 120, seed=1)
    checks = check_person(session, simulated, 0.72)
    assert list(checks) == list(CHECKS)
    assert checks["zero_crossings"][0] == pytest.approx(zero_crossings(session).mean())
    assert checks["zero_crossings"][4] == pytest.approx(
        zero_crossings(simulated[3]).mean()
    )
    fits = fc_fit(connectivity(simulated), connectivity(session))
    assert checks["fc_fit"][0] == pytest.approx(fits.mean(), rel=1e-5)
    distances = ks_distance(fcd_shares(session), fcd_shares(simulated))
    assert checks["fcd_distance"][0] == pytest.approx(distances.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("measured", "p"), [(0.0, 0.1), (1.5, 0.2), (10.0, 1.0), (99.0, 0.1)]
)
def test_p_counts_the_own_session_and_both_sides(measured, p):
    assert predictive_p(np.array([measured, *range(1, 20)])) == pytest.approx(p)
    # Ties are no evidence.
    assert predictive_p(np.full(100, measured)) == 1.0


def test_people_outside_are_counted_where_simulations_are_enough():
    values = np.concatenate([[99.0], np.arange(1.0, 20.0)])
    people = [
        dict.fromkeys(CHECKS, persons_values)
        for persons_values in (values, np.roll(values, 10), values * np.nan)
    ]
    row = summarise(people)[0]
    assert (row["people"], row["outside"].mean) == (2, 0.5)
    assert row["observed"] == pytest.approx((99 + 10) / 2)
    few = summarise([dict.fromkeys(CHECKS, values[:18])])[0]
    assert np.isnan(few["outside"].mean)


def test_a_person_with_fewer_simulations_has_means_alone():
    values = np.concatenate([[99.0], np.arange(1.0, 20.0)])
    row = summarise([dict.fromkeys(CHECKS, part) for part in (values, values[:4])])[0]
    assert (row["people"], row["observed"]) == (2, 99.0)
    assert row["simulated"] == pytest.approx((10 + 2) / 2)
    assert row["high"] == pytest.approx((18.1 + 2.9) / 2)
    # Of one person.
    assert row["outside"] == summarise([dict.fromkeys(CHECKS, values)])[0]["outside"]
