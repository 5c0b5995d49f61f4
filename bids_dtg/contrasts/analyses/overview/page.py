"""The page of all participants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.mean_maps import GroupMaps
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.panels.maps import data_of_viewer, draw_gallery, slice_text
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.notices import counted
from bids_dtg.report.charts import Histogram, histogram
from bids_dtg.report.colours import AMOUNT
from bids_dtg.report.contents import MapFile, Overlay
from bids_dtg.report.flags import (
    LEVELS,
    VERDICTS,
    Flag,
    FlagCount,
    Level,
    few_people,
    same_for_all,
    sorted_flags,
)
from bids_dtg.report.inclusion import Inclusion, page_facts
from bids_dtg.report.pages.index import GROUP
from bids_dtg.report.pages.page import link, render
from bids_dtg.report.pictures import PICTURE, draw_matrix
from bids_dtg.report.presentation import presentation_of
from bids_dtg.report.quality import QualityColumn, number
from bids_dtg.report.viewer import remove_others

Row = dict[str, Any]  # a run on the page: facts by name, see `_rows`
# The spread over people, an overlay of the mean in the viewer.
GROUP_SPREAD = Overlay("groupSd", "Spread over participants", 2.0, "exceeds 2 standard deviations")
_HISTOGRAM = (420.0, 120.0)
# With more runs than this, the page shows no table; the TSV file has all of them.
_MOST_ROWS = 2000
# A value this far from the median is marked.
OUTLIER_Z = 3.5
# With fewer runs, the spread is too uncertain.
LEAST_RUNS = 5
# The median absolute deviation of a normal distribution is this share of its standard deviation;
# the second number is that of the mean absolute deviation.
_MAD_TO_SD, _MEAN_AD_TO_SD = 1.4826, 1.2533


@dataclass(frozen=True, eq=False)
class Column:
    """One quality measure of all runs."""

    measure: QualityColumn
    values: NDArray[np.float64]  # (runs,), NaN where n/a
    z: NDArray[np.float64]  # (runs,), robust; NaN where it is not defined

    @property
    def title(self) -> str:
        """Its title, with its unit."""
        unit = self.measure.unit
        return f"{self.measure.title} ({unit})" if unit else self.measure.title

    @property
    def out(self) -> NDArray[np.bool_]:
        """(runs,), whether the value is an outlier."""
        marked: NDArray[np.bool_] = np.abs(np.nan_to_num(self.z)) > OUTLIER_Z
        return marked


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return robust z scores.

    (x - median) / (1.4826 MAD); where more than half of the values are equal, the mean
    absolute deviation replaces the median one (Iglewicz & Hoaglin 1993). NaN with
    fewer than `LEAST_RUNS` values, or where all are equal.
    """
    known = values[np.isfinite(values)]
    if len(known) < LEAST_RUNS:
        return np.full(len(values), np.nan)
    middle = np.median(known)
    apart = np.abs(known - middle)
    spread = _MAD_TO_SD * np.median(apart) or _MEAN_AD_TO_SD * apart.mean()
    if spread <= 1e-12 * max(abs(middle), 1.0):
        return np.full(len(values), np.nan)
    z: NDArray[np.float64] = (values - middle) / spread
    return z


def columns_of(
    rows: Sequence[Mapping[str, str]], measures: Iterable[QualityColumn]
) -> tuple[Column, ...]:
    """Return the columns that have a title and a value in some run.

    Robust z scores compare runs that were cleaned alike.
    """
    cleaned = np.array([row.get("denoise_strategy", "n/a") for row in rows])
    found = []
    for measure in measures:
        if not measure.title:
            continue
        cells = [number(row.get(measure.name)) for row in rows]
        values = np.array([np.nan if cell is None else cell for cell in cells], np.float64)
        if np.isfinite(values).any():
            z = np.full(len(values), np.nan)
            for strategy in np.unique(cleaned):
                z[cleaned == strategy] = robust_z(values[cleaned == strategy])
            found.append(Column(measure, values, z))
    return tuple(found)


class GroupFacts(NamedTuple):
    """Facts that the page shows."""

    table: Path  # the quality table
    rows: Sequence[Mapping[str, str]]  # of it, a run each
    flags: Mapping[str, Sequence[Flag]]  # own ones (`flags.own_flags`), by label without sub-
    failures: Sequence[tuple[str, str, str]] = ()  # participant, what failed, message
    maps: GroupMaps | None = None  # the averaged maps
    means: Sequence[MapFile] = ()  # files of their means, with the spread as an overlay
    left_out: Sequence[tuple[str, str]] = ()  # title and reason of the averages left out
    inclusion: Inclusion = Inclusion()  # participants left out of the means
    compared: ResultTable | None = None  # mean maps with measured ones; None: none were given


