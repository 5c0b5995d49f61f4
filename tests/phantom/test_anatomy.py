from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.imaging.nifti import read_volume
from bids_dtg.phantom.anatomy import SmoothField, load_anatomy, model_grid


def test_the_model_grid_is_the_published_one():
    grid = model_grid()
    assert (grid.shape, grid.resolution) == ((76, 93, 78), "2")
    expected = [[-2, 0, 0, 76], [0, 2, 0, -108], [0, 0, 2, -72], [0, 0, 0, 1]]
    np.testing.assert_array_equal(grid.affine, expected)


@pytest.mark.parametrize(
    ("block", "shape"), [(2, (38, 47, 39)), (3, (26, 31, 26)), (4, (19, 24, 20))]
)
def test_blocks_are_centred_on_their_voxels(block, shape):
    grid, fine = model_grid(block), model_grid()
    assert grid.shape == shape
    members = fine.affine[:3, :3] @ np.full(3, (block - 1) / 2) + fine.affine[:3, 3]
    np.testing.assert_allclose(grid.affine[:3, 3], members)


def test_tissues_are_nested_and_of_about_the_published_size():
    anatomy = load_anatomy()
    assert abs(int(anatomy.brain.sum()) / 235_375 - 1) < 0.01
    assert abs(int(anatomy.grey.sum()) / 158_680 - 1) < 0.05
    for tissue in (anatomy.grey, anatomy.white, anatomy.fluid):
        assert tissue.any()
        assert not (tissue & ~anatomy.brain).any()
    assert not (anatomy.grey & anatomy.white).any()
    np.testing.assert_array_equal(
        np.flatnonzero(anatomy.brain.ravel())[anatomy.grey_in_brain],
        np.flatnonzero(anatomy.grey.ravel()),
    )


def test_the_brain_lies_where_the_published_one_does(shared):
    published, affine = read_volume(
        shared / "data" / "mni" / "MNI_2mm_brain_mask_crop.nii"
    )
    np.testing.assert_allclose(affine, model_grid().affine)
    ours, theirs = load_anatomy().brain, published > 0
    assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.99


def test_a_block_of_8_mm_is_grey_where_half_of_it_is():
    fine, coarse = load_anatomy(1), load_anatomy(4)
    # The first 72, 92 and 76 voxels make complete blocks.
    blocks = fine.grey[:72, :92, :76].reshape(18, 4, 23, 4, 19, 4).sum(axis=(1, 3, 5))
    np.testing.assert_array_equal(
        coarse.grey[:18, :23, :19], (blocks >= 32) & coarse.brain[:18, :23, :19]
    )


def test_fields_are_the_kernel_s_sum_over_the_lattice():
    grid, lattice = model_grid(2), model_grid(4)
    field = SmoothField.on(grid, 12.0)
    noise = field.noise(np.random.default_rng(0), 2)
    fields = field.spread(noise)
    nodes = (
        np.argwhere(np.ones(lattice.shape)) @ lattice.affine[:3, :3].T
        + lattice.affine[:3, 3]
    )
    sd = 12.0 / np.sqrt(8 * np.log(2))
    for voxel in [(0, 0, 0), (17, 20, 11), (37, 46, 38)]:
        position = grid.affine[:3, :3] @ voxel + grid.affine[:3, 3]
        weights = np.exp(-((nodes - position) ** 2).sum(axis=1) / (2 * sd**2))
        expected = noise.reshape(2, -1) @ (weights / np.linalg.norm(weights))
        np.testing.assert_allclose(
            fields[(slice(None), *voxel)], expected, rtol=1e-3, atol=1e-5
        )


def test_a_field_is_the_same_at_coarser_voxels():
    fine, coarse = (SmoothField.on(model_grid(block), 10.0) for block in (1, 3))
    noise = fine.noise(np.random.default_rng(1), 1)
    # Blocks of 3 are centred on their middle voxel; the last block of k lies past the grid.
    sampled = fine.spread(noise)[:, 1::3, 1::3, 1::3]
    seen = coarse.spread(noise)[
        :, : sampled.shape[1], : sampled.shape[2], : sampled.shape[3]
    ]
    np.testing.assert_allclose(seen, sampled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fwhm_mm", [7.0, 16.0])
def test_the_variance_is_1_everywhere(fwhm_mm):
    field = SmoothField.on(model_grid(4), fwhm_mm)
    drawn = field.draw(np.random.default_rng(2), 400)
    assert abs(float(drawn.var()) - 1) < 0.01
    assert (
        abs(float(drawn[:, 0, 0, 0].var()) - 1) < 0.3
    )  # a corner: sd of its variance 0.07
