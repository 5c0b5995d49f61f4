"""Scores of predicted maps against measured ones, imported from `bids_dtg.stats.metrics`."""

from bids_dtg.stats.metrics import correlation_matrix, diagonality, dice_auc

__all__ = ["correlation_matrix", "diagonality", "dice_auc"]
