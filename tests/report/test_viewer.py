"""What the viewer shows: 8-bit copies of maps, and of overlays that have gaps."""

from __future__ import annotations

import numpy as np

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.viewer import pack

GRID = Grid((4, 3, 2), np.diag([2.0, 2, 2, 1]))


def test_a_copy_has_the_values_and_marks_gaps(tmp_path):
    values = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    path = tmp_path / "copy.nii.gz"
    path.write_bytes(pack(values, GRID))
    step = np.abs(values).max() / 32
    np.testing.assert_allclose(read_volume(path)[0], values, atol=step / 2 * 1.01)
    values[0, 0] = np.nan
    step = np.nanmax(np.abs(values)) / 32
    path.write_bytes(pack(values, GRID))
    found = read_volume(path)[0]
    # No value has so many steps: nobody takes a gap for a width of 0.
    np.testing.assert_allclose(found[0, 0], -128 * step, rtol=1e-5)
    np.testing.assert_allclose(found[1:], values[1:], atol=step / 2 * 1.01)
    path.write_bytes(pack(np.full(GRID.shape, np.nan, np.float32), GRID))
    assert (read_volume(path)[0] == -128).all()
