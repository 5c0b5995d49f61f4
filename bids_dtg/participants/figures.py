"""Figures of a run that the quality table of every workflow has."""

from __future__ import annotations

import math

from bids_dtg.cleaning.confounds import Confounds
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.averages import run_entities


def first_figures(
    run: RestRun,
    design: TemporalDesign,
    confounds: Confounds,
    *,
    voxel_mm: float,
    residual_dof: float,
    model_tr_seconds: float | None = None,
    model_voxel_mm: float = math.nan,
) -> dict[str, object]:
    """Return the figures of `report.quality.FIRST`, but for the effective degrees of freedom.

    Parameters
    ----------
    run
        The run, from `find_runs`.
    design
        Frames kept and columns removed.
    confounds
        What the columns came from.
    voxel_mm
        Edge of a cube of the volume of the file's voxels.
    residual_dof
        NaN where they are not known.
    model_tr_seconds, model_voxel_mm
        Of the runs that the model was trained on; None, and NaN: not known.
    """
    fd = confounds.mean_fd_mm
    return {
        "participant_id": f"sub-{run.participant}",
        "session_id": f"ses-{run.session}" if run.session else None,
        "task_id": run.task,
        "run_id": run_entities(run).get("run"),
        "repetition_time": design.tr_seconds,
        "model_repetition_time": model_tr_seconds,
        "voxel_size": rounded(voxel_mm),
        "model_voxel_size": rounded(model_voxel_mm),
        "frames": len(design.keep),
        "frames_kept": design.frames_kept,
        "minutes_kept": round(design.seconds_kept / 60, 3),
        "confound_columns": design.rank,
        "residual_dof": rounded(residual_dof),
        "fd_mean": None if fd is None else round(fd, 4),
    }


def rounded(value: float, digits: int = 4) -> float | None:
    """Round a figure for a table; None where it is not known.

    Examples
    --------
    >>> rounded(0.123456), rounded(math.nan)
    (0.1235, None)
    """
    return round(value, digits) if math.isfinite(value) else None
