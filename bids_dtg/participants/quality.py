"""The values of a run's quality metrics, by column of the quality table."""

from __future__ import annotations

import math

import numpy as np

from bids_dtg.array_types import Floats
from bids_dtg.connectome.parcels import fc_strength
from bids_dtg.participants.request import run_entities
from bids_dtg.participants.run_source import CleanedRun


def common_metrics(
    cleaned: CleanedRun,
    *,
    residual_dof: float,
    model_tr_seconds: float | None = None,
    model_voxel_mm: float = math.nan,
) -> dict[str, object]:
    """Return the metrics that the tables of all workflows begin with.

    Parameters
    ----------
    cleaned
        The run, and how it was cleaned.
    residual_dof
        Residual degrees of freedom; NaN where unknown.
    model_tr_seconds, model_voxel_mm
        Repetition time and voxel size of the training runs; None and NaN where unknown.
    """
    run, design = cleaned.run, cleaned.design
    fd = cleaned.confounds.mean_fd_mm
    return {
        "participant_id": f"sub-{run.participant}",
        "session_id": f"ses-{run.session}" if run.session else None,
        "task_id": run.task,
        "run_id": run_entities(run).get("run"),
        "repetition_time": design.tr_seconds,
        "model_repetition_time": model_tr_seconds,
        "voxel_size": rounded(cleaned.voxel_mm),
        "model_voxel_size": rounded(model_voxel_mm),
        "frames": len(design.keep),
        "frames_kept": design.frames_kept,
        "minutes_kept": round(design.seconds_kept / 60, 3),
        "confound_columns": design.rank,
        "residual_dof": rounded(residual_dof),
        "fd_mean": None if fd is None else round(fd, 4),
    }


def parcel_metrics(
    coverage: Floats,
    connectivity: Floats,
    std_dvars: Floats | None,
) -> dict[str, object]:
    """Return the metrics of a run's parcels.

    Parameters
    ----------
    coverage
        Share of each parcel's voxels with signal, (parcels,).
    connectivity
        Functional connectivity, (parcels, parcels); NaN where a parcel has no series.
    std_dvars
        (frames,), NaN where n/a; None where unknown.

    Examples
    --------
    >>> metrics = parcel_metrics(np.array([1.0, 0.5]), np.array([[1, 0.25], [0.25, 1]]), None)
    >>> metrics["coverage"], metrics["fc_mean"], metrics["std_dvars_mean"]
    (0.75, 0.25, None)
    """
    dvars = np.empty(0) if std_dvars is None else std_dvars[np.isfinite(std_dvars)]
    values = {
        "coverage": coverage.mean(),
        "parcel_coverage_min": coverage.min(),
        "std_dvars_mean": dvars.mean() if dvars.size else np.nan,
        "fc_mean": fc_strength(connectivity),
    }
    return {
        "parcels": len(coverage),
        "parcels_kept": int(np.isfinite(connectivity.diagonal()).sum()),
        **{
            name: round(float(value), 4) if np.isfinite(value) else None
            for name, value in values.items()
        },
    }


def rounded(value: float, digits: int = 4) -> float | None:
    """Round a number for a table; None where it is unknown.

    Examples
    --------
    >>> rounded(0.123456), rounded(math.nan)
    (0.1235, None)
    """
    return round(value, digits) if math.isfinite(value) else None
