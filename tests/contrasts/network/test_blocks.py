import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from torch.nn import functional as F

from bids_dtg.contrasts.network.blocks import (
    BlockConv,
    BlockUpscale,
    RowResize,
    Window,
    block_maxima,
    conv_blocks,
    dilated,
    doubled,
    masked_field,
    open_workers,
    pooled_field,
    resize_reads,
    upscale_blocks,
    upscale_reads,
)

SHAPE = (7, 10, 9)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def table_of(grid, mask):
    """Rows of a (1, c, i, j, k) grid inside the mask, and the row of zeros."""
    rows = grid[0].numpy()[:, mask].T
    return np.concatenate([rows, np.zeros((1, rows.shape[1]), np.float32)])


def masked_grid(rng, mask, channels=3):
    grid = torch.from_numpy(rng.normal(size=(1, channels, *mask.shape)).astype(np.float32))
    return grid * torch.from_numpy(mask)


def read(table, field, wanted):
    return table[field.index[wanted]].T


def window_on(table):
    window = Window(len(table) - 1, table.shape[1])
    missing = window.move(range(len(table) - 1))
    window.at(missing)[:] = table[:-1]
    return window


def convolution(conv):
    return conv.weight.numpy(), conv.bias.numpy()


def inside(grid, wanted):
    return grid[0].numpy()[:, wanted]


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@torch.inference_mode()
def test_block_convolution_and_maxima_equal_those_of_the_grid(rng):
    mask, wanted = rng.random(SHAPE) < 0.4, rng.random(SHAPE) < 0.5
    wanted[:4, :4] = True
    conv, grid = torch.nn.Conv3d(3, 4, 3, padding=1), masked_grid(rng, mask)
    blocks = conv_blocks(masked_field(mask), wanted, size=7)
    with open_workers(2) as workers:
        table = BlockConv(*convolution(conv))(table_of(grid, mask), blocks, workers)
        pooled = block_maxima(table, blocks, workers)
    dense = torch.relu(conv(grid))
    found = read(table, blocks.field, wanted)
    assert_close(found, inside(dense, wanted))

    field = pooled_field(blocks, wanted)
    whole = field.index < field.count
    cropped = wanted[:6, :, :8].reshape(3, 2, 5, 2, 4, 2)
    np.testing.assert_array_equal(whole, cropped.all(axis=(1, 3, 5)))
    assert not table[-1].any()
    assert not pooled[-1].any()
    found = read(pooled, field, whole)
    assert_close(found, inside(F.max_pool3d(dense, 2), whole))


def test_constant_far_from_the_mask_is_computed_once():
    mask = np.zeros((40, 40, 40), bool)
    mask[20, 20, 20] = True
    blocks = conv_blocks(masked_field(mask), np.ones_like(mask), size=64)
    assert blocks.count == 8 + 1


@torch.inference_mode()
def test_block_upscaling_equals_that_of_the_grid(rng):
    mask = rng.random(SHAPE) < 0.4
    wanted = rng.random(tuple(2 * n + 1 for n in SHAPE)) < 0.3
    conv, grid = torch.nn.ConvTranspose3d(3, 4, 3, stride=2), masked_grid(rng, mask)
    blocks = upscale_blocks(masked_field(mask), wanted, size=50)
    upscale, count = BlockUpscale(*convolution(conv)), blocks.field.count
    window, whole = Window(count, 4), np.zeros((count + 1, 4), np.float32)
    half = blocks.rows(len(blocks.reads) // 2).start
    with open_workers(2) as workers:
        for rows, missing in ((range(half), range(half)), (range(400, count), range(half, count))):
            assert window.move(rows) == missing
            upscale(table_of(grid, mask), blocks, window, missing, workers)
            assert not window.rows[-1].any()
            whole[rows.start : rows.stop] = window.at(rows)
    assert_close(read(whole, blocks.field, wanted), inside(conv(grid), wanted))


@pytest.mark.parametrize("target", [(6, 10, 8), (7, 11, 9), (14, 5, 9), (7, 10, 9)])
def test_resize_of_rows_equals_torch(rng, target):
    wanted = rng.random(target) < 0.4
    grid = masked_grid(rng, np.ones(SHAPE, bool), channels=4)
    needed = resize_reads(wanted, SHAPE)
    resize = RowResize(masked_field(needed), wanted)
    out = np.empty((np.count_nonzero(wanted), 4), np.float32)
    room = np.empty(8 * out.size, np.float32)
    source = window_on(table_of(grid, needed))
    resize.into(out[:5], source, 0, room)
    resize.into(out[5:], source, 5, room)
    dense = F.interpolate(grid, size=target, mode="trilinear")
    assert_close(out.T, inside(dense, wanted))


def test_voxels_that_layers_read(rng):
    wanted = rng.random(SHAPE) < 0.1
    np.testing.assert_array_equal(dilated(wanted), binary_dilation(wanted, np.ones((3, 3, 3))))

    pooled = rng.random((3, 5, 4)) < 0.3
    grid = torch.from_numpy(doubled(pooled, SHAPE).astype(np.float32))[None]
    np.testing.assert_array_equal(F.max_pool3d(grid, 2)[0].numpy() > 0, pooled)
    assert grid.sum() == 8 * pooled.sum()

    upscaled = rng.random(tuple(2 * n + 1 for n in SHAPE)) < 0.02
    adjoint = F.conv3d(
        torch.from_numpy(upscaled.astype(np.float32))[None, None],
        torch.ones(1, 1, 3, 3, 3),
        stride=2,
    )
    np.testing.assert_array_equal(upscale_reads(upscaled), adjoint[0, 0].numpy() > 0)


def test_a_window_keeps_the_rows_that_are_wanted_again():
    table = np.arange(40, dtype=np.float32).reshape(20, 2) + 1
    window, written = Window(8, 2), []
    for wanted in (range(3, 9), range(5, 13), range(6, 10), range(2, 4), range(15, 20)):
        missing = window.move(wanted)
        written.append(len(missing))
        window.at(missing)[:] = table[missing.start : missing.stop]
        np.testing.assert_array_equal(window.rows[:-1], table[wanted.start : wanted.stop])
        assert not window.rows[-1].any()
    assert written == [6, 4, 0, 2, 5]
