from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.phantom.structure import Foci, condition_parts, network_maps
from bids_dtg.contrasts.phantom.tasks import condition_list
from bids_dtg.phantom.anatomy import load_anatomy, model_grid


def test_foci_keep_their_distance_and_lie_in_grey_matter(phantom):
    foci, anatomy = phantom.structure.foci, load_anatomy()
    first = foci.centre_mm[:50]
    apart = np.linalg.norm(first[:, None] - first[None, :], axis=2)[np.triu_indices(50, k=1)]
    assert apart.min() >= 16
    voxels = (first - anatomy.grid.affine[:3, 3]) / np.diagonal(anatomy.grid.affine)[:3]
    assert anatomy.grey[tuple(np.rint(voxels).astype(int).T)].all()


def test_six_in_ten_networks_are_mirrored_and_half_have_a_distant_focus(phantom):
    foci = phantom.structure.foci
    assert list(foci.network[:50]) == list(range(50))
    mirrored, distant = foci.network[50:80], foci.network[80:]
    assert (len(set(mirrored)), len(set(distant))) == (30, 25)
    np.testing.assert_allclose(foci.centre_mm[50:80], foci.centre_mm[mirrored] * [-1, 1, 1])
    np.testing.assert_allclose(foci.height[50:80], 0.9)
    assert foci.height[80:].min() > 0.6
    assert foci.height[80:].max() < 0.9


def test_foci_do_not_depend_on_the_voxels():
    # A sum of Gaussians by the definition, at voxels of 6 mm.
    foci = Foci(
        network=np.array([0, 1, 0]),
        centre_mm=np.array([[10.0, -20, 30], [0, 0, 0], [-40, 5, 8]]),
        height=np.array([1.0, 1.0, 0.7]),
        width_mm=np.array([9.0, 14.0]),
    )
    grid, mask = model_grid(3), load_anatomy(3).grey
    shift, extent, strength = np.eye(3) * 4, np.array([0.1, -0.2]), np.array([0.3, 0.0])
    maps = network_maps(foci, grid, mask, shift_mm=shift, log_extent=extent, log_strength=strength)
    mm = np.argwhere(mask) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    expected = np.zeros((2, len(mm)))
    for f, k in enumerate(foci.network):
        squared = ((mm - foci.centre_mm[f] - shift[f]) ** 2).sum(axis=1)
        width = foci.width_mm[k] * np.exp(extent[k])
        height = foci.height[f] * np.exp(strength[k])
        expected[k] += height * np.exp(-squared / (2 * width**2))
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_conditions_share_what_the_parameters_say():
    parts, density = condition_parts(PhantomParameters())
    column = {key: n for n, key in enumerate(condition_list())}
    assert parts.shape == (24, len(density))

    def shared(one, other):
        return float(parts[column[one]] @ parts[column[other]])

    common, task, own = 0.8**2, 0.6**2, 0.7**2
    math = ("LANGUAGE", "MATH")
    assert shared(math, math) == pytest.approx(common + task + own)
    assert shared(math, ("LANGUAGE", "STORY")) == pytest.approx(common + task)
    assert shared(math, ("SOCIAL", "TOM")) == pytest.approx(common)
    assert shared(math, ("MOTOR", "T")) == pytest.approx(0.35 * common)
    two_back = ("WM", "2BK_FACE")
    assert shared(two_back, ("WM", "0BK_FACE")) == pytest.approx(common + task + own / 2)
    assert shared(two_back, ("WM", "0BK_BODY")) == pytest.approx(common + task)
    same = 1 - PhantomParameters().gambling_difference ** 2
    reward = shared(("GAMBLING", "PUNISH"), ("GAMBLING", "REWARD"))
    assert reward == pytest.approx(common + task + own * same)


def test_pairs_are_the_networks_that_overlap_most(phantom):
    pairs, maps = phantom.structure.pairs, phantom.roi_maps
    assert len({tuple(pair) for pair in pairs}) == 60
    unit = maps / np.linalg.norm(maps, axis=1, keepdims=True)
    overlap = unit @ unit.T
    chosen = overlap[pairs[:, 0], pairs[:, 1]]
    rest = np.triu(overlap, k=1)
    rest[pairs[:, 0], pairs[:, 1]] = 0
    # Grey matter cuts the Gaussians, so that order is kept on the whole only.
    assert np.median(chosen) > np.quantile(rest[rest > 0], 0.98)
