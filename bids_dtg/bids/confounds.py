"""Confounds of a run: columns to regress out and frames to keep, through nilearn."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bids.confounds_table import numbers, quoted, read_table
from bids_dtg.bids.query import RestRun
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.settings import SCRUBBING_FD_MM, SCRUBBING_STD_DVARS, DenoiseStrategy

if TYPE_CHECKING:
    import pandas as pd

_MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
_TISSUE = ["csf", "white_matter"]
_FULL = ["", "_derivative1", "_power2", "_derivative1_power2"]
# What nilearn's presets need. It is checked here, because nilearn ends in a KeyError where only
# some of the tissue columns, or framewise displacement, are missing (0.10 to 0.14).
_NEEDED: Mapping[DenoiseStrategy, list[str]] = {
    "simple": [*(m + e for m in _MOTION for e in _FULL), *_TISSUE],
    "scrubbing": [
        *(column + e for column in [*_MOTION, *_TISSUE] for e in _FULL),
        *("framewise_displacement", "std_dvars"),
    ],
    "none": [],
}
# fMRIPrep's names since 1.2, and those of 1.0 and 1.1.
_NON_STEADY = ("non_steady_state", "NonSteadyStateOutlier")
_FD = ("framewise_displacement", "FramewiseDisplacement")


@dataclass(frozen=True)
class DroppedFrames:
    """How many frames were dropped for which reason; a frame may count for several."""

    non_steady: int  # flagged by fMRIPrep at the start of the run
    dummy: int  # dropped because a number of dummy scans was given
    fd: int  # framewise displacement above its threshold
    dvars: int  # standardised DVARS above its threshold
    isolated: int  # for no other reason: in a stretch of fewer than 5 frames between such ones


@dataclass(frozen=True, eq=False)
class Confounds:
    """What cleaning takes from the table of confounds."""

    values: NDArray[np.float64]  # (frames, columns), all frames, as in the table; may hold NaN
    names: tuple[str, ...]  # of the columns
    keep: NDArray[np.bool_]  # (frames,), False for frames to drop
    mean_fd_mm: float | None  # over all frames, also the dropped ones; None if absent
    dropped: DroppedFrames  # counts
    decisions: Mapping[str, Any]  # for the sidecar: options as applied, columns with n/a
    notes: tuple[str, ...] = ()  # sentences on what was unusual

    def __post_init__(self) -> None:
        n_frames = len(self.keep)
        if self.values.shape != (n_frames, len(self.names)):
            raise ValueError(f"{n_frames} frames, {len(self.names)} names, {self.values.shape}")


def load_confounds(
    run: RestRun,
    *,
    strategy: DenoiseStrategy,
    n_frames: int,
    fd_threshold: float | None = None,
    std_dvars_threshold: float | None = None,
    dummy_scans: int | str = "auto",
) -> Confounds:
    """Load the confounds of a run by one of nilearn's strategies.

    `simple`: 24 motion parameters, mean white matter and CSF signals, high-pass
    cosines. `scrubbing`: the same with the expansions of the tissue signals, and
    frames above a threshold dropped, with the stretches of fewer than 5 frames
    between them (Power et al. 2014). `none`: no column, only the frames below.

    Parameters
    ----------
    run
        The run; its table of confounds is read.
    strategy
        Name of the strategy.
    n_frames
        Frames of the BOLD series, which the table must have too.
    fd_threshold
        Framewise displacement in mm above which scrubbing drops a frame.
    std_dvars_threshold
        Standardised DVARS above which scrubbing drops a frame.
    dummy_scans
        "auto" drops the frames that fMRIPrep flagged as not in steady state; a
        number drops as many at the start instead.

    Raises
    ------
    RunError
        If the table is missing, unreadable, of another length or without columns needed.
    """
    n_dummy = _number_of_dummies(dummy_scans)
    table = None if run.confounds is None else read_table(run.confounds, run, n_frames)
    if strategy != "none":
        _require_columns(table, strategy, run)
    options = _thresholds(strategy, fd_threshold, std_dvars_threshold)
    names: tuple[str, ...] = ()
    values, unscrubbed = np.zeros((n_frames, 0)), np.ones(n_frames, bool)
    if strategy != "none" and table is not None:
        values, names, unscrubbed = _by_nilearn(table, strategy, options, run)
    fd = numbers(table, _FD)
    dvars = numbers(table, ("std_dvars",))
    over_fd = _above(fd, options.get("fd_threshold"), n_frames)
    over_dvars = _above(dvars, options.get("std_dvars_threshold"), n_frames)
    non_steady = _flagged(table, n_frames) if n_dummy is None else np.zeros(n_frames, bool)
    dummy = np.arange(n_frames) < (n_dummy or 0)
    return Confounds(
        values=values,
        names=names,
        keep=unscrubbed & ~non_steady & ~dummy,
        mean_fd_mm=None if fd is None or np.isnan(fd).all() else float(np.nanmean(fd)),
        dropped=DroppedFrames(
            non_steady=int(non_steady.sum()),
            dummy=int(dummy.sum()),
            fd=int(over_fd.sum()),
            dvars=int(over_dvars.sum()),
            isolated=int((~unscrubbed & ~over_fd & ~over_dvars).sum()),
        ),
        decisions={
            "strategy": strategy,
            "dummy_scans": dummy_scans,
            **options,
            "columns_with_na": _with_missing_values(table, names),
        },
        notes=_notes(strategy, names),
    )


def _notes(strategy: DenoiseStrategy, names: tuple[str, ...]) -> tuple[str, ...]:
    if strategy == "none" or any(name.startswith("cosine") for name in names):
        return ()
    return ("The table of confounds has no cosine columns: nothing was high-pass filtered.",)


def _thresholds(
    strategy: DenoiseStrategy, fd_threshold: float | None, std_dvars_threshold: float | None
) -> dict[str, float]:
    if strategy != "scrubbing":
        return {}
    fd = SCRUBBING_FD_MM if fd_threshold is None else fd_threshold
    dvars = SCRUBBING_STD_DVARS if std_dvars_threshold is None else std_dvars_threshold
    return {"fd_threshold": fd, "std_dvars_threshold": dvars}


def _number_of_dummies(dummy_scans: int | str) -> int | None:
    if dummy_scans == "auto":
        return None
    try:
        number = int(dummy_scans)
    except ValueError:
        number = -1
    if number < 0:
        raise SettingsError(
            f"--dummy-scans {dummy_scans!r} is no number of frames", expected="auto, 0, 1, 2, …"
        )
    return number


def _require_columns(table: pd.DataFrame | None, strategy: DenoiseStrategy, run: RestRun) -> None:
    remedy = "choose another --denoise-strategy (none needs no column), or rerun fMRIPrep"
    if table is None:
        raise RunError(
            f"{run.title} has no table of confounds beside {run.bold}",
            expected="…_desc-confounds_timeseries.tsv",
            remedy=f"copy it there, or {remedy}",
        )
    if "FramewiseDisplacement" in table.columns or "RotX" in table.columns:
        raise RunError(
            f"sub-{run.participant}: {run.confounds} has the column names of fMRIPrep 1.0 and 1.1",
            expected="those since fMRIPrep 1.2 (framewise_displacement, trans_x, …)",
            remedy=remedy,
        )
    needed = _NEEDED[strategy]
    missing = [column for column in needed if column not in table.columns]
    if missing:
        some = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if missing[8:] else "")
        raise RunError(
            f"sub-{run.participant}: {run.confounds} lacks {len(missing)} of {len(needed)} columns "
            f"that strategy {strategy} needs: {some}; it has {', '.join(table.columns[:8])}, …",
            remedy=remedy,
        )


def _by_nilearn(
    table: pd.DataFrame, strategy: DenoiseStrategy, options: dict[str, float], run: RestRun
) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.bool_]]:
    """Let nilearn choose columns and scrub frames: values, names, frames not scrubbed.

    nilearn looks for the table itself, by the name of the image, and refuses
    other names than fMRIPrep's for either; a copy under the names that it knows
    takes that away, and leaves out the non-steady-state columns, which are ours.
    """
    from nilearn.interfaces.fmriprep import load_confounds_strategy

    others = [column for column in table.columns if not column.startswith(_NON_STEADY)]
    with tempfile.TemporaryDirectory(prefix="dtg-") as folder, warnings.catch_warnings():
        # "All volumes were marked": the caller refuses runs that are too short, with numbers.
        warnings.simplefilter("ignore")
        stem = Path(folder, "sub-x_task-rest_desc-")
        table[others].to_csv(f"{stem}confounds_timeseries.tsv", sep="\t", index=False)
        try:
            columns, kept = load_confounds_strategy(
                f"{stem}preproc_bold.nii.gz", denoise_strategy=strategy, demean=False, **options
            )
            values = columns.to_numpy(np.float64)
        except (ValueError, TypeError, KeyError) as err:
            raise RunError(
                f"sub-{run.participant}: nilearn cannot use {run.confounds}: {quoted(err)}",
                expected="columns of numbers and n/a",
            ) from err
    unscrubbed = np.full(len(table), kept is None)
    if kept is not None:
        unscrubbed[kept] = True
    return values, tuple(columns.columns), unscrubbed


def _with_missing_values(table: pd.DataFrame | None, names: tuple[str, ...]) -> list[str]:
    """List used columns with n/a in the table: nilearn fills the first of a derivative itself."""
    columns = {name: numbers(table, (name,)) for name in names}
    return [n for n, column in columns.items() if column is not None and np.isnan(column).any()]


def _above(
    values: NDArray[np.float64] | None, threshold: float | None, n_frames: int
) -> NDArray[np.bool_]:
    if values is None or threshold is None:
        return np.zeros(n_frames, bool)
    return values > threshold  # n/a is above nothing


def _flagged(table: pd.DataFrame | None, n_frames: int) -> NDArray[np.bool_]:
    flagged = np.zeros(n_frames, bool)
    for name in [] if table is None else table.columns:
        if name.startswith(_NON_STEADY):
            column = numbers(table, (name,))
            flagged |= column is not None and column > 0
    return flagged
