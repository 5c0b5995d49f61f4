"""Where results come from: whether runs were cleaned as those of the training."""

from __future__ import annotations

import pytest

from bids_dtg.bundles.card import TrainingData
from bids_dtg.participants.origin import cleaning_note

HCP = "HCP minimal preprocessing and multi-run ICA-FIX"
UKB = "UK Biobank's preprocessing with FIX, warped to standard space"


@pytest.mark.parametrize(
    ("told", "input_type", "strategy", "same"),
    [
        ("unknown", "fmriprep", "simple", True),
        ("none needed: connectomes were simulated directly", "hcp", "none", True),
        (HCP, "hcp", "none", True),
        (HCP, "ukb", "none", False),
        (HCP, "hcp", "simple", False),
        (HCP, "fmriprep", "simple", False),
        (UKB, "ukb", "none", True),
        (UKB, "xcpd", "none", False),
        ("fMRIPrep, XCP-D 36P", "xcpd", "none", True),
        ("fMRIPrep and simple of nilearn", "fmriprep", "simple", True),
        ("fMRIPrep and simple of nilearn", "fmriprep", "scrubbing", False),
        ("fMRIPrep and simple of nilearn", "fmriprep", "none", False),
    ],
)
def test_what_differs_is_told(told, input_type, strategy, same):
    note = cleaning_note(TrainingData(cleaning=told), input_type, strategy)
    assert (note is None) == same
    if note:
        assert told in note
