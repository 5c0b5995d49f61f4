"""Maps of points in space: affines, displacement fields, and chains of them. All in RAS+ mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.sampling import linear_neighbours, voxel_positions

Points = NDArray[np.float64]

# Points whose displacements are looked up at a time.
_POINTS = 65536


class Transform(Protocol):
    """Maps points to points."""

    def map(self, points: Points) -> Points:
        """Map points (n, 3), RAS+ mm."""


@dataclass(frozen=True, eq=False)
class Affine:
    """x -> A x + b."""

    matrix: NDArray[np.float64]  # (4, 4), RAS+ mm to RAS+ mm

    def __post_init__(self) -> None:
        if self.matrix.shape != (4, 4) or not np.isfinite(self.matrix).all():
            raise ValueError("the matrix of an affine is (4, 4) and finite")

    def map(self, points: Points) -> Points:
        mapped: Points = points @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return mapped

    def inverse(self) -> Affine:
        """Return the affine that maps points back.

        Raises
        ------
        ValueError
            It maps space onto a plane.
        """
        if abs(np.linalg.det(self.matrix[:3, :3])) < 1e-6:
            raise ValueError("its matrix maps space onto a plane and has no inverse")
        return Affine(np.linalg.inv(self.matrix).astype(np.float64))


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """x -> x + d(x), with d interpolated linearly between nodes, and 0 outside their lattice."""

    shape: tuple[int, int, int]  # nodes along each axis
    affine: NDArray[np.float64]  # (4, 4), node indices to RAS+ mm
    # (nodes, 3) mm, first axis of the nodes fastest. Along LPS+, as ITK stores them: a field on
    # a 1 mm grid takes 100 MB, and turning it round would take that again.
    lps_vectors: NDArray[np.floating]

    def __post_init__(self) -> None:
        if self.lps_vectors.shape != (int(np.prod(self.shape)), 3):
            raise ValueError(f"{self.shape} nodes have a vector each, not {self.lps_vectors.shape}")

    def map(self, points: Points) -> Points:
        mapped = np.array(points, np.float64)
        for first in range(0, len(points), _POINTS):
            part = mapped[first : first + _POINTS]
            nodes, shares, _ = linear_neighbours(voxel_positions(part, self.affine), self.shape)
            moved = np.zeros((len(part), 3))
            for corner in range(8):
                moved += shares[:, corner, None] * self.lps_vectors[nodes[:, corner]]
            part += moved * (-1.0, -1.0, 1.0)
        return mapped


def map_points(points: Points, transforms: Sequence[Transform]) -> Points:
    """Map points (n, 3), RAS+ mm, by transforms in turn, the first of the list first.

    Examples
    --------
    >>> import numpy as np
    >>> shift = np.eye(4)
    >>> shift[:3, 3] = 1.0, 0.0, 0.0
    >>> map_points(np.zeros((1, 3)), [Affine(shift)])
    array([[1., 0., 0.]])
    """
    for transform in transforms:
        points = transform.map(points)
    return points
