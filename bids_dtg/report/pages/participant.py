"""The report of one participant, made from what the output folder holds."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.connectome.checks import LIMITS
from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import open_foreign
from bids_dtg.files.provenance import completion_record
from bids_dtg.files.text import write_text
from bids_dtg.report.contents import ParticipantFiles, RunFiles, find_participant
from bids_dtg.report.flags import (
    Flag,
    FlagCount,
    flags_of,
    level_of,
    model_notice,
    own_flags,
)
from bids_dtg.report.inclusion import Inclusion, page_facts, read_inclusion
from bids_dtg.report.methods import find_methods, parse_markdown
from bids_dtg.report.pages.page import load_template, render
from bids_dtg.report.panels import Canvas, Section
from bids_dtg.report.pictures import encode
from bids_dtg.report.presentation import Presentation, presentation_of
from bids_dtg.report.quality import QualityColumn, number
from bids_dtg.report.viewer import remove_others

# Figures of runs that are shown with those of the model's training, by their column.
_BESIDE_MODEL = {"repetition_time": ("Repetition time", "s"), "voxel_size": ("Voxel size", "mm")}
_TEMPLATE = "participant.html"
# Where a page says how many flags it has, within so many characters of its beginning.
_FLAGS, _HEAD = re.compile("<meta name=\"bids-dtg-flags\" content='([^']*)'>"), 4096
_LONGEST_TEXT = 300


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
        return FlagCount(**json.loads(found.group(1))) if found else None
    except (ForeignFileError, OSError, TypeError, ValueError):
        return None


def prepare_reports(dataset: DerivativeDataset) -> None:
    """Import what the reports of a dataset need, before the first of them can be made.

    Raises
    ------
    DatasetError
        This version of the program does not know the output's workflow.
    """
    presentation_of(dataset)
    load_template(_TEMPLATE)
    encode(np.zeros((1, 1, 4), np.uint8))


def write_participant_report(
    dataset: DerivativeDataset, label: str, failures: Mapping[str, str]
) -> Path:
    """Make the report of a participant.

    Parameters
    ----------
    dataset
        The output dataset.
    label
        Participant's label, without ``sub-``.
    failures
        Failures of this participant: stage and message.

    Raises
    ------
    RunError
        An image of the output cannot be read.
    OutputError
        A file cannot be written.
    """
    presentation = presentation_of(dataset)
    files = find_participant(
        *(dataset, label, presentation.run_files),
        results=presentation.results,
        of_averages=presentation.of_averages,
    )
    folder = dataset.root / f"sub-{label}" / "figures"
    sections = [
        section for draw in presentation.sections if (section := draw(dataset, files, folder))
    ]
    runs, written = [], [file for section in sections for file in section.files]
    for run in files.runs:
        canvas = Canvas(dataset, folder, run.title)
        runs.append(_draw_run(run, presentation, canvas))
        written += canvas.files
    made = _made(dataset, files, presentation)
    methods = find_methods(dataset, [record for *_, record in made]) if made else ""
    page = render(
        _TEMPLATE,
        title=f"sub-{label}: bids_dtg",
        sections=_links(sections, runs, methods=bool(methods), results=bool(made)),
        label=label,
        subtitle=presentation.subtitle(files),
        model=presentation.model(files),
        flags=flags_of(files, failures, presentation),
        own_flags=_shortened(
            own_flags(files, failures, presentation.quality_columns), model_notice(files)
        ),
        figures=_key_figures(files.runs, presentation.quality_columns),
        results=sections,
        runs=runs,
        methods={"text": methods, "blocks": parse_markdown(methods)} if methods else None,
        provenance=made,
        what=presentation.made,
        failures=list(failures.items()),
        inclusion=page_facts(_decided(dataset), [label]),
        viewer_data=next((s.viewer_data for s in sections if s.viewer_data), None),
    )
    path = report_path(dataset, label)
    write_text(path, page)
    remove_others(folder, written)
    return path


def _decided(dataset: DerivativeDataset) -> Inclusion:
    """Read who is left out; a damaged table is the group level's to report."""
    try:
        return read_inclusion(dataset)
    except DatasetError:
        return Inclusion()


def _shortened(flags: Sequence[Flag], model: str) -> Mapping[str, Any]:
    count = FlagCount.of(flags)
    texts = {"worst": count.worst, "model": model}
    return {**vars(count), **{k: textwrap.shorten(v, _LONGEST_TEXT) for k, v in texts.items()}}


