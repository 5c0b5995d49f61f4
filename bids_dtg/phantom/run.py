"""A BOLD run as a scanner and fMRIPrep would leave it: motion, nuisance, and the frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.anatomy import Anatomy, SmoothField, axis_positions_mm

Array = NDArray[np.float32]
_Float = TypeVar("_Float", np.float32, np.float64)

_BLOCK = 32  # frames in memory at once
_SIGNAL = 10.0  # intensity of one unit of a series, about 1 % of the mean
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
_HEAD_RADIUS_MM = 50.0  # turns an angle into a displacement, as in framewise displacement
_WALK_MM = 0.015  # sd of a slow step, and of the tremor
_TREMOR_MM = 0.02
_LOG_LEVEL = 0.3  # sd of the log of a person's level
_JERK_SHARE = 0.012  # share of frames with a jerk
_JERK_MM = (0.6, 1.8)  # size of a jerk, as framewise displacement


@dataclass(frozen=True, eq=False)
class BoldRun:
    """A run, ready to be streamed; nothing of size frames × voxels is held."""

    repetition_time_s: float  # seconds a frame
    motion: Motion
    non_steady: int  # frames at the start before the steady state
    anatomy: Anatomy
    field: SmoothField  # smoothness of the voxels' noise
    network_maps: Array  # (networks, grey voxels)
    series: Array  # (frames, networks)
    shared: Array  # (frames,), of all voxels
    noise: Array  # (frames, *lattice)
    # (signals, brain voxels), in intensity: the mean image, what is not neural, responses to trials
    nuisance_maps: Array
    nuisance: Array  # (frames, signals)

    @property
    def frames(self) -> int:
        """Number of volumes in time."""
        return len(self.series)

    def blocks(self) -> Iterator[Array]:
        """Yield intensities, (frames, brain voxels), some frames at a time, in order."""
        done = 0
        for block in brain_frames(
            self.network_maps, self.series, self.shared, self.noise, self.anatomy, self.field
        ):
            block *= np.float32(_SIGNAL)
            block += self.nuisance[done : done + len(block)] @ self.nuisance_maps
            done += len(block)
            yield block


def brain_frames(
    maps: Array, series: Array, shared: Array, noise: Array, anatomy: Anatomy, field: SmoothField
) -> Iterator[Array]:
    """Yield the voxels' signals, some frames at a time.

    Parameters
    ----------
    maps
        The person's network maps, (networks, grey voxels).
    series, shared
        (frames, networks) series of networks, and (frames,) signal shared by the brain.
    noise
        White noise with its amplitude, (frames, *lattice).
    anatomy, field
        Voxels; smoothness of their noise.

    Yields
    ------
    (frames, brain voxels), float32
    """
    inside, grey = anatomy.brain, anatomy.grey_in_brain
    for start in range(0, len(series), _BLOCK):
        part = slice(start, start + _BLOCK)
        frames = field.spread(noise[part])[:, inside]
        frames += shared[part, None]
        frames[:, grey] += series[part] @ maps
        yield frames


@dataclass(frozen=True, eq=False)
class Motion:
    """How the head moved during a run."""

    # (frames, 6): translations along x, y, z in mm, rotations about x, y, z in radians
    parameters: NDArray[np.float64]
    jerks: NDArray[np.intp]  # frames in which the head jerked

    @property
    def framewise_displacement_mm(self) -> NDArray[np.float64]:
        """Sum of the parameters' absolute changes, angles at 50 mm (Power et al. 2012).

        (frames,), the first NaN.
        """
        weights = np.array([1.0] * 3 + [_HEAD_RADIUS_MM] * 3)
        steps = np.abs(np.diff(self.parameters, axis=0)) @ weights
        return np.concatenate([[np.nan], steps])


def draw_motion(rng: np.random.Generator, frames: int, level: float = 1.0) -> Motion:
    """Draw the head's motion during a run.

    Parameters
    ----------
    rng, frames
        The run's stream; number of frames.
    level
        Times the usual motion: what is a person's own.

    Examples
    --------
    >>> motion = draw_motion(np.random.default_rng(0), frames=20)
    >>> motion.framewise_displacement_mm.shape
    (20,)
    """
    level = level * np.exp(_LOG_LEVEL * rng.standard_normal())
    walk = np.cumsum(_WALK_MM * rng.standard_normal((frames, 6)), axis=0)
    position = level * (walk + _TREMOR_MM * rng.standard_normal((frames, 6)))
    jerks = np.flatnonzero(rng.random(frames) < _JERK_SHARE)
    direction = rng.standard_normal((len(jerks), 6))
    direction /= np.abs(direction).sum(axis=1, keepdims=True)
    # The head comes back in the next frame.
    position[jerks] += rng.uniform(*_JERK_MM, size=(len(jerks), 1)) * direction
    position[:, 3:] /= _HEAD_RADIUS_MM
    return Motion(position, jerks)


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
    frames = len(motion.parameters)
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
