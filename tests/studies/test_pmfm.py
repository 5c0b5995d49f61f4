from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from replayed_wong_wang import published

from bids_dtg.dynamics.wong_wang import simulate_wong_wang

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from pmfm import simulate_pmfm_people, strongest_coupling


@pytest.mark.slow
def test_coupling_is_chosen_by_connectivity(replayed):
    network, initial, noise = published(replayed)
    swept = replace(network, coupling=np.array([[0.0, 0.16, 0.19, 0.22]]))
    upper, strength = np.triu_indices(68, 1), []
    for coupling in swept.coupling[0]:
        alone = replace(network, coupling=np.array([[coupling]]))
        series = simulate_wong_wang(alone, initial, noise)[0, 0]
        strength.append(np.corrcoef(series)[upper].mean())
    chosen = strongest_coupling(swept, initial, noise)
    assert chosen == swept.coupling[0][np.argmax(strength)]


@pytest.mark.slow
def test_mean_field_models_of_measured_connectomes_switch(measured_weights):
    people = simulate_pmfm_people(measured_weights)
    assert people.networks.series.shape == (8, 68, 1199)
    low, middle, high = (
        ((limits[0] < people.networks.series) & (people.networks.series < limits[1])).mean()
        for limits in ((-1.5, -0.3), (0.3, 0.9), (1.2, 2.2))
    )
    assert low > 2 * middle
    assert high > middle
    assert ((people.personal["G"] > 0.16) & (people.personal["G"] < 0.22)).all()
