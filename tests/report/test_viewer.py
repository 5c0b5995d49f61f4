"""What the viewer shows: 8-bit copies of maps, and of overlays with gaps."""

from __future__ import annotations

import hashlib

import numpy as np

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.viewer import LIBRARY_VERSION, pack, vendored

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
    volume = read_volume(path)[0]
    # No value has so many steps: nobody takes a gap for a width of 0.
    np.testing.assert_allclose(volume[0, 0], -128 * step, rtol=1e-5)
    np.testing.assert_allclose(volume[1:], values[1:], atol=step / 2 * 1.01)
    path.write_bytes(pack(np.full(GRID.shape, np.nan, np.float32), GRID))
    assert (read_volume(path)[0] == -128).all()


def test_the_library_is_unchanged():
    told = vendored("README.md").decode()
    assert hashlib.sha256(vendored("niivue.umd.js")).hexdigest() in told
    assert f"NiiVue {LIBRARY_VERSION}," in told
    assert b"BSD 2-Clause" in vendored("LICENSE")


def test_packages_in_the_library_have_their_notices():
    notices = vendored("NOTICES").decode()
    # Each in the file itself, by a name that its minifier keeps.
    library = vendored("niivue.umd.js")
    for package, trace in {
        "fflate": b"invalid distance",
        "nifti-reader-js": b"getQformMat",
        "zarrita": b"zarr.json",
        "c-blosc": b"blosclz",
        "Zstandard": b"zstd",
        "LZ4": b"lz4",
        "Snappy": b"snappy",
    }.items():
        assert trace in library, package
        assert package in notices
