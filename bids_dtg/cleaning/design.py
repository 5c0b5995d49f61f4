"""The temporal design of a run, from its confounds, the options and a frequency band."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, eq=False)
class StopBand:
    """The discrete cosines of a run whose frequencies are not wanted.

    A run of N frames is a sum of N cosines (DCT-II), the k-th of frequency k / (2 N TR). To
    regress out some of them is a filter with the sharpest edges that the run allows. It is a
    projection like that of confounds, so that both are one regression and neither brings back
    what the other took (Lindquist et al. 2019); AFNI's 3dTproject does so with sines and cosines.
    """

    columns: NDArray[np.float64]  # (frames, slow + fast), orthonormal, none constant
    slow: int  # number of columns below the band
    fast: int  # number of columns above the band

    @classmethod
    def outside(
        cls,
        frames: int,
        tr_seconds: float,
        *,
        high_pass_hz: float | None = None,
        low_pass_hz: float | None = None,
    ) -> StopBand:
        """Choose the cosines of frequencies up to `high_pass_hz` and above `low_pass_hz`.

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
        """
        orders = np.arange(1, frames)
        frequencies = orders / (2 * frames * tr_seconds)
        slowest = 0
        if high_pass_hz is not None:
            slowest = min(frames - 1, int(np.floor(2 * frames * high_pass_hz * tr_seconds)))
        fast = np.zeros(len(orders), bool)
        if low_pass_hz is not None:
            fast = frequencies > low_pass_hz
        wanted = orders[(orders <= slowest) | fast]
        middles = (np.arange(frames) + 0.5) * np.pi / frames
        columns = np.sqrt(2 / frames) * np.cos(middles[:, None] * wanted)
        return cls(columns, slowest, int(fast.sum()))


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
    band = StopBand.outside(
        frames,
        tr_seconds,
        high_pass_hz=options.high_pass,
        low_pass_hz=options.low_pass,
    )
    components = confounds.components
    try:
        design = TemporalDesign.build(
            confounds.values,
            confounds.names,
            confounds.keep,
            tr_seconds,
            stop_band=band.columns,
            mixing=None if components is None else components.mixing,
            noise=None if components is None else components.noise,
        )
    except ValueError as err:
        wider = ", a wider band or less censoring" if band.fast else ""
        raise TooShortError(
            f"{run.bold} cannot be cleaned: {err}",
            remedy=f"choose a --denoise-strategy with fewer columns{wider}",
        ) from err
    # What XCP-D interpolated its regression did not see.
    design = replace(design, lost_before=_lost_before(run, frames - confounds.dropped.interpolated))
    _require_dof(run, design)
    return design, _notes(band, tr_seconds, options)


def _lost_before(run: RestRun, frames: int) -> float:
    """Return the degrees of freedom that earlier cleaning took of a run; NaN: not known."""
    if not run.cleaned_before:
        return 0.0
    # The intercept is counted here.
    return math.nan if run.dof_stated is None else max(frames - 1 - run.dof_stated, 0.0)


def _require_dof(run: RestRun, design: TemporalDesign) -> None:
    left, columns = design.residual_dof(), design.rank
    if not left < MIN_DOF:  # what is not known is not refused
        return
    filtering = design.columns.filtering
    of_band = f", {filtering} of them for frequencies" if filtering else ""
    before = f" and {design.lost_before:g} that earlier cleaning took" if run.cleaned_before else ""
    raise TooShortError(
        f"{run.bold} has {left:.0f} degrees of freedom left ({design.frames_kept} frames kept, "
        f"less {columns} columns{of_band}{before})",
        expected=f"at least {MIN_DOF}: correlations of fewer are mostly chance",
        remedy="remove fewer columns, widen the band or censor less",
    )


def frequency_facts(options: CleaningOptions) -> dict[str, float]:
    """Return the limits of frequency and the smoothing that were asked for, for a sidecar."""
    facts = {
        "high_pass_hz": options.high_pass,
        "low_pass_hz": options.low_pass,
        "smoothing_fwhm_mm": options.smoothing_fwhm,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _notes(band: StopBand, tr_seconds: float, options: CleaningOptions) -> tuple[str, ...]:
    notes = []
    if options.high_pass is not None and not band.slow:
        notes.append(
            f"The run is too short for waves of {options.high_pass:g} Hz: "
            "--high-pass removed nothing."
        )
    if options.low_pass is not None and not band.fast:
        notes.append(
            f"Half the sampling rate is {0.5 / tr_seconds:.3g} Hz: --low-pass "
            f"{options.low_pass:g} removed nothing."
        )
    return tuple(notes)
