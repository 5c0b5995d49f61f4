"""Confounds of a run: columns to regress out, frames to keep, and users' own columns.

They equal those of nilearn's `load_confounds` for the same arguments (Abraham et al. 2014,
*Frontiers in Neuroinformatics* 8, 14), which tests check for every strategy. nilearn itself is not
used, as importing it takes longer than all the work done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Mask
from bids_dtg.cleaning.noise_components import find_component_files, read_components
from bids_dtg.cleaning.strategies import SHORTEST_STRETCH, Strategy, find_strategy
from bids_dtg.cleaning.table import (
    EXPANSIONS,
    FD,
    GLOBAL,
    MOTION,
    STD_DVARS,
    TISSUE,
    Cells,
    Column,
    compcor_columns,
    displacements,
    flagged_frames,
    interpolated_frames,
    metadata_file,
    read_cells,
    read_column,
    read_confounds,
)
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.run import RestRun, require_one
from bids_dtg.notices import counted
from bids_dtg.settings import CleaningOptions

# Parts whose columns must all be present.
_BASES: Mapping[str, tuple[str, ...]] = {
    "motion": MOTION,
    "wm_csf": TISSUE,
    "global_signal": (GLOBAL,),
}
# Endings of the columns that are removed, by the argument of their part.
_ENDS: Mapping[str, tuple[str, ...]] = {
    "basic": ("",),
    "derivatives": ("", "_derivative1"),
    "power2": ("", "_power2"),
    "full": EXPANSIONS,
}
# Parts whose columns may be missing: how the names begin, and the note if none exists.
_MAY_LACK: Mapping[str, tuple[tuple[str, ...], str]] = {
    "high_pass": (("cosine",), "no cosine columns: nothing was high-pass filtered."),
    "motion": (MOTION, "no motion columns: {0} removed none."),
}
_OTHER_STRATEGY = (
    "choose another --denoise-strategy (none needs no column), or rerun fMRIPrep"
)
_CUSTOM = "--custom-confounds"
# Number of kept frames at the start of a run in which a column may lack values, as first and second
# derivatives do.
_WITHOUT_VALUES = 2
# Of fMRIPrep's tables since 20.2, and before that.
_SUFFIXES = ("timeseries", "regressors")


@dataclass(frozen=True, eq=False)
class Confounds:
    """What cleaning needs from the confounds table and the files next to it."""

    # (frames, columns), all frames, as in the table; may hold NaN
    values: Float64
    names: tuple[str, ...]  # of the columns
    keep: Mask  # (frames,), False for frames to drop
    fd_mm: Float64 | None  # (frames,), NaN where n/a; None if it is unknown
    std_dvars: Float64 | None  # (frames,), likewise
    # Number of dropped frames by reason; a frame may count for several. non_steady: flagged by
    # fMRIPrep at the start; dummy: by --dummy-scans; fd, dvars: above a threshold; interpolated:
    # filled by XCP-D; isolated: in a short stretch between high-motion frames.
    dropped: Mapping[str, int]
    decisions: Mapping[str, Any]  # for the sidecar: options as applied
    notes: tuple[str, ...] = ()  # sentences on anything unusual
    # Time courses (frames, components) of an ICA, and which components (components,) are noise;
    # these are removed first, non-aggressively.
    mixing: Float64 | None = None
    noise: Mask | None = None
    # Framewise displacement of all frames, with those that XCP-D removed; None: as `fd_mm`.
    measured_fd_mm: Float64 | None = None

    @property
    def mean_fd_mm(self) -> float | None:
        """Mean framewise displacement over all frames, including dropped ones; None if unknown."""
        fd_mm = self.fd_mm if self.measured_fd_mm is None else self.measured_fd_mm
        if fd_mm is None or np.isnan(fd_mm).all():
            return None
        return float(np.nanmean(fd_mm))


# Long, as its steps stand in the order in which a run's faults are to be reported.
def load_confounds(
    run: RestRun, options: CleaningOptions, *, n_frames: int
) -> Confounds:
    """Load the confounds of a run for a strategy; this is the only place that reads its table.

    Parameters
    ----------
    run
        The run; its confounds table is read.
    options
        Cleaning options; the strategy is one of `STRATEGIES`.
    n_frames
        Number of frames of the BOLD series, which must also be the table's number of rows.

    Raises
    ------
    RunError
        The table or a file next to it is missing, unreadable, of another length, or lacks columns
        or values.
    """
    strategy = find_strategy(options.denoise_strategy)
    where = f"sub-{run.participant}: {run.confounds}"
    cells: Cells = {}
    if run.confounds is not None:
        compcor = "compcor" in strategy.parts
        cells = read_confounds(run.confounds, run, n_frames, components=compcor)
    names: tuple[str, ...] = ()
    facts: dict[str, Any] = {}
    notes: list[str] = []
    if strategy.reads_table:
        names = _names(cells, run, strategy, options, facts, notes)
    read_names = (*names, FD, STD_DVARS)
    columns = {name: read_column(cells, name, where) for name in read_names}
    rows = np.array([columns[name] for name in names], np.float64)
    values = rows.reshape(len(names), n_frames).T
    # The first value of a derivative is n/a; it gets the second value.
    first_row = values[:1]
    first_row[:] = np.where(np.isnan(first_row), values[1:2], first_row)
    dummy, non_steady = _initial_frames(cells, options, n_frames, where)
    mixing = noise = None
    if strategy.noise is not None:
        is_dropped = np.append(non_steady | dummy, False)
        at_start = int(np.argmin(is_dropped))  # frames dropped at the start
        mixing, noise = read_components(strategy.name, run, n_frames, at_start)
        facts |= {"components": len(noise), "noise_components": int(noise.sum())}
    thresholds = strategy.thresholds(options)
    most_fd = thresholds.get("fd_threshold")
    most_dvars = thresholds.get("std_dvars_threshold")
    over_fd = _above(columns[FD], most_fd, n_frames)
    over_dvars = _above(columns[STD_DVARS], most_dvars, n_frames)
    scrubbed = censored(over_fd | over_dvars, SHORTEST_STRETCH)
    interpolated = interpolated_frames(run, n_frames)
    notes += _interpolation_note(run, int(interpolated.sum()))
    dropped = {
        "non_steady": non_steady,
        "dummy": dummy,
        "fd": over_fd,
        "dvars": over_dvars,
        "interpolated": interpolated,
        "isolated": scrubbed & ~over_fd & ~over_dvars,
    }
    keep = ~np.any([*dropped.values()], axis=0)
    used = {name: columns[name] for name in (*names, *_censoring_columns(strategy))}
    _require_values(used, keep, where)
    if options.custom_confounds is not None:
        path = find_custom_table(options.custom_confounds, run)
        custom = read_custom_table(path, run, n_frames)
        _require_values(custom, keep, f"sub-{run.participant}: {path}")
        values = np.hstack([values, np.array([*custom.values()], np.float64).T])
        names += tuple(custom)
        facts["custom_confounds"] = path.name
    fd_mm, measured_fd_mm = displacements(run, n_frames) or (columns[FD], None)
    return Confounds(
        values=values,
        names=names,
        keep=keep,
        fd_mm=fd_mm,
        std_dvars=columns[STD_DVARS],
        dropped={reason: int(frames.sum()) for reason, frames in dropped.items()},
        decisions={
            "strategy": strategy.name,
            "dummy_scans": options.dummy_scans,
            **thresholds,
            **facts,
        },
        notes=tuple(notes),
        mixing=mixing,
        noise=noise,
        measured_fd_mm=measured_fd_mm,
    )


def _initial_frames(
    cells: Cells, options: CleaningOptions, n_frames: int, where: str
) -> tuple[Mask, Mask]:
    """Return the frames (frames,) dropped by --dummy-scans, and those flagged by fMRIPrep."""
    if options.dummy_scans == "auto":
        return np.zeros(n_frames, bool), flagged_frames(cells, n_frames, where)
    dummy = np.arange(n_frames) < int(options.dummy_scans)
    return dummy, np.zeros(n_frames, bool)


def _interpolation_note(run: RestRun, count: int) -> list[str]:
    if run.outliers is None or not count:
        return []
    were = "was" if count == 1 else "were"
    return [
        f"{counted(count, 'frame')} that XCP-D had interpolated ({run.outliers.name}) {were} "
        "left out."
    ]


def _censoring_columns(strategy: Strategy) -> tuple[str, ...]:
    return (FD, STD_DVARS) if strategy.censors else ()


def confound_files(run: RestRun, options: CleaningOptions) -> tuple[Path, ...]:
    """List the existing files, other than the confounds table, on which cleaning depends."""
    strategy = find_strategy(options.denoise_strategy)
    files: list[Path] = []
    if "compcor" in strategy.parts and (path := metadata_file(run)):
        files.append(path)
    if strategy.noise is not None:
        files += find_component_files(strategy.name, run) or ()
    if options.custom_confounds is not None:
        with suppress(RunError):  # reported when the run is read
            files.append(find_custom_table(options.custom_confounds, run))
    return tuple(files)


def _names(
    cells: Cells,
    run: RestRun,
    strategy: Strategy,
    options: CleaningOptions,
    facts: dict[str, Any],
    notes: list[str],
) -> tuple[str, ...]:
    """Choose the columns that a strategy removes, in nilearn's order; add facts and notes."""
    if run.confounds is None:
        raise RunError(
            f"{run.title} has no confounds table next to {run.bold}",
            expected="…_desc-confounds_timeseries.tsv",
            remedy=f"copy it there, or {_OTHER_STRATEGY}",
        )
    components = compcor_columns(cells, run) if "compcor" in strategy.parts else ()
    arguments = strategy.nilearn_arguments(options)
    lacking = []
    for part, (beginnings, _) in _MAY_LACK.items():
        present = any(name.startswith(beginnings) for name in cells)
        if part in arguments["strategy"] and not present:
            lacking.append(part)
    parts = set(arguments["strategy"]) - (set(lacking) & set(strategy.optional))
    expanded: list[str] = []
    for part, bases in _BASES.items():
        if part in parts:
            endings = _ENDS[arguments[part]]
            expanded += [base + ending for base in bases for ending in endings]
    _require_columns(cells, run, strategy, expanded)
    cosines = [name for name in cells if name.startswith("cosine")]
    if "high_pass" not in parts:
        cosines = []
    facts["gsr"] = options.gsr
    for part in lacking:
        # With --high-pass, cosines of the wanted frequencies replace the table's.
        if part != "high_pass" or options.high_pass is None:
            _, note = _MAY_LACK[part]
            notes.append(f"The confounds table has {note.format(strategy.name)}")
    return tuple(sorted({*expanded, *components, *cosines}))


