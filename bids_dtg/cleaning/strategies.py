"""Denoising strategies: the columns of a table of confounds that each regresses out, by nilearn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.cleaning.table import EXPANSIONS, GLOBAL, MOTION, TISSUE
from bids_dtg.errors import RunError
from bids_dtg.files.sidecars import read_sidecar
from bids_dtg.inputs.run import RestRun
from bids_dtg.settings import (
    SCRUBBING_FD_MM,
    SCRUBBING_STD_DVARS,
    AromaDenoising,
    ConfoundModel,
    DenoiseStrategy,
    Settings,
)

if TYPE_CHECKING:
    import pandas as pd

import json
import tempfile
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.aroma import AromaComponents, read_aroma
from bids_dtg.cleaning.custom import read_custom_table
from bids_dtg.cleaning.table import add_expansions, numbers, quoted

if TYPE_CHECKING:
    import pandas as pd


# nilearn's presets (load_confounds_strategy), as arguments of its load_confounds. Non-aggressive
# ICA-AROMA takes more than columns of the table: nilearn reads an image made by fMRIPrep for it.
_PRESETS: Mapping[DenoiseStrategy, Mapping[str, Any]] = {
    "simple": {"strategy": ("high_pass", "motion", "wm_csf"), "wm_csf": "basic"},
    "scrubbing": {"strategy": ("high_pass", "motion", "wm_csf", "scrub"), "wm_csf": "full"},
    "compcor": {"strategy": ("high_pass", "motion", "compcor"), "compcor": "anat_combined"},
    "ica_aroma": {"strategy": ("high_pass", "wm_csf"), "wm_csf": "basic"},
}


# How the names of the columns begin that nilearn may choose from.
_KNOWN = (
    *(*MOTION, *TISSUE, GLOBAL, "framewise_displacement", "std_dvars"),
    *("cosine", "a_comp_cor", "aroma_motion"),
)


@dataclass(frozen=True)
class NuisanceChoice:
    """What is to be taken from a table of confounds; each field is an option of the same name."""

    strategy: DenoiseStrategy
    confound_model: ConfoundModel = "24P"
    gsr: bool = False
    aroma_denoising: AromaDenoising = "nonaggr"
    own_high_pass: bool = False  # whether --high-pass takes the place of the table's cosines
    fd_threshold: float | None = None
    std_dvars_threshold: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> NuisanceChoice:
        """Take the choice from the options of a call."""
        return cls(
            settings.strategy,
            settings.cleaning.confound_model,
            settings.cleaning.gsr,
            settings.cleaning.aroma_denoising,
            settings.cleaning.high_pass is not None,
            settings.cleaning.fd_threshold,
            settings.cleaning.std_dvars_threshold,
        )

    @property
    def thresholds(self) -> dict[str, float]:
        """Above what scrubbing drops a frame; nothing with other strategies."""
        if self.strategy != "scrubbing":
            return {}
        fd, dvars = self.fd_threshold, self.std_dvars_threshold
        return {
            "fd_threshold": SCRUBBING_FD_MM if fd is None else fd,
            "std_dvars_threshold": SCRUBBING_STD_DVARS if dvars is None else dvars,
        }

    def nilearn_arguments(self, columns: list[str]) -> dict[str, Any]:
        """Return the arguments of nilearn's `load_confounds` for a table with these columns."""
        arguments = {"demean": False, "motion": "full", "scrub": 5, **_PRESETS[self.strategy]}
        parts = list(arguments["strategy"])
        # CompCor's components were found in data without what the table's cosines hold.
        if self.own_high_pass and self.strategy != "compcor":
            parts.remove("high_pass")
        if self.strategy == "compcor" and not any(name.startswith(MOTION) for name in columns):
            parts.remove("motion")
        if self.confound_model == "36P":
            arguments["wm_csf"] = "full"
        if self.gsr or self.confound_model == "36P":
            parts.append("global_signal")
            arguments["global_signal"] = "full" if self.confound_model == "36P" else "basic"
        if self._noise_columns(columns):
            parts.append("ica_aroma")
            arguments["ica_aroma"] = "basic"
        return {**arguments, **self.thresholds, "strategy": tuple(parts)}

    def _noise_columns(self, columns: list[str]) -> bool:
        aggressive = self.strategy == "ica_aroma" and self.aroma_denoising == "aggr"
        return aggressive and any(name.startswith("aroma_motion") for name in columns)


def needed_columns(arguments: Mapping[str, Any]) -> list[str]:
    """List the columns that nilearn needs for its arguments.

    They are checked beforehand, because nilearn ends in a KeyError where only some of the tissue
    columns, or framewise displacement, are missing (0.10 to 0.14).
    """
    parts = arguments["strategy"]
    needed: list[str] = []
    for part, bases in (("motion", MOTION), ("wm_csf", TISSUE), ("global_signal", (GLOBAL,))):
        ends = EXPANSIONS if arguments.get(part) == "full" else ("",)
        needed += [base + end for base in bases for end in ends if part in parts]
    if "scrub" in parts:
        needed += ["framewise_displacement", "std_dvars"]
    return needed


def compcor_metadata(table: pd.DataFrame, run: RestRun) -> dict[str, dict[str, str]]:
    """Tell which mask each component of anatomical CompCor is from, as nilearn wants to know.

    fMRIPrep numbers the components of three masks in one row from 1.4 to 20.2, and says in the
    JSON file which are which. Since 21.0 those of single masks have names of their own; before
    1.4, when there were no derivatives of columns either, there was one mask.

    Parameters
    ----------
    table
        The table as read, before derivatives were computed.
    run
        The run; the JSON file beside its table is read where it is there.

    Raises
    ------
    RunError
        There are no components, or it is not known whose they are.
    """
    names = [name for name in table.columns if re.fullmatch(r"a_comp_cor_\d+", name)]
    if not names:
        raise RunError(
            f"sub-{run.participant}: {run.confounds} has no column of anatomical CompCor",
            expected="a_comp_cor_00, …",
            remedy="choose another --denoise-strategy, or rerun fMRIPrep",
        )
    path = metadata_file(run)
    told = read_sidecar(path) if path else {}
    masks = {name: entry.get("Mask") for name, entry in told.items() if isinstance(entry, dict)}
    if all(masks.get(name) for name in names):
        return {name: {"Mask": str(masks[name])} for name in names}
    apart = any(name.startswith(("c_comp_cor", "w_comp_cor")) for name in table.columns)
    expanded = any(name.endswith(EXPANSIONS[1:]) for name in table.columns)
    if apart or not expanded:
        return {name: {"Mask": "combined"} for name in names}
    raise RunError(
        f"sub-{run.participant}: {run.confounds} has {len(names)} columns of anatomical CompCor, "
        "and no JSON file beside it that says from which masks",
        expected=f"{run.confounds.with_suffix('.json').name if run.confounds else 'a JSON file'} "
        "with the Mask of each",
        remedy="copy it there, or choose another --denoise-strategy",
    )


def metadata_file(run: RestRun) -> Path | None:
    """Return the JSON file beside a run's table of confounds; None where there is none."""
    path = run.confounds.with_suffix(".json") if run.confounds else None
    return path if path is not None and (path.is_file() or path.is_symlink()) else None


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
