"""The temporal design of a run, from its confounds, the options and a frequency band."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.confounds import Confounds
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.errors import RunError
from bids_dtg.inputs.run import RestRun
from bids_dtg.settings import CleaningOptions

MIN_DOF = 20  # residual degrees of freedom that a run must have


class TooShortError(RunError):
    """A run has too little left after cleaning; other runs may do without it."""


def stop_band(
    frames: int,
    tr_seconds: float,
    *,
    high_pass_hz: float | None = None,
    low_pass_hz: float | None = None,
) -> NDArray[np.float64]:
    """Return the discrete cosines of a run whose frequencies are not wanted.

    A run of N frames is a sum of N cosines (DCT-II), the k-th of frequency k / (2 N TR). To
    regress out some of them is a filter with the sharpest edges that the run allows. It is a
    projection like that of confounds, so that both are one regression and neither brings back
    what the other took (Lindquist et al. 2019); AFNI's 3dTproject does so with sines and cosines.

    Parameters
    ----------
    frames
        Frames of the run, those that are censored included.
    tr_seconds
        Time between frames, in seconds.
    high_pass_hz
        What is as slow or slower is removed: the cosines of nilearn's filter "cosine" and of
        SPM. None: nothing.
    low_pass_hz
        What is faster is removed. None: nothing.

    Returns
    -------
    (frames, columns), orthonormal, none constant; the slow ones first.
    """
    orders, slow = np.arange(1, frames), 0
    if high_pass_hz is not None:
        slow = min(frames - 1, int(np.floor(2 * frames * high_pass_hz * tr_seconds)))
    fastest = np.inf if low_pass_hz is None else low_pass_hz
    wanted = orders[(orders <= slow) | (orders / (2 * frames * tr_seconds) > fastest)]
    middles = (np.arange(frames) + 0.5) * np.pi / frames
    columns: NDArray[np.float64] = np.sqrt(2 / frames) * np.cos(middles[:, None] * wanted)
    return columns


def design_run(
    run: RestRun, confounds: Confounds, tr_seconds: float, options: CleaningOptions
) -> tuple[TemporalDesign, tuple[str, ...]]:
    """Decide which frames count, and what is regressed out of them.

    Returns
    -------
    design
        For the pass over the run.
    notes
        Sentences on limits of frequency that did nothing.

    Raises
    ------
    TooShortError
        Less than ``min_minutes`` or `MIN_DOF` are left, or fewer frames than there are columns.
    """
    kept, frames = int(np.count_nonzero(confounds.keep)), len(confounds.keep)
    minutes, total = kept * tr_seconds / 60, frames * tr_seconds / 60
    if minutes < options.min_minutes or kept == 0:
        raise TooShortError(
            f"{run.bold} has {minutes:.1f} of {total:.1f} minutes left ({kept} of "
            f"{frames} frames of {tr_seconds:g} s)",
            expected=f"at least {options.min_minutes:g} minutes",
            remedy="lower --min-minutes or censor less, knowing that short runs give noisy maps",
        )
    high, low = options.high_pass, options.low_pass
    band = stop_band(frames, tr_seconds, high_pass_hz=high, low_pass_hz=low)
    slow = stop_band(frames, tr_seconds, high_pass_hz=high).shape[1]
    fast = band.shape[1] - slow
    try:
        design = TemporalDesign.build(
            *(confounds.values, confounds.names, confounds.keep, tr_seconds),
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
    before = ""
    if run.cleaned_before:
        lost = math.nan
        if run.dof_stated is not None:
            # What XCP-D interpolated its regression did not see. The intercept is counted here.
            lost = max(frames - confounds.dropped["interpolated"] - 1 - run.dof_stated, 0.0)
        design = replace(design, lost_before=lost)
        before = f" and {lost:g} that earlier cleaning took"
    if (left := design.residual_dof()) < MIN_DOF:  # what is not known is not refused
        filtering = design.filtering
        of_band = f", {filtering} of them for frequencies" if filtering else ""
        raise TooShortError(
            f"{run.bold} has {left:.0f} degrees of freedom left ({design.frames_kept} frames kept, "
            f"minus {design.rank} columns{of_band}{before})",
            expected=f"at least {MIN_DOF}: correlations of fewer are mostly chance",
            remedy="remove fewer columns, widen the band or censor less",
        )
    notes = []
    if high is not None and not slow:
        notes.append(f"The run is too short for waves of {high:g} Hz: --high-pass removed nothing.")
    if low is not None and not fast:
        notes.append(
            f"Half the sampling rate is {0.5 / tr_seconds:.3g} Hz: --low-pass "
            f"{low:g} removed nothing."
        )
    return design, tuple(notes)


def frequency_facts(options: CleaningOptions) -> dict[str, float]:
    """Return the limits of frequency and the smoothing that were asked for, for a sidecar."""
    facts = {
        "high_pass_hz": options.high_pass,
        "low_pass_hz": options.low_pass,
        "smoothing_fwhm_mm": options.smoothing_fwhm,
    }
    return {name: value for name, value in facts.items() if value is not None}
