"""Simple models that networks are compared with, imported from `bids_dtg.stats.linear`."""

from bids_dtg.stats.linear import LinearBaseline, ParcelLinearBaseline, roi_parcels

__all__ = ["LinearBaseline", "ParcelLinearBaseline", "roi_parcels"]
