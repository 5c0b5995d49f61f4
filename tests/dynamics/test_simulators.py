"""The simulators: the published runs replayed, formulas, noise."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bids_dtg.dynamics.simulators import Hopf, SimulatedTime, simulate_hopf

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from wong_wang import WongWang, WongWangTime, simulate_wong_wang

SHORT_OF_MEAN_FIELDS = WongWangTime(seconds=30.0, dropped_seconds=6.0)
Arrays = Mapping[str, NDArray]


def published_mean_field(
    values: Arrays, time: WongWangTime = SHORT_OF_MEAN_FIELDS
) -> tuple[WongWang, NDArray, NDArray]:
    """Return the network, its initial state and its noise, of the fixture `replayed`."""
    network = WongWang(
        values["pmfm_w"][None],
        values["pmfm_G"][None, None],
        values["pmfm_sigma"][None],
        time,
    )
    noise = values["pmfm_eta"].T.astype(np.float64)[:, None, None]
    return network, values["pmfm_init"][None, None], noise


SHORT = SimulatedTime(seconds=12.0, dropped_seconds=2.0)


def published(values, time=SHORT):
    network = Hopf(
        values["hopf_w"][None],
        values["hopf_G"][None, None],
        values["hopf_a"][None],
        values["hopf_f"][None],
        time,
    )
    initial = values["hopf_init"].T[None, None]
    return network, initial, values["hopf_eta"].T.astype(np.float64)[:, None, None]


def test_of_oscillators_published_run_is_replayed(replayed):
    network, initial, noise = published(replayed)
    series = simulate_hopf(network, initial, noise)[0, 0]
    np.testing.assert_allclose(series, replayed["hopf_x"][:, 0], rtol=0, atol=1e-10)
    normalised = (series - series.mean()) / series.std()
    np.testing.assert_allclose(normalised, replayed["hopf_y"], rtol=0, atol=1e-10)


def test_of_mean_fields_published_run_is_replayed(replayed):
    series = simulate_wong_wang(*published_mean_field(replayed))[0, 0]
    normalised = (series - series.mean()) / series.std()
    np.testing.assert_allclose(normalised, replayed["pmfm_y"], rtol=0, atol=1e-10)


def test_rate_has_its_limit_where_the_input_is_at_the_threshold():
    at_threshold = np.full((1, 1, 1), (108 / 270 - 0.295) / 0.2609)
    network = WongWang(np.zeros((1, 1, 1)), np.zeros((1, 1)), np.zeros((1, 1)))
    (state,) = at_threshold[0, 0]
    (found,) = network.velocity(at_threshold)[0, 0]
    assert found == pytest.approx(-state / 0.1 + (1 - state) * 0.641 / 0.154)
