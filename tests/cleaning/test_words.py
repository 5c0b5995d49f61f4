"""The methods text names every choice of cleaning, and works cited have their reference."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from bids_dtg.cleaning.strategies import STRATEGIES
from bids_dtg.cleaning.words import CLEANING_REFERENCES, cleaning_text
from bids_dtg.settings import CleaningOptions


@pytest.mark.parametrize(
    ("choice", "present", "absent"),
    [
        ({"denoise_strategy": "simple"}, "24 motion parameters, the mean signals", "squares"),
        (
            {"denoise_strategy": "simple"},
            "fMRIPrep's discrete cosines (high-pass) were removed",
            "global",
        ),
        ({"denoise_strategy": "simple", "gsr": True}, "the global signal and", "its derivative"),
        (
            {"denoise_strategy": "36p"},
            "global signal with its deriv",
            "gave",
        ),
        ({"denoise_strategy": "scrubbing", "fd_threshold": 0.2}, "above 0.2 mm", "0.5 mm"),
        ({"denoise_strategy": "compcor"}, "CompCor (Behzadi et al., 2007)", "mean signals"),
        (
            {"denoise_strategy": "ica_aroma"},
            "taken away first (non-aggressively)",
            "motion parameters",
        ),
        ({"denoise_strategy": "none"}, "From these no confounds were removed.", "nilearn"),
        (
            {"denoise_strategy": "none", "custom_confounds": Path("own")},
            "Further confounds of our own",
            "no conf",
        ),
        (
            {"denoise_strategy": "simple", "high_pass": 0.01},
            "cosines of up to 0.01 Hz",
            "fMRIPrep's",
        ),
        (
            {"denoise_strategy": "compcor", "high_pass": 0.01},
            "fMRIPrep's discrete cosines",
            "above",
        ),
        ({"denoise_strategy": "none", "low_pass": 0.1}, "above 0.1 Hz were removed", "(high-pass)"),
        (
            {"denoise_strategy": "none", "smoothing_fwhm": 6.0},
            "Gaussian of 6 mm full width",
            "nilearn",
        ),
    ],
)
def test_text_follows_the_choice(choice, present, absent):
    text = cleaning_text(CleaningOptions(**choice))
    assert present in text
    assert absent not in text


def test_every_choice_makes_sentences_whose_works_have_references():
    for strategy, gsr, limit in product(STRATEGIES, (False, True), (None, 0.1)):
        options = CleaningOptions(denoise_strategy=strategy, gsr=gsr, low_pass=limit)
        text = cleaning_text(options)
        assert text.endswith(".")
        begun = [sentence for sentence in text.split(". ") if sentence[0].islower()]
        assert all(sentence.startswith("fMRIPrep's") for sentence in begun)
        for name in re.findall(r"\((\w+) et al\.", text) + re.findall(r"\((\w+), \d{4}\)", text):
            assert name in CLEANING_REFERENCES
