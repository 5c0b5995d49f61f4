"""The reports of participants, made from the output folder, and the index page."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import open_foreign
from bids_dtg.files.provenance import completed_titles, completion_record
from bids_dtg.files.text import write_text
from bids_dtg.report.contents import (
    ParticipantFiles,
    RunFiles,
    find_participant,
    find_participant_labels,
    values_of_runs,
)
from bids_dtg.report.figures import Figure
from bids_dtg.report.flags import (
    LEVELS,
    Level,
    flag_counts,
    flags_of,
    level_of,
    model_notice,
    run_flags,
)
from bids_dtg.report.inclusion import Decisions, page_facts, read_inclusion
from bids_dtg.report.methods import LAST_METHODS, TRIES, find_methods
from bids_dtg.report.page import Section, lay_out, link, load_template, render
from bids_dtg.report.pictures import encode
from bids_dtg.report.presentation import Presentation, presentation_of
from bids_dtg.report.quality import METRICS
from bids_dtg.report.rows import MOST_LISTED, Row, cell, read_rows, write_rows
from bids_dtg.report.tables import NOT_KNOWN, Table
from bids_dtg.report.viewer import remove_unlinked, write_picture
from bids_dtg.workflows import DEFAULT, find_workflow

INDEX, GROUP = "index.html", "group.html"
# In the folder of an analysis that is running, or was interrupted.
UNFINISHED = "UNFINISHED.txt"
MODEL_PAGE = "report.html"  # in the folder of an analysis of a model
STATISTICS_PAGE = "statistics_report.html"  # in the folder of a statistical analysis
_TEXTS = (LAST_METHODS, "README")  # linked, with words in the template
# Metrics of runs that are shown with those of the training runs, by column.
_BESIDE_MODEL = {
    "repetition_time": ("Repetition time", "s"),
    "voxel_size": ("Voxel size", "mm"),
}
_TEMPLATE = "participant.html"
# Of a participant's runs, for the index, with the worst run's value; None: unknown.
_OF_RUNS = {"minutes": "minutes_kept", "motion": "fd_mean", "coverage": "coverage"}
_FORMS = (("minutes", "%.1f"), ("motion", "%.2f"), ("coverage", "%.3f"))
# What the index shows of a participant, and what it says where nothing is known.
_COUNTS = flag_counts(())
_NO_FLAGS = {
    **_COUNTS,
    **dict.fromkeys(_OF_RUNS),
    "picture": "",  # address
    "pictured": "",  # what the picture shows
}
# What flags say of the use of results, on the index as on a participant's page.
_WORDS = {
    "problem": "Do not use",
    "warning": "No problem, but check",
    "good": "No flags",
}
# The element in which a page states its number of flags, and how many bytes to search for it.
_FLAGS, _HEAD = re.compile("<meta name=\"bids-dtg-flags\" content='([^']*)'>"), 4096
_LACKS = (
    "Some figures are missing, as this run was processed by a version of the program, or with "
    "options, that did not keep the data for them."
)
_MOST_PICTURES = 50  # on the index
# The script with the rows of the index page, and the name of its table.
_ROWS, _PEOPLE = "index.js", "people"


@dataclass(frozen=True)
class Listed:
    """A participant on the index page."""

    label: str  # without sub-
    address: str = ""  # of the report; empty: there is none
    flags: Mapping[str, Any] | None = None  # as in `_NO_FLAGS`; None: unknown
    changed_ns: int = 0  # when the report was last written; 0: there is none
    # Its row in the script of the last index; None: not read from there.
    last_row: Row | None = None

    @property
    def row(self) -> Row:
        """Its row in the script; the last part is what only `from_row` reads."""
        if self.last_row is not None:
            return self.last_row
        flags = self.flags or _NO_FLAGS
        level = flags["level"]
        rank = 1000 * LEVELS.index(level) - flags["problems"] - flags["warnings"] / 100
        flagged = cell(self.words, value=rank, kind=level)
        figures = [
            NOT_KNOWN
            if flags[name] is None
            else cell(form % flags[name], value=flags[name])
            for name, form in _FORMS
        ]
        cells = [
            cell(f"sub-{self.label}", link=self.address),
            *figures,
            flagged if self.address else cell("no report", value=rank, kind="soft"),
        ]
        # The cells have the rest.
        values = None if self.flags is None else [flags[name] for name in _COUNTS]
        return level, cells, (self.label, self.address, values, self.changed_ns)

    @property
    def words(self) -> str:
        """What its flags say."""
        flags = self.flags or _NO_FLAGS
        level = flags["level"]
        words = _WORDS.get(level, str(level).capitalize())
        return f"{words}: {flags['worst']}" if flags["worst"] else words

    def pictured(self, what: str) -> Row:
        """Its row with a picture of what is shown of everybody; without "", its row."""
        if not what:
            return self.row
        kind, cells, record = self.row
        picture = (self.flags or _NO_FLAGS)["picture"]
        words = f"sub-{self.label}: {what}"
        return kind, [*cells, {"t": words, "p": picture, "h": self.address}], record

    @classmethod
    def from_row(cls, row: Row) -> Listed:
        """Return the participant whose row was read."""
        label, address, values, changed_ns = row[2]
        flags = None
        if values is not None:
            flags = {**_NO_FLAGS, **dict(zip(_COUNTS, values, strict=True))}
        return cls(label, address, flags, changed_ns, row)


def report_path(dataset: DerivativeDataset, label: str) -> Path:
    """Return the path of a participant's report."""
    return dataset.path(f"sub-{label}.html")


