"""Compute a run's connectome from its frames in one pass; no file is opened.

- `design`: the temporal design: frames kept, columns projected out
- `form`: what a value of a connectome says: of an ROI alone, or of all together
- `passes`: one pass over a run's blocks, whatever is added up
- `carpet`: values of some voxels over a run, as they pass by
- `moments`: the sums that one pass over a run adds up
- `connectome`: connectomes of a run, its segments and its halves, by algebra on these sums; runs
  that are joined
- `series`: the same for arrays: `roi_series`, `voxel_to_roi`
- `parcels`: mean series of an atlas' parcels, cleaned, and their correlations
- `edges`: those of connectomes between parcels: above the diagonal, Fisher z, averaged over runs
- `effective_dof`: effective degrees of freedom of cleaned series; a segment's weight in an average
- `checks`: whether the model is for a run, and the limits of its figures
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids_dtg.connectome.series import roi_series, voxel_to_roi

__all__ = ["roi_series", "voxel_to_roi"]


def __getattr__(name: str) -> Any:
    # The package must not import NumPy: --help needs the names in its module `form`.
    if name in __all__:
        from bids_dtg.connectome import series

        return getattr(series, name)
    raise AttributeError(f"module 'bids_dtg.connectome' has no attribute {name!r}")
