"""Dynamics of functional connectivity of simulations are compared with measured sessions."""

from __future__ import annotations

import numpy as np
import pytest
from network_people import chance_networks

from bids_dtg.dynamics.analyses.fcd import FcdDistances, fcd_section
from bids_dtg.dynamics.judging.predictive import FCD_STRIDE
from bids_dtg.dynamics.measures import fcd_shares, ks_distance
from bids_dtg.dynamics.networks import Networks

ONE, TWO = chance_networks(people=9, frames=150), chance_networks(people=9, frames=150, seed=1)


def added(distances: FcdDistances, name: str, sessions: Networks, *, off: bool = False) -> None:
    for label, series in zip(sessions.people, sessions.series, strict=True):
        # A region of the same course in the second half: connectivity changes once.
        own = series.copy()
        own[:3, 75:] = own[0, 75:] if off else own[:3, 75:]
        what = "model" if name == "model" else "baseline"
        distances.add(name, f"words of {name}", what, label, own[None])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(ks_distance(*(fcd_shares(own, stride=FCD_STRIDE) for own in (one, other))))


def test_distances_are_those_of_each_persons_own_sessions() -> None:
    distances = FcdDistances({"REST1": ONE, "REST2": TWO})
    added(distances, "model", ONE)
    rows = {row["name"]: row for row in distances.table("model").rows}
    assert rows["model"]["distance_REST1"].mean == 0.0
    retest = np.mean([distance(*pair) for pair in zip(ONE.series, TWO.series, strict=True)])
    assert rows["retest"]["distance_REST1"].mean == pytest.approx(retest, abs=1e-6)
    assert rows["retest"]["distance_REST2"].mean == pytest.approx(retest, abs=1e-6)
    pairs = [(n, m) for n in range(9) for m in range(9) if n != m]
    others = np.mean([distance(ONE.series[n], ONE.series[m]) for n, m in pairs])
    assert rows["other_person"]["distance_REST1"].mean == pytest.approx(others, abs=1e-6)


def test_what_is_closer_than_the_model_is_marked() -> None:
    distances = FcdDistances({"REST1": ONE})
    added(distances, "model", ONE, off=True)
    added(distances, "var_1", ONE)
    table = distances.table("model")
    rows = {row["name"]: row for row in table.rows}
    assert "retest" not in rows  # there is no other session
    assert rows["var_1"]["verdict_REST1"] == "worse"
    assert rows["var_1"]["advantage_REST1"].mean < 0
    (shown,) = fcd_section(table, ["REST1"], "words of model").tables
    assert ("words of var_1", "REST1") in shown.better


def test_where_nobody_was_simulated_nothing_is_said_of_a_difference() -> None:
    distances = FcdDistances({"REST1": ONE, "REST2": TWO})
    added(distances, "var_1", ONE)
    rows = {row["name"]: row for row in distances.table("model").rows}
    for name in ("var_1", "retest", "other_person"):
        assert rows[name]["verdict_REST1"] == "too few people"
        assert np.isnan(rows[name]["advantage_REST1"].mean)


def test_sessions_too_short_for_windows_and_diverged_simulations_are_left_out() -> None:
    short = chance_networks(frames=85)
    distances = FcdDistances({"REST1": ONE, "short": short})
    distances.add("model", "", "model", "00", np.full((2, 6, 150), np.nan))
    table = distances.table("model")
    assert "distance_short" not in {column.name for column in table.columns}
    assert {row["name"] for row in table.rows} == {"other_person"}
