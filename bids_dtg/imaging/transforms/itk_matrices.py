"""The matrices that ITK's linear transforms stand for, from the numbers in their files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A 3 x 3 matrix, row by row, and a translation.
_MATRIX = ("AffineTransform", "MatrixOffsetTransformBase")
# Numbers of each kind, and how many describe it.
_PARAMETERS = {
    **dict.fromkeys(_MATRIX, 12),
    "Euler3DTransform": 6,
    "VersorRigid3DTransform": 6,
    "TranslationTransform": 3,
    "IdentityTransform": 0,
}


def itk_matrix(
    kind: str, parameters: NDArray[np.float64], fixed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the matrix (4, 4), LPS+ mm to LPS+ mm, of a linear transform.

    Parameters
    ----------
    kind
        ITK's name of the class.
    parameters, fixed
        As in the file; of the fixed ones, the first three are the centre.

    Raises
    ------
    ValueError
        Another kind of transform, or another number of parameters.
    """
    wanted = _PARAMETERS.get(kind)
    if wanted is None:
        raise ValueError(f"transforms of the kind {kind} are not known here")
    if len(parameters) != wanted and kind != "IdentityTransform":
        raise ValueError(f"{kind} has {wanted} parameters, not {len(parameters)}")
    if not (np.isfinite(parameters).all() and np.isfinite(fixed).all()):
        raise ValueError("its parameters are not finite")
    if kind == "IdentityTransform":
        return np.eye(4)
    centre = fixed[:3] if len(fixed) >= 3 else np.zeros(3)
    rotation = np.eye(3)
    if kind in _MATRIX:
        rotation = parameters[:9].reshape(3, 3)
    elif kind == "Euler3DTransform":
        # The fourth fixed parameter tells the order; files of old versions lack it.
        rotation = _euler(parameters[:3], zyx=len(fixed) > 3 and fixed[3] != 0)
    elif kind == "VersorRigid3DTransform":
        rotation = _versor(parameters[:3])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    # y = A (x - c) + c + t
    matrix[:3, 3] = parameters[-3:] + centre - rotation @ centre
    return matrix


def _euler(angles: NDArray[np.float64], *, zyx: bool) -> NDArray[np.float64]:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: NDArray[np.float64]
    rotation = about_z @ about_y @ about_x if zyx else about_z @ about_x @ about_y
    return rotation


def _versor(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the vector part of a unit quaternion to a rotation."""
    x, y, z = axis
    squared = 1.0 - x * x - y * y - z * z
    if squared < 0:
        raise ValueError("the versor is longer than one")
    w = np.sqrt(squared)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
