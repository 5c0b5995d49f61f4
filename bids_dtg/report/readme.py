"""The README of the output dataset."""

from __future__ import annotations

from typing import Any

from bids_dtg.bundles.card import ModelCard


def readme_text(card: ModelCard[Any]) -> str:
    """Write what a reader of the dataset must know first."""
    warning = "" if card.for_science else "\nThis model is NOT FOR SCIENCE.\n"
    notice = f"\n{card.notice}\n" if card.notice else ""
    return f"""\
Synthetic task-activation maps
==============================

The maps in this dataset are predictions, not measurements: each was computed by the model
{card.name} {card.version} from a person's resting-state fMRI. Nobody performed the tasks.
{warning}{notice}
- sub-*/[ses-*/]func/*_desc-synthetic_statmap.nii.gz: one map for each contrast; its JSON file says
  what it was made from and how.
- *_desc-segmentSpread_statmap.nii.gz: standard deviation over segments of rest.
- *_qc.tsv: quality figures of each run; the JSON file beside it explains the columns.
- logs/CITATION.md: methods text and references.
- logs/<run>/: options, versions, timing and failures of each call of the program.
"""