def write_group_page(dataset: DerivativeDataset, facts: GroupFacts) -> Path:
    """Write the group page and its pictures.

    Raises
    ------
    RunError
        A mean map cannot be read back.
    OutputError
        A file cannot be written.
    """
    presentation = presentation_of(dataset)
    columns = columns_of(facts.rows, (*presentation.quality_columns, *presentation.group_columns))
    counts = {label: FlagCount.of(flags) for label, flags in facts.flags.items()}
    rows = _rows(dataset, facts.rows, columns, counts)
    folder = dataset.root / "group" / "figures"
    maps, means, failures = facts.maps, facts.means, facts.failures
    left_out, compared = facts.left_out, facts.compared
    gallery = None
    if means:
        gallery = draw_gallery(dataset, folder, "group", means, overlays=(GROUP_SPREAD,))
    matrix = _draw_similarity(dataset, folder, maps) if maps else None
    shown = sorted(rows, key=_least_usual)[:_MOST_ROWS] if len(rows) > _MOST_ROWS else rows
    page = render(
        "group.html",
        title="Group: bids_dtg",
        sections=[
            *(("summary", "Summary"), ("distributions", "Distributions"), ("runs", "Runs")),
            ("decisions", "Decisions"),
            *([("similarity", "Similarity")] if matrix else []),
            *([("maps", "Mean maps")] if gallery else []),
            *([("measured", "Predicted and measured")] if compared else []),
            ("failures", "Failures"),
        ],
        participants=len({row["participant"] for row in rows}),
        flags=_flags(rows, failures, means),
        rows=[{**row, "cells": _cells(row["position"], columns)} for row in shown],
        hidden=len(rows) - len(shown),
        measures=[column.measure for column in columns],
        charts=[(column.title, _histogram(column)) for column in columns],
        rule=f"more than {OUTLIER_Z:g} robust standard deviations from the median "
        f"(1.4826 times the median absolute deviation), with {LEAST_RUNS} runs or more",
        table=link(facts.table, dataset),
        people=_people(rows)[:_MOST_ROWS],
        inclusion=page_facts(facts.inclusion, sorted(counts)),
        failures=failures[:_MOST_ROWS],
        more_failures=max(0, len(failures) - _MOST_ROWS),
        left_out=left_out[:_MOST_ROWS],
        more_left_out=max(0, len(left_out) - _MOST_ROWS),
        matrix=matrix,
        compared=compared and compared.on_page("Mean maps, by contrast"),
        averaged=len(maps.averages) if maps else 0,
        groups=gallery.tasks if gallery else (),
        slices=slice_text(),
        viewer_data=data_of_viewer([gallery] if gallery else []),
    )
    path = dataset.path(GROUP)
    write_text(path, page)
    kept = [*(gallery.files if gallery else ()), *([folder / _MATRIX] if matrix else [])]
    remove_others(folder, kept)
    return path


_MATRIX = f"group_similarity{PICTURE}"


def _rows(
    dataset: DerivativeDataset,
    rows: Sequence[Mapping[str, str]],
    columns: Sequence[Column],
    counts: Mapping[str, FlagCount],
) -> list[Row]:
    """Return a row for each run, without cells, as most rows of a large cohort are not shown."""
    # The folder is listed once, not for each run.
    reports = {path.name: link(path, dataset) for path in dataset.root.glob("sub-*.html")}
    marks = np.sum([np.zeros(len(rows), int), *(column.out for column in columns)], axis=0)
    found: list[Row] = []
    for position, row in enumerate(rows):
        known = {name: value for name, value in row.items() if value not in (None, "", "n/a")}
        participant, verdict = (
            known.get("participant_id", ""),
            known.get("training_distribution", ""),
        )
        named = [
            known.get("session_id", ""),
            f"task-{row.get('task_id')}",
            f"run-{known['run_id']}" if "run_id" in known else "",
        ]
        found.append(
            {
                "position": position,
                "participant": participant,
                "address": reports.get(f"{participant}.html"),
                "run": " ".join(filter(None, named)),
                "verdict": verdict,
                "level": VERDICTS.get(verdict, ""),
                "reasons": known.get("training_distribution_reasons", ""),
                "flags": counts.get(participant.removeprefix("sub-"), FlagCount(0, 0)),
                "marks": int(marks[position]),
            }
        )
    return found


