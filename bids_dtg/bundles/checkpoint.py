"""Published checkpoints: the public name of `bids_dtg.contrasts.bundle.checkpoint`.

It is the only module below the slices that imports one, and does so when a name is used (PEP 562).
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from bids_dtg.contrasts.bundle import checkpoint

    return getattr(checkpoint, name)
