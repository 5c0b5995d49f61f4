"""The page of the group level: all runs, mean maps, decisions and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.cohort.mean_maps import SPREAD
from bids_dtg.cohort.run_table import (
    LEAST_RUNS,
    MOST_ROWS,
    OUTLIER_Z,
    RUN_TABLE,
    Row,
    RunQuality,
    quality_of,
)
from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.contrasts.panels.drawn_maps import slice_text
from bids_dtg.contrasts.panels.gallery import (
    Gallery,
    data_of_viewer,
    draw_gallery,
    first_cards,
)
from bids_dtg.contrasts.panels.presentation import few_people, same_for_all
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.provenance import Failure
from bids_dtg.files.text import write_text
from bids_dtg.report.contents import MapFile
from bids_dtg.report.flags import LEVELS, Flag, flag_counts
from bids_dtg.report.inclusion import Decisions, page_facts
from bids_dtg.report.page import link, render
from bids_dtg.report.participant import GROUP
from bids_dtg.report.presentation import presentation_of
from bids_dtg.report.rows import MOST_WRITTEN, Cell, cell, write_rows
from bids_dtg.report.rows import Row as PageRow
from bids_dtg.report.tables import NOT_KNOWN, Table
from bids_dtg.report.viewer import remove_unlinked

_VERDICT = "Training distribution"  # heading
_ROWS = "group.js"  # the script with the page's rows, of many participants
# The viewer shows the spread over people as an overlay of the mean.
_OVERLAY = {
    "desc": SPREAD,
    "title": "Spread over participants",
    "factor": 2.0,
    "rule": "exceeds 2 standard deviations",
}


@dataclass(frozen=True, eq=False)
class MeanMapFiles:
    """Mean maps over participants as files, and their comparison with measured maps."""

    maps: Sequence[MapFile] = ()
    # By the label of the contrast, the image of the standard deviation over people.
    spreads: Mapping[str, Path] = field(default_factory=dict)
    averages: int = 0  # number of sets of maps that were averaged
    left_out: Sequence[tuple[str, str]] = ()  # title of each other set, and the reason
    compared: Table | None = None  # with measured mean maps; None: none were given


def write_group_page(
    dataset: DerivativeDataset,
    rows: Sequence[Row],
    flags: Mapping[str, Sequence[Flag]],
    failures: Sequence[Failure],
    decisions: Decisions,
    means: MeanMapFiles,
) -> Path:
    """Write the group page and its figures.

    Parameters
    ----------
    dataset
        The output folder.
    rows
        Runs of the quality table.
    flags
        Flags of participants' runs (`flags.run_flags`), by label.
    failures
        Of participants, in the order of the page.
    decisions
        On participants.
    means
        Mean maps, if there are any.

    Raises
    ------
    RunError
        A mean map cannot be read back.
    OutputError
        A file cannot be written.
    """
    folder = dataset.root / "group" / "figures"
    gallery: Gallery | None = None
    if means.maps:
        gallery = draw_gallery(
            dataset, folder, "group", means.maps, overlay=_OVERLAY, images=means.spreads
        )
    quality = quality_of(rows, presentation_of(dataset).columns_of_runs)
    facts_of_people = _facts_of_people(flags, failures, decisions)
    participants = len({row.get("participant_id") for row in rows})
    is_long = max(len(flags), participants) > MOST_WRITTEN
    shown = list(range(len(rows))) if is_long else quality.most_unusual()
    pages = dataset.root.glob("sub-*.html")  # listed once, not for each run
    reports = {path.stem: link(path, dataset) for path in pages}
    tables = {
        "runs": _run_rows(quality, shown, reports),
        "people": _people_rows(facts_of_people["people"], reports),
    }
    if is_long:
        facts_of_people["inclusion"]["people"] = []  # they are in the rows
        write_rows(dataset.path(_ROWS), tables)
    else:
        dataset.remove(_ROWS)
    page = render(
        "group.html",
        title="Group: bids_dtg",
        links=_links(means, gallery),
        is_long=is_long,
        rows_file=_ROWS,
        tables=tables,
        participants=participants,
        hidden=len(rows) - len(shown),
        table=link(dataset.root / RUN_TABLE, dataset),
        **_facts_of_runs(quality),
        **facts_of_people,
        **_facts_of_maps(means, gallery),
    )
    path = dataset.path(GROUP)
    write_text(path, page)
    remove_unlinked(dataset, folder, page)
    return path


def _links(means: MeanMapFiles, gallery: Gallery | None) -> list[tuple[str, str]]:
    """Return the anchor and the title of each section of the page."""
    links = [("summary", "Summary"), ("runs", "Runs")]
    if gallery:
        links.append(("maps", "Mean maps"))
    if means.compared:
        links.append(("measured", "Predicted and measured"))
    return [*links, ("decisions", "Decisions"), ("failures", "Failures")]


def _facts_of_runs(quality: RunQuality) -> dict[str, Any]:
    """Return what the page says of runs."""
    headings = [(name, False) for name in ("Participant", "Run", _VERDICT)]
    for measure in quality.measures:
        unit = f" ({measure.unit})" if measure.unit else ""
        headings.append((f"{measure.heading}{unit}", True))
    return {
        "runs": len(quality.rows),
        "run_headings": [*headings, ("Marked", True)],
        "levels": quality.levels,
        "marked": int(quality.is_outlier.any(axis=1).sum()),
        "z": OUTLIER_Z,
        "fewest": LEAST_RUNS,
        "most": MOST_ROWS,
    }


def _facts_of_people(
    flags: Mapping[str, Sequence[Flag]],
    failures: Sequence[Failure],
    decisions: Decisions,
) -> dict[str, Any]:
    """Return what the page says of participants; those with problems come first."""
    counts = {label: flag_counts(person_flags) for label, person_flags in flags.items()}

    def rank(person: tuple[str, dict[str, Any]]) -> tuple[int, int, int]:
        _, count = person
        return LEVELS.index(count["level"]), -count["problems"], -count["warnings"]

    levels = [count["level"] for count in counts.values()]
    return {
        "failed": len({failure.participant for failure in failures}),
        "problems": levels.count("problem"),
        "warnings": levels.count("warning"),
        "people": sorted(counts.items(), key=rank),
        "everybody": len(counts),
        "inclusion": page_facts(decisions, sorted(counts)),
        "failures": failures,
    }


def _run_rows(
    quality: RunQuality, shown: Sequence[int], reports: Mapping[str, str]
) -> list[PageRow]:
    """Return the rows of runs, by their numbers, with the addresses of participants' reports."""
    levels = quality.levels
    is_outlier = quality.is_outlier
    rows: list[PageRow] = []
    for number in shown:
        run, level = quality.rows[number], levels[number]
        person = _known(run, "participant_id")
        name = [_known(run, "session_id"), f"task-{run.get('task_id')}"]
        if index := _known(run, "run_id"):
            name.append(f"run-{index}")
        cells = [
            cell(person, link=reports.get(person, "")),
            cell(" ".join(filter(None, name))),
            cell(
                _known(run, "training_distribution") or NOT_KNOWN,
                kind=level,
                note=_known(run, "training_distribution_reasons"),
            ),
        ]
        measured = zip(
            quality.measures, quality.values[number], is_outlier[number], strict=True
        )
        cells += [_measured(*measured_value) for measured_value in measured]
        mark = int(is_outlier[number].sum())
        cells.append(cell(str(mark or ""), value=mark))
        rows.append((level or "marked" * bool(mark), cells, ()))
    return rows


