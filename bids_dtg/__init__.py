"""Synthetic task-activation maps from resting-state fMRI, as a BIDS-App.

Imports point one way: command line, workflows, report, bundles, contrasts,
phantom, connectome, imaging, bids, settings, errors. Files are opened in
`bids`, `imaging`, `bundles`, `report` and `configuration` only; everything
between works on arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bids_dtg.version import __version__

__all__ = ["__version__", "load_bundle"]

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import load_bundle


def __getattr__(name: str) -> Any:
    # PEP 562: `import bids_dtg` must not cost the import of nibabel and pandas.
    if name == "load_bundle":
        from bids_dtg.bundles.bundle import load_bundle

        return load_bundle
    raise AttributeError(f"module 'bids_dtg' has no attribute {name!r}")