def _require_columns(
    cells: Cells, run: RestRun, strategy: Strategy, removed: list[str]
) -> None:
    """Refuse a table without all columns that are removed, or by which frames are censored."""
    needed = [*removed, *_censoring_columns(strategy)]
    missing = [name for name in needed if name not in cells]
    if not missing:
        return
    listed = ", ".join(missing[:8])
    if missing[8:]:
        listed += f" and {len(missing) - 8} more"
    raise RunError(
        f"sub-{run.participant}: {run.confounds} lacks {len(missing)} of {len(needed)} columns "
        f"that strategy {strategy.name} needs: {listed}; it has {', '.join([*cells][:8])}, …",
        remedy=_OTHER_STRATEGY,
    )


def _require_values(
    columns: Mapping[str, Column | None], keep: Mask, where: str
) -> None:
    """Refuse columns that lack values in frames that are kept, except the first of these."""
    needed = keep & (np.cumsum(keep) > _WITHOUT_VALUES)
    missing = {
        name: np.flatnonzero(needed & np.isnan(column))
        for name, column in columns.items()
        if column is not None
    }
    missing = {name: frames for name, frames in missing.items() if len(frames)}
    if missing:
        name, frames = next(iter(missing.items()))
        further = ""
        if len(missing) > 1:
            further = f" (and {counted(len(missing) - 1, 'further column')} likewise)"
        raise RunError(
            f"{where} has no number in {counted(frames, 'frame')} of column {name}, from row "
            f"{frames[0] + 1} on{further}",
            expected="numbers, except in the first frames and in those that are left out",
            remedy="rerun the program that made the table, or choose a --denoise-strategy without "
            "the column",
        )


