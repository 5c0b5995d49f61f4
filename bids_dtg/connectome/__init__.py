"""Compute a run's connectome from its frames in one pass; no file is opened.

- `design`: the temporal design: frames kept, columns projected out; degrees of freedom left
- `form`: what a value of a connectome says: of an ROI alone, or of all together
- `passes`: one pass over a run's blocks, whatever is added up; the carpet that it leaves
- `moments`: the sums that one pass over a run adds up
- `connectome`: connectomes of a run, its segments and its halves, by algebra on these sums; the
  same for arrays: `roi_series`, `voxel_to_roi`
- `parcels`: mean series of an atlas' parcels, cleaned, their correlations and edges
- `checks`: whether the model is for a run, and the limits of its figures
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids_dtg.connectome.connectome import roi_series, voxel_to_roi

__all__ = ["roi_series", "voxel_to_roi"]


def __getattr__(name: str) -> Any:
    # The package must not import NumPy: --help needs the names in its module `form`.
    if name in __all__:
        from bids_dtg.connectome import connectome

        return getattr(connectome, name)
    raise AttributeError(f"module 'bids_dtg.connectome' has no attribute {name!r}")
