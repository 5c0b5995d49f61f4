"""BOLD runs as a scanner and fMRIPrep would leave them: networks, noise and nuisance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.phantom.anatomy import Anatomy
from bids_dtg.phantom.contrasts.model import Person, Phantom
from bids_dtg.phantom.contrasts.rest import brain_frames
from bids_dtg.phantom.fields import SmoothField, axis_positions_mm
from bids_dtg.phantom.motion import Motion, draw_motion
from bids_dtg.phantom.streams import Purpose

Array = NDArray[np.float32]

_Float = TypeVar("_Float", np.float32, np.float64)

SECONDS_PER_STATE = 432.0  # how long a network keeps its amplitude: one segment
# Correlation in time: 300 frames of 1.5 s hold about as much as 150 independent samples.
_CORRELATION_S = 2.2
_SIGNAL = 10.0  # intensity of one unit of a series, about 1 % of the mean
_GREY_INTENSITY = 1600.0  # mean = this minus the next times T1: bright fluid, dark white matter
_T1_INTENSITY = 800.0
_MOTION_LEAK = 0.15  # share of the shift in intensity that realignment leaves
_DRIFT = 3.0  # sd of a drift over voxels and frames
_PULSATION = {"fluid": 15.0, "white": 4.0}  # sd of a tissue's own signal
_JERK = 20.0  # sd of the change in intensity in a jerk
_STEADY_FRAMES = 2  # frames before the steady state
_UNSATURATED = 0.25  # how much brighter the first one is


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


def draw_run(person: Person, frames: int, repetition_time_s: float, run: int = 0) -> BoldRun:
    """Draw a run of a person.

    Parameters
    ----------
    person
        Whose networks, at rest.
    frames, repetition_time_s
        Length of the run and seconds a frame.
    run
        Runs of other numbers are other runs of the same person.
    """
    phantom, p = person.phantom, person.phantom.parameters
    persistence = float(np.exp(-repetition_time_s / _CORRELATION_S))
    rng = person.stream(Purpose.RUN_SERIES, segment=run)
    states = max(1, round(frames * repetition_time_s / SECONDS_PER_STATE))
    amplitude = np.exp(p.log_state * rng.standard_normal((states, p.networks)))
    independent = _correlated(rng.standard_normal((frames, p.networks)), persistence)
    series = independent @ person.series_mixing.T * amplitude[np.arange(frames) * states // frames]
    shared = p.global_signal * _correlated(rng.standard_normal(frames), persistence)
    noise = phantom.voxel_noise.noise(person.stream(Purpose.RUN_NOISE, segment=run), frames)
    noise *= np.float32(p.voxel_noise)
    motion = draw_motion(person.stream(Purpose.MOTION, segment=run), frames)
    nuisance_maps, nuisance = _draw_nuisance(
        phantom, motion, persistence, person.stream(Purpose.NUISANCE, segment=run)
    )
    return BoldRun(
        repetition_time_s=repetition_time_s,
        motion=motion,
        non_steady=_STEADY_FRAMES,
        anatomy=phantom.anatomy,
        field=phantom.voxel_noise,
        network_maps=person.network_maps,
        series=series.astype(np.float32),
        shared=shared.astype(np.float32),
        noise=_correlated(noise, persistence),
        nuisance_maps=nuisance_maps,
        nuisance=nuisance,
    )


def _correlated(white: NDArray[_Float], persistence: float) -> NDArray[_Float]:
    """Correlate white noise (frames, ...) in time, in place: AR(1) of the same variance."""
    fresh = np.sqrt(1.0 - persistence**2)
    for t in range(1, len(white)):
        white[t] *= fresh
        white[t] += persistence * white[t - 1]
    return white


def _draw_nuisance(
    phantom: Phantom, motion: Motion, persistence: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw what is not neural: maps (signals, brain voxels) and courses (frames, signals)."""
    anatomy, frames = phantom.anatomy, len(motion.translation_mm)
    mean = _mean_image(phantom, rng)
    maps: list[NDArray[np.floating[Any]]] = [mean[anatomy.brain][None]]
    courses: list[NDArray[np.floating[Any]]] = [_saturation(frames)[:, None]]
    maps.append(_MOTION_LEAK * _motion_maps(mean, anatomy))
    courses.append(motion.parameters - motion.parameters.mean(axis=0))

    fields = phantom.stable_maps.draw(rng, 6)[:, anatomy.brain]
    maps.append(fields[:3])
    courses.append(_DRIFT * _drifts(frames, rng))
    jerks = np.zeros((frames, 3))
    jerks[motion.jerks] = _JERK * rng.standard_normal((len(motion.jerks), 3))
    maps.append(fields[3:])
    courses.append(jerks)

    for tissue, sd in _PULSATION.items():
        maps.append(getattr(anatomy, tissue)[anatomy.brain].astype(np.float32)[None])
        courses.append(sd * _correlated(rng.standard_normal((frames, 1)), persistence))
    courses_together = np.concatenate(courses, axis=1)
    return np.concatenate(maps).astype(np.float32), courses_together.astype(np.float32)


def _mean_image(phantom: Phantom, rng: np.random.Generator) -> Array:
    """Return the mean image (i, j, k), with a bias field of the person's own."""
    anatomy = phantom.anatomy
    bias = 1.0 + 0.03 * phantom.stable_maps.draw(rng, 1)[0]
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
    course[:_STEADY_FRAMES] += _UNSATURATED * np.exp(-np.arange(min(_STEADY_FRAMES, frames)))
    return course


def _drifts(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw three slow courses, (frames, 3): lines, bends and half waves."""
    t = np.linspace(-1.0, 1.0, frames)
    shapes = np.stack([t, t**2 - 1.0 / 3.0, np.cos(np.pi * t)], axis=1)
    drifts: NDArray[np.float64] = shapes @ rng.standard_normal((3, 3))
    return drifts
