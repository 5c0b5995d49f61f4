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
from bids_dtg.inputs.run import PARCELS, SPACE
from bids_dtg.report.methods import (
    LAST_METHODS,
    find_methods,
    methods_text,
    write_all_methods,
)
from bids_dtg.settings import CleaningOptions, OutputOptions
from bids_dtg.version import __version__

COHORT = TrainingData("a cohort", 0.72, "by FIX", 958)
WIDTHS = SimpleNamespace(people=24, segments=4, left_out_in_turn=False)


def model(
    kind="attention-unet",
    training=COHORT,
    citation="",
    half_widths=None,
    **part: object,
) -> SimpleNamespace:
    """Return what the text says of a bundle; `part` as in its card."""
    card = SimpleNamespace(
        name="mine",
        version="4",
        title="mine 4",
        notice="Ask before use.",
        kind=kind,
        training=training,
        citation=citation,
        part=MapsPart(hcp_contrasts(), **part),
    )
    return SimpleNamespace(
        card=card,
        kind=KINDS[kind],
        part=card.part,
        title=card.title,
        identity="abc123",
        rois=50,
        places=SimpleNamespace(number=158_680),
        contrasts=hcp_contrasts(),
        correction=card.part.recentring,
        half_widths=half_widths,
    )


def markdown_of(
    outputs=None,
    input_type="fmriprep",
    cleaning=None,
    space=SPACE,
    runs=(),
    **change,
) -> str:
    """Return the text of the contrasts; `change` as of the model."""
    cleaning = cleaning or CleaningOptions(denoise_strategy="simple")
    bundle = model(**change)
    return methods_text(
        *(
            methods_of(bundle, outputs or OutputOptions()),
            SimpleNamespace(
                inputs=SimpleNamespace(input_type=input_type), cleaning=cleaning
            ),
        ),
        bundle=bundle,
        space=space,
        grid="the model's grid",
        runs=runs,
        packages={"numpy": "2.0"},
    )


def text_of(**change: object) -> str:
    """Return the text in one line."""
    return " ".join(markdown_of(**change).split())


def cleaned(strategy: str = "simple", **options: str) -> dict[str, CleaningOptions]:
    return {"cleaning": CleaningOptions(denoise_strategy=strategy, **options)}


NONE = cleaned("none")


IN_TURN = SimpleNamespace(**{**vars(WIDTHS), "left_out_in_turn": True})
WHOLE, JOINED = {"segment_seconds": 86_400.0}, {"sample": "session"}
PARTIAL = {"kind": "linear", "connectome": Form("partial", (15, 35))}
AT_VERTICES = "Volumes were interpolated linearly at the vertices of"


def of_parcels(*cortices: str | None, masks=("mask", "mask")) -> dict[str, object]:
    pairs = zip(cortices, masks, strict=False)
    runs = [SimpleNamespace(cortex=cortex, mask=mask) for cortex, mask in pairs]
    return {"space": PARCELS, "runs": runs}


