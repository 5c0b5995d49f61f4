"""Quality figures and decisions of a run, kept when its connectomes are gone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bids_dtg.bundles.card import TrainingData
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.connectome.range.judge import RunRange
from bids_dtg.inputs.run import RestRun
from bids_dtg.settings import InputChoice
from bids_dtg.workflows.participant.measure import MeasuredRun
from bids_dtg.workflows.participant.sets import run_entities

_RANGE_COLUMNS = (
    "mask_overlap",
    "roi_map_match",
    "roi_map_identity",
    "roi_side_match",
    "hemispheric_similarity",
    "roi_sd_ratio",
    "connectome_strength",
    "connectome_smoothness",
)

# How the runs of each type of input were made, before any cleaning here.
_MADE: dict[InputChoice, str] = {
    "auto": "preprocessed by fMRIPrep",
    "fmriprep": "preprocessed by fMRIPrep",
    "xcpd": "cleaned by XCP-D",
    "hcp": "cleaned by HCP's minimal preprocessing and ICA-FIX",
    "ukb": "cleaned by UK Biobank's preprocessing and ICA-FIX",
}
# Words in a card's text that mean the same cleaning.
_SAME: dict[InputChoice, str] = {
    "xcpd": r"XCP.?D",
    "hcp": r"HCP.*FIX",
    "ukb": r"(UK ?Biobank|UKB).*FIX",
}

# Cards that say nothing, or whose model has seen no run at all.
_SILENT = ("", "unknown", "none")


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
    judged: RunRange  # whether the model is for such a run
    notes: tuple[str, ...]  # sentences on what was unusual


def summarise(measured: MeasuredRun, judged: RunRange) -> RunSummary:
    """Reduce a measured run, and how it was judged, to what tables and sidecars say."""
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
        "connectome_reliability": _rounded(reliability),
        "connectome_icc": _rounded(result.reliability_icc),
        **_range_figures(judged),
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
        judged=judged,
        notes=measured.notes,
    )


def _range_figures(judged: RunRange) -> dict[str, object]:
    figures = judged.figures
    return {
        **{name: _rounded(figures[name]) for name in _RANGE_COLUMNS},
        "training_distance": None if judged.distance is None else _rounded(judged.distance),
        "range": judged.verdict,
        "range_reasons": "; ".join(judged.reasons) or None,
    }


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def cleaning_note(training: TrainingData, input_type: InputChoice, strategy: str) -> str | None:
    """Say where runs were cleaned otherwise than those of the training; None where not.

    A card describes the training's cleaning in words, so words are compared: the note is
    written unless they are known to mean the same.

    Parameters
    ----------
    training
        Of the model's card.
    input_type
        Type of the runs.
    strategy
        What was removed from them here.
    """
    words, cleaned = training.cleaning.strip(), find_strategy(strategy).reads_table
    if re.split(r"\W", words.lower())[0] in _SILENT:
        return None
    if not cleaned:
        same = _SAME.get(input_type)
        if same and re.search(same, words, re.IGNORECASE):
            return None
    elif input_type in ("auto", "fmriprep") and re.search(
        rf"fMRIPrep.*\b{strategy}\b", words, re.IGNORECASE
    ):
        return None
    here = _MADE[input_type] + (f" and here by {strategy}" if cleaned else "")
    return f"The model was trained on runs cleaned otherwise ({words}); these were {here}."
