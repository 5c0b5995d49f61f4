"""What measuring adds to a person's signals and maps: noise, motion and the scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.phantom.fields import FWHM_PER_SD, SmoothField

Array = NDArray[np.float32]

_NODE_MM = 8.0  # between nodes of the fields' lattice
_WIDE_FWHM_MM = 24.0


@dataclass(frozen=True)
class Measurement:
    """How a person is measured; 1 and 1 in version 1 of the phantom."""

    motion: float  # times the usual motion
    scanner: float  # times the first scanner's noise

    @classmethod
    def draw(
        cls, parameters: PhantomParameters, traits: NDArray[np.float64], rng: np.random.Generator
    ) -> Measurement:
        """Draw a person's motion, which the first trait explains in part, and scanner."""
        p, own = parameters, rng.standard_normal()
        second = rng.random() < 0.5
        z = p.motion_traits * traits[0] + np.sqrt(1.0 - p.motion_traits**2) * own
        return cls(float(np.exp(p.log_motion * z)), p.scanner_noise if second else 1.0)


def rest_noise(
    parameters: PhantomParameters,
    field: SmoothField,
    measurement: Measurement,
    streams: tuple[np.random.Generator, np.random.Generator],
    motion_map: Array,
    frames: int,
) -> Array:
    """Draw noise of rest, which the field makes smooth.

    Frames differ in amplitude (heavy tails), a part of the noise is smooth over 24 mm, and a map
    that all people share follows the head's motion.

    Parameters
    ----------
    parameters, field, measurement
        Amplitudes, smoothness, and the person's motion and scanner.
    streams
        Of the voxels' own noise, and of all else.
    motion_map
        From `wide`, (*lattice).
    frames
        Their number.

    Returns
    -------
    (frames, *lattice), white but for what is said above
    """
    p, (own, other) = parameters, streams
    noise = np.float32(p.voxel_noise) * field.noise(own, frames)
    if p.wide_noise:
        noise += np.float32(p.voxel_noise * p.wide_noise) * wide(field.noise(other, frames))
    if p.log_tail:
        noise *= tails(p.log_tail, (frames, 1, 1, 1), other)
    noise *= np.float32(measurement.scanner)
    if p.motion_signal:
        course = other.standard_normal((frames, 1, 1, 1)) * tails(2 * p.log_tail, 1, other)
        level = p.motion_signal * measurement.motion
        noise += np.float32(level) * course.astype(np.float32) * motion_map
    return noise


def map_noise(
    parameters: PhantomParameters,
    field: SmoothField,
    measurement: Measurement,
    streams: tuple[np.random.Generator, np.random.Generator],
    conditions: int,
) -> Array:
    """Draw noise of the maps of a session, (conditions, i, j, k); heavy-tailed over places."""
    p, (own, other) = parameters, streams
    level = np.exp(p.log_map_noise * own.standard_normal())
    noise = np.float32(level) * field.draw(own, conditions)
    if p.log_tail:
        log = np.float32(p.log_tail) * field.draw(other, 1)
        noise *= np.exp(log - np.float32(p.log_tail**2))
    if p.motion_map_noise:
        noise *= np.float32(measurement.motion**p.motion_map_noise)
    return noise


def wide(noise: Array) -> Array:
    """Make noise on the lattice (n, *lattice) smooth over 24 mm, with variance 1."""
    sd = _WIDE_FWHM_MM / FWHM_PER_SD / _NODE_MM
    smooth = gaussian_filter(noise, (0, sd, sd, sd), mode="wrap")
    # The sum of the squared weights of a Gaussian over three axes.
    smooth *= np.float32((2 * np.sqrt(np.pi) * sd) ** 1.5)
    return np.asarray(smooth, np.float32)


def tails(log_sd: float, shape: int | tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draw amplitudes whose square has mean 1, log-normal."""
    drawn = np.exp(log_sd * rng.standard_normal(shape) - log_sd**2)
    return np.asarray(drawn, np.float32)
