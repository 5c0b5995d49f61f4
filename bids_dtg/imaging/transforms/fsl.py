"""FSL's warp fields, as convertwarp and fnirt --fout write them.

FSL counts points in millimetres from the corner of an image: the voxel index
times the voxel's size, along the first axis from its other end where the image
is stored left to right (its affine has a positive determinant). A field lies on
the grid that images are warped to, and holds for each of its voxels the point of
the warped image that belongs there (Andersson et al. 2007, FMRIB report TR07JA2).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.transforms.chain import DisplacementField, Points

# Intents of spline and cosine coefficients, which are no fields.
_COEFFICIENT_INTENTS = range(2007, 2017)
# Where no image is, so that no voxel is found there.
_NOWHERE_MM = 1e6
_EDGE = 1e-6  # of a voxel: rounding at the last node
_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class FslWarp:
    """A displacement field that says nothing about points outside its grid."""

    field: DisplacementField  # from the field's grid to the warped image, RAS+ mm

    def map(self, points: Points) -> Points:
        """Map points (n, 3), RAS+ mm; those outside the grid go where no image is."""
        to_nodes = np.linalg.inv(self.field.affine)
        nodes = points @ to_nodes[:3, :3].T + to_nodes[:3, 3]
        last = np.asarray(self.field.shape) - 1
        inside = ((nodes >= -_EDGE) & (nodes <= last + _EDGE)).all(axis=1)
        return np.where(inside[:, None], self.field.map(points), _NOWHERE_MM)


def read_fsl_warp(path: Path, warped: Path) -> FslWarp:
    """Read a field, relative or absolute, as a map of points in RAS+ mm.

    Parameters
    ----------
    path
        The field: (i, j, k, 3), on the grid that images are warped to.
    warped
        The image that the field warps.

    Raises
    ------
    ValueError
        It is no such field.
    """
    image: Any = nib.load(path)
    shape, intent = image.shape, int(image.header["intent_code"])
    if intent in _COEFFICIENT_INTENTS:
        raise ValueError(
            "it holds coefficients, not a field (fnirtfileutils -i IN -r REF -o FIELD -a makes one)"
        )
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"a field of FSL has sizes (i, j, k, 3), not {shape}")
    stored = np.asarray(image.dataobj, np.float64).reshape(-1, 3, order="F")  # i fastest
    if not np.isfinite(stored).all():
        raise ValueError("it holds values that are not finite")
    # (nodes, 3), in the same order
    indices = np.stack(np.unravel_index(np.arange(len(stored)), shape[:3], order="F"), axis=1)
    nodes_mm = _apply(_from_voxels(image), indices)
    target = stored if _is_absolute(stored, nodes_mm) else nodes_mm + stored
    moving: Any = nib.load(warped)
    in_ras = _apply(moving.affine @ np.linalg.inv(_from_voxels(moving)), target)
    affine = np.asarray(image.affine, np.float64)
    vectors = (in_ras - _apply(affine, indices)) * _LPS
    return FslWarp(DisplacementField(shape[:3], affine, vectors.astype(np.float32)))


def _from_voxels(image: Any) -> NDArray[np.float64]:
    """Return the matrix from voxel indices to FSL's millimetres."""
    sizes = np.abs(np.asarray(image.header.get_zooms()[:3], np.float64))
    matrix = np.diag([*sizes, 1.0])
    if np.linalg.det(image.affine[:3, :3]) > 0:
        matrix[0, 0], matrix[0, 3] = -sizes[0], (image.shape[0] - 1) * sizes[0]
    return matrix


def _apply(matrix: NDArray[np.float64], points: NDArray[Any]) -> Points:
    mapped: Points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return mapped


def _is_absolute(stored: Points, nodes_mm: Points) -> bool:
    """Say whether a field holds points, not displacements, as FSL does: displacements vary less."""
    return bool(stored.std(axis=0).sum() > (stored - nodes_mm).std(axis=0).sum())
