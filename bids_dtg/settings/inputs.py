"""Options on what is read and by which model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_dtg.settings.option import option

InputType = Literal["fmriprep", "xcpd", "hcp", "ukb"]
InputChoice = Literal["auto", InputType]


@dataclass(frozen=True)
class InputOptions:
    """What is read, from where, and the model."""

    bids_dir: Path = option(
        "input",
        "a BIDS dataset with derivatives/fmriprep, the folder of fMRIPrep or XCP-D derivatives "
        "itself, or a folder of HCP or UK Biobank participants",
    )
    output_dir: Path = option("input", "where the derivative dataset is written")
    analysis_level: Literal["participant", "group"] = option(
        "input",
        "participant: make maps and reports; group: gather the participants of OUTPUT_DIR in one "
        "table and one page",
    )
    participant_label: tuple[str, ...] = option(
        "selection",
        "participants to process, with or without 'sub-'",
        default=(),
        flags=("--participant-label", "--participant_label"),
        metavar="LABEL",
        shown_default="all",
    )
    session_label: tuple[str, ...] = option(
        "selection",
        "sessions to process, with or without 'ses-'",
        default=(),
        flags=("--session-label", "--session-id"),
        metavar="LABEL",
        shown_default="all",
    )
    task_id: tuple[str, ...] = option(
        "selection",
        "tasks to process",
        default=(),
        flags=("-t", "--task-id", "--task_id"),
        metavar="TASK",
        shown_default="every task whose name begins with 'rest'",
    )
    run: tuple[str, ...] = option(
        "selection", "runs to process", default=(), metavar="RUN", shown_default="all"
    )
    bids_filter_file: Path | None = option(
        "selection",
        'JSON file of pybids filters for the BOLD series, e.g. {"bold": {"acquisition": "mb"}}',
        default=None,
        metavar="FILE",
    )
    derivatives: tuple[str, ...] = option(
        "selection",
        "the fMRIPrep or XCP-D derivatives, where they are not in BIDS_DIR",
        default=(),
        flags=("-d", "--derivatives"),
        metavar="[PACKAGE=]PATH",
        shown_default="BIDS_DIR, or BIDS_DIR/derivatives/fmriprep",
    )
    bids_database_dir: Path | None = option(
        "selection",
        "folder of a pybids database to keep and reuse; pybids is needed for filters only",
        default=None,
        metavar="FOLDER",
        shown_default="one in the work folder, if there is one",
    )
    input_type: InputChoice = option(
        "selection",
        "what BIDS_DIR holds: fMRIPrep or XCP-D derivatives, HCP or UK Biobank folders; "
        "auto: what is found there",
        default="auto",
    )
    space: str | None = option(
        "selection",
        "space of the BOLD series to read: a template, T1w, or boldref for the run's own",
        default=None,
        metavar="SPACE",
        shown_default="of those there, the one that needs the least resampling",
    )
    templateflow_download: bool = option(
        "selection",
        "download transforms between templates that are missing in TemplateFlow's folder",
        default=False,
    )
    model: str = option(
        "model",
        "model bundle: a folder, or the name of an installed one (dtg-models list)",
        default="hcp-ya",
        metavar="PATH|NAME",
    )
