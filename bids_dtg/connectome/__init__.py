"""From a run's frames to its connectome in one pass."""

from bids_dtg.connectome.series import roi_series, voxel_to_roi

__all__ = ["roi_series", "voxel_to_roi"]
