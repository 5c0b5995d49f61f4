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
