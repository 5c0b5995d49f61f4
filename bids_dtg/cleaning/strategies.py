"""Denoising strategies: what nilearn is asked for, and the columns that it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.cleaning.confound_names import EXPANSIONS, GLOBAL, MOTION, TISSUE
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

# nilearn's presets (load_confounds_strategy), as arguments of its load_confounds. Non-aggressive
# ICA-AROMA takes more than columns of the table: nilearn reads an image made by fMRIPrep for it.
_PRESETS: Mapping[DenoiseStrategy, Mapping[str, Any]] = {
    "simple": {"strategy": ("high_pass", "motion", "wm_csf"), "wm_csf": "basic"},
    "scrubbing": {"strategy": ("high_pass", "motion", "wm_csf", "scrub"), "wm_csf": "full"},
    "compcor": {"strategy": ("high_pass", "motion", "compcor"), "compcor": "anat_combined"},
    "ica_aroma": {"strategy": ("high_pass", "wm_csf"), "wm_csf": "basic"},
}


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
            settings.confound_model,
            settings.gsr,
            settings.aroma_denoising,
            settings.high_pass is not None,
            settings.fd_threshold,
            settings.std_dvars_threshold,
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
