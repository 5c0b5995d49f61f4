"""Resample between meshes of a sphere, by the triangles in which vertices lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.places import Indices

# Triangles that are tried for a point, those with the nearest centres first; more for the few
# points that these do not hold, where triangles are long.
_NEAR, _FAR = 8, 96
# How far outside a triangle a point may lie by rounding, as a share of the triangle.
_ROUNDING = 1e-9


def sphere_weights(sphere: NDArray[np.float64], faces: Indices, wanted: NDArray[np.float64]) -> Any:
    """Return the weights that bring values, or coordinates, from one mesh to another.

    A point's weights are the barycentric coordinates, in the triangle that it lies in, of where
    the line from the centre of the sphere to it meets that triangle.

    Parameters
    ----------
    sphere
        (vertices, 3), of the mesh that has values, on a sphere around 0 of any radius.
    faces
        (triangles, 3), numbers of its vertices; they close a surface around 0.
    wanted
        (points, 3), of the other mesh on its sphere, registered to the first.

    Returns
    -------
    Sparse (points, vertices) float64; each row has up to three weights that add up to one.

    Notes
    -----
    The method BARYCENTRIC of Connectome Workbench (Marcus et al. 2011, Front. Neuroinform. 5: 4,
    doi 10.3389/fninf.2011.00004), from which points differ by less than 0.001 mm.

    Examples
    --------
    >>> import numpy as np
    >>> sphere = np.vstack([np.eye(3), -np.eye(3)])
    >>> faces = np.array([[0, 1, 2], [0, 2, 4], [3, 2, 1], [3, 4, 2], [0, 5, 1], [3, 1, 5]])
    >>> sphere_weights(sphere, faces, np.array([[1.0, 1.0, 2.0]])).toarray().round(2)
    array([[0.25, 0.25, 0.5 , 0.  , 0.  , 0.  ]])
    """
    from scipy.sparse import csr_array

    corners = _on_unit_sphere(sphere)[faces]
    points = _on_unit_sphere(wanted)
    triangles, weights = _in_triangles(corners, points, _NEAR)
    outside = np.flatnonzero(weights.min(axis=1) < -_ROUNDING)
    if len(outside):
        triangles[outside], weights[outside] = _in_triangles(corners, points[outside], _FAR)
    weights = np.maximum(weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    starts = np.arange(0, 3 * len(points) + 1, 3)
    matrix = csr_array(
        (weights.ravel(), faces[triangles].ravel(), starts), shape=(len(points), len(sphere))
    )
    matrix.sum_duplicates()
    return matrix


def _on_unit_sphere(points: NDArray[np.float64]) -> NDArray[np.float64]:
    on_sphere: NDArray[np.float64] = points / np.linalg.norm(points, axis=1, keepdims=True)
    return on_sphere


def _in_triangles(
    corners: NDArray[np.float64], points: NDArray[np.float64], near: int
) -> tuple[Indices, NDArray[np.float64]]:
    """Find the triangle that holds each point, and the point's coordinates in it.

    Parameters
    ----------
    corners
        (triangles, 3 corners, 3), coordinates of the corners.
    points
        (points, 3), coordinates on the sphere.
    near
        Number of nearest triangles to try for each point.

    Returns
    -------
    Triangle (points,) and weights of its corners (points, 3), adding up to one; the best of the
    triangles that were tried where none holds the point: one weight is negative then.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(_on_unit_sphere(corners.mean(axis=1)))
    tried = tree.query(points, k=min(near, len(corners)))[1].reshape(len(points), -1)
    first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
    # Volumes of the tetrahedra that the point, the centre and two of the corners span.
    normals = np.stack(
        [np.cross(second, third), np.cross(third, first), np.cross(first, second)], axis=1
    )
    # (points, tried, corners); a triangle on the other side of the sphere has a negative sum
    volumes = np.einsum("ptca,pa->ptc", normals[tried], points)
    # Triangles may run either way round.
    volumes *= np.sign(np.einsum("ta,ta->t", normals[:, 0], first))[tried][:, :, None]
    sums = volumes.sum(axis=2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(sums > 0, volumes / sums, -np.inf)
    best = weights.min(axis=2).argmax(axis=1)
    each = np.arange(len(points))
    return tried[each, best], weights[each, best]
