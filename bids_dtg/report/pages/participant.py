"""The report of one participant, made from what the output folder holds."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bids_dtg.connectome.range.limits import LIMITS
from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import open_foreign, parse_json
from bids_dtg.files.text import write_text
from bids_dtg.report.contents import RunFiles, SetFiles, find_participant
from bids_dtg.report.flags import Flag, FlagCount, Level, flags_of, level_of, own_flags
from bids_dtg.report.inclusion import Inclusion, page_facts, read_inclusion
from bids_dtg.report.methods import find_methods, parse_markdown
from bids_dtg.report.pages.page import render
from bids_dtg.report.panels.background import of_participant
from bids_dtg.report.panels.panel import Canvas, Figure, Panel, Section
from bids_dtg.report.quality import QualityColumn, number
from bids_dtg.report.viewer import remove_others
from bids_dtg.report.workflows import workflow_of

# Figures of runs that stand beside those of the model's training, by their column.
_BESIDE_MODEL = {"repetition_time": ("Repetition time", "s"), "voxel_size": ("Voxel size", "mm")}
_DIGITS_SHOWN = 12  # of hashes
# Where a page says how many flags it has, within so many characters of its beginning.
_FLAGS, _HEAD = re.compile("<meta name=\"bids-dtg-flags\" content='([^']*)'>"), 4096
_LONGEST_WORST = 300
_MISSING = (
    "Some figures are missing: this run was processed by a version of the program, or with "
    "options, that did not keep what they are drawn from."
)


@dataclass(frozen=True)
class KeyFigure:
    """A number of the summary."""

    title: str
    value: str
    unit: str = ""
    level: Level | None = None
    beside: str = ""  # what it is to be compared with


@dataclass(frozen=True)
class PanelOnPage:
    """A panel with what it shows of a run."""

    name: str  # of its anchor
    title: str
    figure: Figure


@dataclass(frozen=True)
class PanelGroup:
    """Panels that follow each other."""

    beside: bool  # whether they stand beside each other
    panels: tuple[PanelOnPage, ...]


@dataclass(frozen=True)
class RunOnPage:
    """One run on the page."""

    title: str
    anchor: str
    quality: Mapping[str, str]
    groups: tuple[PanelGroup, ...]
    missing: str  # sentence on what is not shown, and why


def report_path(dataset: DerivativeDataset, label: str) -> Path:
    """Return where a participant's report is."""
    return dataset.path(f"sub-{label}.html")


def discard_report(dataset: DerivativeDataset, label: str) -> None:
    """Remove a participant's report and its files: maps beside it are about to be others."""
    report_path(dataset, label).unlink(missing_ok=True)
    shutil.rmtree(dataset.path(f"sub-{label}/figures"), ignore_errors=True)


def read_flag_count(page: Path) -> FlagCount | None:
    """Read from a report how many flags it has; None where it does not say so."""
    try:
        with open_foreign(page) as file:
            found = _FLAGS.search(file.read(_HEAD).decode("utf-8", "replace"))
        return FlagCount(**parse_json(found.group(1), str(page))) if found else None
    except (ForeignFileError, OSError, TypeError):
        return None


def write_participant_report(
    dataset: DerivativeDataset, label: str, failures: Mapping[str, str]
) -> Path:
    """Make the report of a participant.

    Parameters
    ----------
    dataset
        The output folder.
    label
        Without sub-.
    failures
        What failed, and how.

    Raises
    ------
    RunError
        An image of the output cannot be read.
    OutputError
        A file cannot be written.
    """
    workflow = workflow_of(dataset)
    files = find_participant(dataset, label, workflow.run_files)
    folder = dataset.root / f"sub-{label}" / "figures"
    sections = [section for draw in workflow.sections if (section := draw(dataset, files, folder))]
    background = of_participant(dataset, files)
    drawn = [
        _draw_run(run, workflow.panels, Canvas(dataset, folder, run.title, background), position)
        for position, run in enumerate(files.runs, 1)
    ]
    runs = [run for run, _ in drawn]
    records = [made.record for made in files.sets]
    methods = find_methods(dataset, records) if records else ""
    page = render(
        "participant.html",
        title=f"sub-{label}: bids_dtg",
        sections=_links(sections, runs, methods=bool(methods), results=bool(files.sets)),
        label=label,
        subtitle=workflow.subtitle(files),
        model=workflow.model(files),
        flags=flags_of(files, failures, workflow.quality_columns, workflow.notes),
        own_flags=_shortened(own_flags(files, failures, workflow.quality_columns)),
        figures=_key_figures(files.runs, workflow.quality_columns),
        results=sections,
        runs=runs,
        methods={"text": methods, "blocks": parse_markdown(methods)} if methods else None,
        provenance=[_provenance(made) for made in files.sets],
        failures=list(failures.items()),
        inclusion=page_facts(_decided(dataset), [label]),
        viewer_data=next((s.viewer_data for s in sections if s.viewer_data), None),
    )
    path = report_path(dataset, label)
    write_text(path, page)
    written = [file for section in sections for file in section.files]
    remove_others(folder, [*written, *(file for _, pictures in drawn for file in pictures)])
    return path