def discard_report(dataset: DerivativeDataset, label: str) -> None:
    """Remove a participant's report and its files, before its maps are replaced."""
    report_path(dataset, label).unlink(missing_ok=True)
    shutil.rmtree(dataset.path(f"sub-{label}/figures"), ignore_errors=True)


def prepare_reports(dataset: DerivativeDataset) -> None:
    """Import what the reports of a dataset need, before the first one is requested.

    Raises
    ------
    DatasetError
        This version of the program does not know the output's workflow.
    """
    presentation_of(dataset)
    load_template(_TEMPLATE)
    encode(np.zeros((1, 1, 4), np.uint8))


# Long, as it names everything that the page's template shows.
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
        Message of each failure of this participant, by average or stage.

    Raises
    ------
    RunError
        An image of the output cannot be read.
    OutputError
        A file cannot be written.
    """
    presentation = presentation_of(dataset)
    files = find_participant(
        dataset,
        label,
        presentation.run_files,
        results=presentation.results,
        average_kinds=presentation.average_kinds,
    )
    folder = dataset.root / f"sub-{label}" / "figures"
    flags_of_runs = run_flags(files, failures, presentation.quality_columns)
    flags = flags_of(files, flags_of_runs, presentation.notes(files))
    metrics = _key_figures(files.runs, presentation.quality_columns)
    sections = []
    if metrics or flags[1:]:
        facts = {"figures": metrics, "flags": flags[1:]}
        sections.append(Section("Quality", template="quality.html", facts=facts))
    for run in files.runs:
        sections.append(
            _run_section(run, presentation, dataset, folder, len(files.runs))
        )
    sections += presentation.sections(dataset, files, folder)
    sections.sort(key=lambda section: not section.leads)
    provenance = _provenance(dataset, files)
    records = [record for *_, record in provenance]
    methods = find_methods(dataset, records) if records else ""
    laid_out = lay_out(sections)
    ends = {"decision": provenance, "methods": methods, "provenance": provenance}
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
        flags=flags,
        run_flags={
            **flag_counts(flags_of_runs, model_notice(files)),
            **_for_index(files.runs, sections),
        },
        methods=methods,
        provenance=provenance,
        decided=bool(provenance),
        inclusion=page_facts(_decisions(dataset), [label]),
        **laid_out,
    )
    path = report_path(dataset, label)
    write_text(path, page)
    remove_unlinked(dataset, folder, page)
    return path


def _for_index(runs: Sequence[RunFiles], sections: Sequence[Section]) -> dict[str, Any]:
    """Return what the index shows of a participant besides flags."""
    values = {name: values_of_runs(runs, metric) for name, metric in _OF_RUNS.items()}
    picture, pictured = next(
        (section.picture for section in sections if section.picture), ("", "")
    )
    return {
        "minutes": round(sum(values["minutes"]), 3) if values["minutes"] else None,
        "motion": max(values["motion"], default=None),
        "coverage": min(values["coverage"], default=None),
        "picture": picture,
        "pictured": pictured,
    }


def _decisions(dataset: DerivativeDataset) -> Decisions:
    """Read the decisions of an output; none where its file is not clear."""
    try:
        return read_inclusion(dataset)
    except DatasetError:  # the group level reports it
        return {}


def _run_section(
    run: RunFiles,
    presentation: Presentation,
    dataset: DerivativeDataset,
    folder: Path,
    runs: int,
) -> Section:
    """Return the section of a run; `runs` is the number of runs on the page."""
    canvas = partial(write_picture, dataset, folder, run.title)
    figures = [
        replace(figure, title=panel.title, beside=panel.beside, folded=panel.folded)
        for panel in presentation.panels
        if (figure := panel.draw(run, canvas))
    ]
    missing = presentation.missing(run)
    if missing is None and any(
        panel.kind not in run.files for panel in presentation.panels
    ):
        missing = _LACKS
    quality = Table(
        "", ("Column", "Value"), [*run.quality.items()], folded="All quality metrics"
    )
    return Section(
        title=run.title if runs > 1 else "",
        text=[missing] if missing else [],
        figures=[*figures, Figure(caption="", parts=[quality])],
        links=[],
    )


def _provenance(
    dataset: DerivativeDataset, files: ParticipantFiles
) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Return title, sidecar and completion record of averages, else of single runs."""
    results = [
        (average.title, average.common, average.record) for average in files.averages
    ]
    if not results:
        results = [
            (run.title, run.facts, completion_record(dataset, run.title))
            for run in files.combined or files.runs
        ]
    return [result for result in results if any(result[1:])]


