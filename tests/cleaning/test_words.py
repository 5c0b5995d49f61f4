"""The methods text names every choice of cleaning, and works cited have their reference."""

from __future__ import annotations

import re
from itertools import product
from typing import get_args

import pytest

from bids_dtg.cleaning.words import CLEANING_REFERENCES, CleaningFacts, cleaning_text
from bids_dtg.settings import DenoiseStrategy


@pytest.mark.parametrize(
    ("choice", "present", "absent"),
    [
        ({"strategy": "simple"}, "24 motion parameters, the mean signals", "squares"),
        ({"strategy": "simple"}, "fMRIPrep's discrete cosines (high-pass) were removed", "global"),
        ({"strategy": "simple", "gsr": True}, "the global signal and", "its derivative"),
        ({"strategy": "simple", "confound_model": "36P"}, "global signal with its deriv", "gave"),
        ({"strategy": "scrubbing", "fd_threshold": 0.2}, "above 0.2 mm", "0.5 mm"),
        ({"strategy": "compcor"}, "CompCor (Behzadi et al., 2007)", "mean signals"),
        ({"strategy": "ica_aroma"}, "taken away first (non-aggressively)", "motion parameters"),
        (
            {"strategy": "ica_aroma", "aroma_denoising": "aggr"},
            "the noise components of ICA-AROMA (Pruim et al., 2015) and",
            "first",
        ),
        ({"strategy": "none"}, "From these no confounds were removed.", "nilearn"),
        ({"strategy": "none", "custom_confounds": True}, "Further confounds of our own", "no conf"),
        ({"strategy": "simple", "high_pass": 0.01}, "cosines of up to 0.01 Hz", "fMRIPrep's"),
        ({"strategy": "compcor", "high_pass": 0.01}, "fMRIPrep's discrete cosines", "above"),
        ({"strategy": "none", "low_pass": 0.1}, "above 0.1 Hz were removed", "(high-pass)"),
        ({"strategy": "none", "smoothing_fwhm": 6.0}, "Gaussian of 6 mm full width", "nilearn"),
    ],
)
def test_text_follows_the_choice(choice, present, absent):
    facts = CleaningFacts(**{"fd_threshold": 0.5, "std_dvars_threshold": 1.5} | choice)
    text = cleaning_text(facts)
    assert present in text
    assert absent not in text


def test_every_choice_makes_sentences_whose_works_have_references():
    for strategy, model, gsr, limit in product(
        get_args(DenoiseStrategy), ("24P", "36P"), (False, True), (None, 0.1)
    ):
        facts = CleaningFacts(
            strategy, model, gsr, low_pass=limit, fd_threshold=0.5, std_dvars_threshold=1.5
        )
        text = cleaning_text(facts)
        assert text.endswith(".")
        assert all(sentence[0].isupper() for sentence in text.split(". ") if "fMRI" not in sentence)
        for name in re.findall(r"\((\w+) et al\.", text) + re.findall(r"\((\w+), \d{4}\)", text):
            assert name in CLEANING_REFERENCES
