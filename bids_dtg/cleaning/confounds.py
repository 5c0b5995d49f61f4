"""Confounds of a run: columns to regress out and frames to keep.

They are those of nilearn's `load_confounds` for the same arguments (Abraham et al. 2014, *Frontiers
in Neuroinformatics* 8, 14), with which tests compare them for every strategy. nilearn itself is not
asked: its import takes longer than all that is done here, while each run waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.custom import find_custom_table, read_custom_table
from bids_dtg.cleaning.noise_components import find_component_files, read_components
from bids_dtg.cleaning.strategies import SHORTEST_STRETCH, find_strategy
from bids_dtg.cleaning.table import (
    EXPANSIONS,
    FD,
    GLOBAL,
    MOTION,
    STD_DVARS,
    TISSUE,
    Cells,
    compcor_columns,
    expansions,
    interpolated_frames,
    metadata_file,
    non_steady_frames,
    numbers,
    read_table,
    require_numbers,
)
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.run import PARCEL_SERIES, RestRun
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
# How names of columns begin whose absence leaves a run less clean, and what is noted then.
_MAY_LACK: Mapping[str, tuple[tuple[str, ...], str]] = {
    "high_pass": (("cosine",), "no cosine columns: nothing was high-pass filtered."),
    "motion": (MOTION, "no motion columns: {0} removed none."),
}
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
    # Time courses (frames, components) of an ICA, and which components (components,) are noise, to
    # be taken away non-aggressively beforehand.
    mixing: NDArray[np.float64] | None = None
    noise: NDArray[np.bool_] | None = None

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
    cells: Cells = {}
    doubled, names = tuple[str, ...](), tuple[str, ...]()
    facts, notes = dict[str, Any](), list[str]()
    if run.confounds is not None:
        compcor = "compcor" in row.parts
        cells, doubled = read_table(run.confounds, run, n_frames, components=compcor)
    non_steady = non_steady_frames(cells if n_dummy is None else {}, n_frames)
    dummy = np.arange(n_frames) < (n_dummy or 0)
    if row.reads_table:
        cells, names = _columns(cells, run, options, facts, notes)
    columns = [column for name in names if (column := numbers(cells, name)) is not None]
    values = np.array(columns, np.float64).reshape(len(names), n_frames).T.copy()
    with_na = _with_gaps(values, names)
    # Derivatives begin with n/a.
    values[:1] = np.where(np.isnan(values[:1]), values[1:2], values[:1])
    mixing = noise = None
    if row.noise is not None:
        at_start = int(np.argmin(np.append(non_steady | dummy, False)))
        mixing, noise = read_components(row.name, run, n_frames, at_start)
        facts |= {"components": len(noise), "noise_components": int(noise.sum())}
    if options.custom_confounds is not None:
        path = find_custom_table(options.custom_confounds, run)
        own, own_names = read_custom_table(path, run, n_frames)
        values, names = np.hstack([values, own]), (*names, *own_names)
        with_na += _with_gaps(own, own_names)
        facts["custom_confounds"] = path.name
    fd, dvars = (_finite(numbers(cells, name)) for name in (FD, STD_DVARS))
    thresholds = row.thresholds(options)
    over_fd = _above(fd, thresholds.get("fd_threshold"), n_frames)
    over_dvars = _above(dvars, thresholds.get("std_dvars_threshold"), n_frames)
    scrubbed = censored(over_fd | over_dvars, SHORTEST_STRETCH)
    interpolated = interpolated_frames(run, n_frames)
    return Confounds(
        values=values,
        names=names,
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
            **facts,
            "columns_with_na": with_na,
        },
        notes=(*notes, *_notes(cells, doubled, names, run, int(interpolated.sum()))),
        mixing=mixing,
        noise=noise,
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


def _columns(
    cells: Cells,
    run: RestRun,
    options: CleaningOptions,
    facts: dict[str, Any],
    notes: list[str],
) -> tuple[Cells, tuple[str, ...]]:
    """Choose what a strategy removes of a table, in nilearn's order of names; add facts and notes.

    Returns the table with derivatives and squares that it lacked, too.
    """
    row = find_strategy(options.denoise_strategy)
    remedy = "choose another --denoise-strategy (none needs no column), or rerun fMRIPrep"
    if run.confounds is None:
        by_xcpd = run.bold.name.endswith(PARCEL_SERIES) or "_desc-denoised" in run.bold.name
        raise RunError(
            f"{run.title} has no table of confounds beside {run.bold}",
            expected="…_desc-confounds_timeseries.tsv",
            remedy="--input-type xcpd, if XCP-D made the series; else " * by_xcpd
            + f"copy it there, or {remedy}",
        )
    components = compcor_columns(cells, run) if "compcor" in row.parts else ()
    computed = expansions(cells)
    cells = {**cells, **computed}
    arguments = row.nilearn_arguments(options)
    lacking = {
        part
        for part, (beginnings, _) in _MAY_LACK.items()
        if part in arguments["strategy"] and not any(name.startswith(beginnings) for name in cells)
    }
    parts = set(arguments["strategy"]) - (lacking & set(row.optional))
    regressed = [
        base + end
        for part, bases in _BASES.items()
        if part in parts
        for base in bases
        for end in _ENDS[arguments[part]]
    ]
    needed = [*regressed, *([FD, STD_DVARS] if "scrub" in parts else [])]
    if missing := [name for name in needed if name not in cells]:
        some = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if missing[8:] else "")
        raise RunError(
            f"sub-{run.participant}: {run.confounds} lacks {len(missing)} of {len(needed)} columns "
            f"that strategy {row.name} needs: {some}; it has {', '.join([*cells][:8])}, …",
            remedy=remedy,
        )
    cosines = [name for name in cells if "high_pass" in parts and name.startswith("cosine")]
    names = tuple(sorted({*regressed, *components, *cosines}))
    require_numbers(
        *(cells, (*names, *(name for name in needed if name not in names))),
        f"sub-{run.participant}: {run.confounds}",
        "copy it again, rerun fMRIPrep, or choose a --denoise-strategy without it",
    )
    facts["gsr"] = options.gsr
    if lacking:
        facts[NOT_IN_TABLE] = [part for part in _MAY_LACK if part in lacking]
    if used := [name for name in computed if name in names]:
        facts["columns_computed"] = used
    notes += [
        f"The table of confounds has {text.format(row.name)}"
        for part, (_, text) in _MAY_LACK.items()
        # Cosines of our own stand in for the table's.
        if part in lacking and (part != "high_pass" or options.high_pass is None)
    ]
    return cells, names


def _notes(
    cells: Cells, doubled: Sequence[str], names: Sequence[str], run: RestRun, interpolated: int
) -> list[str]:
    """Name columns that stand twice in the table or are 0 throughout, and frames left out."""
    notes = []
    if doubled:
        more = f" and {len(doubled) - 5} more" if doubled[5:] else ""
        notes.append(
            f"The table of confounds names columns more than once: {', '.join(doubled[:5])}{more}. "
            "The first of each was used."
        )
    zeros = [
        name
        for name in (*names, FD, STD_DVARS)
        if (values := numbers(cells, name)) is not None
        and not np.nan_to_num(values).any()
        and not np.isnan(values).all()
    ]
    if zeros:
        notes.append(
            f"The table of confounds has 0 in all frames of {', '.join(zeros)}: check the run in "
            "fMRIPrep's report."
        )
    if run.outliers is not None and interpolated:
        frames, were = counted(interpolated, "frame"), "was" if interpolated == 1 else "were"
        notes.append(f"{frames} that XCP-D had interpolated ({run.outliers.name}) {were} left out.")
    return notes


def _with_gaps(values: NDArray[np.float64], names: Sequence[str]) -> list[str]:
    return [names[column] for column in np.flatnonzero(np.isnan(values).any(axis=0)).tolist()]


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


def _finite(values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Return values for reports and thresholds, NaN where they are not finite."""
    return None if values is None else np.where(np.isfinite(values), values, np.nan)


def _above(
    values: NDArray[np.float64] | None, threshold: float | None, n_frames: int
) -> NDArray[np.bool_]:
    if values is None or threshold is None:
        return np.zeros(n_frames, bool)
    return values > threshold  # n/a is above nothing


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
