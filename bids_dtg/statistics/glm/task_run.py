"""One task run for its first-level analysis: series, design, and estimable contrasts."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.confounds import load_confounds
from bids_dtg.cleaning.strategies import find_strategy, resolve
from bids_dtg.cleaning.table import (
    NON_STEADY,
    add_expansions,
    non_steady_frames,
    numbers,
    read_table,
    require_numbers,
)
from bids_dtg.errors import RunError
from bids_dtg.files.sidecars import read_sidecar
from bids_dtg.imaging.bold import BoldHeader, read_bold_header, stream_voxels
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_mask
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.repetition_time import decide_repetition_time
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.task.model_file import GlmModel
from bids_dtg.inputs.task.runs import TaskRun
from bids_dtg.inputs.task.trials import Trials, read_trials
from bids_dtg.notices import counted, named
from bids_dtg.settings import CleaningOptions
from bids_dtg.statistics.glm.estimate import CENSORED, Design, make_design

Floats = NDArray[np.float64]

LEAST_DOF = 20  # residual degrees of freedom of a run: with fewer, variances are unreliable
# Share of trials outside a run: a few, if a scan was stopped; more are a mistake.
_MOST_LATE = 0.1
# Seconds after a trial in which its response is over, and in which it has hardly begun. A condition
# whose trials have no response in the run would have a column of rounding errors.
_RESPONSE_S, _RISE_S = 16.0, 1.0
_SHORTEST = 0.1  # share of a run that trials take at least, where onsets are in seconds
# Mean of a voxel by its standard deviation: 20 to 200 in a series that was not centred.
_LEAST_MEAN = 0.1
_SMOOTHED_FRAMES = 4  # whole volumes in memory while they are smoothed
_COMPONENTS = ("a_comp_cor", "t_comp_cor", "c_comp_cor", "w_comp_cor")


@dataclass(frozen=True, eq=False)
class PlannedTaskRun:
    """Facts of a task run that are known before its images are read."""

    run: RestRun
    header: BoldHeader
    tr_seconds: float
    trials: Trials
    design: Design
    contrasts: Mapping[str, Floats]  # weights of the design's columns, for estimable contrasts
    missing: Mapping[str, str]  # why the other contrasts cannot be estimated
    censored: int  # frames with a censoring column
    confounds: tuple[str, ...]  # names of the confound columns
    slice_time_ref: float
    notes: tuple[str, ...]  # sentences on unusual findings

    @property
    def grid(self) -> Grid:
        """Grid of the series."""
        i, j, k, _ = self.header.shape
        resolution = dict(self.run.entities).get("res")
        return Grid((i, j, k), self.header.affine, self.run.space, resolution)


def plan_task_run(task: TaskRun, model: GlmModel, cleaning: CleaningOptions) -> PlannedTaskRun:
    """Plan the analysis of a run, from its header and its tables alone.

    Raises
    ------
    RunError
        It has no events or no mask, its header or a table cannot be used, no contrast can be
        estimated, or fewer than `LEAST_DOF` degrees of freedom are left.
    """
    run = task.run
    if task.events is None or run.mask is None:
        what = "event file" if task.events is None else "brain mask"
        raise RunError(
            f"{run.title} has no {what}",
            expected="*_events.tsv in BIDS_DIR or beside the series"
            if task.events is None
            else "*_desc-brain_mask.nii.gz beside the series",
        )
    header = read_bold_header(run.bold)
    tr_seconds, notes = decide_repetition_time(
        run.bold, header.time, run.time_sidecar, run.tr_seconds
    )
    trials, more = _trials(task.events, model, header.frames * tr_seconds, tr_seconds)
    values, names, censored = read_confounds(run, model, cleaning, header.frames)
    slice_time_ref = _slice_time_ref(run, tr_seconds)
    design = make_design(
        trials,
        model,
        frames=header.frames,
        tr_seconds=tr_seconds,
        slice_time_ref=slice_time_ref,
        confounds=values,
        confound_names=names,
    )
    if design.residual_dof < LEAST_DOF:
        raise RunError(
            f"{run.bold} has {design.residual_dof} residual degrees of freedom ({header.frames} "
            f"frames less {design.rank} columns)",
            expected=f"at least {LEAST_DOF}",
            remedy="take fewer confounds (confounds in --glm-model)",
        )
    contrasts, missing = _contrasts(design, trials, model)
    if not contrasts:
        why = "; ".join(f"{label}: {reason}" for label, reason in list(missing.items())[:3])
        raise RunError(" ".join([f"{run.title}: no contrast can be estimated ({why}).", *more]))
    return PlannedTaskRun(
        run=run,
        header=header,
        tr_seconds=tr_seconds,
        trials=trials,
        design=design,
        contrasts=contrasts,
        missing=missing,
        censored=censored,
        confounds=tuple(name for name in names if not name.startswith(CENSORED)),
        slice_time_ref=slice_time_ref,
        notes=(*notes, *more),
    )


def read_series(plan: PlannedTaskRun, fwhm_mm: float = 0.0) -> tuple[VoxelPlaces, Any]:
    """Read the series of a run inside its brain mask.

    Returns
    -------
    places
        Voxels of the mask that change in frames that are not censored, and whose mean is not 0.
    series
        (frames, places) float32.

    Raises
    ------
    RunError
        A file is damaged, the mask is on another grid, or nothing changes in it.
    """
    assert plan.run.mask is not None  # as was checked
    grid, header = plan.grid, plan.header
    inside = np.flatnonzero(read_mask(plan.run.mask, grid))
    wanted = np.arange(int(np.prod(grid.shape))) if fwhm_mm else inside
    sampling = LatticeSampling.between(
        header.shape, header.affine, grid, wanted, name=str(header.path)
    )
    series = np.empty((header.frames, len(inside)), np.float32)
    at_once = _SMOOTHED_FRAMES if fwhm_mm else 32
    for first, block in stream_voxels(header, sampling, at_once):
        kept = _smoothed(block, grid, fwhm_mm)[:, inside] if fwhm_mm else block
        series[first : first + len(kept)] = kept
    # A voxel that is the same in all frames that count has no variance: it would outweigh all runs.
    usable = np.isfinite(series).all(axis=0) & (np.ptp(series[plan.design.counted], axis=0) > 0)
    means = series.mean(axis=0)
    usable &= means != 0
    if not usable.any():
        raise RunError(f"{plan.run.bold} changes nowhere inside {plan.run.mask}")
    # Effects are in percent of the mean.
    if np.median(np.abs(means[usable]) / series[:, usable].std(axis=0)) < _LEAST_MEAN:
        raise RunError(
            f"{plan.run.bold} has means near 0: the series was centred or filtered",
            expected="a series as fMRIPrep writes it (desc-preproc), with its mean",
        )
    if not usable.all():
        series = series[:, usable]
    return VoxelPlaces(grid, inside[usable]), series


def _smoothed(block: NDArray[np.float32], grid: Grid, fwhm_mm: float) -> NDArray[np.float32]:
    """Smooth whole volumes, (frames, voxels)."""
    import nibabel as nib
    from nilearn.image import smooth_img

    volumes = np.moveaxis(block.reshape(len(block), *grid.shape), 0, -1)
    image: Any = nib.Nifti1Image(volumes, grid.affine)  # type: ignore[no-untyped-call]
    data = smooth_img(image, fwhm_mm).get_fdata(dtype=np.float32)
    smooth: NDArray[np.float32] = np.moveaxis(data, -1, 0).reshape(len(block), -1)
    return smooth


def read_confounds(
    run: RestRun, model: GlmModel, cleaning: CleaningOptions, frames: int
) -> tuple[Floats, tuple[str, ...], int]:
    """Read the design's columns other than conditions and cosines.

    Each frame that is not in the steady state, or that a strategy censors, has a column.
    Values that are n/a, such as the first of a derivative, become the next value, as in nilearn's
    `load_confounds`.

    Returns
    -------
    values
        (frames, columns), without NaN.
    names
        Of the columns.
    censored
        How many of them stand for a frame; they come last.

    Raises
    ------
    RunError
        There is no table, or not such a column.
    SettingsError
        There is no such strategy.
    """
    if isinstance(model.confounds, str):
        values, names, keep = _by_strategy(run, model, cleaning, frames)
    else:
        values, names, keep = _by_patterns(run, model.confounds, frames)
    dropped = np.flatnonzero(~keep)
    own_frames = (np.arange(frames)[:, None] == dropped).astype(np.float64)
    spikes = tuple(f"{CENSORED}{frame:04d}" for frame in dropped)
    return np.hstack([_filled(values), own_frames]), (*names, *spikes), len(dropped)


def _by_strategy(
    run: RestRun, model: GlmModel, cleaning: CleaningOptions, frames: int
) -> tuple[Floats, tuple[str, ...], NDArray[np.bool_]]:
    options = strategy_options(model, cleaning)
    confounds = load_confounds(run, options, n_frames=frames)
    return confounds.values, confounds.names, confounds.keep


def strategy_options(model: GlmModel, cleaning: CleaningOptions) -> CleaningOptions:
    """Return the options with which a model's denoising strategy reads tables.

    Noise components are columns of the design, together with the conditions.

    Raises
    ------
    SettingsError
        There is no such strategy, or an option does not go with it.
    """
    name = str(model.confounds)
    aroma = "aggr" if find_strategy(name).noise is not None else cleaning.aroma_denoising
    options = dataclasses.replace(
        cleaning,
        denoise_strategy=name,
        aroma_denoising=aroma,
        high_pass=model.high_pass or None,
    )
    return resolve(options, "fmriprep")


def _by_patterns(
    run: RestRun, patterns: Sequence[str], frames: int
) -> tuple[Floats, tuple[str, ...], NDArray[np.bool_]]:
    if run.confounds is None:
        if not patterns:
            return np.zeros((frames, 0)), (), np.ones(frames, bool)
        raise RunError(
            f"{run.title} has no table of confounds beside {run.bold}",
            expected="*_desc-confounds_timeseries.tsv",
        )
    components = any(pattern.startswith(_COMPONENTS) for pattern in patterns)
    table = read_table(run.confounds, run, frames, components=components)
    table, _ = add_expansions(table)
    present = table.names
    names: dict[str, None] = {}
    for pattern in patterns:
        found = [name for name in present if fnmatchcase(name, pattern)]
        # A run that starts in the steady state, or without motion, has no such columns.
        if not found and not pattern.startswith(("non_steady", "motion_outlier", "cosine")):
            near = difflib.get_close_matches(pattern.rstrip("*"), present, n=1)
            raise RunError(
                f"{run.confounds} has no column {pattern}",
                expected=f"as {near[0]}" if near else f"as {named(present)}",
                remedy="correct confounds in --glm-model",
            )
        names |= dict.fromkeys(name for name in found if not name.startswith(NON_STEADY))
    require_numbers(table, tuple(names), run)
    columns = [numbers(table, name) for name in names]
    values = np.array([column for column in columns if column is not None]).reshape(-1, frames).T
    return values, tuple(names), ~non_steady_frames(table)


def _filled(values: Floats) -> Floats:
    """Replace NaN by the next value of the column, and at its end by the last one."""
    import pandas as pd

    filled: Floats = pd.DataFrame(values).bfill().ffill().to_numpy(np.float64)
    return filled


def _trials(
    path: Path, model: GlmModel, seconds: float, tr_seconds: float
) -> tuple[Trials, tuple[str, ...]]:
    """Read the trials of a run of this length, and sentences on those that are unusual."""
    trials = read_trials(path, model.trial_type, model.ignore)
    _require_within(path, trials, seconds)
    ends = trials.onset_s + trials.duration_s
    before = ends < -_RESPONSE_S
    after = trials.onset_s > seconds - tr_seconds - _RISE_S
    endless = trials.duration_s > seconds
    notes = [
        f"{counted(number, what)} of {path.name} {words}."
        for number, what, words in (
            (trials.repeated, "row", "repeat another one, and are left out"),
            (trials.unnamed, "row", f"have no {model.trial_type}, and are left out"),
            (int(before.sum()), "trial", "end before the first frame and are left out"),
            (
                int(after.sum()),
                "trial",
                f"begin after the end of the run ({seconds:.1f} s), or so late that no frame has "
                "their response, and are left out",
            ),
            (int(endless.sum()), "trial", f"last longer than the run ({seconds:.1f} s)"),
        )
        if number
    ]
    kept = trials.chosen(~before & ~after)
    last = float(ends.max(initial=0.0))
    if last < _SHORTEST * seconds:
        notes.append(
            f"all trials of {path.name} end within the first {last:.1f} s of {seconds:.1f} s: "
            "onsets and durations must be in seconds."
        )
    return kept, tuple(notes)


def _require_within(path: Path, trials: Trials, seconds: float) -> None:
    """Refuse onsets and durations that are in another unit, or of another run."""
    number = len(trials.onset_s)
    onset, most = trials.onset_s, _MOST_LATE * number
    if (late := int(np.count_nonzero(onset >= seconds))) > most:
        last = float(onset.max())
        raise RunError(
            f"{path}: {late} of {counted(number, 'trial')} begin after the end of the "
            f"run ({seconds:.1f} s), the last at {last:g}",
            expected="onsets in seconds from the first frame",
            remedy="divide onsets and durations by 1000, if they are in milliseconds"
            if last > 100 * seconds
            else "compare the event file with the run: one of them is another run's or cut",
        )
    early = int(np.count_nonzero(onset + trials.duration_s < -_RESPONSE_S))
    if early > most:
        raise RunError(
            f"{path}: {early} of {counted(number, 'trial')} end before the first frame, the first "
            f"begins at {float(onset.min()):g}",
            expected="onsets in seconds from the first frame",
            remedy="subtract the time of the first frame from all onsets",
        )
    endless = int(np.count_nonzero(trials.duration_s > seconds))
    if endless > most:
        raise RunError(
            f"{path}: {endless} of {counted(number, 'trial')} last longer than the "
            f"run ({seconds:.1f} s), one of them {float(trials.duration_s.max()):g}",
            expected="durations in seconds",
            remedy="divide durations by 1000, if they are in milliseconds",
        )


def _contrasts(
    design: Design, trials: Trials, model: GlmModel
) -> tuple[dict[str, Floats], dict[str, str]]:
    """Return the contrasts that can be estimated, and why others cannot."""
    vectors, missing = {}, {}
    for label, weights in model.contrasts.items():
        absent = [name for name in weights if name not in trials.counts]
        if absent:
            missing[label] = _absent(absent, trials, model)
            continue
        vector = design.vector(weights)
        if design.is_estimable(vector):
            vectors[label] = vector
        else:
            missing[label] = f"{' and '.join(weights)} cannot be separated from other columns"
    return vectors, missing


def _absent(absent: Sequence[str], trials: Trials, model: GlmModel) -> str:
    """Say that a run lacks conditions, and which trial type may be meant."""
    others = {name.casefold(): name for name in trials.counts if name not in model.conditions}
    near = [
        others[found[0]]
        for name in absent
        if (found := difflib.get_close_matches(name.casefold(), others, 1))
    ]
    return f"no trial of {named(absent)}" + (
        f" (it has {named(near)}, which no contrast names)" if near else ""
    )


def _slice_time_ref(run: RestRun, tr_seconds: float) -> float:
    """Return the slices' reference time, as a share of a frame: StartTime, written by fMRIPrep."""
    for sidecar in run.sidecars:
        start = read_sidecar(sidecar).get("StartTime")
        if isinstance(start, int | float) and 0 <= start <= tr_seconds:
            return float(start) / tr_seconds
    return 0.0


def columns_in_words(model: GlmModel) -> str:
    """Describe a model's confounds."""
    if isinstance(model.confounds, str):
        return f"the strategy {model.confounds}"
    return ", ".join(model.confounds) or "none"
