"""Fits of simulated sessions are judged person by person."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.dynamics.analyses.connectivity import (
    MODEL,
    OTHER_CONNECTOME,
    Kept,
    same_by_another,
)


def kept(fits: np.ndarray, of_mean: np.ndarray) -> Kept:
    return Kept(
        fits={"REST1": fits.tolist()},
        mean_fits={"REST1": of_mean.tolist()},
        strength=[0.1] * len(fits),
    )


def test_a_baseline_is_judged_by_the_people_that_both_simulate() -> None:
    """Means that overlap far more than people's differences decide nothing by themselves."""
    people = np.linspace(0.1, 0.9, 12)
    model = kept(people, people)
    higher = people + 0.02 + 0.001 * np.arange(12)
    row = kept(higher, people - 0.02).row("var_1", "VAR(1)", "baseline", 20, model)
    assert row["advantage_REST1"].mean == pytest.approx(-0.0255)
    fit = row["fit_REST1"]
    assert fit.low < people.mean() < fit.high
    assert row["verdict_REST1"] == "worse"
    assert row["verdict_of_mean_REST1"] == "better"
    assert row["advantage_of_mean_REST1_p"] < 0.01
    few = kept(people[:7] + 0.02, people[:7]).row(
        "a", "b", "baseline", 20, kept(people[:7], people[:7])
    )
    assert few["verdict_REST1"] == "too few people"


def test_the_model_is_not_judged_against_itself() -> None:
    values = np.linspace(0.1, 0.9, 12)
    row = kept(values, values).row("model", "the network model", "model", 20)
    assert not [name for name in row if name.startswith(("verdict", "advantage"))]


@pytest.mark.parametrize(("gain", "people", "flags"), [(0.0, 12, 1), (0.05, 12, 0), (0.0, 7, 0)])
def test_another_connectome_that_does_as_well_is_a_warning(
    gain: float, people: int, flags: int
) -> None:
    values = np.linspace(0.1, 0.9, people)
    model, other = kept(values, values), kept(values - gain, values)
    rows = [
        model.row(MODEL, "the network model", "model", 20),
        other.row(OTHER_CONNECTOME, "with another", "model", 20, model),
    ]
    found = same_by_another("REST1", rows)
    assert len(found) == flags
    assert same_by_another("REST1", rows[:1]) == []
    assert all("does not come from the person's connections" in flag.text for flag in found)