def _key_figures(
    runs: Sequence[RunFiles], columns: Sequence[QualityMetric]
) -> list[dict[str, Any]]:
    """Return the metrics of the summary: title, value, unit, level, and a remark."""
    values = partial(values_of_runs, runs)
    figures: list[dict[str, Any]] = []

    def add(
        title: str, value: str, unit: str, level: Level | None = None, **remark: str
    ) -> None:
        figures.append(
            {"title": title, "value": value, "unit": unit, "level": level, **remark}
        )

    rest = METRICS["minutes_kept"]
    if minutes := sum(values(rest.name)):
        add(rest.title, f"{minutes:.1f}", rest.unit, level_of(rest, minutes))
    if frames := sum(values("frames")):
        add(
            "Frames kept",
            f"{sum(values('frames_kept')) / frames:.0%}",
            f"of {frames:.0f}",
        )
    for column in columns:
        if column.summary and (run_values := values(column.name)):
            worst, words = max(run_values), ", highest"
            if column.low_is_bad:
                worst, words = min(run_values), ", lowest"
            title = column.title
            if len(run_values) > 1:
                title += words
            level = level_of(column, worst)
            add(title, column.summary.format(worst), column.unit, level)
    for name, (title, unit) in _BESIDE_MODEL.items():
        if run_values := values(name):
            ends = sorted({min(run_values), max(run_values)})
            text = " to ".join(f"{value:.3g}" for value in ends)
            model = values(f"model_{name}")
            beside = f"the model's training: {model[0]:.3g} {unit}" if model else ""
            add(title, text, unit, beside=beside)
    return figures


def write_index(dataset: DerivativeDataset, *, wanted: bool = True) -> None:
    """Write the index page in the output's root: participants' reports, flags, and other pages.

    If no reports are wanted, only an existing index is updated, as it may list reports that are
    gone. The rows of more than `MOST_LISTED` participants are in a script beside the page.
    """
    if not wanted and not (dataset.root / INDEX).is_file():
        return
    presentation = presentation_of(dataset)
    workflow = find_workflow(dataset.workflow or DEFAULT)
    for _ in range(TRIES):
        state = _report_times(dataset), _other_pages(dataset)
        report_times, other_pages = state
        listed = _list(dataset, report_times)
        flags = [person.flags for person in listed if person.flags is not None]
        failures = [
            person
            for person in listed
            if person.flags and person.flags["level"] == "failed"
        ]
        notices = dict.fromkeys(counts["model"] for counts in flags)
        is_long = len(listed) > MOST_LISTED
        pictures = _pictures(listed)
        rows = [person.pictured(pictures) for person in listed]
        page = render(
            "index.html",
            title=presentation.title,
            about=presentation.about,
            links=[],
            listed=listed,
            is_long=is_long,
            rows_file=_ROWS,
            most=MOST_LISTED,
            rows=rows,
            pictures=pictures,
            levels=[counts["level"] for counts in flags],
            notices=[notice for notice in notices if notice],
            failures=failures,
            has_results=len(failures) < len(listed) or bool(completed_titles(dataset)),
            workflow=workflow.name,
            has_group=workflow.group is not None,
            **other_pages,
        )
        if is_long:
            write_rows(dataset.path(_ROWS), {_PEOPLE: rows})
        else:
            dataset.remove(_ROWS)
        write_text(dataset.path(INDEX), page)
        if (_report_times(dataset), _other_pages(dataset)) == state:
            return


