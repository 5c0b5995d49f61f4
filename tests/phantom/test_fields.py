from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.imaging.grid import Grid
from bids_dtg.phantom.anatomy import model_grid
from bids_dtg.phantom.fields import SmoothField


def test_fields_are_the_kernel_s_sum_over_the_lattice():
    grid, lattice = model_grid(2), model_grid(4)
    field = SmoothField.on(grid, 12.0)
    noise = field.noise(np.random.default_rng(0), 2)
    fields = field.spread(noise)
    nodes = np.argwhere(np.ones(lattice.shape)) @ lattice.affine[:3, :3].T + lattice.affine[:3, 3]
    sd = 12.0 / np.sqrt(8 * np.log(2))
    for voxel in [(0, 0, 0), (17, 20, 11), (37, 46, 38)]:
        position = grid.affine[:3, :3] @ voxel + grid.affine[:3, 3]
        weights = np.exp(-((nodes - position) ** 2).sum(axis=1) / (2 * sd**2))
        expected = noise.reshape(2, -1) @ (weights / np.linalg.norm(weights))
        np.testing.assert_allclose(fields[(slice(None), *voxel)], expected, rtol=1e-3, atol=1e-5)


def test_a_field_is_the_same_at_coarser_voxels():
    fine, coarse = (SmoothField.on(model_grid(block), 10.0) for block in (1, 3))
    noise = fine.noise(np.random.default_rng(1), 1)
    # Blocks of 3 are centred on their middle voxel; the last block of k lies past the grid.
    sampled = fine.spread(noise)[:, 1::3, 1::3, 1::3]
    seen = coarse.spread(noise)[:, : sampled.shape[1], : sampled.shape[2], : sampled.shape[3]]
    np.testing.assert_allclose(seen, sampled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fwhm_mm", [7.0, 16.0])
def test_the_variance_is_1_everywhere(fwhm_mm):
    field = SmoothField.on(model_grid(4), fwhm_mm)
    drawn = field.draw(np.random.default_rng(2), 400)
    assert abs(float(drawn.var()) - 1) < 0.01
    assert abs(float(drawn[:, 0, 0, 0].var()) - 1) < 0.3  # a corner: sd of its variance 0.07


def test_rotated_grids_are_refused():
    affine = np.array([[0.0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    with pytest.raises(ValueError, match="no rotations"):
        SmoothField.on(Grid((4, 4, 4), affine), 8.0)
