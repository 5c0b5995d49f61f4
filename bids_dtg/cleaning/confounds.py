"""Confounds of a run: columns to regress out and frames to keep."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.aroma import AromaComponents, find_aroma_files
from bids_dtg.cleaning.custom import find_custom_table
from bids_dtg.cleaning.strategies import (
    NuisanceChoice,
    metadata_file,
    strategy_columns,
    with_custom,
)
from bids_dtg.cleaning.table import NON_STEADY, numbers, read_table
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.run import RestRun

if TYPE_CHECKING:
    import pandas as pd


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
    """What cleaning takes from the table of confounds, and from the files beside it."""

    values: NDArray[np.float64]  # (frames, columns), all frames, as in the table; may hold NaN
    names: tuple[str, ...]  # of the columns
    keep: NDArray[np.bool_]  # (frames,), False for frames to drop
    mean_fd_mm: float | None  # over all frames, also the dropped ones; None if absent
    dropped: DroppedFrames  # counts
    decisions: Mapping[str, Any]  # for the sidecar: options as applied, columns with n/a
    notes: tuple[str, ...] = ()  # sentences on what was unusual
    components: AromaComponents | None = None  # to be taken away non-aggressively beforehand

    def __post_init__(self) -> None:
        n_frames = len(self.keep)
        if self.values.shape != (n_frames, len(self.names)):
            raise ValueError(f"{n_frames} frames, {len(self.names)} names, {self.values.shape}")


def load_confounds(
    run: RestRun,
    choice: NuisanceChoice,
    *,
    n_frames: int,
    dummy_scans: int | str = "auto",
    custom_confounds: Path | None = None,
) -> Confounds:
    """Load the confounds of a run by one of nilearn's strategies.

    `simple`: 24 motion parameters, mean white matter and CSF signals, high-pass cosines.
    `scrubbing`: the same with the expansions of the tissue signals, and frames above a threshold
    dropped, with the stretches of fewer than 5 frames between them (Power et al. 2014).
    `compcor`: 24 motion parameters, the components of anatomical CompCor (white matter and CSF
    in one mask) that fMRIPrep kept, cosines. `ica_aroma`: noise components of ICA-AROMA, mean
    white matter and CSF signals, cosines. `none`: no column, only the frames below.

    Parameters
    ----------
    run
        The run; its table of confounds is read.
    choice
        The strategy and what goes with it.
    n_frames
        Frames of the BOLD series, which the table must have too.
    dummy_scans
        "auto" drops the frames that fMRIPrep flagged as not in steady state; a
        number drops as many at the start instead.
    custom_confounds
        Where further tables are, as `find_custom_table` has it.

    Raises
    ------
    RunError
        If the table is missing, unreadable, of another length or without columns needed; or the
        like of files beside it.
    """
    n_dummy = _number_of_dummies(dummy_scans)
    compcor = choice.strategy == "compcor"
    table = None
    if run.confounds is not None:
        table = read_table(run.confounds, run, n_frames, components=compcor)
    columns = strategy_columns(table, choice, run, n_frames)
    if custom_confounds is not None:
        columns = with_custom(columns, find_custom_table(custom_confounds, run), run)
    fd, thresholds = numbers(table, ("framewise_displacement",)), choice.thresholds
    over_fd = _above(fd, thresholds.get("fd_threshold"), n_frames)
    dvars = numbers(table, ("std_dvars",))
    over_dvars = _above(dvars, thresholds.get("std_dvars_threshold"), n_frames)
    non_steady = _flagged(table, n_frames) if n_dummy is None else np.zeros(n_frames, bool)
    dummy = np.arange(n_frames) < (n_dummy or 0)
    return Confounds(
        values=columns.values,
        names=columns.names,
        keep=columns.unscrubbed & ~non_steady & ~dummy,
        mean_fd_mm=None if fd is None or np.isnan(fd).all() else float(np.nanmean(fd)),
        dropped=DroppedFrames(
            non_steady=int(non_steady.sum()),
            dummy=int(dummy.sum()),
            fd=int(over_fd.sum()),
            dvars=int(over_dvars.sum()),
            isolated=int((~columns.unscrubbed & ~over_fd & ~over_dvars).sum()),
        ),
        decisions={
            "strategy": choice.strategy,
            "dummy_scans": dummy_scans,
            **thresholds,
            **(columns.facts or {}),
            "columns_with_na": list(columns.with_na),
        },
        notes=columns.notes,
        components=columns.components,
    )


def confound_files(
    run: RestRun, choice: NuisanceChoice, custom_confounds: Path | None
) -> tuple[Path, ...]:
    """List the files beside the table of confounds that cleaning depends on and that are there."""
    found: list[Path] = []
    if choice.strategy == "compcor" and (path := metadata_file(run)):
        found.append(path)
    if choice.strategy == "ica_aroma":
        found += find_aroma_files(run) or ()
    if custom_confounds is not None:
        with suppress(RunError):  # told when the run is read
            found.append(find_custom_table(custom_confounds, run))
    return tuple(found)


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


def _above(
    values: NDArray[np.float64] | None, threshold: float | None, n_frames: int
) -> NDArray[np.bool_]:
    if values is None or threshold is None:
        return np.zeros(n_frames, bool)
    return values > threshold  # n/a is above nothing


def _flagged(table: pd.DataFrame | None, n_frames: int) -> NDArray[np.bool_]:
    flagged = np.zeros(n_frames, bool)
    for name in [] if table is None else table.columns:
        if name.startswith(NON_STEADY):
            column = numbers(table, (name,))
            flagged |= column is not None and column > 0
    return flagged