def _cells(position: int, columns: Sequence[Column]) -> list[dict[str, object]]:
    """Return text, sort key (empty: n/a), mark and tooltip of each measure of a run."""
    cells = []
    for column in columns:
        value, z = column.values[position], column.z[position]
        known = bool(np.isfinite(value))
        cells.append(
            {
                "text": f"{value:.{column.measure.decimals}f}" if known else "n/a",
                "value": f"{value:.6g}" if known else "",
                "out": bool(column.out[position]),
                "title": f"robust z {z:+.1f}" if np.isfinite(z) else "",
            }
        )
    return cells


def _histogram(column: Column) -> Histogram:
    known = column.values[np.isfinite(column.values)]
    low, high = float(known.min()), float(known.max())
    room = 0.0 if high > low else 0.05 * max(abs(high), 1.0)
    words = f"{column.title}, {counted(len(known), 'run')}: {low:.3g} to {high:.3g}"
    width, height = _HISTOGRAM
    return histogram(known, low - room, high + room, width=width, height=height, alt=words)


def _draw_similarity(
    dataset: DerivativeDataset, folder: Path, maps: GroupMaps
) -> Mapping[str, Any] | None:
    matrix = maps.similarity
    if matrix is None:
        return None
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    low = float(np.floor(10 * min(others.min(), 0.95)) / 10)
    path = folder / _MATRIX
    write_atomic(
        dataset.path(path.relative_to(dataset.root).as_posix()),
        draw_matrix(matrix, AMOUNT, low, 1.0),
    )
    return {
        "picture": link(path, dataset),
        "low": f"{low:g}".replace("-", "\N{MINUS SIGN}"),
        "size": len(matrix),
        "median": f"{np.median(others):.2f}",
        "least": f"{others.min():.2f}",
        "titles": list(maps.averages) if len(maps.averages) <= 30 else [],
    }


def _people(rows: Sequence[Row]) -> list[Row]:
    """Combine the runs of each participant; the participants to look at first come first.

    Of each the worst verdict over the runs, and the marked values of all.
    """
    own: dict[str, Row] = {}
    for row in sorted(rows, key=_least_usual):
        first = own.setdefault(row["participant"], {**row, "name": row["participant"], "marks": 0})
        first["marks"] += row["marks"]
    return list(own.values())


def _least_usual(row: Row) -> tuple[bool, bool, int]:
    """Return the sort key of runs: those to look at come first."""
    return row["level"] != "problem", row["level"] != "warning", -row["marks"]


def _distribution_flags(rows: Sequence[Row]) -> list[Flag]:
    """Say for how many runs the model is made; nothing if no run was judged."""
    judged = [row["verdict"] for row in rows if row["verdict"]]
    if not judged:
        return []
    numbers = {verdict: judged.count(verdict) for verdict in ("inside", *VERDICTS)}
    listed = ", ".join(f"{number} {verdict}" for verdict, number in numbers.items())
    unknown = f"; {len(rows) - len(judged)} not judged" if len(judged) < len(rows) else ""
    levels = {level: numbers[verdict] for verdict, level in VERDICTS.items()}
    found: tuple[Level, ...] = tuple(level for level in LEVELS if levels.get(level))
    text = f"Of {counted(len(rows), 'run')} against the model's training data: {listed}{unknown}"
    return [Flag(found[0] if found else "good", text)]


def _flags(
    rows: Sequence[Row], failures: Sequence[tuple[str, str, str]], means: Sequence[MapFile]
) -> tuple[Flag, ...]:
    flags = []
    failed = len({participant for participant, _, _ in failures})
    if failed:
        flags.append(Flag("problem", f"{failed} participant{'s' * (failed != 1)} failed"))
    flags += _distribution_flags(rows)
    people = {row["participant"]: row["flags"] for row in rows}
    for level in LEVELS[:2]:
        if number := sum(count.level == level for count in people.values()):
            what = "a problem" if level == "problem" else "a warning, and no problem,"
            have = "has" if number == 1 else "have"
            text = f"{number} of {counted(len(people), 'participant')} {have} {what} in the report"
            flags.append(Flag(level, text))
    marked = sum(row["marks"] > 0 for row in rows)
    if marked:
        text = f"{marked} of {counted(len(rows), 'run')} have a value far from those of other runs"
        flags.append(Flag("note", text))
    if len(rows) < LEAST_RUNS:
        flags.append(Flag("note", f"With fewer than {LEAST_RUNS} runs no outliers are marked"))
    if means and means[0].sidecar.get("NotForScience"):
        flags.append(Flag("warning", str(means[0].sidecar.get("ModelNotice") or "")))
    if means and (few := few_people(means[0].sidecar)):
        flags.append(Flag("warning", few))
    flags += [Flag("warning", text) for text in same_for_all(means)]
    return sorted_flags(flags)
