"""Confounds of a run: columns to regress out and frames to keep.

They are those of nilearn's `load_confounds` for the same arguments (Abraham et al. 2014, *Frontiers
in Neuroinformatics* 8, 14), with which tests compare them for every strategy. nilearn itself is not
asked: its import takes longer than all that is done here, while each run waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.custom import find_custom_table, read_custom_table
from bids_dtg.cleaning.noise_components import (
    IcaComponents,
    find_component_files,
    read_components,
)
from bids_dtg.cleaning.strategies import SHORTEST_STRETCH, Strategy, find_strategy
from bids_dtg.cleaning.table import (
    EXPANSIONS,
    FD,
    GLOBAL,
    MOTION,
    STD_DVARS,
    TISSUE,
    ConfoundTable,
    add_expansions,
    compcor_columns,
    interpolated_frames,
    metadata_file,
    non_steady_frames,
    numbers,
    read_table,
    require_numbers,
)
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.selection import PARCEL_SERIES
from bids_dtg.notices import counted
from bids_dtg.settings import CleaningOptions

# Parts of which all columns must be there.
_BASES: Mapping[str, tuple[str, ...]] = {
    "motion": MOTION,
    "wm_csf": TISSUE,
    "global_signal": (GLOBAL,),
}
# What is taken beside a column itself, by the argument of its part.
_ENDS: Mapping[str, tuple[str, ...]] = {
    "basic": ("",),
    "derivatives": ("", "_derivative1"),
    "power2": ("", "_power2"),
    "full": EXPANSIONS,
}
# Parts of which as many columns are taken as there are, by how their names begin.
_BEGINNINGS = {"high_pass": "cosine"}
# Columns of parts that a table may lack.
_COLUMNS_OF = {"motion": MOTION}
# Those whose absence leaves a run less clean; noise components are then read from files.
_MAY_LACK: Mapping[str, tuple[str, ...]] = {"high_pass": ("cosine",), "motion": MOTION}
NOT_IN_TABLE = "not_in_table"  # in decisions: parts of the strategy that a run's table lacks


@dataclass(frozen=True)
class DroppedFrames:
    """How many frames were dropped for which reason; a frame may count for several."""

    non_steady: int  # flagged by fMRIPrep at the start of the run
    dummy: int  # dropped because a number of dummy scans was given
    fd: int  # framewise displacement above its threshold
    dvars: int  # standardised DVARS above its threshold
    interpolated: int  # flagged for motion by XCP-D, which filled them by interpolation
    isolated: int  # for no other reason: in a stretch of fewer than 5 frames between such ones


@dataclass(frozen=True, eq=False)
class Confounds:
    """What cleaning takes from the table of confounds, and from the files beside it."""

    values: NDArray[np.float64]  # (frames, columns), all frames, as in the table; may hold NaN
    names: tuple[str, ...]  # of the columns
    keep: NDArray[np.bool_]  # (frames,), False for frames to drop
    fd_mm: NDArray[np.float64] | None  # (frames,), NaN where n/a; None if there is no column
    std_dvars: NDArray[np.float64] | None  # (frames,), likewise
    dropped: DroppedFrames  # counts
    decisions: Mapping[str, Any]  # for the sidecar: options as applied, columns with n/a
    notes: tuple[str, ...] = ()  # sentences on what was unusual
    components: IcaComponents | None = None  # to be taken away non-aggressively beforehand

    def __post_init__(self) -> None:
        n_frames = len(self.keep)
        if self.values.shape != (n_frames, len(self.names)):
            raise ValueError(f"{n_frames} frames, {len(self.names)} names, {self.values.shape}")

    @property
    def mean_fd_mm(self) -> float | None:
        """Mean framewise displacement over all frames, also the dropped ones; None if unknown."""
        if self.fd_mm is None or np.isnan(self.fd_mm).all():
            return None
        return float(np.nanmean(self.fd_mm))


def load_confounds(run: RestRun, options: CleaningOptions, *, n_frames: int) -> Confounds:
    """Load the confounds of a run by a strategy; its table is read once, here.

    Parameters
    ----------
    run
        The run; its table of confounds is read.
    options
        How it is cleaned; the strategy is one of `STRATEGIES`.
    n_frames
        Frames of the BOLD series, which the table must have too.

    Raises
    ------
    RunError
        If the table is missing, unreadable, of another length or without columns needed; or the
        like of files beside it.
    """
    row, n_dummy = find_strategy(options.denoise_strategy), _number_of_dummies(options.dummy_scans)
    table = None
    if run.confounds is not None:
        table = read_table(run.confounds, run, n_frames, components="compcor" in row.parts)
    non_steady = np.zeros(n_frames, bool)
    if table is not None and n_dummy is None:
        non_steady = non_steady_frames(table)
    dummy = np.arange(n_frames) < (n_dummy or 0)
    at_start = int(np.argmin(np.append(non_steady | dummy, False)))
    columns = _strategy_columns(table, options, run, n_frames, at_start)
    if options.custom_confounds is not None:
        columns = _with_custom(columns, find_custom_table(options.custom_confounds, run), run)
    fd, dvars = (_known(numbers(table, name)) for name in (FD, STD_DVARS))
    thresholds = row.thresholds(options)
    over_fd = _above(fd, thresholds.get("fd_threshold"), n_frames)
    over_dvars = _above(dvars, thresholds.get("std_dvars_threshold"), n_frames)
    scrubbed = censored(over_fd | over_dvars, SHORTEST_STRETCH)
    interpolated = interpolated_frames(run, n_frames)
    return Confounds(
        values=columns.values,
        names=columns.names,
        keep=~scrubbed & ~non_steady & ~dummy & ~interpolated,
        fd_mm=fd,
        std_dvars=dvars,
        dropped=DroppedFrames(
            non_steady=int(non_steady.sum()),
            dummy=int(dummy.sum()),
            fd=int(over_fd.sum()),
            dvars=int(over_dvars.sum()),
            interpolated=int(interpolated.sum()),
            isolated=int((scrubbed & ~over_fd & ~over_dvars).sum()),
        ),
        decisions={
            "strategy": row.name,
            "dummy_scans": options.dummy_scans,
            **thresholds,
            **(columns.facts or {}),
            "columns_with_na": list(columns.with_na),
        },
        notes=(
            *columns.notes,
            *_notes_on_doubles(table),
            *_notes_on_zeros(table, columns.names),
            *_notes_on_interpolated(run, int(interpolated.sum())),
        ),
        components=columns.components,
    )


def confound_files(run: RestRun, options: CleaningOptions) -> tuple[Path, ...]:
    """List the files beside the table of confounds that cleaning depends on and that are there."""
    row, found = find_strategy(options.denoise_strategy), list[Path]()
    if "compcor" in row.parts and (path := metadata_file(run)):
        found.append(path)
    if row.noise is not None:
        found += find_component_files(row.name, run) or ()
    if options.custom_confounds is not None:
        with suppress(RunError):  # reported when the run is read
            found.append(find_custom_table(options.custom_confounds, run))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Columns:
    """What is to be regressed out."""

    values: NDArray[np.float64]  # (frames, columns)
    names: tuple[str, ...]  # of the columns
    with_na: tuple[str, ...] = ()  # columns that had n/a
    facts: Mapping[str, Any] | None = None  # for the sidecar
    notes: tuple[str, ...] = ()  # sentences on what was unusual
    components: IcaComponents | None = None  # to be taken away non-aggressively beforehand


def _strategy_columns(
    table: ConfoundTable | None,
    options: CleaningOptions,
    run: RestRun,
    n_frames: int,
    at_start: int,
) -> _Columns:
    """Take what a strategy removes from a table, which is None where the run has none.

    So many frames are dropped at the start of the run.
    """
    row = find_strategy(options.denoise_strategy)
    if not row.reads_table:
        return _Columns(np.zeros((n_frames, 0)), ())
    remedy = "choose another --denoise-strategy (none needs no column), or rerun fMRIPrep"
    if table is None:
        by_xcpd = run.bold.name.endswith(PARCEL_SERIES) or "_desc-denoised" in run.bold.name
        raise RunError(
            f"{run.title} has no table of confounds beside {run.bold}",
            expected="…_desc-confounds_timeseries.tsv",
            remedy="--input-type xcpd, if XCP-D made the series; else " * by_xcpd
            + f"copy it there, or {remedy}",
        )
    components = compcor_columns(table, run) if "compcor" in row.parts else ()
    table, computed = add_expansions(table)
    wanted = row.nilearn_arguments(options)
    arguments = _for_table(wanted, row, table.names)
    needed = needed_columns(arguments)
    missing = [column for column in needed if column not in table.cells]
    if missing:
        some = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if missing[8:] else "")
        raise RunError(
            f"sub-{run.participant}: {run.confounds} lacks {len(missing)} of {len(needed)} columns "
            f"that strategy {row.name} needs: {some}; it has {', '.join(table.names[:8])}, …",
            remedy=remedy,
        )
    names = choose_columns(arguments, table.names, components)
    require_numbers(table, (*names, *(name for name in needed if name not in names)), run)
    values = _values(table, names)
    facts: dict[str, Any] = {"gsr": options.gsr}
    if lacking := _lacking(wanted["strategy"], names):
        facts[NOT_IN_TABLE] = lacking
    if used := [name for name in computed if name in names]:
        facts["columns_computed"] = used
    columns = _Columns(
        fill_first(values),
        names,
        with_na=_with_gaps(values, names),
        facts=facts,
        notes=_notes(row, options, lacking),
    )
    if row.noise is None:
        return columns
    found = read_components(row.name, run, n_frames, at_start)
    counts = {"components": len(found.noise), "noise_components": int(found.noise.sum())}
    return replace(columns, facts={**facts, **counts}, components=found)


def _for_table(
    arguments: Mapping[str, Any], row: Strategy, columns: Sequence[str]
) -> dict[str, Any]:
    """Leave out the parts of a strategy that a table may lack, and lacks."""
    absent = {
        part
        for part in row.optional
        if not any(column.startswith(_COLUMNS_OF[part]) for column in columns)
    }
    parts = tuple(part for part in arguments["strategy"] if part not in absent)
    return {**arguments, "strategy": parts}


def _lacking(parts: Sequence[str], names: tuple[str, ...]) -> list[str]:
    """Return the parts of a strategy that are removed where a table has them, and it has not."""
    return [
        part
        for part, beginnings in _MAY_LACK.items()
        if part in parts and not any(name.startswith(beginnings) for name in names)
    ]


def _notes(row: Strategy, options: CleaningOptions, lacking: Sequence[str]) -> tuple[str, ...]:
    notes = {
        "high_pass": "The table of confounds has no cosine columns: nothing was high-pass "
        "filtered.",
        "motion": f"The table of confounds has no motion columns: {row.name} removed none.",
    }
    # Cosines of our own stand in for the table's.
    noted = [part for part in lacking if part != "high_pass" or options.high_pass is None]
    return tuple(notes[part] for part in noted)


def _notes_on_doubles(table: ConfoundTable | None) -> tuple[str, ...]:
    doubled = () if table is None else table.doubled
    if not doubled:
        return ()
    more = f" and {len(doubled) - 5} more" if doubled[5:] else ""
    return (
        f"The table of confounds names columns more than once: {', '.join(doubled[:5])}{more}. "
        "The first of each was used.",
    )


def _notes_on_zeros(table: ConfoundTable | None, names: Sequence[str]) -> tuple[str, ...]:
    """Name the columns that are used, or censor frames, and are 0 wherever they have a value."""
    zeros = [
        name
        for name in (*names, FD, STD_DVARS)
        if (values := numbers(table, name)) is not None
        and not np.nan_to_num(values).any()
        and not np.isnan(values).all()
    ]
    if not zeros:
        return ()
    return (
        f"The table of confounds has 0 in all frames of {', '.join(zeros)}: check the run in "
        "fMRIPrep's report.",
    )


def _notes_on_interpolated(run: RestRun, frames: int) -> tuple[str, ...]:
    if run.outliers is None or not frames:
        return ()
    what = f"{counted(frames, 'frame')} that XCP-D had interpolated ({run.outliers.name})"
    return (f"{what} {'was' if frames == 1 else 'were'} left out.",)


def _with_custom(columns: _Columns, path: Path, run: RestRun) -> _Columns:
    """Add all columns of a table of one's own."""
    values, names = read_custom_table(path, run, len(columns.values))
    return replace(
        columns,
        values=np.hstack([columns.values, values]),
        names=(*columns.names, *names),
        with_na=(*columns.with_na, *_with_gaps(values, names)),
        facts={**(columns.facts or {}), "custom_confounds": path.name},
    )


