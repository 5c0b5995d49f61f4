"""The temporal design of a run, from its confounds, the options and a frequency band."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bids_dtg.array_types import Float64
from bids_dtg.cleaning.confounds import Confounds
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.errors import RunError
from bids_dtg.inputs.run import RestRun
from bids_dtg.notices import in_minutes
from bids_dtg.settings import CleaningOptions

MIN_DOF = 20  # residual degrees of freedom that a run must have


class TooShortError(RunError):
    """A run has too little data left after cleaning; the other runs are used without it."""


def stop_band(
    frames: int,
    tr_seconds: float,
    *,
    high_pass_hz: float | None = None,
    low_pass_hz: float | None = None,
) -> Float64:
    """Return the discrete cosines of the frequencies that are removed from a run.

    A run of N frames is a sum of N cosines (DCT-II), of which the k-th has frequency k / (2 N TR).
    Regressing out some of them is the sharpest possible filter. As confounds are removed by
    regression too, both are done in one regression, so that neither reintroduces what the other
    removed (Lindquist et al. 2019). AFNI's 3dTproject does the same with sines and cosines.

    Parameters
    ----------
    frames
        Number of frames of the run, including censored ones.
    tr_seconds
        Time between frames, in seconds.
    high_pass_hz
        This and lower frequencies are removed, with the same cosines as nilearn's filter "cosine"
        and SPM. None removes nothing.
    low_pass_hz
        Higher frequencies are removed. None removes nothing.

    Returns
    -------
    (frames, columns), orthonormal, without the constant; low frequencies first.
    """
    orders = np.arange(1, frames)
    slow = 0
    if high_pass_hz is not None:
        slow = min(frames - 1, int(np.floor(2 * frames * high_pass_hz * tr_seconds)))
    fastest_hz = np.inf if low_pass_hz is None else low_pass_hz
    frequencies_hz = orders / (2 * frames * tr_seconds)
    removed = orders[(orders <= slow) | (frequencies_hz > fastest_hz)]
    middles = (np.arange(frames) + 0.5) * np.pi / frames
    cosines = np.cos(middles[:, None] * removed)
    return np.sqrt(2 / frames) * cosines


def design_run(
    run: RestRun, confounds: Confounds, tr_seconds: float, options: CleaningOptions
) -> tuple[TemporalDesign, tuple[str, ...]]:
    """Decide which frames are kept, and what is regressed out of them.

    Returns
    -------
    design
        The temporal design for the pass over the run.
    notes
        Sentences on frequency limits that had no effect.

    Raises
    ------
    TooShortError
        Less than ``min_minutes`` or `MIN_DOF` remain, or there are fewer frames than columns.
    """
    _require_minutes(run, confounds, tr_seconds, options.min_minutes)
    frames = len(confounds.keep)
    high = options.high_pass
    low = options.low_pass
    band = stop_band(frames, tr_seconds, high_pass_hz=high, low_pass_hz=low)
    slow = stop_band(frames, tr_seconds, high_pass_hz=high).shape[1]
    fast = band.shape[1] - slow
    try:
        design = TemporalDesign.build(
            confounds.values,
            confounds.names,
            confounds.keep,
            tr_seconds,
            stop_band=band,
            mixing=confounds.mixing,
            noise=confounds.noise,
        )
    except ValueError as err:
        wider = ", a wider band or less censoring" if fast else ""
        raise TooShortError(
            f"{run.bold} cannot be cleaned: {err}",
            remedy=f"choose a --denoise-strategy with fewer columns{wider}",
        ) from err
    if run.cleaned_before:
        lost = math.nan
        if run.dof_stated is not None:
            # XCP-D's regression excluded interpolated frames; the intercept is counted here too.
            regressed_frames = frames - confounds.dropped["interpolated"]
            lost = max(regressed_frames - 1 - run.dof_stated, 0.0)
        design = replace(design, lost_before=lost)
    _require_dof(run, design)
    notes = []
    if high is not None and not slow:
        notes.append(
            f"The run is too short for {high:g} Hz, so --high-pass removed nothing."
        )
    if low is not None and not fast:
        notes.append(
            f"The Nyquist frequency is {0.5 / tr_seconds:.3g} Hz, so --low-pass {low:g} removed "
            "nothing."
        )
    return design, tuple(notes)


def _require_minutes(
    run: RestRun, confounds: Confounds, tr_seconds: float, min_minutes: float
) -> None:
    frames = len(confounds.keep)
    frames_kept = int(np.count_nonzero(confounds.keep))
    minutes = frames_kept * tr_seconds / 60
    total = frames * tr_seconds / 60
    if minutes < min_minutes or frames_kept == 0:
        raise TooShortError(
            f"{run.bold} has {minutes:.1f} of {total:.1f} minutes left ({frames_kept} of "
            f"{frames} frames of {tr_seconds:g} s)",
            expected=f"at least {in_minutes(min_minutes)}",
            remedy="lower --min-minutes or censor less, but note that short runs give noisy maps",
        )


def _require_dof(run: RestRun, design: TemporalDesign) -> None:
    dof = design.residual_dof()
    if dof < MIN_DOF:  # False for NaN, which means unknown
        filtering = design.filtering
        frequency_columns = (
            f", {filtering} of them for frequencies" if filtering else ""
        )
        before = ""
        if run.cleaned_before:
            before = f" and {design.lost_before:g} used by earlier cleaning"
        raise TooShortError(
            f"{run.bold} has {dof:.0f} degrees of freedom left ({design.frames_kept} frames kept, "
            f"minus {design.rank} columns{frequency_columns}{before})",
            expected=f"at least {MIN_DOF}, as with fewer correlations are mostly chance",
            remedy="remove fewer columns, widen the band or censor less",
        )


def frequency_facts(options: CleaningOptions) -> dict[str, float]:
    """Return the requested frequency limits and smoothing, for a sidecar."""
    facts = {
        "high_pass_hz": options.high_pass,
        "low_pass_hz": options.low_pass,
        "smoothing_fwhm_mm": options.smoothing_fwhm,
    }
    return {name: value for name, value in facts.items() if value is not None}
