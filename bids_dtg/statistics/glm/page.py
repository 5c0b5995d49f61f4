"""The page of a first-level analysis: runs, designs, contrasts, and mean maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.task.model_file import GlmModel
from bids_dtg.notices import counted, named
from bids_dtg.report.flags import Flag
from bids_dtg.report.glass_brain import LEAST_Z_LIMIT, draw_glass_brain
from bids_dtg.report.numbers import Cell
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection, Pictures, Table
from bids_dtg.statistics.glm.design_matrix import draw_design_matrix
from bids_dtg.statistics.glm.estimate import Design
from bids_dtg.statistics.glm.tables import LARGE_INFLATION, Z_CHANCE, Z_LIMIT, Row
from bids_dtg.statistics.glm.task_run import columns_in_words

_INDEX = "../../index.html"
_MOST_ROWS = 100  # of runs on the page; the table has all


@dataclass(frozen=True, eq=False)
class GlmPageFacts:
    """Facts that the page shows."""

    model: GlmModel
    source: str  # name of the dataset
    simulated: bool  # whether its people are simulated
    run_rows: Sequence[Row]  # of the tables
    contrast_rows: Sequence[Row]
    left_out: Sequence[tuple[str, str]]  # runs or maps left out, and why
    design: Design  # of the first run
    design_title: str
    # Mean z over people of some contrasts, its places, and the number of people.
    means: Mapping[str, tuple[NDArray[np.float32], VoxelPlaces, int]]


def write_glm_page(results: ResultFolder, facts: GlmPageFacts) -> None:
    """Write the page."""
    people = len({row["participant_id"] for row in facts.run_rows})
    results.page(
        AnalysisPageFacts(
            title=f"First-level maps of the task {facts.model.task}",
            lead=f"Maps of {counted(len(facts.model.contrasts), 'contrast')} were estimated from "
            f"{counted(len(facts.run_rows), 'run')} of {counted(people, 'participant')} of "
            f"{facts.source}: measured maps, for --derivatives statmaps=group/{results.name}.",
            flags=list(_flags(facts)),
            sections=[_maps(facts), _contrasts(facts), _design(facts), _runs(facts)],
            index=_INDEX,
        )
    )


def _flags(facts: GlmPageFacts) -> Iterator[Flag]:
    if facts.simulated:
        yield Flag("warning", "Simulated people: not for science about brains")
    if facts.left_out:
        yield Flag(
            "warning",
            f"Left out: {counted(len(facts.left_out), 'item')}, runs or maps of contrasts; the "
            "last table has them",
        )
    for label, rows in _by_contrast(facts).items():
        inflation = _median(rows, "inflation")
        if inflation > LARGE_INFLATION:
            yield Flag(
                "warning",
                f"{label}: an inefficient design. Its variance is {inflation:.1f} times that of "
                "columns that do not correlate; trials of its conditions follow each other at "
                "short and regular times, or there is hardly any baseline",
            )


def _maps(facts: GlmPageFacts) -> PageSection:
    pictures, items = {}, list(facts.means.items())
    limit = max(LEAST_Z_LIMIT, *(_largest(values) for values, _, _ in facts.means.values()))
    for label, (values, places, people) in items:
        drawn = draw_glass_brain(
            values,
            places,
            title=f"{label}: mean z of {counted(people, 'map')}",
            units="z",
            limit=limit,
        )
        if drawn is not None:
            pictures[label] = drawn
    shown = len(facts.means), len(facts.model.contrasts)
    return PageSection(
        "Maps",
        text=[
            "The mean over participants (and sessions) of the maps of z, runs put together, "
            "without any threshold, all on one scale. Where the task is in the data, it is far "
            "from 0 in few places; pale colours everywhere are noise. It is no test over "
            "participants (--analysis stats makes one)."
        ]
        + [f"The first {shown[0]} of {shown[1]} contrasts are drawn."] * (shown[0] < shown[1]),
        pictures=[
            Pictures(
                "Mean maps",
                pictures,
                {label: f"Glass brain of the mean z of {label}" for label in pictures},
            )
        ]
        if pictures
        else [],
    )


def _largest(values: NDArray[np.float32]) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _contrasts(facts: GlmPageFacts) -> PageSection:
    rows: list[list[Cell]] = []
    for label, found in _by_contrast(facts).items():
        made = [row for row in found if row.get("missing") is None]
        rows.append(
            [
                label,
                _weights(facts.model.contrasts[label]),
                len(made),
                min((int(_number(row, "trials")) for row in made), default=0),
                _median(made, "inflation"),
                _median(made, "efficiency"),
                100 * _median(made, "active"),
            ]
        )
    return PageSection(
        "Contrasts",
        text=[
            "Medians over runs. The inflation is the variance of a contrast over that without "
            f"correlations between the design's columns: 1 is best, above {LARGE_INFLATION:g} is "
            "an inefficient design. The efficiency compares designs of one contrast: more is "
            f"better. The last column is the share of voxels with |z| above {Z_LIMIT:g} in a run."
        ],
        tables=[
            Table(
                "Contrasts",
                (
                    "contrast",
                    "weights",
                    "runs",
                    "fewest trials",
                    "inflation",
                    "efficiency",
                    f"|z| above {Z_LIMIT:g} (% of voxels)",
                ),
                rows,
                notes=[
                    f"By chance it is {Z_CHANCE:.2%} on average over many runs. In single runs it "
                    "can be many times as much without any response: neighbouring voxels go "
                    "together, and motion and slow changes are not all modelled. It is no test."
                ],
            )
        ],
    )


def _weights(weights: Mapping[str, float]) -> str:
    shown = [f"{weight:+.3g} {name}" for name, weight in weights.items()]
    return ", ".join(shown[:6]) + (", …" if len(shown) > 6 else "")


def _design(facts: GlmPageFacts) -> PageSection:
    model, design = facts.model, facts.design
    picture = draw_design_matrix(design.values, design.columns, title=facts.design_title)
    smoothing = f"{model.smoothing_fwhm:g} mm" if model.smoothing_fwhm else "none"
    return PageSection(
        "Design",
        text=[
            f"Response: {model.hrf}. Noise: {model.noise_model}. Confounds: "
            f"{columns_in_words(model)}; a column for each volume that is censored or not in the "
            f"steady state. Slow cosines: below {model.high_pass:.4g} Hz. Smoothing: {smoothing}. "
            "Effects are in percent of a voxel's mean.",
            f"Trial types of the baseline: {named(list(model.ignore))}."
            if model.ignore
            else "All trial types of the event files are in the design, also those that no "
            "contrast names.",
        ],
        pictures=[
            Pictures(
                "The first run's design: time goes down, a column each",
                {facts.design_title: picture},
                {facts.design_title: f"Design matrix: {', '.join(design.columns[:12])}, …"},
            )
        ]
        if picture is not None
        else [],
    )


def _runs(facts: GlmPageFacts) -> PageSection:
    columns = ("frames", "trials", "censored", "residual_dof", "r_squared", "task_r_squared")
    rows: list[list[Cell]] = [
        [str(row["run"]), *(_cell(row, column) for column in columns)]
        for row in facts.run_rows[:_MOST_ROWS]
    ]
    more = len(facts.run_rows) - len(rows)
    return PageSection(
        "Runs",
        text=[
            "R² is the share of the variance about the mean that the whole design explains, "
            "censored volumes left out, and "
            "the task's the share that conditions add to all other columns; columns that have "
            "nothing to do with a voxel explain (columns) / (frames) of it by chance."
        ],
        tables=[
            Table(
                "Runs",
                ("run", "frames", "trials", "censored", "residual dof", "R²", "R² of the task"),
                rows,
                notes=[f"{more} more runs are in desc-runs_qc.tsv."] * (more > 0),
            ),
            Table("Left out", ("what", "why"), [list(pair) for pair in facts.left_out]),
        ],
    )


def _by_contrast(facts: GlmPageFacts) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {label: [] for label in facts.model.contrasts}
    for row in facts.contrast_rows:
        found[str(row["contrast"])].append(row)
    return found


def _number(row: Row, column: str) -> float:
    value = row.get(column)
    return float(value) if isinstance(value, int | float) else np.nan


def _cell(row: Row, column: str) -> Cell:
    """Format a value for the page: whole numbers without decimals."""
    value = _number(row, column)
    return int(value) if value.is_integer() else value


def _median(rows: Sequence[Row], column: str) -> float:
    known = [value for row in rows if np.isfinite(value := _number(row, column))]
    return float(np.median(known)) if known else np.nan