def _values(table: ConfoundTable, names: Sequence[str]) -> NDArray[np.float64]:
    columns = [column for name in names if (column := numbers(table, name)) is not None]
    return np.array(columns, np.float64).reshape(len(names), table.frames).T.copy()


def _with_gaps(values: NDArray[np.float64], names: Sequence[str]) -> tuple[str, ...]:
    gaps = np.flatnonzero(np.isnan(values).any(axis=0))
    return tuple(names[place] for place in gaps.tolist())


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


def _known(values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Return values for reports and thresholds, NaN where they are not finite."""
    return None if values is None else np.where(np.isfinite(values), values, np.nan)


def _above(
    values: NDArray[np.float64] | None, threshold: float | None, n_frames: int
) -> NDArray[np.bool_]:
    if values is None or threshold is None:
        return np.zeros(n_frames, bool)
    return values > threshold  # n/a is above nothing


def needed_columns(arguments: Mapping[str, Any]) -> list[str]:
    """List the columns without which a table cannot be used.

    Parameters
    ----------
    arguments
        Arguments of nilearn's `load_confounds`: strategy and options.

    Examples
    --------
    >>> needed_columns({"strategy": ("high_pass", "wm_csf"), "wm_csf": "power2"})
    ['csf', 'csf_power2', 'white_matter', 'white_matter_power2']
    """
    scrub = [FD, STD_DVARS] if "scrub" in arguments["strategy"] else []
    return _regressors(arguments) + scrub


def choose_columns(
    arguments: Mapping[str, Any], present: Sequence[str], components: Sequence[str]
) -> tuple[str, ...]:
    """List the columns to regress out, in the order of their names as nilearn has them.

    Parameters
    ----------
    arguments
        Arguments of nilearn's `load_confounds`: strategy and options.
    present
        Names of the table's columns; those of `needed_columns` are among them.
    components
        Names of those of CompCor that are wanted where the strategy has CompCor.

    Examples
    --------
    >>> arguments = {"strategy": ("high_pass", "wm_csf"), "wm_csf": "basic"}
    >>> choose_columns(arguments, ("white_matter", "csf", "cosine00", "dvars"), ())
    ('cosine00', 'csf', 'white_matter')
    """
    parts = arguments["strategy"]
    chosen = {*_regressors(arguments), *(components if "compcor" in parts else ())}
    for part, beginning in _BEGINNINGS.items():
        if part in parts:
            chosen |= {name for name in present if name.startswith(beginning)}
    return tuple(sorted(chosen))


def fill_first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give gaps of the first frame the next one's value: derivatives begin with n/a.

    Parameters
    ----------
    values
        (frames, columns), n/a as NaN.

    Examples
    --------
    >>> fill_first(np.array([[np.nan, 1.0], [2.0, 3.0], [np.nan, 5.0]]))
    array([[ 2.,  1.],
           [ 2.,  3.],
           [nan,  5.]])
    """
    filled = values.copy()
    filled[:1] = np.where(np.isnan(values[:1]), values[1:2], values[:1])
    return filled


def censored(over: NDArray[np.bool_], shortest: int) -> NDArray[np.bool_]:
    """Return the frames to drop: those over a threshold, and short stretches between them.

    As `load_confounds` does, after Power et al. (2014, *NeuroImage* 84, 320-341).

    Parameters
    ----------
    over
        (frames,), True over a threshold. Where none is, none is dropped.
    shortest
        Stretches of fewer frames between such ones, or between one and an end, are dropped too.

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


def _regressors(arguments: Mapping[str, Any]) -> list[str]:
    return [
        base + end
        for part, bases in _BASES.items()
        if part in arguments["strategy"]
        for base in bases
        for end in _ENDS[arguments[part]]
    ]
