"""Measures at fixed points of single regions: the table, and by which parameter each is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.amortised import make_model
from bids_dtg.dynamics.analyses.responses import Responses
from bids_dtg.dynamics.fixed_points import node_fixed_points
from bids_dtg.dynamics.recipe import Recipe

THETA = np.array([[0.3, 4.0], [-1.0, 3.0], [0.9, 1.0], [0.1, -2.0]])


def _responses(**measures: list[float]) -> Responses:
    index = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return Responses(index, THETA, {name: np.array(own) for name, own in measures.items()})


def test_a_measure_is_drawn_by_the_parameter_that_orders_it_best() -> None:
    own = _responses(network_effect=[1.0, 2.0, 5.0, 9.0], largest_real_part=[-0.5, -0.9, -0.1, -1])
    stability, network = own.scatters()
    assert "by θ2, the parameter with the largest Spearman's rho in size (\N{MINUS SIGN}1.00)" in (
        network.caption
    )
    np.testing.assert_array_equal(network.points[:, 0], THETA[:, 1])
    np.testing.assert_array_equal(network.points[:, 1], [1, 2, 5, 9])
    assert stability.x_label == "θ1 (no unit)"
    assert stability.caption.startswith("Largest real part of the eigenvalues at fixed points")


def test_nothing_is_drawn_of_what_does_not_vary() -> None:
    drawn = _responses(largest_real_part=[0.2] * 4, network_effect=[1.0, 2.0, 3.0, 4.0]).scatters()
    assert [picture.y_label for picture in drawn] == ["effect of the network input (1/frame)"]


@pytest.mark.parametrize("regions", [[], [0, 0, 0, 0], [0, 1]])
def test_nothing_is_drawn_of_few_regions(regions: list[int]) -> None:
    few = len(regions)
    index = np.stack((np.zeros(few, np.intp), np.array(regions, np.intp)), -1)
    values = {"largest_real_part": np.arange(few) - 9.0, "network_effect": np.arange(few) + 0.5}
    assert Responses(index, THETA[regions], values).scatters() == ()


def test_the_table_has_a_row_a_fixed_point() -> None:
    none = [0.0] * 4
    own = _responses(
        largest_real_part=none, external1_effect=[1.0, 2.0, 3.0, 4.0], network_effect=none
    )
    table = own.table(["01", "02"], ["A", "B"])
    assert [(row["participant_id"], row["region"]) for row in table.rows] == [
        *(("sub-01", "A"), ("sub-01", "B"), ("sub-02", "A"), ("sub-02", "B"))
    ]
    assert [row["external1_effect"] for row in table.rows] == [1, 2, 3, 4]
    assert table.rows[1]["theta2"] == 3
    assert table.columns[3].meaning == "Effect of the external input"


@pytest.mark.parametrize("externals", [0, 1, 3])
def test_measures_are_those_of_points_without_inputs(externals: int) -> None:
    torch.manual_seed(0)
    recipe = Recipe(
        states=2,
        region_parameters=2,
        hidden=6,
        external_inputs=externals,
        amortised=externals > 1,
    )
    model = make_model(recipe, people=2, regions=2, frames=10)
    region, person = THETA.reshape(2, 2, 2), np.zeros((2, 0))
    points = node_fixed_points(model, region, person, levels=(-1.0, 0.0, 1.0), starts=10)
    without = 1, 1 if externals else 0
    own = Responses.of(model, region, person, points, without, -region)
    where = [np.ravel_multi_index((p, r, *without), points.shape) for p in (0, 1) for r in (0, 1)]
    here = np.isin(points.case, where)
    assert here.any()
    index = np.stack(np.unravel_index(points.case[here], points.shape), -1)[:, :2]
    np.testing.assert_array_equal(own.index, index)
    np.testing.assert_array_equal(own.theta, -region[index[:, 0], index[:, 1]])
    largest = points.eigenvalues[here].real.max(axis=1)
    np.testing.assert_array_equal(own.measures["largest_real_part"], largest)
    names = [f"external{number}_effect" for number in range(1, externals + 1)]
    assert list(own.measures) == ["largest_real_part", *names, "network_effect"]
