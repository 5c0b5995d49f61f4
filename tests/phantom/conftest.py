from __future__ import annotations

import pytest

from bids_dtg.phantom.model import Phantom


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """Return the frozen phantom at 8 mm."""
    return Phantom(block=4)
