"""What is remembered of a run once its connectomes are gone: quality figures and decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bids_dtg.bids.query import RestRun
from bids_dtg.workflows.plan import run_entities
from bids_dtg.workflows.rest import MeasuredRun

# Column -> what it means: the order of the table and the text of its data dictionary.
COLUMNS = {
    "participant_id": "Participant",
    "session_id": "Session, n/a where the dataset has none",
    # Not "task" and "run": pybids takes a sidecar's keys of that name for entities, and refuses.
    "task_id": "Task label of the run",
    "run_id": "Run label, n/a where the run has none",
    "repetition_time": "Seconds between frames",
    "frames": "Frames in the file",
    "frames_kept": "Frames left after dummy scans and censoring",
    "minutes_kept": "Minutes of rest left after dummy scans and censoring",
    "confound_columns": "Independent columns removed by regression, the intercept included",
    "fd_mean": "Mean framewise displacement over all frames, in mm; n/a where it is not known",
    "n_segments": "Segments of rest whose maps were averaged",
    "coverage": "Share of the model's grey-matter voxels with signal",
    "roi_coverage_min": "Smallest share, over ROI maps, of a map's weight on voxels with signal",
    "tsnr_median": "Median over grey matter of temporal signal-to-noise, confounds removed",
    "connectome_reliability": "Median over grey-matter voxels of the correlation, over ROIs, of "
    "the connectomes of the two halves of the run (alternate pieces of it)",
    "seconds_processing": "Seconds from opening the run to its maps",
}


@dataclass(frozen=True)
class RunSummary:
    """Figures and decisions of one run, without its arrays."""

    run: RestRun  # its files
    figures: Mapping[str, object]  # by column of the quality table, but for the time
    n_segments: int  # segments that were averaged
    coverage: float  # share of grey-matter voxels with signal
    cleaning: Mapping[str, Any]  # what the temporal design decided
    confounds: Mapping[str, Any]  # what was asked of the confounds, and frames dropped
    interpolation: str  # how the model's voxels were taken out of the file
    notes: tuple[str, ...]  # sentences on what was unusual


def summarise(measured: MeasuredRun) -> RunSummary:
    """Reduce a measured run to what the quality table and the sidecars say."""
    run, design, result = measured.run, measured.design, measured.connectomes
    reliability, fd = result.reliability, measured.confounds.mean_fd_mm
    figures = {
        "participant_id": f"sub-{run.participant}",
        "session_id": f"ses-{run.session}" if run.session else None,
        "task_id": run.task,
        "run_id": run_entities(run).get("run"),
        "repetition_time": design.tr_seconds,
        "frames": len(design.keep),
        "frames_kept": design.frames_kept,
        "minutes_kept": round(design.seconds_kept / 60, 3),
        "confound_columns": design.rank,
        "fd_mean": None if fd is None else round(fd, 4),
        "n_segments": len(result.segments),
        "coverage": round(result.coverage, 4),
        "roi_coverage_min": round(float(result.roi_coverage.min()), 4),
        "tsnr_median": round(result.median_tsnr, 2),
        "connectome_reliability": None if math.isnan(reliability) else round(reliability, 4),
    }
    return RunSummary(
        run=run,
        figures=figures,
        n_segments=len(result.segments),
        coverage=result.coverage,
        cleaning=measured.cleaning,
        confounds={
            **measured.confounds.decisions,
            **{f"dropped_{why}": n for why, n in asdict(measured.confounds.dropped).items()},
        },
        interpolation=measured.interpolation,
        notes=measured.notes,
    )


def quality_row(summary: RunSummary, seconds: float) -> list[object]:
    """Return one run's figures in the order of `COLUMNS`; ``seconds`` is the time it took."""
    figures = {**summary.figures, "seconds_processing": round(seconds, 2)}
    return [figures[column] for column in COLUMNS]


def quality_dictionary() -> dict[str, dict[str, str]]:
    """Return the data dictionary (BIDS JSON) of the quality table."""
    return {column: {"Description": text} for column, text in COLUMNS.items()}
