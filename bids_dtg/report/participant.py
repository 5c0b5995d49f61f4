"""The reports of participants, made from what the output folder holds, and the index of all."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bids_dtg.connectome.checks import LIMITS
from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import open_foreign
from bids_dtg.files.provenance import completion_record
from bids_dtg.files.text import write_text
from bids_dtg.report.contents import (
    ParticipantFiles,
    RunFiles,
    find_participant,
    find_participant_labels,
)
from bids_dtg.report.figures import Figure
from bids_dtg.report.flags import FlagCount, flags_of, level_of, model_notice, own_flags
from bids_dtg.report.inclusion import page_facts, read_inclusion
from bids_dtg.report.methods import find_methods
from bids_dtg.report.page import Section, Table, lay_out, link, load_template, render
from bids_dtg.report.pictures import encode
from bids_dtg.report.presentation import Presentation, presentation_of
from bids_dtg.report.quality import QualityColumn, number
from bids_dtg.report.viewer import remove_unlinked, write_picture

INDEX, GROUP = "index.html", "group.html"
UNFINISHED = "UNFINISHED.txt"  # in the folder of an analysis that is at work, or was cut off
MODEL_PAGE = "report.html"  # in the folder of an analysis
STATISTICS_PAGE = "statistics_report.html"  # in that of one over people
_OTHERS = ("logs/CITATION.md", "README", "logs")  # that the template has words for
# Other processes may add reports at the same time; each looks again after it has written.
_TRIES = 5
# The beginning of so many reports is read for their flags; of more, the group page has them.
_MOST_READ = 2000
# Beyond so many participants a list is no page any more; reports can be opened by their names.
_MOST_LISTED = 10_000
# Figures of runs that are shown with those of the model's training, by their column.
_BESIDE_MODEL = {"repetition_time": ("Repetition time", "s"), "voxel_size": ("Voxel size", "mm")}
_TEMPLATE = "participant.html"
# Where a page says how many flags it has, within so many characters of its beginning.
_FLAGS, _HEAD = re.compile("<meta name=\"bids-dtg-flags\" content='([^']*)'>"), 4096
_LONGEST_TEXT = 300
_LACKS = (
    "Some figures are missing: this run was processed by a version of the program, or with "
    "options, that did not keep what they are drawn from."
)
# A participant: label, address of the report (None: there is none) and its flags (None: unknown).
Listed: TypeAlias = tuple[str, str | None, FlagCount | None]


def report_path(dataset: DerivativeDataset, label: str) -> Path:
    """Return where a participant's report is."""
    return dataset.path(f"sub-{label}.html")


def discard_report(dataset: DerivativeDataset, label: str) -> None:
    """Remove a participant's report and its files: maps beside it are about to be others."""
    report_path(dataset, label).unlink(missing_ok=True)
    shutil.rmtree(dataset.path(f"sub-{label}/figures"), ignore_errors=True)


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
        *(_of_run(run, files, presentation, dataset, folder) for run in files.runs),
        *presentation.sections(dataset, files, folder),
    ]
    made = _made(dataset, files, presentation)
    methods = find_methods(dataset, [record for *_, record in made]) if made else ""
    laid_out = lay_out(sections)
    ends = {"decision": True, "methods": methods, "provenance": made, "errors": True}
    own = FlagCount.of(own_flags(files, failures, presentation.quality_columns))
    texts = {"worst": own.worst, "model": model_notice(files)}
    try:
        decisions = read_inclusion(dataset)
    except DatasetError:  # the group level reports it
        decisions = {}
    page = render(
        _TEMPLATE,
        title=f"sub-{label}: bids_dtg",
        links=[
            ("summary", "Summary"),
            *laid_out.pop("links"),
            *((anchor, anchor.capitalize()) for anchor, shown in ends.items() if shown),
        ],
        label=label,
        subtitle=presentation.subtitle(files),
        model=presentation.model(files),
        flags=flags_of(files, failures, presentation),
        own_flags={
            **vars(own),
            **{name: textwrap.shorten(text, _LONGEST_TEXT) for name, text in texts.items()},
        },
        figures=_key_figures(files.runs, presentation.quality_columns),
        methods=methods,
        provenance=made,
        what=presentation.made,
        failures=list(failures.items()),
        inclusion=page_facts(decisions, [label]),
        **laid_out,
    )
    path = report_path(dataset, label)
    write_text(path, page)
    remove_unlinked(dataset, folder, page)
    return path


