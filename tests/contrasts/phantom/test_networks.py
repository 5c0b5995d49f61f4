from __future__ import annotations

import numpy as np

from bids_dtg.contrasts.phantom.model import Foci, network_maps
from bids_dtg.phantom.anatomy import load_anatomy, model_grid


def test_foci_do_not_depend_on_the_voxels():
    # A sum of Gaussians by the definition, at voxels of 6 mm.
    foci = Foci(
        network=np.array([0, 1, 0]),
        centre_mm=np.array([[10.0, -20, 30], [0, 0, 0], [-40, 5, 8]]),
        height=np.array([1.0, 1.0, 0.7]),
        width_mm=np.array([9.0, 14.0]),
    )
    grid, mask = model_grid(3), load_anatomy(3).grey
    shift = np.eye(3) * 4
    extent = np.array([0.1, -0.2])
    strength = np.array([0.3, 0.0])
    maps = network_maps(
        foci, grid, mask, shift_mm=shift, log_extent=extent, log_strength=strength
    )
    mm = np.argwhere(mask) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    expected = np.zeros((2, len(mm)))
    for f, k in enumerate(foci.network):
        squared = ((mm - foci.centre_mm[f] - shift[f]) ** 2).sum(axis=1)
        width = foci.width_mm[k] * np.exp(extent[k])
        height = foci.height[f] * np.exp(strength[k])
        expected[k] += height * np.exp(-squared / (2 * width**2))
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
