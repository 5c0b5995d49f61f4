"""Options on how runs are cleaned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_dtg.settings.option import option

ConfoundModel = Literal["24P", "36P"]
AromaDenoising = Literal["nonaggr", "aggr"]
Interpolation = Literal["linear", "nearest"]

# Thresholds of nilearn's scrubbing strategy (its defaults since 0.10.3).
SCRUBBING_FD_MM = 0.5
SCRUBBING_STD_DVARS = 1.5


@dataclass(frozen=True)
class CleaningOptions:
    """How runs are cleaned."""

    denoise_strategy: str = option(
        "cleaning", "what is removed from runs", default="auto", shapes_results=True
    )
    fd_threshold: float | None = option(
        "cleaning",
        "framewise displacement in mm above which scrubbing censors a frame",
        default=None,
        metavar="MM",
        shapes_results=True,
        shown_default=f"{SCRUBBING_FD_MM} with scrubbing",
    )
    std_dvars_threshold: float | None = option(
        "cleaning",
        "standardised DVARS above which scrubbing censors a frame",
        default=None,
        metavar="X",
        shapes_results=True,
        shown_default=f"{SCRUBBING_STD_DVARS} with scrubbing",
    )
    confound_model: ConfoundModel = option(
        "cleaning",
        "24P: the columns of the strategy; 36P, with simple or scrubbing: 24 motion parameters, "
        "and white matter, CSF and global signal with their derivatives and squares",
        default="24P",
        shapes_results=True,
    )
    gsr: bool = option(
        "cleaning", "also remove the global signal", default=False, shapes_results=True
    )
    aroma_denoising: AromaDenoising = option(
        "cleaning",
        "with ica_aroma: nonaggr takes away what noise components explain beside the others; "
        "aggr all that they could explain",
        default="nonaggr",
        shapes_results=True,
    )
    custom_confounds: Path | None = option(
        "cleaning",
        "further columns to remove: a folder of tables with the names of fMRIPrep's, a table, or "
        "a path with entities in braces, e.g. /c/{sub}_{ses}_{task}.tsv",
        default=None,
        metavar="FOLDER|TSV",
        shapes_results=True,
    )
    high_pass: float | None = option(
        "cleaning",
        "remove what is slower, in Hz, in place of fMRIPrep's cosines (slower than 128 s)",
        default=None,
        metavar="HZ",
        shapes_results=True,
    )
    low_pass: float | None = option(
        "cleaning", "remove what is faster, in Hz", default=None, metavar="HZ", shapes_results=True
    )
    smoothing_fwhm: float | None = option(
        "cleaning",
        "smooth each frame within the brain by a Gaussian of this full width at half maximum",
        default=None,
        metavar="MM",
        shapes_results=True,
    )
    dummy_scans: str = option(
        "cleaning",
        "frames to drop at the start of each run; auto: those that fMRIPrep flagged",
        default="auto",
        metavar="auto|N",
        shapes_results=True,
    )
    min_minutes: float = option(
        "cleaning",
        "refuse a run with less time than this left after censoring",
        default=4.0,
        metavar="MINUTES",
        shapes_results=True,
    )
    interpolation: Interpolation = option(
        "cleaning",
        "how values are read between voxels of a series that is not on the model's grid",
        default="linear",
        shapes_results=True,
    )

    @property
    def scrubbing_fd_mm(self) -> float:
        """Framewise displacement above which scrubbing censors a frame."""
        return SCRUBBING_FD_MM if self.fd_threshold is None else self.fd_threshold

    @property
    def scrubbing_std_dvars(self) -> float:
        """Standardised DVARS above which scrubbing censors a frame."""
        return SCRUBBING_STD_DVARS if self.std_dvars_threshold is None else self.std_dvars_threshold
