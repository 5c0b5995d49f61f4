"""Transforms in the files of ITK and ANTs: text, composite .h5, displacement field .nii.gz.

ITK's points are LPS+ mm; they are turned to RAS+ here. What a file of several transforms in a
composite does to a point starts with its last: ITK keeps them as a stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import read_text, reading
from bids_dtg.imaging.header import require_file
from bids_dtg.imaging.transforms.chain import Affine, DisplacementField, Transform
from bids_dtg.imaging.transforms.fsl import read_fsl_warp
from bids_dtg.inputs.run import TransformFile

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TEXT_MAGIC, _HDF5_MAGIC = b"#Insight Transform File V1.0", b"\x89HDF\r\n"
_COMPOSITE, _FIELD = "CompositeTransform", "DisplacementFieldTransform"
# ITK before 5 left a letter out.
_PARAMETERS = ("TransformParameters", "TranformParameters")
_FIXED = ("TransformFixedParameters", "TranformFixedParameters")
# NIfTI's code for a field of vectors. ANTs' fields have it, with components along LPS+; versions
# of ITK do not agree on those of other codes.
_VECTOR_INTENT = 1007
# A 3 x 3 matrix, row by row, and a translation.
_MATRIX = ("AffineTransform", "MatrixOffsetTransformBase")
# Numbers of each kind, and how many describe it.
_PARAMETER_COUNTS = {
    **dict.fromkeys(_MATRIX, 12),
    "Euler3DTransform": 6,
    "VersorRigid3DTransform": 6,
    "TranslationTransform": 3,
    "IdentityTransform": 0,
}

# Between volumes of two heads, an infant's and an adult's among them.
_MOST_SCALE = 30.0

_EXPECTED = (
    "an ITK text file, a composite .h5 of affines and displacement fields, a displacement field of "
    "ANTs, or a warp field of FSL"
)

Read = Affine | DisplacementField
# Kind, parameters and fixed parameters of a transform.
Part = tuple[str, NDArray[np.floating], NDArray[np.float64]]


def read_transforms(files: Sequence[TransformFile]) -> tuple[Transform, ...]:
    """Read transform files; return what they do to a point, in order of application.

    Parameters
    ----------
    files
        Files of the transforms, in the order of application to points.

    Raises
    ------
    RunError
        Missing or damaged, a kind of transform that is not known, or the inverse of a
        displacement field.
    """
    chain: list[Transform] = []
    for file in files:
        require_file(file.path)
        try:
            with reading(file.path, as_what=" as a transform"):
                if file.warped is not None:
                    chain.append(read_fsl_warp(file.path, file.warped))
                    continue
                parts = _read(file.path)
                chain += _inverse(parts) if file.inverse else parts
        except ForeignFileError as err:
            raise err.as_kind(RunError, expected=err.expected or _EXPECTED) from err
    return tuple(chain)


def parse_itk_text(text: str) -> list[Read]:
    """Read ITK's text format.

    Returns
    -------
    The transforms, in order of application.
    """
    return _in_order(_text_parts(text))


def _text_parts(text: str) -> list[Part]:
    found: list[tuple[str, dict[str, list[float]]]] = []
    for line in text.splitlines():
        key, colon, value = (piece.strip() for piece in line.partition(":"))
        if key.startswith("#") or not colon:
            continue
        if key == "Transform":
            found.append((value, {"Parameters": [], "FixedParameters": []}))
        elif found and key in found[-1][1]:
            found[-1][1][key] = [float(number) for number in value.split()]
    return [
        (kind, np.array(numbers["Parameters"]), np.array(numbers["FixedParameters"]))
        for kind, numbers in found
    ]


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

    Examples
    --------
    >>> import numpy as np
    >>> itk_matrix("TranslationTransform", np.array([1.0, 2.0, 3.0]), np.zeros(0))
    array([[1., 0., 0., 1.],
           [0., 1., 0., 2.],
           [0., 0., 1., 3.],
           [0., 0., 0., 1.]])
    """
    wanted = _PARAMETER_COUNTS.get(kind)
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
        # The fourth fixed parameter is the order; files of old versions lack it.
        rotation = _euler(parameters[:3], zyx=len(fixed) > 3 and fixed[3] != 0)
    elif kind == "VersorRigid3DTransform":
        rotation = _versor(parameters[:3])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    # y = A (x - c) + c + t
    matrix[:3, 3] = parameters[-3:] + centre - rotation @ centre
    return matrix


