"""Measures at fixed points of single regions: the table, and by which parameter each is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.analyses.responses import Responses
from bids_dtg.dynamics.fixed_points import node_fixed_points
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.recipe import Recipe

THETA = np.array([[0.3, 4.0], [-1.0, 3.0], [0.9, 1.0], [0.1, -2.0]])


def _responses(**measures: list[float]) -> Responses:
    index = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return Responses(index, THETA, {name: np.array(own) for name, own in measures.items()})


def test_a_measure_is_drawn_by_the_parameter_that_orders_it_best() -> None:
    own = _responses(network_effect=[1.0, 2.0, 5.0, 9.0], largest_real_part=[-0.5, -0.9, -0.1, -1])
    network, stability = own.scatters()
    assert "by θ2, whose rho with it is the largest in size (\N{MINUS SIGN}1.00)" in network.caption
    np.testing.assert_array_equal(network.points[:, 0], THETA[:, 1])
    np.testing.assert_array_equal(network.points[:, 1], [1, 2, 5, 9])
    assert stability.x_label == "θ1 (no unit)"
    assert stability.caption.startswith("Largest real part of the eigenvalues at fixed points")


@pytest.mark.parametrize("values", [[0.2] * 4, []])
def test_nothing_is_drawn_of_what_does_not_vary(values: list[float]) -> None:
    few = len(values)
    index, theta = np.zeros((few, 2), np.intp), THETA[:few]
    assert Responses(index, theta, {"network_effect": np.array(values)}).scatters() == ()


def test_the_table_has_a_row_a_fixed_point() -> None:
    table = _responses(external_effect=[1.0, 2.0, 3.0, 4.0]).table(["01", "02"], ["A", "B"])
    assert [(row["participant_id"], row["region"]) for row in table.rows] == [
        *(("sub-01", "A"), ("sub-01", "B"), ("sub-02", "A"), ("sub-02", "B"))
    ]
    assert [row["external_effect"] for row in table.rows] == [1, 2, 3, 4]
    assert table.rows[1]["theta2"] == 3


@pytest.mark.parametrize("externals", [0, 1])
def test_a_model_without_external_input_has_no_effect_of_it(externals: int) -> None:
    torch.manual_seed(0)
    recipe = Recipe(states=2, region_parameters=2, hidden=6, external_inputs=externals)
    model = NetworkModel(recipe, people=1, regions=2, frames=10)
    region, person = THETA[None, :2], np.zeros((1, 0))
    points = node_fixed_points(model, region, person, levels=(0.0, 1.0), starts=10)
    own = Responses.of(model, region, person, points, (0, 0), region)
    assert ("external_effect" in own.measures) == bool(externals)
    here = np.isin(points.case, np.ravel_multi_index((0, [0, 1], 0, 0), points.shape))
    largest = points.eigenvalues[here].real.max(axis=1)
    assert len(largest) > 0
    np.testing.assert_array_equal(own.measures["largest_real_part"], largest)
