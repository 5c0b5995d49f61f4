"""Which time courses a pass multiplies voxels with, so that cleaning follows from the sums.

Cleaning takes y to M y, with M known before the pass: M = (I - C C') (I - N W), C the columns to
project out, N and W noise components and their weights. Two ways lead there, and the one with
fewer sums is taken:

- by what is removed: M y = y - Z L Z'y, with Z spanning C, N and W. Sums of y with Z and with the
  raw projections on the ROI maps are kept for each piece of the run.
- by what is left: M y = E T'y, with E spanning what C leaves and T = (I - W'N') E. Sums of y with T
  are all, and serve every piece. Where a low-pass leaves little, these are few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.design import RANK_TOLERANCE, TemporalDesign

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Removal:
    """Cleaning by what is removed."""

    columns: Float  # Z, (frames kept, columns), orthonormal, the intercept first
    weights: Float  # L, (columns, columns)

    @classmethod
    def of(cls, design: TemporalDesign) -> Removal:
        """Follow a design."""
        basis, components = design.basis, design.components
        if components is None:
            return cls(basis, np.eye(basis.shape[1]))
        courses = components.courses - basis @ (basis.T @ components.courses)
        parts = [components.courses, components.weights.T]
        columns = np.hstack([basis, _beside(basis, parts)])
        projected = columns.T @ basis
        weights = projected @ projected.T
        weights += (columns.T @ courses) @ (components.weights @ columns)
        return cls(columns, weights)


@dataclass(frozen=True, eq=False)
class Retention:
    """Cleaning by what is left."""

    columns: Float  # (frames kept, 1 + left): the intercept, then T
    courses: Float  # E, (frames kept, left), orthonormal

    @classmethod
    def of(cls, design: TemporalDesign) -> Retention:
        """Follow a design."""
        basis, components = design.basis, design.components
        courses = np.linalg.qr(basis, mode="complete")[0][:, basis.shape[1] :]
        columns = courses
        if components is not None:
            columns = courses - components.weights.T @ (components.courses.T @ courses)
        return cls(np.hstack([basis[:, :1], columns]), courses)


Cleaning = Removal | Retention


def choose_cleaning(design: TemporalDesign, rois: int, pieces: int) -> Cleaning:
    """Choose the way that keeps fewer sums a voxel, for so many ROI maps and pieces of the run."""
    removed = design.basis.shape[1]
    left = design.frames_kept - removed
    noise = 0 if design.components is None else design.components.courses.shape[1]
    fewer_left = 1 + left < pieces * (rois + 1 + removed + 2 * noise)
    return Retention.of(design) if fewer_left else Removal.of(design)


def _beside(basis: Float, parts: list[Float]) -> Float:
    """Orthonormal columns that span the parts (frames, columns) beside an orthonormal basis."""
    both = np.hstack(parts)
    norms = np.linalg.norm(both, axis=0)
    both = both[:, norms > 0] / norms[norms > 0]
    for _ in range(2):  # the second turn removes the first one's rounding
        both = both - basis @ (basis.T @ both)
    spanning, sizes, _ = np.linalg.svd(both, full_matrices=False)
    return spanning[:, sizes > RANK_TOLERANCE]
