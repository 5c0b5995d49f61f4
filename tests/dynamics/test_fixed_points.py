"""Fixed points: the field against the original's, searches where the roots are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sip_reference import Reference

from bids_dtg.dynamics.fixed_points import (
    Field,
    FixedPoints,
    find,
    node_field,
    settles,
)
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.recipe import Recipe

RECIPE = Recipe(states=2, region_parameters=1, hidden=6)


@pytest.fixture(params=["AB", "AN"])
def reference(request, shared) -> Reference:
    return Reference.read(shared, request.param)


def _model(seed: int = 0, recipe: Recipe = RECIPE) -> NetworkModel:
    torch.manual_seed(seed)
    return NetworkModel(recipe, people=1, regions=3, frames=10)


def _linear(
    matrix: NDArray, constant: NDArray, of_network: float = 0.0
) -> NetworkModel:
    """f(x) = matrix x + constant + of_network u: two units a state, one for each sign."""
    model = _model(
        recipe=Recipe(states=2, region_parameters=1, hidden=6, external_inputs=0)
    )
    with torch.no_grad():
        for weights in model.transition.parameters():
            weights.zero_()
        hidden, out = model.transition.hidden.weight, model.transition.out
        for unit, sign in enumerate((1.0, -1.0)):
            for row in range(2):
                hidden[2 * unit + row, row] = sign
                out.weight[:, 2 * unit + row] = sign * torch.as_tensor(matrix[:, row])
            hidden[4 + unit, 3] = sign
            out.weight[:, 4 + unit] = sign * of_network
        out.bias.copy_(torch.as_tensor(constant))
    return model


def test_network_field_and_its_jacobian_are_the_originals(reference):
    field = Field(
        reference.model(),
        reference["net_theta"][None],
        np.zeros((1, 1)),
        weights=reference.arrays["w"][1],
    )
    states, case = reference["net_x"].reshape(1, -1).astype(float), np.zeros(1, np.intp)
    np.testing.assert_allclose(
        field.change(states, case)[0], reference["net_f"], atol=1e-5
    )
    jacobian = field.jacobian(states, case)[0]
    np.testing.assert_allclose(jacobian, reference["net_jac"], atol=1e-5)
    eigenvalues = np.linalg.eigvals(jacobian)
    for part in ("real", "imag"):
        sorted_values, expected = (
            np.sort(getattr(v, part)) for v in (eigenvalues, reference["net_eig"])
        )
        np.testing.assert_allclose(sorted_values, expected, atol=1e-4)


def test_node_field_and_its_jacobian_are_the_originals(reference):
    recipe, inputs = reference.recipe, reference["f_in"].astype(float)
    sizes = (recipe.states, recipe.region_parameters, 1, 1)
    states, region, person, network, external = np.split(
        inputs, np.cumsum(sizes), axis=1
    )
    external = external[:, 0] if recipe.external_inputs else np.zeros(len(inputs))
    field = Field(
        reference.model(),
        region[:, None],
        person,
        network=network[:, 0],
        external=external,
    )
    case = np.arange(len(inputs))
    np.testing.assert_allclose(
        field.change(states, case), reference["f_out"], atol=1e-5
    )
    expected = reference["f_jac"][..., : recipe.states]
    np.testing.assert_allclose(field.jacobian(states, case), expected, atol=1e-5)


def test_a_linear_network_has_the_one_fixed_point_that_solves_it():
    matrix, constant = np.diag([-0.5, -0.4]), np.array([0.4, -0.7])
    model = _linear(matrix, constant, of_network=0.3)
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 0.3, (3, 3))
    field = Field(model, np.zeros((2, 3, 1)), np.zeros((2, 0)), weights=weights)
    points = find(field, starts=5, seed=0)
    observation = model.observation.weight.detach().numpy()[0].astype(float)
    whole = np.kron(np.eye(3), matrix) + np.kron(
        weights, np.outer([0.3, 0.3], observation)
    )
    expected = np.linalg.solve(whole, -np.tile(constant, 3))
    assert points.case.tolist() == [0, 1]
    np.testing.assert_allclose(points.states, np.tile(expected, (2, 1)), atol=1e-5)


def _eigenvalues(*values: complex) -> FixedPoints:
    return FixedPoints(
        cases=1,
        case=np.zeros(1, np.intp),
        states=np.zeros((1, len(values))),
        eigenvalues=np.array([values], complex),
    )


@pytest.mark.parametrize(
    ("values", "flow", "of_map", "rotates"),
    [
        ((-0.5, -1.5), True, True, False),
        ((-0.5, -2.5), True, False, False),
        ((-0.5, 0.1), False, False, False),
        ((-0.2 + 0.5j, -0.2 - 0.5j), True, True, True),
        ((-0.1 + 0.9j, -0.1 - 0.9j), True, False, True),
    ],
)
def test_stability_of_the_flow_is_not_that_of_the_map(values, flow, of_map, rotates):
    points = _eigenvalues(*values)
    assert points.stable_flow.tolist() == [flow]
    assert points.stable_map.tolist() == [of_map]
    assert points.rotates.tolist() == [rotates]
    assert points.number(points.stable_flow).tolist() == [int(flow)]


@pytest.mark.parametrize(
    ("matrix", "settled"),
    [
        ([[-2.5, 0.0], [0.0, -0.4]], False),  # oversteps
        ([[-0.01, 0.3], [-0.3, -0.01]], False),  # grows, turning
        ([[-0.012, 0.0], [0.0, -0.4]], True),  # too slow for the first 400 frames
        ([[40.0, 0.0], [0.0, 40.0]], False),  # no number is large enough
    ],
)
def test_networks_settle_where_their_dynamics_do(matrix, settled):
    model = _linear(np.array(matrix), np.array([0.4, -0.7]))
    region, person = np.zeros((1, 3, 1)), np.zeros((1, 0))
    network = Field(model, region, person, weights=np.zeros((3, 3)))
    assert settles(network, seed=0).tolist() == [settled]
    nodes, shape = node_field(model, region, person, levels=(-1.0, 1.0))
    assert shape == (1, 3, 2, 1)
    assert settles(nodes, seed=0).tolist() == [settled] * 6