def _draw_run(run: RunFiles, presentation: Presentation, canvas: Canvas) -> dict[str, Any]:
    """Draw one run: panels that follow each other, and whether they are side by side."""
    groups = []
    for beside, members in groupby(presentation.panels, key=lambda panel: panel.beside):
        shown = [(panel, figure) for panel in members if (figure := panel.draw(run, canvas))]
        groups += [(beside, shown)] if shown else []
    said = presentation.missing(run) if presentation.missing else None
    return {
        "title": run.title,
        "quality": run.quality,
        "groups": groups,
        "said": said,  # on what is not shown, by the workflow
        "lacks": any(panel.kind not in run.files for panel in presentation.panels),
    }


# Title, sidecar and completion record of what was made.
_Made = tuple[str, Mapping[str, Any], Mapping[str, Any]]


def _made(
    dataset: DerivativeDataset, files: ParticipantFiles, presentation: Presentation
) -> list[_Made]:
    """List a participant's results: averages of maps or of other results, or single runs."""
    if presentation.of_averages:
        return [
            (made.title, _named_runs(made.facts), completion_record(dataset, made.title))
            for made in files.combined
        ]
    if not presentation.results:
        return [
            (
                made.title,
                {
                    **made.common,
                    "Runs": ", ".join(made.runs),
                    "LeftOut": ", ".join(made.excluded),
                    "Maps": made.title if made.maps else "not written (--write)",
                },
                made.record,
            )
            for made in files.every_average
        ]
    return [
        (run.title, run.facts, record)
        for run in files.runs
        if (record := completion_record(dataset, run.title)) or run.facts
    ]


def _named_runs(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the sidecar of an average of runs, with the names of its runs alone."""
    runs, left = facts.get("Runs"), facts.get("ExcludedRuns")
    found = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    return {
        **facts,
        "Runs": ", ".join(str(run.get("Run")) for run in found),
        "LeftOut": ", ".join(map(str, left)) if isinstance(left, dict) else "",
    }


def _links(
    sections: Sequence[Section], runs: Sequence[Mapping[str, Any]], *, methods: bool, results: bool
) -> list[tuple[str, str]]:
    links = [("summary", "Summary")]
    if len(runs) > 1:
        links.append(("run-1", "Runs"))
    elif runs:
        shown = [panel.name for _, panels in runs[0]["groups"] for panel, _ in panels]
        links += [(name, name.capitalize()) for name in shown]
    links += [link for section in sections for link in section.links]
    links.append(("decision", "Decision"))
    links += [("methods", "Methods")] if methods else []
    links += [("provenance", "Provenance")] if results else []
    return [*links, ("errors", "Errors")]


def _key_figures(
    runs: Sequence[RunFiles], columns: Sequence[QualityColumn]
) -> list[dict[str, Any]]:
    """Return the numbers of the summary: title, value, unit, level, and what is beside it."""

    def values(name: str) -> list[float]:
        found = (number(run.quality.get(name)) for run in runs)
        return [value for value in found if value is not None]

    figures: list[dict[str, Any]] = []
    rest = next(column for column in columns if column.name == "minutes_kept")
    if minutes := sum(values(rest.name)):
        level = level_of(rest.name, minutes)
        shown = {"title": rest.title, "value": f"{minutes:.1f}", "unit": rest.unit, "level": level}
        figures.append(shown)
    if frames := sum(values("frames")):
        share = f"{sum(values('frames_kept')) / frames:.0%}"
        figures.append({"title": "Frames kept", "value": share, "unit": f"of {frames:.0f}"})
    for column in columns:
        if column.summary and (found := values(column.name)):
            figures.append(_worst(column, found))
    for name, (title, unit) in _BESIDE_MODEL.items():
        if found := values(name):
            text = " to ".join(f"{value:.3g}" for value in sorted({min(found), max(found)}))
            model = values(f"model_{name}")
            beside = f"the model's training: {model[0]:.3g} {unit}" if model else ""
            figures.append({"title": title, "value": text, "unit": unit, "beside": beside})
    return figures


def _worst(column: QualityColumn, values: Sequence[float]) -> dict[str, Any]:
    """Show the worst of some values."""
    limit = LIMITS.get(column.name)
    low_is_bad = limit is not None and limit.low_is_bad
    value = min(values) if low_is_bad else max(values)
    several = (", lowest" if low_is_bad else ", highest") if len(values) > 1 else ""
    return {
        "title": column.title + several,
        "value": column.summary.format(value),
        "unit": column.unit,
        "level": level_of(column.name, value),
    }
