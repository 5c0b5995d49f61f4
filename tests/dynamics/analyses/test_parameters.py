"""Regional parameters related to features and maps, over regions with known positions."""

from __future__ import annotations

import numpy as np
import pytest
from dk68 import dk68_regions

from bids_dtg.dynamics.analyses.parameters import feature_table, positions_of, uses
from bids_dtg.dynamics.inference import Inferred
from bids_dtg.dynamics.networks import Networks, make_networks
from bids_dtg.dynamics.parameters import Alignment


@pytest.fixture(scope="module")
def networks() -> Networks:
    rng = np.random.default_rng(0)
    series = rng.standard_normal((3, 68, 200)).cumsum(-1)
    weights = rng.random((3, 68, 68))
    weights += weights.swapaxes(1, 2)
    return make_networks(series, weights, 0.72, regions=dk68_regions())


def test_a_map_that_is_a_parameter_is_explained_over_pairs_and_regions(networks):
    rng = np.random.default_rng(1)
    theta = np.tile(rng.standard_normal((68, 2)), (3, 1, 1))
    mirrored = np.tile(theta[0, :34, 1], 2)
    theta[:, 34:, 1] = theta[:, :34, 1]
    maps = {
        "own": theta[0, :, 0],
        "mirrored": mirrored,
        "chance": rng.standard_normal(68),
    }
    rows = feature_table(networks, theta, maps, positions_of(networks.regions)).rows
    by_name = {row["feature"]: row for row in rows}
    assert by_name["own"]["pairs"] == 3 * 68
    assert by_name["own"]["adjusted_r2_pairs"] == pytest.approx(1.0)
    assert by_name["own"]["marked_theta1_pairs"] == "†"
    assert by_name["chance"]["marked_theta2_pairs"] is None
    spread = theta[..., 0].std()
    assert by_name["own"]["weight_theta1_pairs"] == pytest.approx(1 / spread)
    assert by_name["own"]["regions"] == 68
    assert by_name["mirrored"]["regions"] == 34
    for name in ("own", "mirrored"):
        assert by_name[name]["adjusted_r2_regions"] == pytest.approx(1.0)
        assert by_name[name]["p_regions"] < 0.01
    assert by_name["own"]["r_theta1_regions"] == pytest.approx(1.0)
    assert by_name["mirrored"]["adjusted_r2_regions"] == pytest.approx(1.0)
    assert abs(by_name["chance"]["r_theta1_regions"]) < 0.6
    assert by_name["zero_crossings"]["adjusted_r2_pairs_features"] is None


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_parameters_are_listed_in_the_order_of_their_numbers(order):
    mean = np.zeros((2, 5, 2))
    mean[..., 1] = 2.0
    inferred = Inferred(mean, np.ones((2, 5, 2)), *np.zeros((4, 0)))
    rows = uses(inferred, Alignment(np.array(order), np.ones(2)))
    assert [row["parameter"] for row in rows] == ["theta1", "theta2"]
    assert [row["number_in_model"] for row in rows] == [number + 1 for number in order]
    assert [row["kl_mean"] for row in rows] == [2.0 * number for number in order]
