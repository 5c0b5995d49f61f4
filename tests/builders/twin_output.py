"""An output of the participant level of `twin`, as its pages know it: files, made of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from network_output import names_of as names_of

from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset, SourceDataset
from bids_dtg.files.names import build_path
from bids_dtg.files.provenance import write_completion
from bids_dtg.files.regions.relmat import RegionMatrix, encode_relmat
from bids_dtg.files.regions.series import RegionSeries, encode_series
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.report.panels.panel import RunFrames, keep_all, write_kept
from bids_dtg.report.parcels.quality import parcel_figures
from bids_dtg.report.quality import write_quality
from bids_dtg.twin.panels.averages import PRESENTATION
from bids_dtg.twin.panels.behaviour import Curve, keep_trial_series

TR = 2.0
TASKS = {"faces": (("shape", "face"), 108, 2.0), "stroop": (("congruent", "incongruent"), 78, 2.24)}
COLUMNS = (
    *("task_name", "condition", "trials", "own_sequence"),
    *("predicted_rt_seconds", "group_rt_seconds"),
    *("observed_rt_seconds", "observed_median_rt_seconds", "predicted_correct"),
    *("observed_correct", "predicted_miss", "observed_miss"),
)
SET = {"sub": "01", "ses": "1", "task": "rest"}


def new_output(folder: Path) -> DerivativeDataset:
    """Return an output folder that says which workflow made it."""
    dataset = DerivativeDataset(folder)
    source = SourceDataset(folder.parent, "fmriprep", {}, folder.parent)
    dataset.describe(source, PRESENTATION.dataset_words(), version="1")
    return dataset


def write_participant(
    dataset: DerivativeDataset,
    *,
    names: Sequence[str],
    runs: int = 2,
    lost: int = 0,
    modelled: bool = True,
    own: bool = True,
    tasks: Mapping[str, tuple[tuple[str, ...], int, float]] = TASKS,
    left_out: Mapping[str, str] | None = None,
) -> None:
    """Write the files of one average: its runs of rest, its connectome and behaviour."""
    rng = np.random.default_rng(0)
    matrices = [_write_run(dataset, rng, number, names, lost) for number in range(1, runs + 1)]
    titles = [f"sub-01_ses-1_task-rest_run-{number}" for number in range(1, runs + 1)]
    with np.errstate(divide="ignore"):
        edges = np.arctanh(np.mean(matrices, axis=0))
    np.fill_diagonal(edges, np.nan)
    path = _path(dataset, SET, "relmat", ".tsv", stat="fisherz")
    write_atomic(path, encode_relmat(RegionMatrix(tuple(names), edges)))
    facts = {
        "Atlas": {"Key": "Toy"},
        "DenoiseStrategy": "simple",
        "Runs": [{"Run": title, "Weight": 100.0} for title in titles],
        "RunsWeightedBy": "ResidualDegreesOfFreedom",
        "ExcludedRuns": dict(left_out or {}),
    }
    write_json(path.with_suffix(".json"), facts)
    files = [path]
    if modelled:
        files += _write_behaviour(dataset, rng, own, tasks)
    write_completion(
        dataset, "sub-01_ses-1_task-rest", options={"version": "1"}, inputs={}, outputs=files
    )


def _path(
    dataset: DerivativeDataset,
    entities: Mapping[str, str],
    suffix: str,
    extension: str,
    **more: str,
) -> Path:
    named = {**entities, "space": "MNI152NLin6Asym", "atlas": "Toy", **more}
    return dataset.path(build_path(named, suffix, extension))


def _write_run(
    dataset: DerivativeDataset,
    rng: np.random.Generator,
    number: int,
    names: Sequence[str],
    lost: int,
) -> np.ndarray:
    """Write what is written of a run; return the correlations of its series."""
    entities, frames, regions = {**SET, "run": str(number)}, 240, len(names)
    shared = rng.standard_normal((7, frames))
    weights = np.eye(7)[np.arange(regions) * 14 // regions % 7] + rng.normal(0, 0.3, (regions, 7))
    series = weights @ shared + rng.standard_normal((regions, frames))
    series = (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)
    keep = np.ones(frames, bool)
    keep[100:112] = False
    coverage = np.clip(rng.normal(1.0, 0.05, regions), 0, 1)
    fc = np.corrcoef(series[:, keep])
    if lost:
        series[-lost:], coverage[-lost:], fc[-lost:], fc[:, -lost:] = np.nan, 0.1, np.nan, np.nan
    shown = np.where(keep, series, np.nan).astype(np.float32)
    table = encode_series(RegionSeries(tuple(names), shown))
    path = _path(dataset, entities, "timeseries", ".tsv", stat="mean")
    write_atomic(path, table)
    facts: dict[str, Any] = {"RepetitionTime": TR, "Confounds": {"FdThreshold": 0.5}}
    write_json(path.with_suffix(".json"), facts)
    path = _path(dataset, entities, "bold", ".tsv", stat="coverage")
    write_tsv(path, list(names), [coverage.round(4).tolist()])
    fd_mm = np.where(keep, 0.1, 0.7) * rng.uniform(0.5, 1.5, frames)
    dvars = np.where(keep, 1.0, 2.0) * rng.uniform(0.8, 1.2, frames)
    list(
        write_kept(
            keep_all(PRESENTATION.panels, RunFrames(keep, fd_mm, dvars, TR)), entities, dataset
        )
    )
    figures = dict.fromkeys(column.name for column in PRESENTATION.quality_columns)
    figures |= parcel_figures(coverage, fc, dvars)
    figures |= {"participant_id": "sub-01", "session_id": "ses-1", "task_id": "rest"}
    figures |= {"run_id": str(number), "frames": frames, "frames_kept": int(keep.sum())}
    figures |= {"repetition_time": TR, "minutes_kept": round(keep.sum() * TR / 60, 2)}
    figures |= {"residual_dof": int(keep.sum()) - 30, "fd_mean": round(float(fd_mm.mean()), 3)}
    list(write_quality(figures, PRESENTATION.quality_columns, entities, dataset))
    return fc


def _write_behaviour(
    dataset: DerivativeDataset,
    rng: np.random.Generator,
    own: bool,
    tasks: Mapping[str, tuple[tuple[str, ...], int, float]],
) -> list[Path]:
    rows: list[list[object]] = []
    curves: list[Curve] = []
    for task, (conditions, trials, window) in tasks.items():
        means = []
        for number, condition in enumerate(conditions):
            middle, each = 0.7 + 0.1 * number, trials // len(conditions)
            of = {
                "twin": (middle, None),
                "group": (middle + 0.05, None),
                **({"person": (middle - 0.03, rng)} if own else {}),
            }
            curves += [
                Curve(task, condition, whose, each, *_curve(at, window, each, drawn))
                for whose, (at, drawn) in of.items()
            ]
            found = [middle, middle + 0.05, middle - 0.02, middle - 0.03, 0.95, 0.94, 0.01, 0.02]
            known = [True, True, own, own, True, own, True, own]
            means.append([round(v, 6) if k else None for v, k in zip(found, known, strict=True)])
            rows.append([task, condition, each, "true" if own else "false", *means[-1]])
        effect = [None if a is None else round(b - a, 6) for a, b in zip(*means[:2], strict=True)]
        rows.append([task, "effect", trials, "true" if own else "false", *effect])
    path = _path(dataset, SET, "behaviour", ".tsv", desc="twin")
    write_tsv(path, list(COLUMNS), rows)
    facts = {"ModelName": "toy", "ModelVersion": "1", "ModelTraining": {"Participants": 30}}
    write_json(path.with_suffix(".json"), facts)
    named = {**SET, "space": "MNI152NLin6Asym", "atlas": "Toy"}
    kept = list(write_kept([keep_trial_series(curves)], named, dataset))
    return [path, dataset.path(kept[0])]


def _curve(
    middle: float, window: float, trials: int, drawn: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the times, and the shares answered by then: with noise of single trials, if drawn."""
    seconds = np.arange(0.0, window + 0.04, 0.08)
    source = drawn or np.random.default_rng(1)
    times = source.lognormal(np.log(middle), 0.25, trials if drawn else 20_000)
    answered = (times[:, None] <= seconds).mean(axis=0)
    return seconds, answered, 0.95 * answered
