"""The methods text names what was run, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bids_dtg.cleaning.words import CleaningFacts
from bids_dtg.report.methods import MethodsFacts, methods_text

FACTS = MethodsFacts(
    version="1.2.3",
    model_name="mine 4",
    model_sha256="abc123",
    model_notice="Ask before use.",
    n_rois=50,
    n_voxels=158_680,
    n_contrasts=47,
    space="MNI152NLin6Asym",
    segment_seconds=432.0,
    input_type="fmriprep",
    interpolation="linear",
    cleaning=CleaningFacts("simple", fd_threshold=0.5, std_dvars_threshold=1.5),
    dummy_scans="auto",
    min_minutes=4.0,
    combine="session",
    recentred=False,
    packages={"numpy": "2.0"},
)


def test_facts_are_named():
    text = " ".join(methods_text(FACTS).split())
    for part in ("1.2.3", "mine 4", "abc123", "Ask before use.", "158,680", "47 contrast maps"):
        assert part in text
    assert "432 s" in text
    assert "4 minutes" in text
    assert "numpy 2.0" in text


NONE = CleaningFacts("none")


@pytest.mark.parametrize(
    ("change", "present", "absent"),
    [
        ({}, "24 motion parameters", "censored"),
        ({"cleaning": NONE}, "no confounds were removed", "motion parameters"),
        ({"dummy_scans": "3"}, "The first 3 frames were dropped", "fMRIPrep flagged"),
        ({"recentred": True}, "error in the mean map", "nothing"),
        ({}, "fMRIPrep derivatives (Esteban et al., 2019)", "XCP-D"),
        ({"input_type": "xcpd", "cleaning": NONE}, "Mehta, K., et al.", "flagged"),
        (
            {"input_type": "hcp", "cleaning": NONE},
            "Glasser, M. F.",
            "nilearn (Abraham",
        ),
        ({"input_type": "ukb", "cleaning": NONE}, "Alfaro-Almagro, F.", "Esteban"),
        ({"interpolation": "nearest"}, "once, by the nearest voxel", "linear"),
        ({"combine": "run"}, "within each run", "within each session"),
    ],
)
def test_text_follows_the_options(change, present, absent):
    text = " ".join(methods_text(replace(FACTS, **change)).split())
    assert present in text
    assert absent not in text
