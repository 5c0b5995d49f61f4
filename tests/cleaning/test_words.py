"""The methods text names every choice of cleaning, and works cited have their reference."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from bids_dtg.cleaning.strategies import STRATEGIES, cleaning_text, cleaning_words
from bids_dtg.settings import CleaningOptions


@pytest.mark.parametrize(
    ("strategy", "choice", "present", "absent"),
    [
        ("simple", {}, "24 motion parameters, the mean signals", "squares"),
        ("simple", {}, "fMRIPrep's discrete cosines (high-pass; where", "global"),
        ("simple", {"gsr": True}, "the global signal and", "its derivative"),
        ("36p", {}, "global signal with its deriv", "gave"),
        ("scrubbing", {"fd_threshold": 0.2}, "above 0.2 mm", "0.5 mm"),
        ("compcor", {}, "CompCor (Behzadi et al., 2007)", "mean signals"),
        ("ica_aroma", {}, "taken away first (non-aggressively)", "motion parameters"),
        ("none", {}, "From these no confounds were removed.", "nilearn"),
        ("none", {"custom_confounds": Path("own")}, "Further confounds of our own", "no conf"),
        ("simple", {"high_pass": 0.01}, "cosines of up to 0.01 Hz", "fMRIPrep's"),
        ("compcor", {"high_pass": 0.01}, "fMRIPrep's discrete cosines", "above"),
        ("none", {"low_pass": 0.1}, "above 0.1 Hz were removed", "(high-pass)"),
        ("none", {"smoothing_fwhm": 6.0}, "Gaussian of 6 mm full width", "nilearn"),
    ],
)
def test_text_follows_the_choice(strategy, choice, present, absent):
    text = cleaning_text(CleaningOptions(denoise_strategy=strategy, **choice))
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
            assert name in cleaning_words()["references"]