def _read(path: Path) -> list[Read]:
    first = require_file(path)
    if first.startswith(_HDF5_MAGIC):
        return _read_hdf5(path)
    if path.name.endswith((".nii", ".nii.gz")):
        return [_read_field_image(path)]
    if first.lstrip().startswith(_TEXT_MAGIC):
        return parse_itk_text(read_text(path))
    raise ValueError(f"it does not begin with '{_TEXT_MAGIC.decode()}'")


def _inverse(parts: list[Read]) -> list[Read]:
    inverted: list[Read] = []
    for part in reversed(parts):
        if isinstance(part, DisplacementField):
            raise ValueError("the inverse of a displacement field is in a file of its own")
        inverted.append(part.inverse())
    return inverted


def _read_hdf5(path: Path) -> list[Read]:
    import h5py

    with h5py.File(path, "r") as file:
        groups = file["TransformGroup"]
        return _in_order([_part(groups[name]) for name in sorted(groups, key=int)])


def _part(group: Any) -> Part:
    kind = group["TransformType"].asstr()[0]
    fixed = np.asarray(_dataset(group, _FIXED), np.float64)
    return kind, _dataset(group, _PARAMETERS), fixed


def _dataset(group: Any, names: tuple[str, ...]) -> NDArray[np.floating]:
    for name in names:
        if name in group:
            values: NDArray[np.floating] = group[name][()]
            return values
    return np.zeros(0)  # an identity or a composite has none


def _in_order(found: list[Part]) -> list[Read]:
    if not found:
        raise ValueError("it holds no transform")
    if found[0][0].startswith(_COMPOSITE):
        found = found[:0:-1]
    elif len(found) > 1:
        # A list of head motion has one a frame; nothing says which one is meant.
        raise ValueError(f"it holds a list of {len(found)} transforms that is no composite")
    return [_transform(*parts) for parts in found]


def _transform(kind: str, parameters: NDArray[np.floating], fixed: NDArray[np.float64]) -> Read:
    name = kind.partition("_")[0]
    if not kind.endswith("_3_3"):
        raise ValueError(f"it holds a {kind}, not one of three dimensions")
    if name == _FIELD:
        return _field(parameters, fixed)
    affine = Affine(_LPS @ itk_matrix(name, np.asarray(parameters, np.float64), fixed) @ _LPS)
    affine.inverse()  # refuses what maps space onto a plane
    volumes = float(np.linalg.det(affine.matrix[:3, :3]))
    if volumes < 0:
        raise ValueError("its matrix exchanges left and right")
    if not 1 / _MOST_SCALE <= volumes <= _MOST_SCALE:
        raise ValueError(
            f"its matrix multiplies volumes by {volumes:.3g}, which no two heads differ by"
        )
    return affine


def _field(parameters: NDArray[np.floating], fixed: NDArray[np.float64]) -> DisplacementField:
    if len(fixed) != 18 or not np.isfinite(fixed).all():
        raise ValueError(f"a displacement field has 18 finite fixed parameters, not {len(fixed)}")
    sizes = np.rint(fixed[:3]).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = fixed[9:].reshape(3, 3) * fixed[6:9]  # directions times spacing
    affine[:3, 3] = fixed[3:6]
    if sizes.min() < 1 or parameters.size != 3 * int(np.prod(sizes)):
        raise ValueError(f"a field of {sizes.tolist()} nodes has {parameters.size} numbers")
    return _checked_field(tuple(sizes.tolist()), _LPS @ affine, parameters.reshape(-1, 3))


def _checked_field(
    shape: tuple[int, int, int], affine: NDArray[np.float64], vectors: NDArray[np.floating]
) -> DisplacementField:
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ValueError("the lattice of its displacement field is flat")
    broken = len(vectors) - np.count_nonzero(np.isfinite(vectors).all(axis=1))
    if broken:
        raise ValueError(
            f"its displacements are not finite at {broken} of {len(vectors)} nodes, which would "
            "leave holes in what it moves"
        )
    return DisplacementField(shape, affine, vectors)


def _read_field_image(path: Path) -> DisplacementField:
    import nibabel as nib

    image: Any = nib.load(path)
    shape, intent = image.shape, int(image.header["intent_code"])
    if len(shape) != 5 or shape[3:] != (1, 3) or intent != _VECTOR_INTENT:
        raise ValueError(
            f"an ANTs field has sizes (i, j, k, 1, 3) and intent {_VECTOR_INTENT}, "
            f"not {shape} and {intent}"
        )
    values = np.asarray(image.dataobj, np.float32)[:, :, :, 0]
    # (i, j, k, 3) -> (nodes, 3), i fastest
    vectors = np.ascontiguousarray(values.transpose(2, 1, 0, 3)).reshape(-1, 3)
    return _checked_field(shape[:3], np.asarray(image.affine, np.float64), vectors)


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
