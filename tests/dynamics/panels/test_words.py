"""What is said of results: the dataset's description by the model, methods, notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_dtg.cleaning.words import Lacking
from bids_dtg.dynamics.bundle.linear import LinearPart
from bids_dtg.dynamics.panels import figures
from bids_dtg.dynamics.panels.words import (
    NetworkMethods,
    dataset_words,
    methods_of,
    missing,
    notes_on_run,
    subtitle,
)
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.methods import MethodsFacts, methods_text
from bids_dtg.settings import CleaningOptions, OutputOptions

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
PLAIN = NetworkMethods("Schaefer2018_seg-7n_scale-400", 400, 0.5)
MODELLED = replace(
    PLAIN,
    structural="a matrix of each participant",
    core=LinearPart(
        regions=400,
        people=30,
        data_set="a cohort",
        frames=300,
        tr_seconds=0.5,
        order=2,
        process_shrinkage=3600.0,
        connectivity_shrinkage=720.0,
    ),
)


@pytest.mark.parametrize(
    ("kind", "cited", "not_said"),
    [
        (None, ("bids_dtg, version",), ("Sip", "Mejia", "structural connectomes; ")),
        ("linear-dynamics", ("Lütkepohl", "Mejia"), ("Sip", "same equation")),
        ("network-model", ("Sip V",), ("Mejia", "vector autoregression whose")),
    ],
)
def test_an_output_is_described_by_the_model_that_made_it(kind, cited, not_said):
    words = dataset_words(kind, "SIMULATED people: not for science")
    assert words.name == "Dynamics of resting-state activity (bids_dtg)"
    for text in cited:
        assert text in words.citation
    for text in not_said:
        assert text not in words.citation
        assert text not in words.readme
    assert "\nSIMULATED people: not for science.\n" in words.readme


def text_of(facts: NetworkMethods, **change: object) -> str:
    text = methods_text(replace(FACTS, **change), methods_of(facts, OutputOptions()))
    return " ".join(text.split())


def test_without_a_model_none_is_cited_or_spoken_of():
    text = text_of(PLAIN)
    assert "400 parcels of the atlas Schaefer2018_seg-7n_scale-400 (Schaefer et al., 2018)" in text
    assert "less than 50% of their voxels" in text
    assert "in MNI152NLin6Asym space on a grid of 2 mm were sampled" in text
    for word in ("Sip", "model", "SHA-256", "simulated", "Structural", "filled"):
        assert word not in text


def test_with_a_model_the_method_is_cited_and_its_gaps_are_said():
    text = text_of(MODELLED, model_name="mine 4", model_sha256="abc")
    for part in (
        "shrunk to that of training people, and the model mine 4 (SHA-256 abc)",
        "fitted to 30 participants of a cohort",
        "more than 30% of their frames left out, or fewer than 60 frames",
        "shrinkage as in Mejia et al., 2018",
        "Yule-Walker equations (Lütkepohl, 2005)",
        "- Lütkepohl H (2005)",
        "- Mejia AF",
        "read from a matrix of each participant and divided by its largest weight",
        "counted as much as 1800 s of the run",
    ):
        assert part in text


def test_what_is_missing_is_said_in_a_line():
    assert missing(RunFiles("run", {}, {figures.EFFECTIVE: Path("none")})) == ""
    said = "No effective connectivity: no model was given (--model)."
    assert missing(RunFiles("run", {}, {})) == said


def test_what_sidecars_note_is_said():
    notice = "SIMULATED people: not for science"
    facts = {"CleaningNote": "Cleaned otherwise.", "Notes": ["A note."]}
    facts |= {"DataNotice": notice, "ModelNotice": notice, "NotForScience": True}
    flags = [*notes_on_run(RunFiles("run", {}, {}, facts))]
    assert [(flag.level, flag.text) for flag in flags] == [
        ("warning", notice),
        ("warning", "Cleaned otherwise."),
        ("note", "A note."),
    ]


def test_somebody_without_series_is_said_to_have_none():
    assert subtitle(ParticipantFiles("01", (), ())) == "No series."
