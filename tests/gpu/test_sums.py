"""Sums on a device against whole arrays in float64."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_devices import DEVICES
from plain_route import plain_connectome

from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.device import TorchArrays
from bids_dtg.connectome.moments import RunVoxels, measure_run

FRAMES, VOXELS, GREY, ROIS = 120, 9_000, 6_000, 5


@pytest.fixture(scope="module")
def run() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BOLD (frames, voxels), ROI maps (rois, voxels) and confounds (frames, columns)."""
    rng = np.random.default_rng(0)
    maps = rng.random((ROIS, VOXELS)).astype(np.float32)
    bold = 1000 + rng.standard_normal((FRAMES, ROIS)) @ maps + rng.standard_normal((FRAMES, VOXELS))
    return bold.astype(np.float32), maps, rng.standard_normal((FRAMES, 4)).cumsum(axis=0)


def connectome(bold, maps, confounds, device) -> np.ndarray:
    """(rois, grey-matter voxels) of the whole run; voxels are summed on the device."""
    design = TemporalDesign.build(confounds, list("abcd"), np.ones(FRAMES, bool), 10.0)

    def blocks():
        for first in range(0, FRAMES, 32):
            yield first, bold[first : first + 32].copy()

    voxels = RunVoxels(maps, GREY, np.ones(VOXELS, bool))
    return run_connectomes(measure_run(blocks, design, voxels, arrays=TorchArrays(device))).whole.r


@pytest.mark.parametrize("device", DEVICES)
def test_connectomes_are_those_of_whole_arrays_in_float64(run, device):
    bold, maps, confounds = run
    expected = plain_connectome(bold, maps, confounds)[:, :GREY]
    found = connectome(bold, maps, confounds, device)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_voxel_that_is_not_finite_in_a_late_frame_is_left_out(run, device):
    bold, maps, confounds = run
    spoiled = bold.copy()
    spoiled[100, 17] = np.nan
    found = connectome(spoiled, maps, confounds, device)
    assert not found[:, 17].any()
    others = np.arange(GREY) != 17
    whole = connectome(bold, maps, confounds, device)
    np.testing.assert_allclose(found[:, others], whole[:, others], rtol=0, atol=0.01)


@pytest.mark.gpu
def test_sums_stay_in_float64_where_tf32_is_allowed(run):
    import torch

    bold, maps, confounds = run
    torch.set_float32_matmul_precision("medium")
    try:
        found = connectome(bold, maps, confounds, "cuda")
    finally:
        torch.set_float32_matmul_precision("highest")
    expected = plain_connectome(bold, maps, confounds)[:, :GREY]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
