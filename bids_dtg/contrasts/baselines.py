"""Simple models that every network is compared with; `bids_dtg.stats.linear` defines them."""

from bids_dtg.stats.linear import LinearBaseline, ParcelLinearBaseline, roi_parcels

__all__ = ["LinearBaseline", "ParcelLinearBaseline", "roi_parcels"]
