"""Whether runs were cleaned as those that a model was trained on."""

from __future__ import annotations

import re

from bids_dtg.bundles.card import TrainingData
from bids_dtg.settings import DenoiseStrategy, InputChoice

# How the runs of each type of input were made, before any cleaning here.
_MADE: dict[InputChoice, str] = {
    "auto": "preprocessed by fMRIPrep",
    "fmriprep": "preprocessed by fMRIPrep",
    "xcpd": "cleaned by XCP-D",
    "hcp": "cleaned by HCP's minimal preprocessing and ICA-FIX",
    "ukb": "cleaned by UK Biobank's preprocessing and ICA-FIX",
}
# Words in a card's text that mean the same cleaning.
_SAME: dict[InputChoice, str] = {
    "xcpd": r"XCP.?D",
    "hcp": r"HCP.*FIX",
    "ukb": r"(UK ?Biobank|UKB).*FIX",
}
# Cards that say nothing, or whose model has seen no run at all.
_SILENT = ("", "unknown", "none")


def cleaning_note(
    training: TrainingData, input_type: InputChoice, strategy: DenoiseStrategy
) -> str | None:
    """Say where runs were cleaned otherwise than those of the training; None where not.

    A card tells the training's cleaning in words, so words are compared: what is
    not known to be the same is told.

    Parameters
    ----------
    training
        Of the model's card.
    input_type
        Type of the runs.
    strategy
        What was removed from them here.
    """
    told = training.cleaning.strip()
    if re.split(r"\W", told.lower())[0] in _SILENT:
        return None
    if strategy == "none":
        same = _SAME.get(input_type)
        if same and re.search(same, told, re.IGNORECASE):
            return None
    elif input_type in ("auto", "fmriprep") and re.search(
        rf"fMRIPrep.*\b{strategy}\b", told, re.IGNORECASE
    ):
        return None
    here = _MADE[input_type] + (f" and here by {strategy}" if strategy != "none" else "")
    return f"The model was trained on runs cleaned otherwise ({told}); these were {here}."
