"""What a run has beside neural signals: the mean image, motion, drifts and pulsation."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.anatomy import Anatomy
from bids_dtg.phantom.fields import SmoothField, axis_positions_mm
from bids_dtg.phantom.motion import Motion

Array = NDArray[np.float32]

_Float = TypeVar("_Float", np.float32, np.float64)

STEADY_FRAMES = 2  # frames before the steady state
# Correlation in time: 300 frames of 1.5 s hold about as much as 150 independent samples.
_CORRELATION_S = 2.2
_GREY_INTENSITY = 1600.0  # mean = this minus the next times T1: bright fluid, dark white matter
_T1_INTENSITY = 800.0
_MOTION_LEAK = 0.15  # share of the shift in intensity that realignment leaves
_DRIFT = 3.0  # sd of a drift over voxels and frames
_PULSATION = {"fluid": 15.0, "white": 4.0}  # sd of a tissue's own signal
_JERK = 20.0  # sd of the change in intensity in a jerk
_UNSATURATED = 0.25  # how much brighter the first one is


def persistence_of(repetition_time_s: float) -> float:
    """Return by how much physiological signals of a frame correlate with those of the next."""
    return float(np.exp(-repetition_time_s / _CORRELATION_S))


def correlated(white: NDArray[_Float], persistence: float) -> NDArray[_Float]:
    """Correlate white noise (frames, ...) in time, in place: AR(1) of the same variance."""
    fresh = np.sqrt(1.0 - persistence**2)
    for t in range(1, len(white)):
        white[t] *= fresh
        white[t] += persistence * white[t - 1]
    return white


def draw_nuisance(
    anatomy: Anatomy,
    field: SmoothField,
    motion: Motion,
    persistence: float,
    rng: np.random.Generator,
    *,
    jerk: float = _JERK,
) -> tuple[Array, Array]:
    """Draw what is not neural in a run.

    Parameters
    ----------
    anatomy, field
        Tissues; what drifts and jerks look like in space.
    motion
        Of the head in the run.
    persistence
        Autocorrelation of the noise from frame to frame, from `persistence_of`.
    rng
        Random generator of the run: another one draws other noise.
    jerk
        Standard deviation of the change in intensity in a jerk: no column of the table of
        confounds describes it, only censoring removes it.

    Returns
    -------
    maps
        (signals, brain voxels); the first is the mean image.
    courses
        (frames, signals), of the maps.
    """
    frames = len(motion.translation_mm)
    mean = _mean_image(anatomy, field, rng)
    maps: list[NDArray[np.floating[Any]]] = [mean[anatomy.brain][None]]
    courses: list[NDArray[np.floating[Any]]] = [_saturation(frames)[:, None]]
    maps.append(_MOTION_LEAK * _motion_maps(mean, anatomy))
    courses.append(motion.parameters - motion.parameters.mean(axis=0))

    fields = field.draw(rng, 6)[:, anatomy.brain]
    maps.append(fields[:3])
    courses.append(_DRIFT * _drifts(frames, rng))
    jerks = np.zeros((frames, 3))
    jerks[motion.jerks] = jerk * rng.standard_normal((len(motion.jerks), 3))
    maps.append(fields[3:])
    courses.append(jerks)

    for tissue, sd in _PULSATION.items():
        maps.append(getattr(anatomy, tissue)[anatomy.brain].astype(np.float32)[None])
        courses.append(sd * correlated(rng.standard_normal((frames, 1)), persistence))
    courses_together = np.concatenate(courses, axis=1)
    return np.concatenate(maps).astype(np.float32), courses_together.astype(np.float32)


def _mean_image(anatomy: Anatomy, field: SmoothField, rng: np.random.Generator) -> Array:
    """Return the mean image (i, j, k), with a bias field of the person's own."""
    bias = 1.0 + 0.03 * field.draw(rng, 1)[0]
    image: Array = (_GREY_INTENSITY - _T1_INTENSITY * anatomy.intensity) * bias * anatomy.brain
    return image


def _motion_maps(mean: Array, anatomy: Anatomy) -> Array:
    """Return the changes of intensity by a mm along and a radian about each axis.

    To first order a shift u changes the image by -u times its gradient; a rotation about
    an axis e by the angle a shifts the point r by a (e × r). (6, brain voxels)
    """
    brain = anatomy.brain
    axes = axis_positions_mm(anatomy.grid)
    steps = np.diagonal(anatomy.grid.affine)[:3]
    slopes = [np.asarray(np.gradient(mean, float(steps[a]), axis=a)) for a in range(3)]
    gx, gy, gz = (slope[brain] for slope in slopes)  # per mm
    x, y, z = (
        np.broadcast_to(axis.reshape([-1 if a == b else 1 for b in range(3)]), brain.shape)[brain]
        for a, axis in enumerate(axes)
    )
    turns = (gz * y - gy * z, gx * z - gz * x, gy * x - gx * y)
    return -np.stack([gx, gy, gz, *turns]).astype(np.float32)


def _saturation(frames: int) -> NDArray[np.float64]:
    """Return the brightness of the frames, 1 in the steady state."""
    course = np.ones(frames)
    course[:STEADY_FRAMES] += _UNSATURATED * np.exp(-np.arange(min(STEADY_FRAMES, frames)))
    return course


def _drifts(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw three slow courses, (frames, 3): lines, bends and half waves."""
    t = np.linspace(-1.0, 1.0, frames)
    shapes = np.stack([t, t**2 - 1.0 / 3.0, np.cos(np.pi * t)], axis=1)
    drifts: NDArray[np.float64] = shapes @ rng.standard_normal((3, 3))
    return drifts
