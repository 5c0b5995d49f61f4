"""Head motion: a slow walk, a tremor and sudden jerks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HEAD_RADIUS_MM = 50.0  # turns an angle into a displacement, as in framewise displacement
_WALK_MM = 0.015  # sd of a slow step, and of the tremor
_TREMOR_MM = 0.02
_LOG_LEVEL = 0.3  # sd of the log of a person's level
_JERK_SHARE = 0.012  # share of frames with a jerk
_JERK_MM = (0.6, 1.8)  # size of a jerk, as framewise displacement


@dataclass(frozen=True, eq=False)
class Motion:
    """How the head moved during a run."""

    translation_mm: NDArray[np.float64]  # (frames, 3) along x, y, z
    rotation_rad: NDArray[np.float64]  # (frames, 3) about x, y, z
    jerks: NDArray[np.intp]  # frames in which the head jerked

    @property
    def parameters(self) -> NDArray[np.float64]:
        """The six parameters, (frames, 6): translations in mm, rotations in radians."""
        return np.concatenate([self.translation_mm, self.rotation_rad], axis=1)

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
    >>> import numpy as np
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
    return Motion(position[:, :3], position[:, 3:] / _HEAD_RADIUS_MM, jerks)
