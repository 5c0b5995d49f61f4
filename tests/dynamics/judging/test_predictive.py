"""Where a person's own session lies among simulated ones."""

from __future__ import annotations

import numpy as np
import pytest
from network_people import chance_networks, real_networks

from bids_dtg.dynamics.judging.baselines import BASELINES, fit_baseline, var_1
from bids_dtg.dynamics.judging.predictive import (
    CHECKED,
    FCD_STRIDE,
    Check,
    check,
)
from bids_dtg.dynamics.measures import (
    FCD_FRAMES,
    connectivity,
    fc_fit,
    fcd_shares,
    ks_distance,
    zero_crossings,
)

PROCESS = var_1(chance_networks().series[0])


def sessions(count: int, frames: int = 60, seed: int = 0) -> np.ndarray:
    return PROCESS.simulate(count, frames, np.random.default_rng(seed))


def test_each_figure_is_of_each_person():
    own, simulated = sessions(2, 120), sessions(40, 120, seed=1).reshape(2, 20, 6, 120)
    found = {row.of.name: row for row in check(zip(own, simulated, strict=True), 0.72)}
    assert list(found) == [figure.name for figure in CHECKED]
    crossings = found["zero_crossings"]
    assert crossings.observed[1] == pytest.approx(zero_crossings(own[1]).mean())
    assert crossings.simulated[1, 3] == pytest.approx(zero_crossings(simulated[1, 3]).mean())
    fits = fc_fit(connectivity(simulated), connectivity(own)[:, None]).mean(axis=1)
    np.testing.assert_allclose(found["fc_fit"].observed, fits, rtol=1e-5)
    shares = [fcd_shares(held, stride=FCD_STRIDE) for held in (own[:, None], simulated)]
    distances = ks_distance(*shares).mean(axis=1)
    np.testing.assert_allclose(found["fcd_distance"].observed, distances, rtol=1e-5)


def test_a_simulation_is_compared_with_all_others_and_the_own_session():
    """So a simulation that takes the place of the own session gets the same figure."""
    every = sessions(21, 120)
    swapped = every.copy()
    swapped[[0, 7]] = every[[7, 0]]
    first, second = (
        {row.of.name: row for row in check([(held[0], held[1:])], 0.72)}
        for held in (every, swapped)
    )
    for name, row in first.items():
        assert row.simulated[0, 6] == pytest.approx(second[name].observed[0], rel=1e-4)
        assert row.observed[0] == pytest.approx(second[name].simulated[0, 6], rel=1e-4)


def test_short_sessions_have_no_fcd():
    held = sessions(20, FCD_FRAMES + FCD_STRIDE)
    assert "fcd_distance" not in [row.of.name for row in check([(held[0], held[1:])], 0.72)]
    held = sessions(20, FCD_FRAMES + FCD_STRIDE + 1)
    assert "fcd_distance" in [row.of.name for row in check([(held[0], held[1:])], 0.72)]


def test_p_counts_the_own_session_and_both_sides():
    simulated = np.tile(np.arange(1.0, 20.0), (5, 1))  # 19
    found = Check(CHECKED[0], np.array([0.0, 1.5, 10.0, 99.0, np.nan]), simulated)
    np.testing.assert_allclose(found.p, [0.1, 0.2, 1.0, 0.1, np.nan])
    assert found.outside.mean == pytest.approx(0.5)
    np.testing.assert_allclose(found.interval[:, 0], [1.9, 18.1])


def test_ties_are_no_evidence():
    found = Check(CHECKED[0], np.zeros(1), np.zeros((1, 99)))
    assert found.p.tolist() == [1.0]


def test_too_few_simulations_have_no_outside():
    held = np.random.default_rng(0).standard_normal((5, 18))
    found = Check(CHECKED[0], np.full(5, 99.0), held)
    assert np.isnan(found.outside.mean)
    assert np.isnan(found.row()["outside"].mean)


@pytest.mark.slow
def test_a_right_model_has_p_values_spread_evenly():
    people = sessions(100 * 20).reshape(100, 20, 6, 60)
    for row in check(((own[0], own[1:]) for own in people), 0.72):
        assert row.p.mean() == pytest.approx(0.55, abs=0.1), row.of.name
        assert row.outside.mean == pytest.approx(0.1, abs=0.08), row.of.name  # 0.03 is its sd


def test_a_wrong_model_is_found_out():
    rng = np.random.default_rng(1)
    people = [(own, rng.standard_normal((49, 6, 80))) for own in sessions(12, 80)]
    rows = {row.of.name: row.row() for row in check(people, 0.72)}
    assert rows["zero_crossings"]["outside"].mean == 1.0
    assert rows["zero_crossings"]["observed"] < rows["zero_crossings"]["low"]
    assert rows["autocorrelation_1"]["median_p"] == pytest.approx(2 / 50)
    assert rows["fc_strength"]["outside"].mean == 1.0


def test_nobody_and_other_regions_are_refused():
    with pytest.raises(ValueError, match="nobody"):
        check([], 0.72)
    with pytest.raises(ValueError, match=r"found \(3, 6, 60\) and \(5, 60\)"):
        check([(sessions(1)[0, :5], sessions(3))], 0.72)


@pytest.mark.slow
def test_figures_of_simple_models_of_real_people(shared):
    """VAR(1) has a person's power, memory and connectivity; white noise has none of them."""
    people = real_networks(shared, 1, people=6)
    rng = np.random.default_rng(0)
    outside = {}
    for baseline in BASELINES:
        if baseline.name in ("white_noise", "var_1"):
            fits = fit_baseline(baseline, people)
            simulated = (fit.simulate(20, people.frames, rng) for fit in fits)
            rows = check(zip(people.series, simulated, strict=True), people.tr_seconds)
            outside[baseline.name] = {row.of.name: row.outside.mean for row in rows}
    for name in ("zero_crossings", "autocorrelation_1", "fc_strength"):
        assert outside["white_noise"][name] == 1.0, name
    assert outside["var_1"]["autocorrelation_1"] < 1.0
    assert outside["var_1"]["fc_strength"] < 1.0
    assert outside["var_1"]["fcd_distance"] > 0.5
