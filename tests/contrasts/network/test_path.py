"""Contributions along a path: they add up, are exact derivatives, and leave alone what is equal."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from bids_dtg.contrasts.explanation import Areas
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.path import PathContributions
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.contrasts.network.unet import AttentionUNet

ROIS, CONTRASTS = 4, 3
MASK = np.zeros((9, 8, 10), bool)
MASK[1:-1, 1:-1, 1:-1] = True
PLACES = int(MASK.sum())
AREAS = Areas(np.random.default_rng(5).integers(-1, ROIS, PLACES).astype(np.int32), ROIS)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return AttentionUNet(ROIS, CONTRASTS, features=4).eval()


def prepared(network, report=pytest.fail):
    return prepare(Parameters.of(network), MASK, threads=1, report=report)


def ends(step=0.1, seed=0):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(ROIS, PLACES)).astype(np.float32)
    return start + np.float32(step) * rng.normal(size=start.shape).astype(np.float32), start


@pytest.mark.parametrize("step", [0.01, 0.1])
def test_contributions_add_up_to_the_difference_of_maps(network, step):
    model, (connectome, start) = prepared(network), ends(step)
    found = model.path_contributions(connectome, start, AREAS)
    assert found.shape == (CONTRASTS, ROIS, ROIS)
    difference = AREAS.means(model.predict(connectome) - model.predict(start))
    np.testing.assert_allclose(found.sum(axis=1), difference, atol=1e-5)


def test_each_column_has_its_own_derivative(network):
    """Of a step so short that the network is linear in it; derivatives by the chain rule."""
    connectome, start = ends(1e-3)
    found = prepared(network).path_contributions(connectome, start, AREAS)
    grid = torch.zeros(1, ROIS, *MASK.shape)
    grid[0][:, torch.from_numpy(MASK)] = torch.from_numpy((connectome + start) / 2)
    grid.requires_grad_()
    maps = network(grid)[0][:, torch.from_numpy(MASK)]
    weights = torch.from_numpy(AREAS.weights.toarray().astype(np.float32))
    means = maps @ weights
    expected = np.empty(found.shape)
    for contrast, area in np.ndindex(CONTRASTS, ROIS):
        (slope,) = torch.autograd.grad(means[contrast, area], grid, retain_graph=True)
        slope = slope[0][:, torch.from_numpy(MASK)].numpy()
        expected[contrast, :, area] = (slope * (connectome - start)).sum(axis=1)
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_a_column_that_is_equal_at_both_ends_contributes_nothing(network):
    connectome, start = ends()
    connectome[2] = start[2]
    found = prepared(network).path_contributions(connectome, start, AREAS)
    assert (found[:, 2] == 0).all()
    assert (found[:, [0, 1, 3]] != 0).all()
    assert (prepared(network).path_contributions(start, start, AREAS) == 0).all()


def test_columns_one_by_one_are_the_same(network):
    connectome, start = ends()
    path = PathContributions(Parameters.of(network), MASK, "cpu", pytest.fail)
    assert path.at_once >= ROIS
    together = path(connectome, start, AREAS, points=8)
    path.at_once = 1
    np.testing.assert_allclose(
        path(connectome, start, AREAS, points=8), together, rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
def test_more_points_change_contributions_by_a_few_percent(network):
    connectome, start = ends()
    model = prepared(network)
    found = model.path_contributions(connectome, start, AREAS)
    surer = model.path_contributions(connectome, start, AREAS, points=96)
    np.testing.assert_allclose(found, surer, atol=0.03 * np.abs(surer).max())


@pytest.mark.slow
def test_uncertain_contributions_are_reported(network):
    """Of a network whose attention turns over within a thousandth of the way, at each voxel."""
    connectome, start = ends(5.0)
    steep = copy.deepcopy(network)
    score, halfway = steep.attention_gates[-1].psi[0], []
    hook = score.register_forward_hook(lambda _layer, _read, found: halfway.append(found))
    grid = torch.zeros(1, ROIS, *MASK.shape)
    grid[0][:, torch.from_numpy(MASK)] = torch.from_numpy((connectome + start) / 2)
    with torch.no_grad():
        steep(grid)
        hook.remove()
        score.bias.copy_(1e5 * (score.bias - halfway[0].mean()))
        score.weight.mul_(1e5)
    lines = []
    prepared(steep, lines.append).path_contributions(connectome, start, AREAS)
    assert len(lines) == 1
    assert "% of a contrast's largest deviation" in lines[0]
