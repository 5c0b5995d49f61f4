"""Flags and verdicts that a page shows first."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bids_dtg.contrasts.panels.presentation import PRESENTATION
from bids_dtg.notices import NO_MASK, SAME_SIDES
from bids_dtg.report.contents import AverageFiles, MapFile, ParticipantFiles, RunFiles
from bids_dtg.report.flags import Flag, flags_of, level_of, run_flags
from bids_dtg.report.quality import METRICS

GOOD = {
    "minutes_kept": "9.5",
    "fd_mean": "0.1",
    "coverage": "0.99",
    "roi_coverage_min": "0.95",
    "tsnr_median": "60",
    "connectome_reliability": "0.5",
    "frames": "300",
    "frames_kept": "290",
}


def files(
    quality: dict[str, str] = GOOD, sidecar: dict | None = None
) -> ParticipantFiles:
    run = RunFiles("sub-01_task-rest", quality, {})
    map_file = MapFile("motorT", Path("m"), sidecar or {})
    average = AverageFiles(
        "sub-01_task-rest", (map_file,), (run.title,), {}, map_file.sidecar
    )
    return ParticipantFiles("01", (average,), (run,))


def flagged(files: ParticipantFiles, failures: dict[str, str]) -> tuple[Flag, ...]:
    of_runs = run_flags(files, failures, PRESENTATION.quality_columns)
    return flags_of(files, of_runs, PRESENTATION.notes(files))


def levels(flags) -> list[str]:
    return [flag.level for flag in flags]


def test_a_good_run_has_one_good_word():
    assert levels(flagged(files(), {})) == ["good"]


@pytest.mark.parametrize(
    ("column", "value", "level"),
    [
        ("fd_mean", "0.3", "warning"),
        ("fd_mean", "0.6", "problem"),
        ("coverage", "0.9", "warning"),
        ("coverage", "0.8", "problem"),
        ("connectome_reliability", "0.1", "problem"),
        ("minutes_kept", "5", "warning"),
        ("frames_kept", "200", "warning"),
        ("frames_kept", "100", "problem"),
    ],
)
def test_a_figure_beyond_its_limit_is_flagged(column, value, level):
    (flag,) = flagged(files(GOOD | {column: value}), {})
    assert flag.level == level
    assert flag.of == "sub-01_task-rest"


@pytest.mark.parametrize(
    ("note", "level"), [(NO_MASK, "warning"), (SAME_SIDES, "problem")]
)
def test_a_note_that_matters_is_flagged_once_on_its_page_and_on_the_index(note, level):
    notes = {"Run": "sub-01_task-rest", "Notes": [note, "The header says 3 frames."]}
    participant = files(sidecar={"Runs": [notes]})
    participant = replace(
        participant, runs=(replace(participant.runs[0], facts=notes),)
    )
    wanted = Flag(level, note, "sub-01_task-rest")
    assert flagged(participant, {}) == (
        wanted,
        Flag("note", notes["Notes"][1], "sub-01_task-rest"),
    )
    assert run_flags(participant, {}, PRESENTATION.quality_columns) == (wanted,)


def test_what_is_not_known_is_not_flagged():
    (verdict,) = flagged(files(dict.fromkeys(GOOD, "n/a")), {})
    assert verdict.level == "note"
    assert verdict.text.startswith("Motion unknown: ")
    assert levels(flagged(files({}), {})) == ["good"]
    sidecar = {"Intervals": False}
    assert flagged(files(GOOD | {"fd_mean": "n/a"}, sidecar), {})[0] == verdict
    assert levels(
        flagged(files(GOOD | {"fd_mean": "n/a", "tsnr_median": "20"}), {})
    ) == ["warning"]


def test_failures_come_first_and_models_that_are_not_for_science_are_named():
    sidecar = {"NotForScience": True, "ModelNotice": "Not for science."}
    flags = flagged(
        files(sidecar=sidecar), {"reading sub-01_task-rest_run-2": "it is empty"}
    )
    assert levels(flags) == ["failed", "warning"]
    assert "it is empty" in flags[0].text
    assert flags[0].of == "while reading sub-01_task-rest_run-2"
    assert flags[1].text == "Not for science."


FLAGGED = {
    column.name: column for column in PRESENTATION.quality_columns if column.flag
}


@pytest.mark.parametrize("limit", FLAGGED.values(), ids=FLAGGED)
def test_every_flagged_figure_has_limits_that_are_part_of_what_they_limit(limit):
    worse = -1e-3 if limit.low_is_bad else 1e-3
    values = (limit.unusual - worse, limit.unusual, limit.outside)
    assert [level_of(limit, value) for value in values] == [None, "warning", "problem"]


@pytest.mark.parametrize(
    ("verdict", "level"), [("unusual", "warning"), ("outside", "problem")]
)
def test_a_run_that_the_model_is_not_for_is_flagged_once_with_its_reasons(
    verdict, level
):
    judged = {
        "training_distribution": verdict,
        "training_distribution_reasons": "80% of the grey matter has signal",
    }
    (flag,) = flagged(files(GOOD | {"coverage": "0.8"} | judged), {})
    assert flag.level == level
    assert verdict in flag.text
    assert flag.text.endswith("80% of the grey matter has signal")
    good = GOOD | {
        "training_distribution": "inside",
        "training_distribution_reasons": "n/a",
    }
    assert levels(flagged(files(good), {})) == ["good"]


def test_maps_of_a_model_without_half_widths_are_named():
    flags = flagged(files(sidecar={"Intervals": False}), {})
    assert any("no half-widths" in flag.text and flag.level == "note" for flag in flags)
    assert levels(flagged(files(sidecar={"Intervals": True}), {})) == ["good"]


PARTIAL = (
    "degrees of freedom beyond the ROIs, if the model reads the [partial form]"
    "(../explanation/cleaning.md#two-forms-of-the-connectome)"
)


def test_the_docs_have_the_limits_of_the_table():
    text = (Path(__file__).parents[2] / "docs/reference/reports.md").read_text()
    rows = [
        line.strip("| ").split(" | ")
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    documented = {
        name: [number_in(cell) for cell in cells] for name, *cells in rows[1:]
    }
    names = {
        "minutes of rest left": "minutes_kept",
        PARTIAL: "dof_beyond_rois",
        "frames kept": "kept_share",
        "mean framewise displacement": "fd_mean",
        "grey matter with signal": "coverage",
        "lowest coverage of an ROI map": "roi_coverage_min",
        "temporal signal-to-noise": "tsnr_median",
        "agreement between the halves": "connectome_reliability",
    }
    for name, figure in names.items():
        limit = (METRICS | FLAGGED)[figure]
        assert documented[name] == [limit.unusual, limit.outside], name


def number_in(cell: str) -> float:
    """Return the number in a cell, a percentage as a share."""
    (number,) = re.findall(r"\d+(?:\.\d+)?", cell)
    return float(number) / (100 if "%" in cell else 1)
