"""The methods text names what was run, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bids_dtg.bundles.kinds import KINDS
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.contrasts import methods_words
from bids_dtg.report.methods import (
    MethodsFacts,
    find_methods,
    methods_path,
    methods_text,
    parse_markdown,
)
from bids_dtg.settings import CleaningOptions

FACTS = MethodsFacts(
    version="1.2.3",
    model_name="mine 4",
    model_sha256="abc123",
    model_notice="Ask before use.",
    space="MNI152NLin6Asym",
    input_type="fmriprep",
    cleaning=CleaningOptions(denoise_strategy="simple"),
    packages={"numpy": "2.0"},
)
OWN = {
    "kind": "attention-unet",
    "n_rois": 50,
    "n_voxels": 158_680,
    "n_contrasts": 47,
    "segment_seconds": 432.0,
    "combine": "session",
    "recentred": False,
}


def text_of(**change: object) -> str:
    """Return the text of the contrasts in one line, with other facts or words of their own."""
    own = {key: change.pop(key, value) for key, value in OWN.items()}
    return " ".join(methods_text(replace(FACTS, **change), methods_words(**own)).split())


def test_facts_are_named():
    text = text_of()
    for part in ("1.2.3", "mine 4", "abc123", "Ask before use.", "158,680", "47 contrast maps"):
        assert part in text
    assert "432 s" in text
    assert "4 minutes" in text
    assert "numpy 2.0" in text


def cleaned(strategy: str = "simple", **options: str) -> dict[str, CleaningOptions]:
    return {"cleaning": CleaningOptions(denoise_strategy=strategy, **options)}


NONE = cleaned("none")


@pytest.mark.parametrize(
    ("change", "present", "absent"),
    [
        ({}, "24 motion parameters", "censored"),
        (NONE, "no confounds were removed", "motion parameters"),
        (cleaned(dummy_scans="3"), "The first 3 frames were dropped", "fMRIPrep flagged"),
        ({"recentred": True}, "error in the mean map", "nothing"),
        ({}, "fMRIPrep derivatives (Esteban et al., 2019)", "XCP-D"),
        ({"input_type": "xcpd", **NONE}, "Mehta, K., et al.", "flagged"),
        (
            {"input_type": "hcp", **NONE},
            "Glasser, M. F.",
            "nilearn (Abraham",
        ),
        ({"input_type": "ukb", **NONE}, "Alfaro-Almagro, F.", "Esteban"),
        (cleaned(interpolation="nearest"), "once, by the nearest voxel", "linear"),
        ({"combine": "run"}, "within each run", "within each session"),
    ],
)
def test_text_follows_the_options(change, present, absent):
    text = text_of(**change)
    assert present in text
    assert absent not in text


def test_blocks_of_markdown():
    text = "# Methods\n\nOne\ntwo.\n\n## References\n\n- A. *Title*,\n  1.\n- B.\n"
    assert parse_markdown(text) == [
        ("paragraph", "One two."),
        ("heading", "References"),
        ("list", ["A. Title, 1.", "B."]),
    ]


def test_a_set_has_the_text_of_its_own_options(tmp_path):
    dataset = DerivativeDataset(tmp_path)
    for path, text in ((methods_path("a" * 64), "own"), ("logs/CITATION.md", "last")):
        dataset.write(path, text.encode())
    assert find_methods(dataset, [{"OptionsSHA256": "a" * 64}]) == "own"
    assert find_methods(dataset, [{"OptionsSHA256": "b" * 64}]) == "last"
    assert find_methods(dataset, [{"OptionsSHA256": "../../etc"}]) == "last"


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_model_is_named_in_its_own_words(kind):
    text = text_of(kind=kind, recentred=True)
    assert f"{KINDS[kind].words.model} turned each segment's connectome" in text
    assert f"{KINDS[kind].words.owner} error in the mean map" in text
