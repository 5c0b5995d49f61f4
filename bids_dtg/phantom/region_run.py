"""A run of rest whose regions have given series, with noise and all that cleaning is for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.bold_run import BoldRun
from bids_dtg.phantom.fields import SmoothField
from bids_dtg.phantom.motion import Motion, draw_motion
from bids_dtg.phantom.nuisance import STEADY_FRAMES, correlated, draw_nuisance, persistence_of
from bids_dtg.phantom.parcels import Parcels

# In units of the regions' series: a parcel's mean has far less noise.
_VOXEL_NOISE, _NOISE_FWHM_MM = 0.4, 7.0
_NUISANCE_FWHM_MM = 16.0
_MOTION_SIGNAL = 1.0  # sd of what motion adds to all voxels, in the same units
_FRAMES, _SECONDS = (100, 2000), (0.5, 3.0)  # that a run may have


def require_length(frames: int, repetition_time_s: float, *, of: str) -> None:
    """Refuse a run of too few or too many frames, or of frames too short or too long.

    Parameters
    ----------
    frames
        Length of the run, in frames.
    repetition_time_s
        Time between frames, in seconds.
    of
        What the run is of, for the message.

    Raises
    ------
    ValueError
        The length is refused.

    Examples
    --------
    >>> require_length(50, 1.5, of="rest")
    Traceback (most recent call last):
    ValueError: a run of rest has 100 to 2000 frames of 0.5 to 3 s, not 50 of 1.5 s
    """
    seconds = repetition_time_s
    if not (_FRAMES[0] <= frames <= _FRAMES[1] and _SECONDS[0] <= seconds <= _SECONDS[1]):
        raise ValueError(
            f"a run of {of} has {_FRAMES[0]} to {_FRAMES[1]} frames of {_SECONDS[0]:g} to "
            f"{_SECONDS[1]:g} s, not {frames} of {seconds:g} s"
        )


def draw_region_run(
    parcels: Parcels,
    series: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    repetition_time_s: float,
) -> BoldRun:
    """Draw a run: the regions' series in their parcels, noise and nuisance.

    The columns of the table of confounds explain all effects of motion.

    Parameters
    ----------
    parcels
        Which voxels a region has.
    series
        (frames, regions), of a variance of about 1.
    rng
        For motion, noise and nuisance.
    repetition_time_s
        Time between frames, in seconds.

    Examples
    --------
    >>> from bids_dtg.phantom.anatomy import load_anatomy
    >>> sides = Parcels.around(np.array([[-40.0, 0, 0], [40, 0, 0]]), "lr", load_anatomy(4))
    >>> series, rng = np.zeros((50, 2), np.float32), np.random.default_rng(0)
    >>> draw_region_run(sides, series, rng, repetition_time_s=1.5).frames
    50
    """
    anatomy, frames = parcels.anatomy, len(series)
    persistence = persistence_of(repetition_time_s)
    field = SmoothField.on(anatomy.grid, _NOISE_FWHM_MM)
    noise = field.noise(rng, frames)
    noise *= np.float32(_VOXEL_NOISE)
    motion = draw_motion(rng, frames)
    shared = _motion_signal(motion, rng)
    smooth = SmoothField.on(anatomy.grid, _NUISANCE_FWHM_MM)
    nuisance_maps, nuisance = draw_nuisance(anatomy, smooth, motion, persistence, rng, jerk=0.0)
    return BoldRun(
        repetition_time_s=repetition_time_s,
        motion=motion,
        non_steady=STEADY_FRAMES,
        anatomy=anatomy,
        field=field,
        network_maps=parcels.maps,
        series=series,
        shared=shared,
        noise=correlated(noise, persistence),
        nuisance_maps=nuisance_maps,
        nuisance=nuisance,
    )


def _motion_signal(motion: Motion, rng: np.random.Generator) -> NDArray[np.float32]:
    """Mix the motion parameters to one course of all voxels, (frames,)."""
    parameters = motion.parameters - motion.parameters.mean(axis=0)
    course = (parameters / parameters.std(axis=0)) @ rng.standard_normal(parameters.shape[1])
    return np.asarray(_MOTION_SIGNAL * course / course.std(), np.float32)
