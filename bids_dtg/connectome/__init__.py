"""Compute a run's connectome from its frames in one pass; no file is opened.

- `design`: the temporal design: frames kept, columns projected out, residual degrees of freedom
- `form`: marginal or partial: whether a value relates a voxel to one ROI or to all ROIs together
- `passes`: one pass over a run's blocks, for any kind of sums; the carpet plot
- `moments`: the sums that one pass over a run computes
- `connectome`: connectomes of a run, its segments and its halves, computed from these sums; the
  same for arrays: `roi_series`, `voxel_to_roi`
- `parcels`: cleaned mean time series of an atlas's parcels, their correlations and edges
- `hemispheres`: places compared with their mirror places in the other hemisphere
- `quality`: a metric of a run: its meaning, and the limits of its usual values
- `checks`: whether a run suits the model, by these limits
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_dtg.first_use import at_first_use

if TYPE_CHECKING:
    from bids_dtg.connectome.connectome import roi_series, voxel_to_roi

__all__ = ["roi_series", "voxel_to_roi"]


# --help needs the names in the module `form` and must not import NumPy.
__getattr__ = at_first_use(__name__, dict.fromkeys(__all__, "connectome"))
