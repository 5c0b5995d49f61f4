"""An output of the participant level of `dynamics`, as its pages know it: files, made of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.dynamics.measures import connectivity
from bids_dtg.dynamics.panels import PANELS, PRESENTATION
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset, SourceDataset
from bids_dtg.files.names import build_path
from bids_dtg.files.regions.relmat import RegionMatrix, encode_relmat
from bids_dtg.files.regions.series import RegionSeries, encode_series
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.report.panels.panel import RunFrames, keep_all, write_kept
from bids_dtg.report.parcels.quality import parcel_figures
from bids_dtg.report.quality import write_quality

TR = 2.0
_NETWORKS = ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")


def names_of(regions: int) -> list[str]:
    """Name regions as Schaefer's parcels are."""
    half = regions // 2
    return [
        f"7Networks_{side}_{_NETWORKS[number * 7 // half]}_{number + 1}"
        for side in ("LH", "RH")
        for number in range(half)
    ]


def new_output(folder: Path) -> DerivativeDataset:
    """Return an output folder that says which workflow made it."""
    dataset = DerivativeDataset(folder)
    source = SourceDataset(folder.parent, "fmriprep", {}, folder.parent)
    dataset.describe(source, PRESENTATION.dataset_words(), version="1")
    return dataset


def write_run(
    dataset: DerivativeDataset,
    *,
    names: list[str],
    entities: Mapping[str, str] | None = None,
    frames: int = 200,
    lost: int = 0,
    censored: int = 12,
    modelled: bool = True,
    structural: bool = True,
) -> np.ndarray:
    """Write the files of one run; return its series, (regions, frames)."""
    entities = entities or {"sub": "01", "task": "rest"}
    atlas = {**entities, "space": "MNI152NLin6Asym", "atlas": "Toy"}
    rng = np.random.default_rng(0)
    series, keep = _series(rng, len(names), frames), np.ones(frames, bool)
    keep[:4] = False
    keep[frames // 2 : frames // 2 + censored] = False
    series[len(names) - lost :] = np.nan
    fc = connectivity(series[:, keep])
    coverage = np.clip(rng.normal(1.0, 0.05, len(names)), 0, 1)
    coverage[len(names) - lost :] = 0.1

    def path(suffix: str, extension: str, **more: str) -> Path:
        return dataset.path(build_path({**atlas, **more}, suffix, extension))

    shown = np.where(keep, series, np.nan)
    table = encode_series(RegionSeries(tuple(names), shown.astype(np.float32)))
    write_atomic(path("timeseries", ".tsv", stat="mean"), table)
    facts: dict[str, Any] = {
        "RepetitionTime": TR,
        "Atlas": {"Key": "Toy"},
        "DenoiseStrategy": "simple",
        "Confounds": {"FdThreshold": 0.5},
    }
    write_json(path("timeseries", ".json", stat="mean"), facts)
    _write_matrix(path("relmat", ".tsv", stat="pearsoncorrelation"), names, fc)
    write_tsv(path("bold", ".tsv", stat="coverage"), names, [coverage.round(4).tolist()])
    if structural:
        weights = np.triu(rng.exponential(size=fc.shape) ** 4 * (rng.random(fc.shape) < 0.5), 1)
        weights = (weights + weights.T) / weights.max()
        _write_matrix(path("relmat", ".tsv", desc="structural"), names, weights)
    data = RunFrames(
        kept=keep,
        fd_mm=np.where(keep, 0.1, 0.7) * rng.uniform(0.5, 1.5, frames),
        std_dvars=np.where(keep, 1.0, 2.0) * rng.uniform(0.8, 1.2, frames),
        tr_seconds=TR,
    )
    if modelled:
        for lag in (1, 2):
            effects = np.eye(len(names)) * 0.4 + 0.05 * rng.standard_normal(fc.shape)
            _write_matrix(path("relmat", ".tsv", desc=f"lag{lag}"), names, effects)
        of_model = {"ModelName": "toy", "ModelVersion": "1"}
        of_model["ModelTraining"] = {"Participants": 30}
        write_json(path("relmat", ".json", desc="lag1"), of_model)
        scores = [[f"component{n}", f"{n - 2.5:g}", "0.9"] for n in range(1, 6)]
        write_tsv(path("parameters", ".tsv", desc="components"), ["name", "score", "icc"], scores)
    list(write_kept(keep_all(PANELS, data), entities, dataset))
    figures = dict.fromkeys(column.name for column in PRESENTATION.quality_columns)
    figures |= parcel_figures(coverage, fc, data.std_dvars)
    figures |= {"participant_id": f"sub-{entities['sub']}", "task_id": "rest"}
    figures |= {"frames": frames, "frames_kept": int(keep.sum()), "repetition_time": TR}
    figures |= {"minutes_kept": round(keep.sum() * TR / 60, 2)}
    figures |= {"residual_dof": int(keep.sum()) - 30, "fd_mean": 0.12}
    list(write_quality(figures, PRESENTATION.quality_columns, entities, dataset))
    return series


def _series(rng: np.random.Generator, regions: int, frames: int) -> np.ndarray:
    """Return slow series, with some of it shared, standardised."""
    noise = rng.standard_normal((regions + 1, frames + 50))
    slow = np.zeros_like(noise)
    for frame in range(1, noise.shape[1]):
        slow[:, frame] = 0.7 * slow[:, frame - 1] + noise[:, frame]
    share = rng.uniform(0.2, 0.8, (regions, 1))
    mixed = (1 - share) * slow[:-1, 50:] + share * slow[-1:, 50:]
    return (mixed - mixed.mean(axis=1, keepdims=True)) / mixed.std(axis=1, keepdims=True)


def _write_matrix(path: Path, names: list[str], matrix: np.ndarray) -> None:
    write_atomic(path, encode_relmat(RegionMatrix(tuple(names), matrix)))