def _above(values: Float64 | None, threshold: float | None, n_frames: int) -> Mask:
    if values is None or threshold is None:
        return np.zeros(n_frames, bool)
    return values > threshold  # False for n/a


def censored(over: Mask, shortest: int) -> Mask:
    """Return the frames to drop: those over a threshold, and short stretches between them.

    This follows nilearn's `load_confounds`, after Power et al. (2014, *NeuroImage* 84, 320-341).

    Parameters
    ----------
    over
        (frames,), True over a threshold. If there are none, no frame is dropped.
    shortest
        Stretches of fewer frames between such frames, or next to an end of the run, are dropped.

    Examples
    --------
    >>> censored(np.array([0, 0, 1, 0, 0, 0, 1, 0, 0], bool), 3).astype(int)
    array([1, 1, 1, 0, 0, 0, 1, 1, 1])
    """
    dropped = over.copy()
    if not over.any():
        return dropped
    fenced = np.concatenate([[True], over, [True]])
    turns = np.flatnonzero(fenced[1:] != fenced[:-1])
    for start, end in turns.reshape(-1, 2):
        dropped[start:end] = end - start < shortest
    return dropped


# --- Users' own columns


def check_custom_folder(folder: Path) -> None:
    """Refuse a missing folder of tables before any work is done.

    Raises
    ------
    SettingsError
        There is no such folder.
    """
    if not folder.is_dir():
        raise SettingsError(
            f"{_CUSTOM} {folder} is not a folder", expected="a folder of tables"
        )