def _of_run(
    run: RunFiles,
    files: ParticipantFiles,
    presentation: Presentation,
    dataset: DerivativeDataset,
    folder: Path,
) -> Section:
    """Draw the panels of a run; those of the first have anchors."""
    position = files.runs.index(run) + 1
    canvas = partial(write_picture, dataset, folder, run.title)
    figures = [
        replace(
            figure,
            title=panel.title,
            anchor=panel.name if position == 1 else "",
            beside=panel.beside,
        )
        for panel in presentation.panels
        if (figure := panel.draw(run, canvas))
    ]
    if len(files.runs) > 1:
        links = [("run-1", "Runs")] if position == 1 else []
    else:
        links = [(figure.anchor, figure.anchor.capitalize()) for figure in figures]
    missing = presentation.missing(run)
    if missing is None and any(panel.kind not in run.files for panel in presentation.panels):
        missing = _LACKS
    quality = Table("", ("Column", "Value"), [*run.quality.items()], folded="All quality figures")
    return Section(
        title="Run" if len(files.runs) > 1 else "The run",
        subtitle=run.title if len(files.runs) > 1 else "",
        text=[missing] if missing else [],
        figures=[*figures, Figure(caption="", parts=[quality])],
        anchor=f"run-{position}",
        links=links,
    )


# Title, sidecar and completion record of what was made.
_Made = tuple[str, Mapping[str, Any], Mapping[str, Any]]


def _made(
    dataset: DerivativeDataset, files: ParticipantFiles, presentation: Presentation
) -> list[_Made]:
    """List a participant's results: averages of maps or of other results, or single runs."""
    if presentation.of_averages:
        return [
            (made.title, _with_names(made.facts), completion_record(dataset, made.title))
            for made in files.combined
        ]
    if not presentation.results:
        return [
            (
                made.title,
                _with_names(made.common)
                | {"Maps": made.title if made.maps else "not written (--write)"},
                made.record,
            )
            for made in files.every_average
        ]
    return [
        (run.title, run.facts, record)
        for run in files.runs
        if (record := completion_record(dataset, run.title)) or run.facts
    ]


def _with_names(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sidecar of an average of runs, with the names of its runs alone."""
    runs, left = facts.get("Runs"), facts.get("ExcludedRuns")
    found = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    return {
        **facts,
        "Runs": ", ".join(str(run.get("Run")) for run in found),
        "LeftOut": ", ".join(map(str, left)) if isinstance(left, dict) else "",
    }


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
            limit = LIMITS.get(column.name)
            worst, words = max(found), ", highest"
            if limit is not None and limit.low_is_bad:
                worst, words = min(found), ", lowest"
            figures.append(
                {
                    "title": column.title + words * (len(found) > 1),
                    "value": column.summary.format(worst),
                    "unit": column.unit,
                    "level": level_of(column.name, worst),
                }
            )
    for name, (title, unit) in _BESIDE_MODEL.items():
        if found := values(name):
            text = " to ".join(f"{value:.3g}" for value in sorted({min(found), max(found)}))
            model = values(f"model_{name}")
            beside = f"the model's training: {model[0]:.3g} {unit}" if model else ""
            figures.append({"title": title, "value": text, "unit": unit, "beside": beside})
    return figures


def write_index(dataset: DerivativeDataset, *, wanted: bool = True) -> None:
    """Write the index at the output's root anew: participants' reports, flags, and other pages.

    Where no reports are wanted, only one that is there is written anew: it may list some that are
    gone.
    """
    if not wanted and not (dataset.root / INDEX).is_file():
        return
    presentation, root = presentation_of(dataset), dataset.root
    for _ in range(_TRIES):
        listed = _list(dataset)
        page = render(
            "index.html",
            title=presentation.title,
            about=presentation.about,
            links=[],
            listed=listed[:_MOST_LISTED],
            number=len(listed),
            flags=[count for *_, count in listed if count is not None],
            group=GROUP if (root / GROUP).is_file() else None,
            analyses=[
                (page.parent.name, link(page, dataset), page.name == MODEL_PAGE)
                for name in (MODEL_PAGE, presentation.analysis_page, STATISTICS_PAGE)
                for page in sorted(root.glob(f"group/*/{name}"))
                if name
            ],
            unfinished=[mark.parent.name for mark in sorted(root.glob(f"group/*/{UNFINISHED}"))],
            others=[name for name in _OTHERS if (root / name).exists()],
        )
        write_text(dataset.path(INDEX), page)
        if _list(dataset) == listed:
            return


def _list(dataset: DerivativeDataset) -> list[Listed]:
    reports = {path.stem.removeprefix("sub-"): path for path in dataset.root.glob("sub-*.html")}
    few, found = len(reports) <= _MOST_READ, list[Listed]()
    for label in sorted({*find_participant_labels(dataset), *reports}):
        path = reports.get(label)
        address, count = None, None
        if path:
            address, count = link(path, dataset), _flag_count(path) if few else None
        found.append((label, address, count))
    return found


def _flag_count(page: Path) -> FlagCount | None:
    """Read from a report how many flags it has; None where it does not say so."""
    try:
        with open_foreign(page) as file:
            found = _FLAGS.search(file.read(_HEAD).decode("utf-8", "replace"))
        return FlagCount(**json.loads(found.group(1))) if found else None
    except (ForeignFileError, OSError, TypeError, ValueError):
        return None
