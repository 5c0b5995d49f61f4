"""The quality of all runs of an output: its table, and values far from those of other runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bids_dtg.array_types import Float64, Mask
from bids_dtg.cohort.mean_maps import GroupMaps
from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.files.columns import data_dictionary
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.notices import say
from bids_dtg.participants.vertex_series import note_on_surfaces
from bids_dtg.report.contents import ParticipantFiles
from bids_dtg.report.flags import VERDICTS
from bids_dtg.report.presentation import presentation_of

Row = Mapping[str, str]  # of the quality table: one run

RUN_TABLE = "group/desc-runs_qc.tsv"
# The page shows at most this many runs; the TSV file has all of them.
MOST_ROWS = 2000
# A value is marked if its robust z is further from 0 than this, on the metric's bad side.
OUTLIER_Z = 3.5
# With fewer runs, the spread is too uncertain.
LEAST_RUNS = 5
# Factors that turn a median or mean absolute deviation into the standard deviation of a normal
# distribution.
_MAD_TO_SD, _MEAN_AD_TO_SD = 1.4826, 1.2533


@dataclass(frozen=True, eq=False)
class RunQuality:
    """Quality measures of runs, and how far each value is from those of other runs."""

    rows: Sequence[Row]  # of the quality table, one a run
    measures: Sequence[QualityMetric]  # with a heading, and a value in any run
    values: Float64  # (runs, measures), NaN where n/a
    z: Float64  # (runs, measures), robust z scores

    @property
    def is_outlier(self) -> Mask:
        """Whether each value is far from those of other runs, and bad, (runs, measures)."""
        z = np.nan_to_num(self.z)
        may_be_low = [measure.bad != "high" for measure in self.measures]
        may_be_high = [measure.bad != "low" for measure in self.measures]
        return ((z < -OUTLIER_Z) & may_be_low) | ((z > OUTLIER_Z) & may_be_high)

    @property
    def levels(self) -> list[str]:
        """How each run resembles the training data, as the level of a flag."""
        verdicts = (row.get("training_distribution") for row in self.rows)
        return [VERDICTS.get(verdict or "", "") for verdict in verdicts]

    def most_unusual(self) -> list[int]:
        """Return the numbers of the runs that the page shows; with many, problems come first."""
        numbers = list(range(len(self.rows)))
        if len(numbers) <= MOST_ROWS:
            return numbers
        levels, outliers = self.levels, self.is_outlier.sum(axis=1)

        def rank(number: int) -> tuple[bool, bool, int]:
            level = levels[number]
            return level != "problem", level != "warning", -int(outliers[number])

        return sorted(numbers, key=rank)[:MOST_ROWS]


def robust_z(values: Float64, least_spread: float = 0.0) -> Float64:
    """Return robust z scores, with a standard deviation of `least_spread` or more.

    (x - median) / (1.4826 MAD). If more than half of the values are equal, the mean absolute
    deviation replaces the median one (Iglewicz & Hoaglin 1993). NaN with fewer than `LEAST_RUNS`
    values, or if all are equal.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < LEAST_RUNS:
        return np.full(len(values), np.nan)
    median = np.median(finite)
    deviations = np.abs(finite - median)
    spread = _MAD_TO_SD * np.median(deviations) or _MEAN_AD_TO_SD * deviations.mean()
    if spread <= 1e-12 * max(abs(median), 1.0):
        return np.full(len(values), np.nan)
    return (values - median) / max(spread, least_spread)


def quality_of(rows: Sequence[Row], measures: Iterable[QualityMetric]) -> RunQuality:
    """Compare runs by those measures that have a heading and a value in any run.

    Robust z scores compare runs with the same cleaning.
    """
    titled = {measure.name: measure for measure in measures if measure.heading}
    table = pd.DataFrame(rows).reindex(columns=[*titled])
    values = table.apply(pd.to_numeric, errors="coerce").dropna(axis=1, how="all")
    strategies = np.array([row.get("denoise_strategy", "n/a") for row in rows])

    def z_within_strategy(measure: pd.Series[float]) -> pd.Series[float]:
        by_strategy = measure.groupby(strategies)
        least = titled[str(measure.name)].least_spread
        return by_strategy.transform(lambda runs: robust_z(runs.to_numpy(float), least))

    z = values.apply(z_within_strategy)
    shown = [titled[str(name)] for name in values]
    return RunQuality(rows, shown, values.to_numpy(), z.to_numpy())


def add_to_runs(
    rows: Sequence[dict[str, str]],
    participants: Sequence[ParticipantFiles],
    group: GroupMaps | None,
) -> None:
    """Add each run's denoising strategy and its similarity to the group."""
    r_to_mean: dict[str, float] = {}
    if group:
        r_to_mean = dict(zip(group.averages, group.r_with_others, strict=True))
    strategies: dict[str, str] = {}
    similarities: dict[str, str] = {}
    averages = [average for files in participants for average in files.averages]
    for average in averages:
        strategy = str(average.common.get("DenoiseStrategy") or "n/a")
        strategies |= dict.fromkeys(average.runs, strategy)
        r = r_to_mean.get(average.title, np.nan)
        if np.isfinite(r):
            similarities |= dict.fromkeys(average.runs, f"{r:.4f}")
    titles = [run.title for files in participants for run in files.runs if run.quality]
    for row, title in zip(rows, titles, strict=True):
        row["denoise_strategy"] = strategies.get(title, "n/a")
        row["similarity"] = similarities.get(title, "n/a")
    names = sorted({row["denoise_strategy"] for row in rows} - {"n/a"})
    if len(names) > 1:
        say(
            f"runs are compared only within their cleaning strategy ({', '.join(names)})"
        )
    say(*filter(None, [note_on_surfaces(rows)]))


def write_run_table(output: DerivativeDataset, rows: Sequence[Row]) -> Path:
    """Write the quality table of all runs and its dictionary; return its path."""
    columns = presentation_of(output).columns_of_runs
    # Columns that this version does not know come last.
    in_rows = [name for row in rows for name in row]
    names = list(dict.fromkeys([column.name for column in columns] + in_rows))
    path = output.path(RUN_TABLE)
    write_tsv(path, names, [[row.get(name, "n/a") for name in names] for row in rows])
    write_json(path.with_suffix(".json"), data_dictionary(columns))
    return path
