"""What is said of the network model's results: methods, quality figures, notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_dtg.cleaning.words import Lacking
from bids_dtg.dynamics.panels import figures
from bids_dtg.dynamics.panels.words import (
    LinearCore,
    NetworkMethods,
    methods_of,
    missing,
    notes_on_run,
    subtitle,
)
from bids_dtg.files.names import FileKind
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
    core=LinearCore(400, 30, "a cohort", 2, 1800.0),
)


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
        "read from a matrix of each participant and divided by its largest weight",
        "counted as much as 1800 s of the run; the process follows",
    ):
        assert part in text


def files_of(*kinds: FileKind) -> dict[FileKind, Path]:
    return {kind: Path("none") for kind in kinds}


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ((), "No effective connectivity: there is no model."),
        ((figures.EFFECTIVE,), ""),
    ],
)
def test_what_is_missing_is_said_in_a_line(kinds, said):
    run = RunFiles("run", {"not_modelled": "there is no model."}, files_of(*kinds))
    assert missing(run) == said


def test_what_sidecars_note_is_said():
    facts = {"CleaningNote": "Cleaned otherwise.", "Notes": ["A note."]}
    flags = [*notes_on_run(RunFiles("run", {}, {}, facts))]
    assert [(flag.level, flag.text) for flag in flags] == [
        ("warning", "Cleaned otherwise."),
        ("note", "A note."),
    ]


def test_somebody_without_series_is_said_to_have_none():
    assert subtitle(ParticipantFiles("01", (), ())) == "No series."
