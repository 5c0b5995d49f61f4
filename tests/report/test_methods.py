"""The methods text names what was run, and nothing else."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from bids_dtg.bundles.card import TrainingData
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.bundle.part import MapsPart, Recentring
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.panels.presentation import methods_of
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.provenance import write_completion
from bids_dtg.report.methods import (
    LAST_METHODS,
    find_methods,
    keep_methods,
    methods_path,
    methods_text,
    write_all_methods,
)
from bids_dtg.settings import CleaningOptions, OutputOptions
from bids_dtg.version import __version__

COHORT = TrainingData("a cohort", 0.72, "by FIX", 958)
WIDTHS = SimpleNamespace(people=24, segments=4, left_out_in_turn=False)


def model(
    kind="attention-unet", training=COHORT, citation="", half_widths=None, **part: object
) -> SimpleNamespace:
    """Return what the text says of a bundle; `part` as in its card."""
    card = SimpleNamespace(
        name="mine",
        version="4",
        notice="Ask before use.",
        kind=kind,
        training=training,
        citation=citation,
        part=MapsPart(hcp_contrasts(), **part),
    )
    return SimpleNamespace(
        card=card,
        identity="abc123",
        rois=50,
        places=SimpleNamespace(number=158_680),
        contrasts=hcp_contrasts(),
        correction=card.part.recentring,
        half_widths=half_widths,
    )


def markdown_of(outputs=None, input_type="fmriprep", cleaning=None, **change) -> str:
    """Return the text of the contrasts; `change` as of the model."""
    cleaning = cleaning or CleaningOptions(denoise_strategy="simple")
    made = model(**change)
    return methods_text(
        *(
            methods_of(made, outputs or OutputOptions()),
            SimpleNamespace(inputs=SimpleNamespace(input_type=input_type), cleaning=cleaning),
        ),
        bundle=made,
        space="MNI152NLin6Asym",
        grid="the model's grid",
        packages={"numpy": "2.0"},
    )


def text_of(**change: object) -> str:
    """Return the text in one line."""
    return " ".join(markdown_of(**change).split())


def test_facts_are_named():
    text = text_of()
    for part in (
        __version__,
        "mine 4 (SHA-256 abc123)",
        "Ask before use.",
        "158,680",
        "47 contrast maps",
    ):
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
        ({}, "no half-widths", "error in the mean map"),
        (
            {"cleaning": CleaningOptions(denoise_strategy="ica_aroma")},
            "ICA-AROMA",
            "motion parameters",
        ),
        (NONE, "no confounds were removed", "motion parameters"),
        (cleaned(dummy_scans="3"), "The first 3 frames were dropped", "fMRIPrep flagged"),
        (
            {"recentring": Recentring(40, 8)},
            "error in the mean map, found in 40 participants",
            "nothing",
        ),
        (
            {"recentring": Recentring(6, 8, left_out_in_turn=True)},
            "found in its 6 training participants, was subtracted from each map, and each "
            "contrast's deviations were scaled by one gain, found in the same people, each left "
            "out of the fit in turn",
            "not fitted to",
        ),
        ({}, "fMRIPrep derivatives (Esteban et al., 2019)", "XCP-D"),
        ({"input_type": "xcpd", **NONE}, "Mehta, K., et al.", "steady"),
        (
            {"input_type": "xcpd", **NONE},
            "had denoised. Frames that XCP-D had flagged for motion were left out. Runs that",
            "censored",
        ),
        (
            {"input_type": "hcp", **NONE},
            "Glasser, M. F.",
            "nilearn (Abraham",
        ),
        ({"input_type": "ukb", **NONE}, "Alfaro-Almagro, F.", "Esteban"),
        (cleaned(interpolation="nearest"), "once, by the nearest voxel", "splines"),
        ({"outputs": OutputOptions(combine="run")}, "within each run", "within each session"),
    ],
)
def test_text_follows_the_options(change, present, absent):
    text = text_of(**change)
    assert present in text
    assert absent not in text


def test_a_set_has_the_text_of_its_own_options(tmp_path):
    dataset = DerivativeDataset(tmp_path)
    for path, text in ((methods_path("a" * 64), "own"), (LAST_METHODS, "last")):
        dataset.write(path, text.encode())
    assert find_methods(dataset, [{"Methods": str(methods_path("a" * 64))}]) == "own"
    assert find_methods(dataset, [{}]) == "last"
    assert find_methods(dataset, [{"Methods": "../../etc/passwd"}]) == "last"


OWN_WORDS = {
    "attention-unet": ("a three-dimensional attention U-Net", "Oktay, O.", "ridge"),
    "linear": (
        "a linear model of each voxel's connectome, with the same",
        "Tavor, I.",
        "U-Net",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_model_is_named_in_words_that_are_its_own(kind):
    text = text_of(kind=kind, recentring=Recentring(12, 8))
    named, cited, foreign = OWN_WORDS[kind]
    assert f"The model is {named}" in text
    assert cited in text
    assert foreign not in text.replace("Attention U-Net: learning", "")
    owner = {"attention-unet": "The network's", "linear": "The linear model's"}[kind]
    assert f"{owner} error in the mean map, found in 12 participants" in text


def test_the_text_says_what_a_connectome_is_of():
    assert "done for segments of about 432 s; the model turned each segment's" in text_of()
    whole = text_of(segment_seconds=86_400.0)
    assert "each run as a whole; the model turned each run's connectome into 47" in whole
    assert "averaged within each session, weighted" in whole
    joined = text_of(sample="session")
    assert "all runs of a session together" in joined
    assert "were averaged" not in joined
    everything = text_of(sample="session", outputs=OutputOptions(combine="participant"))
    assert "averaged over the sessions of a participant, weighted" in everything
    partial = text_of(kind="linear", connectome=Form("partial", (15, 35)))
    assert "maps, of 15 and 35 maps each solved by itself, were" in partial
    assert "each divided by its standard deviation in time" in partial
    assert "regressed on all of them together" in partial


def test_regions_are_named():
    text = text_of(outputs=OutputOptions(atlases=("Schaefer2018_400", "own")))
    assert "parcels of Schaefer2018_400 (Schaefer et al., 2018) and own." in text
    assert "Schaefer, A., et al." in text


def test_training_data_are_named_as_the_bundle_knows_them():
    assert "trained on a cohort (958 participants; 0.72 s a frame; cleaning: by FIX)." in text_of()
    assert "trained on a cohort." in text_of(training=TrainingData("a cohort"))
    assert "does not name its training data" in text_of(training=TrainingData())


def test_intervals_are_described_where_a_model_has_them_and_only_there():
    with_them = text_of(half_widths=WIDTHS)
    assert "half-widths of 90 % prediction intervals" in with_them
    assert "the 24 participants behind them, each predicted from 4 segments" in with_them
    in_turn = text_of(half_widths=SimpleNamespace(**{**vars(WIDTHS), "left_out_in_turn": True}))
    assert "behind them, each left out of the fit and predicted from 4 segments" in in_turn
    without = text_of()
    assert "carries no half-widths" in without
    assert "t(.95" not in without


def test_what_tables_may_lack_is_said_to_be_removed_where_they_have_it():
    where = "where the table of confounds has them)"
    text = text_of(cleaning=CleaningOptions(denoise_strategy="compcor"))
    assert f"24 motion parameters ({where}, the comp" in text
    assert f"discrete cosines (high-pass; {where} were" in text


def test_every_reference_has_an_address_that_is_whole():
    everything = (
        markdown_of(kind=kind, half_widths=WIDTHS, **change)
        for kind in KINDS
        for change in (
            {},
            {"input_type": "xcpd"},
            {"input_type": "hcp"},
            {"input_type": "ukb"},
            cleaned("scrubbing", low_pass=0.1),
            cleaned("compcor"),
            cleaned("ica_aroma"),
        )
    )
    for text in everything:
        items = [
            " ".join(item.split()) for item in re.split(r"\n- |\n\n", text.partition("\n- ")[2])
        ]
        assert len(items) > 1
        for item in items:
            assert re.search(r"https://doi\.org/10\.\d{4,5}/\S+$", item), item
    assert "*Communications Biology*, 8, 1572" in " ".join(items)
    assert "https://doi.org/10.1038/s42003-025-09158-6" in " ".join(items)


def test_who_asks_to_be_cited_otherwise_is():
    assert "- Me (2030). Mine. (the model)" in text_of(citation="Me (2030). Mine.")
    paper = "Serin et al. (2025). Generating. https://doi.org/10.1038/s42003-025-09158-6"
    assert "(the model)" not in text_of(citation=paper)


def made(dataset: DerivativeDataset, title: str, text: str) -> None:
    """Record an average as the participant level does."""
    path = methods_path(title[-1] * 64)
    keep_methods(dataset, path, text)
    write_completion(dataset, title, options={}, inputs={}, outputs=[], methods=path)


def test_the_output_explains_all_sets_in_it_and_no_other(tmp_path):
    dataset = DerivativeDataset(tmp_path)
    first, second = "# Methods\n\nSimply.\n", "# Methods\n\nOtherwise.\n\n## References\n\n- A.\n"
    kept = tmp_path / LAST_METHODS
    write_all_methods(dataset, "# Methods\n\nPlanned.\n")
    assert "Planned." in kept.read_text()
    made(dataset, "sub-1", first)
    write_all_methods(dataset, "")
    assert kept.read_text() == first
    made(dataset, "sub-2", second)
    write_all_methods(dataset, "")
    told = kept.read_text()
    assert told.startswith("# Methods\n\nThe maps were made in 2 ways.")
    assert told.index("## 1. sub-1") < told.index("Simply.") < told.index("## 2. sub-2")
    assert "### References" in told
    made(dataset, "sub-2", first)  # made anew like the other
    write_all_methods(dataset, "")
    assert kept.read_text() == first
