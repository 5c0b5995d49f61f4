"""What is said of the twin's results: methods, and who stands behind a model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bids_dtg.cleaning.words import Lacking
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.methods import MethodsFacts, methods_text
from bids_dtg.settings import CleaningOptions, OutputOptions
from bids_dtg.stats.verdict import NO_EVIDENCE
from bids_dtg.twin.bundle.part import TwinPart
from bids_dtg.twin.panels.words import (
    README,
    TwinMethods,
    methods_of,
    notes_on_average,
)
from bids_dtg.twin.recipe import Recipe
from bids_dtg.twin.tasks import SHIPPED, find_task

FACTS = MethodsFacts(
    version="1.2.3",
    model_name="",
    model_sha256="",
    model_notice="",
    space="MNI152NLin6Asym",
    input_type="fmriprep",
    cleaning=CleaningOptions(denoise_strategy="simple"),
    lacking=Lacking(),
    packages={"numpy": "2.0"},
    grid="a grid of 2 mm",
)
PLAIN = TwinMethods("Schaefer2018_seg-7n_scale-400", 400, 0.5, "session")
MODELLED = replace(
    PLAIN,
    tasks=("faces", "stroop"),
    model=TwinPart(
        "lowrank",
        Recipe(),
        tuple(map(find_task, SHIPPED)),
        79800,
        people=188,
        data_set="a cohort",
        connectome="Fisher z of Pearson r",
    ),
)


def text_of(facts: TwinMethods, **change: object) -> str:
    text = methods_text(replace(FACTS, **change), methods_of(facts, OutputOptions()))
    return " ".join(text.split())


def test_without_a_model_none_is_cited_or_spoken_of():
    text = text_of(PLAIN)
    assert text.startswith("# Methods Connectomes were computed from resting-state fMRI")
    assert "400 parcels of the atlas Schaefer2018_seg-7n_scale-400 (Schaefer et al., 2018)" in text
    assert "Fisher's z of the Pearson correlation" in text
    assert "10.1093/cercor/bhx179" in text
    for word in ("Takahashi", "model", "SHA-256", "predicted", NO_EVIDENCE):
        assert word not in text


def test_with_a_model_the_method_is_cited_and_its_limits_are_said():
    text = text_of(MODELLED, model_name="mine 4", model_sha256="abc")
    for part in (
        "generated from connectomes (Takahashi et al., 2026), and the model mine 4 (SHA-256 abc)",
        "10.34133/bmef.0231",
        "fitted to 188 participants of a cohort",
        "Trials and responses of the tasks faces, stroop were read from event files.",
        "without its responses",
        "predicted by its mean and its likeliest button",
        "is an estimate, not a measurement",
        NO_EVIDENCE,
    ):
        assert part in text


@pytest.mark.parametrize("result", ["model", "evaluation", "folds", "intervention"])
def test_the_readme_lists_the_results_over_people(result):
    (words,) = (part for part in README.split("\n- ") if part.startswith(f"group/{result}-NAME/"))
    assert ("--folds halves" in words) == (result == "folds")


def test_a_set_reports_what_was_left_out_and_the_notes_of_its_model():
    facts = {
        "ExcludedRuns": {"sub-01_run-2": "Too short."},
        "NotForScience": True,
        "ModelNotice": "Of simulated people.",
        "Notes": ["one file cannot be read"],
    }
    flags = [*notes_on_average(RunFiles("sub-01", {}, {}, facts))]
    assert [(flag.level, flag.text) for flag in flags] == [
        ("warning", "The model is not for science"),
        ("warning", "sub-01_run-2 was left out. Too short."),
        ("note", "Of simulated people."),
        ("note", "one file cannot be read"),
    ]
    assert {flag.of for flag in flags} == {"sub-01"}
