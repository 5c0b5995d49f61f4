"""The page of all participants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.mean_maps import GroupMaps
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.panels.maps import data_of_viewer, draw_gallery, slice_text
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.notices import counted
from bids_dtg.report.contents import MapFile, Overlay
from bids_dtg.report.flags import (
    LEVELS,
    VERDICTS,
    Flag,
    FlagCount,
    few_people,
    same_for_all,
    sorted_flags,
)
from bids_dtg.report.inclusion import Inclusion, page_facts
from bids_dtg.report.pages.index import GROUP
from bids_dtg.report.pages.page import link, render
from bids_dtg.report.presentation import presentation_of
from bids_dtg.report.quality import QualityColumn, number
from bids_dtg.report.viewer import remove_others

Row = dict[str, Any]  # a run on the page: facts by name, see `_rows`
# The spread over people, an overlay of the mean in the viewer.
GROUP_SPREAD = Overlay("groupSd", "Spread over participants", 2.0, "exceeds 2 standard deviations")
# With more runs than this, the page shows no table; the TSV file has all of them.
_MOST_ROWS = 2000
# A value this far from the median is marked.
OUTLIER_Z = 3.5
# With fewer runs, the spread is too uncertain.
LEAST_RUNS = 5
# The median absolute deviation of a normal distribution is this share of its standard deviation;
# the second number is that of the mean absolute deviation.
_MAD_TO_SD, _MEAN_AD_TO_SD = 1.4826, 1.2533


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


def measured(
    rows: Sequence[Mapping[str, str]], measures: Iterable[QualityColumn]
) -> tuple[list[QualityColumn], NDArray[np.float64], NDArray[np.float64]]:
    """Return the measures that have a title and a value in some run, their values and z scores.

    Both are (runs, measures), NaN where n/a. Robust z scores compare runs that were cleaned alike.
    """
    titled = [measure for measure in measures if measure.title]
    cells = [[number(row.get(measure.name)) for measure in titled] for row in rows]
    values = np.array(cells, np.float64).reshape(len(rows), len(titled))
    known = np.asarray(np.isfinite(values).any(axis=0))
    values, z = values[:, known], np.full((len(rows), np.count_nonzero(known)), np.nan)
    cleaned = np.array([row.get("denoise_strategy", "n/a") for row in rows])
    for strategy in np.unique(cleaned):
        alike = cleaned == strategy
        z[alike] = np.apply_along_axis(robust_z, 0, values[alike])
    return [measure for measure, kept in zip(titled, known, strict=True) if kept], values, z


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
    measures, values, z = measured(
        facts.rows, (*presentation.quality_columns, *presentation.group_columns)
    )
    out = np.abs(np.nan_to_num(z)) > OUTLIER_Z
    counts = {label: FlagCount.of(flags) for label, flags in facts.flags.items()}
    rows = _rows(facts.rows, out)
    maps, means, failures = facts.maps, facts.means, facts.failures
    left_out, compared = facts.left_out, facts.compared
    folder, gallery = dataset.root / "group" / "figures", None
    if means:
        gallery = draw_gallery(dataset, folder, "group", means, overlays=(GROUP_SPREAD,))
    shown = sorted(rows, key=_least_usual)[:_MOST_ROWS] if len(rows) > _MOST_ROWS else rows
    page = render(
        "group.html",
        title="Group: bids_dtg",
        sections=[
            *(("summary", "Summary"), ("runs", "Runs"), ("decisions", "Decisions")),
            *([("maps", "Mean maps")] if gallery else []),
            *([("measured", "Predicted and measured")] if compared else []),
            ("failures", "Failures"),
        ],
        participants=len({row["participant"] for row in rows}),
        flags=_flags(rows, counts, failures, means),
        rows=shown,
        values=values,
        out=out,
        # The folder is listed once, not for each run.
        reports={path.stem: link(path, dataset) for path in dataset.root.glob("sub-*.html")},
        hidden=len(rows) - len(shown),
        measures=measures,
        rule=f"more than {OUTLIER_Z:g} robust standard deviations from the median "
        f"(1.4826 times the median absolute deviation), with {LEAST_RUNS} runs or more",
        table=link(facts.table, dataset),
        people=sorted(counts.items(), key=lambda own: (-own[1].problems, -own[1].warnings))[
            :_MOST_ROWS
        ],
        inclusion=page_facts(facts.inclusion, sorted(counts)),
        failures=failures[:_MOST_ROWS],
        more_failures=max(0, len(failures) - _MOST_ROWS),
        left_out=left_out[:_MOST_ROWS],
        more_left_out=max(0, len(left_out) - _MOST_ROWS),
        compared=compared and compared.on_page("Mean maps, by contrast"),
        averaged=len(maps.averages) if maps else 0,
        groups=gallery.tasks if gallery else (),
        slices=slice_text(),
        viewer_data=data_of_viewer([gallery] if gallery else []),
    )
    path = dataset.path(GROUP)
    write_text(path, page)
    remove_others(folder, gallery.files if gallery else ())
    return path


def _rows(rows: Sequence[Mapping[str, str]], out: NDArray[np.bool_]) -> list[Row]:
    """Return a row for each run, without figures, as most rows of a large cohort are not shown."""
    found = []
    for position, row in enumerate(rows):
        known = {name: value for name, value in row.items() if value not in (None, "", "n/a")}
        verdict = known.get("training_distribution", "")
        session, run = known.get("session_id", ""), known.get("run_id", "")
        named = session, f"task-{row.get('task_id')}", f"run-{run}" * bool(run)
        found.append(
            {
                "position": position,
                "participant": known.get("participant_id", ""),
                "run": " ".join(filter(None, named)),
                "verdict": verdict,
                "level": VERDICTS.get(verdict, ""),
                "reasons": known.get("training_distribution_reasons", ""),
                "marks": int(out[position].sum()),
            }
        )
    return found


def _least_usual(row: Row) -> tuple[bool, bool, int]:
    """Return the sort key of runs: those to look at come first."""
    return row["level"] != "problem", row["level"] != "warning", -row["marks"]


def _flags(
    rows: Sequence[Row],
    counts: Mapping[str, FlagCount],
    failures: Sequence[tuple[str, str, str]],
    means: Sequence[MapFile],
) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    if failed := len({participant for participant, _, _ in failures}):
        flags.append(Flag("problem", f"{counted(failed, 'participant')} failed"))
    runs, judged = counted(len(rows), "run"), [row["verdict"] for row in rows if row["verdict"]]
    for verdict, level in VERDICTS.items():
        if number := judged.count(verdict):
            are = "is" if number == 1 else "are"
            text = f"{number} of {runs} {are} {verdict}, compared with the model's training data"
            flags.append(Flag(level, text))
    for level in LEVELS[:2]:
        if number := sum(count.level == level for count in counts.values()):
            what = "a problem" if level == "problem" else "a warning, and no problem,"
            have = "has" if number == 1 else "have"
            text = f"{number} of {counted(len(counts), 'participant')} {have} {what} in the report"
            flags.append(Flag(level, text))
    if marked := sum(row["marks"] > 0 for row in rows):
        flags.append(Flag("note", f"{marked} of {runs} have a value far from those of other runs"))
    if len(rows) < LEAST_RUNS:
        flags.append(Flag("note", f"With fewer than {LEAST_RUNS} runs no outliers are marked"))
    if means:
        sidecar = means[0].sidecar
        notice = str(sidecar.get("ModelNotice") or "") if sidecar.get("NotForScience") else ""
        texts = (notice, few_people(sidecar), *same_for_all(means))
        flags += [Flag("warning", text) for text in texts if text]
    return sorted_flags(flags)