def _other_pages(dataset: DerivativeDataset) -> dict[str, Any]:
    """Find what the index links besides participants' reports."""
    root = dataset.root
    pages = sorted(root.glob("group/*/*report.html"), key=_statistics_last)
    marks = sorted(root.glob(f"group/*/{UNFINISHED}"))
    return {
        "group": GROUP if (root / GROUP).is_file() else None,
        "analyses": [
            (page.parent.name, link(page, dataset), page.name == MODEL_PAGE)
            for page in pages
        ],
        "unfinished": [mark.parent.name for mark in marks],
        "texts": [name for name in _TEXTS if (root / name).exists()],
        "has_logs": (root / "logs").is_dir(),
    }


def _pictures(listed: Sequence[Listed]) -> str:
    """Return what the pictures of participants show, if all show the same; "": none are shown."""
    shown = {str((person.flags or _NO_FLAGS)["pictured"]) for person in listed}
    return shown.pop() if len(shown) == 1 and len(listed) <= _MOST_PICTURES else ""


def _statistics_last(page: Path) -> tuple[bool, Path]:
    return page.name == STATISTICS_PAGE, page


def _list(dataset: DerivativeDataset, report_times: Mapping[str, int]) -> list[Listed]:
    """List participants; a report that has not changed since the last index is not read again.

    An array of jobs lists thousands of participants at each job's end.
    """
    earlier: dict[str, Listed] = {}
    if len(report_times) > MOST_LISTED:
        with suppress(TypeError, ValueError, LookupError):  # somebody edited it
            for row in read_rows(dataset.root / _ROWS)[_PEOPLE]:
                person = Listed.from_row(row)
                earlier[person.label] = person
    listed: list[Listed] = []
    for label, changed_ns in report_times.items():
        same = earlier.get(label)
        if same is not None and same.changed_ns == changed_ns:
            listed.append(same)
        elif changed_ns:
            name = f"sub-{label}.html"
            address = quote(os.fsencode(name))  # as `link` does, in a tenth of the time
            flags = _flag_count(dataset.root / name)
            listed.append(Listed(label, address, flags, changed_ns))
        else:
            listed.append(Listed(label))
    return listed


def _report_times(dataset: DerivativeDataset) -> dict[str, int]:
    """Return when each participant's report was last written (ns), by label; 0: there is none."""
    times = dict.fromkeys(find_participant_labels(dataset), 0)
    with os.scandir(dataset.root) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("sub-") and name.endswith(".html"):
                label = name.removeprefix("sub-").removesuffix(".html")
                with suppress(FileNotFoundError):  # another job makes it again
                    times[label] = entry.stat().st_mtime_ns
    return dict(sorted(times.items()))


def _flag_count(page: Path) -> Mapping[str, Any] | None:
    """Read the counts of flags from a report; None if it has none."""
    try:
        with open_foreign(page) as file:
            match = _FLAGS.search(file.read(_HEAD).decode("utf-8", "replace"))
    except (ForeignFileError, OSError):
        return None
    if match is None:
        return None
    counts: dict[str, Any] = json.loads(match.group(1))
    if counts.get("level") not in LEVELS:
        return None
    # What no row shows is not kept.
    worst = counts["worst"] if counts["in_words"] else ""
    return {**_NO_FLAGS, **counts, "worst": worst}
