"""Transforms of points between spaces, in RAS+ mm, from the files of ITK and FSL.

ITK uses LPS+ mm, which is converted to RAS+ here. A composite file is a stack of transforms: the
last one is applied first to a point.

FSL's coordinates are voxel indices times voxel sizes, in mm. Along the first axis they are counted
from the other end if the image's affine has a positive determinant. A warp field lies on the grid
to which images are warped, and gives for each voxel the corresponding point in the image that is
warped (Andersson et al. 2007, FMRIB report TR07JA2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel import eulerangles

from bids_dtg.array_types import Float64, Floats
from bids_dtg.files.foreign import read_text
from bids_dtg.files.hdf5 import member
from bids_dtg.imaging.grid import Affine, Points, apply_affine, is_invertible
from bids_dtg.imaging.nifti import reading_image
from bids_dtg.imaging.sampling import linear_neighbours, voxel_positions
from bids_dtg.inputs.run import TransformFile

# Kind, parameters and fixed parameters of an ITK transform.
Part = tuple[str, Floats, Float64]

# Number of points whose displacements are looked up at a time.
_POINTS = 65536
# Coordinate outside every image, so that no voxel is found there.
_NOWHERE_MM = 1e6
_EDGE = 1e-6  # tolerance in voxels, for rounding at the last node
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TEXT_MAGIC = b"#Insight Transform File V1.0"
_HDF5_MAGIC = b"\x89HDF\r\n"
# A transform in ITK's text format: its kind, and two lines of numbers.
_TEXT_PART = re.compile(
    r"^Transform:\s*(\S+)(?:\s+Parameters:(.*)\s+FixedParameters:(.*))?", re.MULTILINE
)
_COMPOSITE = "CompositeTransform"
_FIELD = "DisplacementFieldTransform"
# ITK before version 5 misspelt the names.
_PARAMETERS = ("TransformParameters", "TranformParameters")
_FIXED = ("TransformFixedParameters", "TranformFixedParameters")
# Intent codes of FSL's spline and cosine coefficients, which are not fields.
_COEFFICIENT_INTENTS = range(2007, 2017)
# Number of parameters by kind of transform; a matrix has 3 x 3, row by row, and a translation.
_PARAMETER_COUNTS = {
    "AffineTransform": 12,
    "MatrixOffsetTransformBase": 12,
    "Euler3DTransform": 6,
    "TranslationTransform": 3,
}
_EXPECTED = (
    "an ITK text file, a composite .h5 of affines and displacement fields, "
    "or a warp field of FSL"
)


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """x -> x + d(x), where d is interpolated linearly between nodes, and 0 outside their grid."""

    shape: tuple[int, int, int]  # number of nodes along each axis
    affine: Affine  # (4, 4), node indices to RAS+ mm
    # (nodes, 3) mm, first axis of the nodes fastest. Kept along LPS+ as ITK stores them, as a field
    # on a 1 mm grid takes 100 MB, and converting it would need as much again.
    lps_vectors: Floats
    # Whether points outside the grid are undefined; they are then mapped outside every image.
    only_inside: bool = False

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"its grid has {' x '.join(map(str, self.shape))} nodes")
        if not is_invertible(self.affine):
            raise ValueError(
                "its grid has a spacing of 0, or directions that cannot be inverted"
            )
        if self.lps_vectors.shape != (int(np.prod(self.shape)), 3):
            raise ValueError(
                f"{self.shape} nodes have a vector each, not {self.lps_vectors.shape}"
            )
        if not np.isfinite(self.lps_vectors).all():
            raise ValueError("its displacements are not finite everywhere")

    def map(self, points: Points) -> Points:
        """Map points (n, 3), RAS+ mm."""
        mapped = np.array(points, np.float64)
        for first in range(0, len(points), _POINTS):
            part = mapped[first : first + _POINTS]
            positions = voxel_positions(part, self.affine)
            nodes, weights, _ = linear_neighbours(positions, self.shape)
            displacements = np.zeros((len(part), 3))  # LPS+ mm
            for corner in range(8):
                vectors = self.lps_vectors[nodes[:, corner]]
                displacements += weights[:, corner, None] * vectors
            part += displacements * (-1.0, -1.0, 1.0)
            if self.only_inside:
                last = np.asarray(self.shape) - 1
                inside = (positions >= -_EDGE) & (positions <= last + _EDGE)
                part[~inside.all(axis=1)] = _NOWHERE_MM
        return mapped


# A field, or a matrix (4, 4), RAS+ mm to RAS+ mm: x -> A x + b.
Transform = DisplacementField | Affine


def map_points(points: Points, transforms: Sequence[Transform]) -> Points:
    """Map points (n, 3), RAS+ mm, by transforms in the order of the list.

    Examples
    --------
    >>> import numpy as np
    >>> shift = np.eye(4)
    >>> shift[:3, 3] = 1.0, 0.0, 0.0
    >>> map_points(np.zeros((1, 3)), [shift])
    array([[1., 0., 0.]])
    """
    for transform in transforms:
        if isinstance(transform, DisplacementField):
            points = transform.map(points)
        else:
            points = apply_affine(transform, points)
    return points


def read_transforms(files: Sequence[TransformFile]) -> tuple[Transform, ...]:
    """Read transform files; return transforms of points, in order of application.

    Parameters
    ----------
    files
        Transform files, in order of application to points.

    Raises
    ------
    RunError
        A file is missing or damaged, its kind of transform is unknown, or the inverse of a
        displacement field is needed.
    """
    chain: list[Transform] = []
    for file in files:
        with reading_image(
            file.path, as_what=" as a transform", expected=_EXPECTED
        ) as first_bytes:
            transforms = _read(file, first_bytes)
            chain += _inverse(transforms) if file.inverse else transforms
    return tuple(chain)


def itk_matrix(kind: str, parameters: Float64, fixed: Float64) -> Affine:
    """Return the matrix (4, 4), LPS+ mm to LPS+ mm, of a linear transform.

    Parameters
    ----------
    kind
        ITK's name of the class.
    parameters, fixed
        As in the file; the first three fixed parameters are the centre.

    Raises
    ------
    ValueError
        The kind of transform is unknown, or the number of parameters is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> itk_matrix("TranslationTransform", np.array([1.0, 2.0, 3.0]), np.zeros(0))
    array([[1., 0., 0., 1.],
           [0., 1., 0., 2.],
           [0., 0., 1., 3.],
           [0., 0., 0., 1.]])
    """
    if kind == "IdentityTransform":
        return np.eye(4)
    wanted = _PARAMETER_COUNTS.get(kind)
    if wanted is None:
        raise ValueError(f"transforms of the kind {kind} are not supported")
    if len(parameters) != wanted:
        raise ValueError(f"{kind} has {wanted} parameters, not {len(parameters)}")
    centre = fixed[:3] if len(fixed) >= 3 else np.zeros(3)
    translation = parameters[-3:]
    linear = np.eye(3)
    if wanted == 12:
        linear = parameters[:-3].reshape(3, 3)
    elif kind == "Euler3DTransform":
        # The fourth fixed parameter gives the order of rotations; old files lack it.
        order = "zyx" if len(fixed) > 3 and fixed[3] != 0 else "zxy"
        angles = dict(zip("xyz", parameters[:-3], strict=True))
        first, second, third = (
            eulerangles.euler2mat(**{axis: angles[axis]}) for axis in order
        )
        linear = first @ second @ third
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    # y = A (x - c) + c + t
    matrix[:3, 3] = translation + centre - linear @ centre
    return matrix


def _read(file: TransformFile, first_bytes: bytes) -> list[Transform]:
    path = file.path
    if file.warped is not None:
        return [_read_fsl_warp(path, file.warped)]
    if first_bytes.startswith(_HDF5_MAGIC):
        parts = _read_hdf5(path)
    elif first_bytes.lstrip().startswith(_TEXT_MAGIC):
        parts = _parse_text(read_text(path))
    else:
        raise ValueError(f"it does not begin with '{_TEXT_MAGIC.decode()}'")
    if not parts:
        raise ValueError("it holds no transform")
    first_kind, *_ = parts[0]
    if first_kind.startswith(_COMPOSITE):
        parts = parts[:0:-1]  # the last is applied first
    elif len(parts) > 1:
        # For example head motion, with one transform per frame; it is unclear which one to use.
        raise ValueError(f"it holds a list of {len(parts)} transforms, not a composite")
    return [_transform(*part) for part in parts]


def _parse_text(text: str) -> list[Part]:
    parts: list[Part] = []
    for kind, parameters, fixed in _TEXT_PART.findall(text):
        numbers = np.array(parameters.split(), np.float64)
        parts.append((kind, numbers, np.array(fixed.split(), np.float64)))
    return parts


def _inverse(transforms: list[Transform]) -> list[Transform]:
    inverted: list[Transform] = []
    for transform in reversed(transforms):
        if isinstance(transform, DisplacementField):
            raise ValueError(
                "a displacement field cannot be inverted; its inverse is another file"
            )
        inverted.append(np.linalg.inv(transform).astype(np.float64))
    return inverted


def _read_hdf5(path: Path) -> list[Part]:
    import h5py

    def numbers(group: Any, names: tuple[str, ...]) -> Floats:
        for name in names:
            if name in group:
                return member(group, name)[()]
        return np.zeros(0)  # of an identity or a composite

    with h5py.File(path, "r") as file:
        all_groups = member(file, "TransformGroup")
        groups = [member(all_groups, name) for name in sorted(all_groups, key=int)]
        kinds = [member(group, "TransformType").asstr()[0] for group in groups]
        parts: list[Part] = []
        for kind, group in zip(kinds, groups, strict=True):
            fixed = numbers(group, _FIXED).astype(np.float64)
            parts.append((kind, numbers(group, _PARAMETERS), fixed))
        return parts


def _transform(kind: str, parameters: Floats, fixed: Float64) -> Transform:
    name = kind.partition("_")[0]
    if not kind.endswith("_3_3"):
        raise ValueError(f"it holds a {kind}, not one of three dimensions")
    if name != _FIELD:
        lps_matrix = itk_matrix(name, np.asarray(parameters, np.float64), fixed)
        matrix = _LPS @ lps_matrix @ _LPS
        if not np.linalg.det(matrix[:3, :3]) > 1e-6:
            raise ValueError("its matrix swaps left and right, or has no inverse")
        return matrix
    if len(fixed) != 18:
        raise ValueError(
            f"a displacement field has 18 fixed parameters, not {len(fixed)}"
        )
    i, j, k = np.rint(fixed[:3]).astype(int).tolist()
    affine = np.eye(4)
    affine[:3, :3] = fixed[9:].reshape(3, 3) * fixed[6:9]  # directions times spacing
    affine[:3, 3] = fixed[3:6]
    return DisplacementField((i, j, k), _LPS @ affine, parameters.reshape(-1, 3))


def _read_fsl_warp(path: Path, warped: Path) -> DisplacementField:
    """Read a relative or absolute FSL warp field, which warps the image `warped` to its grid."""
    image = nib.load(path)
    warped_image = nib.load(warped)
    shape = image.shape
    if int(image.header["intent_code"]) in _COEFFICIENT_INTENTS:
        raise ValueError(
            "it holds coefficients, not a field (fnirtfileutils -i IN -r REF -o FIELD -a makes one)"
        )
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"a field of FSL has sizes (i, j, k, 3), not {shape}")
    # (nodes, 3), i fastest, as are the arrays below
    stored = np.asarray(image.dataobj, np.float64).reshape(-1, 3, order="F")
    nodes = np.arange(len(stored))
    indices = np.stack(np.unravel_index(nodes, shape[:3], order="F"), axis=1)
    nodes_mm = apply_affine(_fsl_from_voxels(image), indices)
    # Absolute points vary more than displacements, by which FSL tells them apart too.
    displacements = stored - nodes_mm  # if the points are absolute
    is_absolute = stored.std(axis=0).sum() > displacements.std(axis=0).sum()
    target_mm = stored if is_absolute else nodes_mm + stored
    fsl_to_ras = warped_image.affine @ np.linalg.inv(_fsl_from_voxels(warped_image))
    target_ras = apply_affine(fsl_to_ras, target_mm)
    affine = np.asarray(image.affine, np.float64)
    vectors = (target_ras - apply_affine(affine, indices)) * _LPS.diagonal()[:3]
    return DisplacementField(
        shape[:3], affine, vectors.astype(np.float32), only_inside=True
    )


def _fsl_from_voxels(image: Any) -> Affine:
    """Return the matrix from voxel indices to FSL's millimetres."""
    sizes = np.abs(np.asarray(image.header.get_zooms()[:3], np.float64))
    matrix = np.diag([*sizes, 1.0])
    if np.linalg.det(image.affine[:3, :3]) > 0:
        matrix[0, 0] = -sizes[0]
        matrix[0, 3] = (image.shape[0] - 1) * sizes[0]
    return matrix
