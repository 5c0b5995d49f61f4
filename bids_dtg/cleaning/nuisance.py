"""Columns that a strategy takes out of a table of confounds, through nilearn."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.aroma import AromaComponents, read_aroma
from bids_dtg.cleaning.confound_names import GLOBAL, MOTION, TISSUE, add_expansions
from bids_dtg.cleaning.custom import read_custom_table
from bids_dtg.cleaning.strategies import NuisanceChoice, compcor_metadata, needed_columns
from bids_dtg.cleaning.table import numbers, quoted
from bids_dtg.errors import RunError
from bids_dtg.inputs.run import RestRun

if TYPE_CHECKING:
    import pandas as pd

# How the names of the columns begin that nilearn may choose from.
_KNOWN = (
    *(*MOTION, *TISSUE, GLOBAL, "framewise_displacement", "std_dvars"),
    *("cosine", "a_comp_cor", "aroma_motion"),
)


@dataclass(frozen=True, eq=False)
class NuisanceColumns:
    """What is to be regressed out, and which frames scrubbing keeps."""

    values: NDArray[np.float64]  # (frames, columns)
    names: tuple[str, ...]  # of the columns
    unscrubbed: NDArray[np.bool_]  # (frames,), False where scrubbing drops a frame
    with_na: tuple[str, ...] = ()  # columns that had n/a
    facts: Mapping[str, Any] | None = None  # for the sidecar
    notes: tuple[str, ...] = ()  # sentences on what was unusual
    components: AromaComponents | None = None  # to be taken away non-aggressively beforehand


def strategy_columns(
    table: pd.DataFrame | None, choice: NuisanceChoice, run: RestRun, n_frames: int
) -> NuisanceColumns:
    """Take what a strategy wants.

    Parameters
    ----------
    table
        The run's table, as `read_table` returns it; None where the run has none.
    choice
        The strategy and what goes with it.
    run
        The run, for the files beside its table.
    n_frames
        Frames of the run.

    Raises
    ------
    RunError
        The table, or a file beside it, is missing or lacks what the strategy needs.
    """
    if choice.strategy == "none":
        return NuisanceColumns(np.zeros((n_frames, 0)), (), np.ones(n_frames, bool))
    remedy = "choose another --denoise-strategy (none needs no column), or rerun fMRIPrep"
    if table is None:
        raise RunError(
            f"{run.title} has no table of confounds beside {run.bold}",
            expected="…_desc-confounds_timeseries.tsv",
            remedy=f"copy it there, or {remedy}",
        )
    metadata = compcor_metadata(table, run) if choice.strategy == "compcor" else {}
    table, computed = add_expansions(table)
    arguments = choice.nilearn_arguments(list(table.columns))
    needed = needed_columns(arguments)
    missing = [column for column in needed if column not in table.columns]
    if missing:
        some = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if missing[8:] else "")
        raise RunError(
            f"sub-{run.participant}: {run.confounds} lacks {len(missing)} of {len(needed)} columns "
            f"that strategy {choice.strategy} needs: {some}; it has "
            f"{', '.join(table.columns[:8])}, …",
            remedy=remedy,
        )
    values, names, unscrubbed = _by_nilearn(table, arguments, metadata, run)
    facts: dict[str, Any] = {"confound_model": choice.confound_model, "gsr": choice.gsr}
    if used := [name for name in computed if name in names]:
        facts["columns_computed"] = used
    columns = NuisanceColumns(
        values,
        names,
        unscrubbed,
        with_na=_with_missing_values(table, names),
        facts=facts,
        notes=_notes(choice, names),
    )
    return _with_aroma(columns, choice, run) if choice.strategy == "ica_aroma" else columns


def _notes(choice: NuisanceChoice, names: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    if not choice.own_high_pass and not any(name.startswith("cosine") for name in names):
        notes.append(
            "The table of confounds has no cosine columns: nothing was high-pass filtered."
        )
    if choice.strategy == "compcor" and not any(name.startswith(MOTION) for name in names):
        notes.append("The table of confounds has no motion columns: compcor removed none.")
    return tuple(notes)


def _by_nilearn(
    table: pd.DataFrame,
    arguments: Mapping[str, Any],
    metadata: Mapping[str, Mapping[str, str]],
    run: RestRun,
) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.bool_]]:
    """Let nilearn choose columns and scrub frames: values, names, frames not scrubbed.

    nilearn looks for the table itself, by the name of the image, and refuses other names than
    fMRIPrep's for either, and tables with a column named in capitals; a copy under the names that
    it knows takes that away, and leaves out the non-steady-state columns, which are ours.
    """
    from nilearn.interfaces.fmriprep import load_confounds as by_nilearn

    known = [column for column in table.columns if column.startswith(_KNOWN)]
    with tempfile.TemporaryDirectory(prefix="dtg-") as folder, warnings.catch_warnings():
        # "All volumes were marked": the caller refuses runs that are too short, with numbers.
        warnings.simplefilter("ignore")
        stem = Path(folder, "sub-x_task-rest_desc-")
        table[known].to_csv(f"{stem}confounds_timeseries.tsv", sep="\t", index=False)
        Path(f"{stem}confounds_timeseries.json").write_text(json.dumps(metadata), "utf-8")
        try:
            columns, kept = by_nilearn(f"{stem}preproc_bold.nii.gz", **arguments)
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


def _with_aroma(columns: NuisanceColumns, choice: NuisanceChoice, run: RestRun) -> NuisanceColumns:
    """Add noise components: as further columns, or to be taken away beforehand."""
    facts = {**(columns.facts or {}), "aroma_denoising": choice.aroma_denoising}
    if any(name.startswith("aroma") for name in columns.names):
        return replace(columns, facts=facts)
    found = read_aroma(run, len(columns.values))
    facts |= {"components": len(found.noise), "noise_components": int(found.noise.sum())}
    if choice.aroma_denoising == "nonaggr":
        return replace(columns, facts=facts, components=found)
    noise = found.mixing[:, found.noise]
    names = tuple(f"aroma_motion_{index + 1:02d}" for index in np.flatnonzero(found.noise))
    return replace(
        columns,
        facts=facts,
        values=np.hstack([columns.values, noise]),
        names=(*columns.names, *names),
    )


def with_custom(columns: NuisanceColumns, path: Path, run: RestRun) -> NuisanceColumns:
    """Add all columns of a table of one's own."""
    values, names = read_custom_table(path, run, len(columns.values))
    gaps = tuple(
        name for name, column in zip(names, values.T, strict=True) if np.isnan(column).any()
    )
    return replace(
        columns,
        values=np.hstack([columns.values, values]),
        names=(*columns.names, *names),
        with_na=(*columns.with_na, *gaps),
        facts={**(columns.facts or {}), "custom_confounds": path.name},
    )


def _with_missing_values(table: pd.DataFrame, names: tuple[str, ...]) -> tuple[str, ...]:
    """List used columns with n/a in the table: nilearn fills the first of a derivative itself."""
    columns = {name: numbers(table, (name,)) for name in names}
    gaps = (n for n, column in columns.items() if column is not None and np.isnan(column).any())
    return tuple(gaps)