def _decided(dataset: DerivativeDataset) -> Inclusion:
    """Read who is left out; a damaged table is the group level's to report."""
    try:
        return read_inclusion(dataset)
    except DatasetError:
        return Inclusion()


def _shortened(flags: Sequence[Flag]) -> Mapping[str, Any]:
    count = FlagCount.of(flags)
    return {**vars(count), "worst": textwrap.shorten(count.worst, _LONGEST_WORST)}


def _draw_run(
    run: RunFiles, panels: Sequence[Panel], canvas: Canvas, position: int
) -> tuple[RunOnPage, Sequence[Path]]:
    """Draw one run; return it with the pictures that were written."""
    groups = []
    for beside, members in groupby(panels, key=lambda panel: panel.beside):
        shown = [
            PanelOnPage(panel.name, panel.title, figure)
            for panel in members
            if (figure := panel.draw(run, canvas)) is not None
        ]
        groups += [PanelGroup(beside, tuple(shown))] if shown else []
    missing = any(panel.kind not in run.files for panel in panels)
    return (
        RunOnPage(
            title=run.title,
            anchor=f"run-{position}",
            quality=run.quality,
            groups=tuple(groups),
            missing=_MISSING if missing else "",
        ),
        canvas.files,
    )


def _links(
    sections: Sequence[Section], runs: Sequence[RunOnPage], *, methods: bool, results: bool
) -> list[tuple[str, str]]:
    links = [("summary", "Summary"), *(link for section in sections for link in section.links)]
    if len(runs) > 1:
        links.append((runs[0].anchor, "Runs"))
    elif runs:
        shown = [panel.name for group in runs[0].groups for panel in group.panels]
        links += [(name, name.capitalize()) for name in shown]
    links.append(("decision", "Decision"))
    links += [("methods", "Methods")] if methods else []
    links += [("provenance", "Provenance")] if results else []
    return [*links, ("errors", "Errors")]


def _key_figures(runs: Sequence[RunFiles], columns: Sequence[QualityColumn]) -> list[KeyFigure]:
    def values(name: str) -> list[float]:
        found = (number(run.quality.get(name)) for run in runs)
        return [value for value in found if value is not None]

    figures = []
    rest = next(column for column in columns if column.name == "minutes_kept")
    if minutes := sum(values(rest.name)):
        level = level_of(rest.name, minutes)
        figures.append(KeyFigure(rest.title, f"{minutes:.1f}", rest.unit, level))
    if frames := sum(values("frames")):
        share = f"{sum(values('frames_kept')) / frames:.0%}"
        figures.append(KeyFigure("Frames kept", share, f"of {frames:.0f}"))
    for column in columns:
        if column.summary and (found := values(column.name)):
            figures.append(_worst(column, found))
    for name, (title, unit) in _BESIDE_MODEL.items():
        if found := values(name):
            text = " to ".join(f"{value:.3g}" for value in sorted({min(found), max(found)}))
            model = values(f"model_{name}")
            beside = f"the model's training: {model[0]:.3g} {unit}" if model else ""
            figures.append(KeyFigure(title, text, unit, beside=beside))
    return figures


def _worst(column: QualityColumn, values: Sequence[float]) -> KeyFigure:
    """Show the worst of some values."""
    limit = LIMITS.get(column.name)
    low_is_bad = limit is not None and limit.low_is_bad
    value = min(values) if low_is_bad else max(values)
    several = (", lowest" if low_is_bad else ", highest") if len(values) > 1 else ""
    text = column.summary.format(value)
    return KeyFigure(column.title + several, text, column.unit, level_of(column.name, value))


def _provenance(made: SetFiles) -> dict[str, Any]:
    common, record = made.common, made.record
    options = record.get("Options")
    version = options.get("version") if isinstance(options, dict) else None
    program = f"bids_dtg {version}" if version else ""
    facts = {
        "Maps": made.title,
        "Completed": record.get("Completed"),
        "Program": program,
        "Model": f"{common.get('ModelName', '')} {common.get('ModelVersion', '')}".strip(),
        "Model, kind": common.get("ModelKind"),
        "Model, SHA-256": common.get("ModelSHA256"),
        "Space": common.get("Resolution"),
        "Runs": ", ".join(made.runs),
        "Left out": ", ".join(made.excluded),
        "Cleaning": common.get("DenoiseStrategy"),
    }
    inputs = record.get("Inputs")
    options = record.get("Options")
    return {
        "title": made.title,
        "facts": [(name, value) for name, value in facts.items() if value],
        "options": sorted(options.items()) if isinstance(options, dict) else [],
        "inputs": [
            (name, value.get("size"), str(value.get("ends_sha256"))[:_DIGITS_SHOWN])
            for name, value in (inputs.items() if isinstance(inputs, dict) else ())
            if isinstance(value, dict)
        ],
    }