def _measured(measure: QualityMetric, value: float, is_outlier: bool) -> Cell:
    if np.isnan(value):
        return NOT_KNOWN
    return cell(
        measure.text(value), value=float(value), kind="out" if is_outlier else ""
    )


def _people_rows(
    people: Sequence[tuple[str, Mapping[str, Any]]], reports: Mapping[str, str]
) -> list[PageRow]:
    """Return the rows of decisions in the order of the flags."""
    rows: list[PageRow] = []
    for number, (label, flags) in enumerate(people):
        name, level = f"sub-{label}", flags["level"]
        words = flags["in_words"] or "none"
        cells = [
            cell(name, link=reports.get(name, "")),
            cell(words, value=number, kind=level, note=flags["worst"]),
            {"t": "", "v": "", "d": name},
        ]
        rows.append((level, cells, ()))
    return rows


def _known(row: Row, name: str) -> str:
    """Return a cell of the quality table; empty where it is n/a."""
    value = row.get(name) or ""
    return "" if value == "n/a" else value


def _facts_of_maps(means: MeanMapFiles, gallery: Gallery | None) -> dict[str, Any]:
    """Return what the page says of mean maps, and the viewer's data."""
    sidecar = means.maps[0].sidecar if means.maps else {}
    notice = ""
    if sidecar.get("NotForScience"):
        notice = str(sidecar.get("ModelNotice") or "")
    notices = [text for text in (notice, few_people(sidecar)) if text]
    viewer = data_of_viewer([gallery] if gallery else [])  # numbers the cards
    return {
        "notices": [*notices, *same_for_all(means.maps)],
        "averaged": means.averages,
        "left_out": means.left_out,
        "compared": means.compared,
        "maps": {"of": "", "tasks": gallery.tasks} if gallery else None,
        "chosen": first_cards(gallery) if gallery else (),
        "slices": slice_text() if gallery and not means.maps[0].has_parcels else "",
        "viewer_data": viewer,
    }