def find_custom_table(folder: Path, run: RestRun) -> Path:
    """Find the user's table for a run.

    Parameters
    ----------
    folder
        A folder of tables that are named like fMRIPrep's confounds tables, at its top or in
        sub-…/[ses-…/]func (XCP-D's convention).
    run
        The run, from `find_runs`; its entities select the table.

    Raises
    ------
    RunError
        There is no table for the run, or there are several.
    """
    names = [run.confounds.name] if run.confounds else []
    names += [f"{run.title}_desc-confounds_{suffix}.tsv" for suffix in _SUFFIXES]
    sessions = [f"ses-{run.session}"] if run.session else []
    below = folder.joinpath(f"sub-{run.participant}", *sessions, "func")
    candidates = [
        place / name for name in dict.fromkeys(names) for place in (folder, below)
    ]
    tables = [path for path in candidates if path.is_file() or path.is_symlink()]
    require_one(tables, f"the table of {run.title} for {_CUSTOM}")
    if tables:
        return tables[0]
    raise RunError(
        f"{run.title} has no table for {_CUSTOM} {folder}",
        expected=" or ".join(str(path) for path in candidates),
        remedy="add it, or leave the run out",
    )


def read_custom_table(
    path: Path, run: RestRun, n_frames: int
) -> dict[str, Column | None]:
    """Read all columns of a table by name, n/a as NaN.

    Raises
    ------
    RunError
        It cannot be read, has no header, differs from the run in length, or has text in a column.
    """
    where = f"sub-{run.participant}: {path}"
    expected = "tab-separated text with a header"
    cells = read_cells(path, run, expected=expected, frames=n_frames)
    return {name: read_column(cells, name, where) for name in cells}
