"""The viewer's library is the one that its README names."""

from __future__ import annotations

import hashlib

from bids_dtg.report.pages.page import vendored
from bids_dtg.report.viewer import LIBRARY_VERSION


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