SERIN = "Serin et al. (2025). Generating. https://doi.org/10.1038/s42003-025-09158-6"
# What changes, what the text then has, and what it has not.
ROWS = [
    ({}, f"bids_dtg {__version__}", "censored"),
    ({}, "mine 4 (SHA-256 abc123)", "XCP-D"),
    ({}, "Ask before use.", "t(.95"),
    ({}, "158,680", "ridge"),
    (
        {},
        "the model turned each segment's connectome into 47 contrast maps",
        "each run as a whole",
    ),
    ({}, "done for segments of about 432 s", "nothing"),
    ({}, "4 minutes", "nothing"),
    ({}, "numpy 2.0", "nothing"),
    ({}, "24 motion parameters", "nothing"),
    ({}, "The model has no half-widths", "error in the mean map"),
    ({}, "The model is a three-dimensional attention U-Net", "ridge"),
    ({}, "Oktay, O.", "Tavor, I."),
    ({}, "fMRIPrep derivatives (Esteban et al., 2019)", "Mehta"),
    (
        {},
        "trained on a cohort (958 participants; TR 0.72 s; cleaning: by FIX).",
        "unknown",
    ),
    ({"training": TrainingData("a cohort")}, "trained on a cohort.", "participants;"),
    ({"training": TrainingData()}, "does not name its training data", "a cohort"),
    ({"citation": "Me (2030). Mine."}, "- Me (2030). Mine. (the model)", "nothing"),
    ({"citation": SERIN}, "1572", "(the model)"),
    (cleaned("ica_aroma"), "ICA-AROMA", "motion parameters"),
    (
        cleaned("compcor"),
        "24 motion parameters (where the confounds table has",
        "censored",
    ),
    (
        cleaned("compcor"),
        "cosines (high-pass; where the confounds table has them) were",
        "none",
    ),
    (NONE, "No confounds were removed", "motion parameters"),
    (of_parcels(None), "Runs were read as parcel series.", "vertices"),
    (
        of_parcels("own"),
        f"{AT_VERTICES} the person's own surfaces",
        "half of their deviation",
    ),
    (
        of_parcels("template"),
        "maps have half of their deviation from the",
        "own surfaces",
    ),
    (
        of_parcels("own"),
        "Vertices outside the brain mask or without data were",
        "of runs that have one",
    ),
    (
        of_parcels("own", masks=(None,)),
        "each parcel. Vertices without data were left out",
        "mask",
    ),
    (
        of_parcels("own", "own", masks=("mask", None)),
        "Vertices outside the brain mask of runs that have one, or without data",
        "mask or without",
    ),
    (of_parcels("fsaverage"), "Series on fsaverage's mesh were averaged", "Volumes"),
    (of_parcels("own", "fsaverage"), "fsaverage's sphere.", "read as parcel series"),
    (cleaned(dummy_scans="3"), "The first 3 frames were dropped", "fMRIPrep flagged"),
    (cleaned(interpolation="nearest"), "once, by the nearest voxel", "splines"),
    (
        {"recentring": Recentring(40, 8)},
        "The network's error in the mean map, estimated from 40 participants",
        "left out of the fit in turn",
    ),
    (
        {"kind": "linear", "recentring": Recentring(12, 8)},
        "The linear model's error in the mean map, estimated from 12 participants",
        "network's error",
    ),
    (
        {"recentring": Recentring(6, 8, left_out_in_turn=True)},
        "estimated from its 6 training participants, was subtracted from each map, and each "
        "contrast's deviations from the mean were scaled by one gain, estimated by leaving each of "
        "these people out of the fit in turn",
        "not fitted to",
    ),
    ({"input_type": "xcpd", **NONE}, "Mehta, K., et al.", "steady"),
    (
        {"input_type": "xcpd", **NONE},
        "were read. Frames that XCP-D had flagged for motion were left out. Runs that",
        "censored",
    ),
    ({"input_type": "hcp", **NONE}, "Glasser, M. F.", "nilearn (Abraham"),
    ({"input_type": "ukb", **NONE}, "Alfaro-Almagro, F.", "Esteban"),
    (
        {"outputs": OutputOptions(combine="run")},
        "within each run",
        "within each session",
    ),
    (
        {"kind": "linear"},
        "a linear model that predicts each voxel from its connectivity",
        "Oktay",
    ),
    ({"kind": "linear"}, "Tavor, I.", "attention U-Net"),
    (
        WHOLE,
        "each run as a whole; the model turned each run's connectome into 47",
        "432 s",
    ),
    (WHOLE, "averaged within each session, weighted", "432 s"),
    (JOINED, "all runs of a session together", "were averaged"),
    (
        {**JOINED, "outputs": OutputOptions(combine="participant")},
        "averaged over the sessions of a participant, weighted",
        "within each session",
    ),
    (
        PARTIAL,
        "maps, in sets of 15 and 35 maps that were treated separately, were",
        "Pearson",
    ),
    (PARTIAL, "each divided by its standard deviation over time", "Pearson"),
    (PARTIAL, "regressed on all of them together", "Pearson"),
    (
        {"outputs": OutputOptions(atlases=("Schaefer2018_400", "own"))},
        "parcels of Schaefer2018_400 (Schaefer et al., 2018) and own.",
        "nothing",
    ),
    (
        {"outputs": OutputOptions(atlases=("Schaefer2018_400",))},
        "Schaefer, A., et al.",
        "own.",
    ),
    (
        {"half_widths": WIDTHS},
        "half-widths of 90 % prediction intervals",
        "no half-widths",
    ),
    (
        {"half_widths": WIDTHS},
        "over 24 participants, each predicted from 4 segments",
        "left out of the fit",
    ),
    (
        {"half_widths": IN_TURN},
        "over 24 participants, each left out of the fit and predicted from 4 segments",
        "no half-widths",
    ),
]


@pytest.mark.parametrize(("change", "present", "absent"), ROWS)
def test_the_text_follows_the_options_and_the_model(change, present, absent):
    text = text_of(**change)
    assert present in text
    assert absent not in text


def test_a_set_has_the_text_of_its_own_options(tmp_path):
    dataset = DerivativeDataset(tmp_path)
    dataset.write(LAST_METHODS, b"last")
    assert find_methods(dataset, [{"Methods": "own"}]) == "own"
    assert find_methods(dataset, [{}]) == "last"


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
            " ".join(item.split())
            for item in re.split(r"\n- |\n\n", text.partition("\n- ")[2])
        ]
        assert len(items) > 1
        for item in items:
            assert re.search(r"https://doi\.org/10\.\d{4,5}/\S+$", item), item
    assert "*Communications Biology*, 8, 1572" in " ".join(items)
    assert "https://doi.org/10.1038/s42003-025-09158-6" in " ".join(items)


def made(dataset: DerivativeDataset, title: str, text: str) -> None:
    """Record an average as the participant level does."""
    write_completion(dataset, title, options={}, inputs={}, outputs=[], methods=text)


def test_what_another_job_makes_meanwhile_is_explained(tmp_path, monkeypatch):
    dataset = DerivativeDataset(tmp_path)
    made(dataset, "sub-1", "# Methods\n\nSimply.\n")

    def write_late(path, text):
        if "Otherwise" not in text:
            made(dataset, "sub-2", "# Methods\n\nOtherwise.\n")
        path.write_text(text)

    monkeypatch.setattr("bids_dtg.report.methods.write_text", write_late)
    write_all_methods(dataset, "")
    assert "Otherwise." in (tmp_path / LAST_METHODS).read_text()


def test_the_output_explains_all_sets_in_it_and_no_other(tmp_path):
    dataset = DerivativeDataset(tmp_path)
    first, second = (
        "# Methods\n\nSimply.\n",
        "# Methods\n\nOtherwise.\n\n## References\n\n- A.\n",
    )
    last_methods = tmp_path / LAST_METHODS
    write_all_methods(dataset, "# Methods\n\nPlanned.\n")
    assert "Planned." in last_methods.read_text()
    made(dataset, "sub-1", first)
    write_all_methods(dataset, "")
    assert last_methods.read_text() == first
    made(dataset, "sub-2", second)
    write_all_methods(dataset, "")
    told = last_methods.read_text()
    assert told.startswith("# Methods\n\nThe maps were made in 2 ways.")
    assert told.index("## 1. sub-1") < told.index("Simply.") < told.index("## 2. sub-2")
    assert "### References" in told
    made(dataset, "sub-2", first)  # made anew like the other
    write_all_methods(dataset, "")
    assert last_methods.read_text() == first
