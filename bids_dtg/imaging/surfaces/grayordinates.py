"""The 91,282 standard grayordinates, and files of maps at them.

Grayordinates are vertices of the cortex and voxels of what lies below it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, cast
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import read_bytes
from bids_dtg.imaging.gifti import Hemisphere
from bids_dtg.imaging.header import READ_ERRORS, require_file
from bids_dtg.imaging.places import Indices
from bids_dtg.imaging.surfaces.cifti import cifti_head, cifti_values
from bids_dtg.imaging.surfaces.templates import SIDES, read_arrays

# nibabel has no types.
_cifti: Any = nib.cifti2
_CORTEX = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")
_MOST_BYTES = 2**30
_INTENT = "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS"
# What reading a damaged file raises.
FAULTS = (
    *READ_ERRORS,
    ExpatError,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    _cifti.Cifti2HeaderError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
)


@dataclass(frozen=True, eq=False)
class Grayordinates:
    """Places of the cortex, as vertices of fsLR's mesh, and below it, as voxels.

    Their order is left cortex, right cortex, then the voxels of 19 structures.
    """

    vertices: Mapping[Hemisphere, Indices]  # (cortical vertices,), numbers on the mesh, ascending
    mesh_size: int  # vertices of a side's mesh, the medial wall included
    voxels: Indices  # (voxels, 3), along i, j, k; x fastest within a structure
    structures: tuple[tuple[str, slice], ...]  # CIFTI's name of each, and its part of the order
    shape: tuple[int, int, int]  # of the volume
    affine: NDArray[np.float64]  # (4, 4), voxel indices to RAS+ mm; i runs right to left

    @property
    def number(self) -> int:
        """How many places there are."""
        return len(self.voxels) + sum(len(vertices) for vertices in self.vertices.values())

    @cached_property
    def voxel_points(self) -> NDArray[np.float64]:
        """(voxels, 3), their centres in MNI152NLin6Asym, RAS+ mm."""
        centres: NDArray[np.float64] = self.voxels @ self.affine[:3, :3].T + self.affine[:3, 3]
        return centres

    @cached_property
    def axis(self) -> Any:
        """The places as nibabel's `BrainModelAxis`."""
        # In one piece: nibabel joins axes element by element.
        names = np.concatenate(
            [np.full(part.stop - part.start, name) for name, part in self.structures]
        )
        cortex = np.concatenate([self.vertices[side] for side in SIDES])
        vertex = np.full(self.number, -1, np.intp)
        vertex[: len(cortex)] = cortex
        voxel = np.full((self.number, 3), -1, np.intp)
        voxel[len(cortex) :] = self.voxels
        return _cifti.BrainModelAxis(
            names,
            voxel=voxel,
            vertex=vertex,
            affine=self.affine,
            volume_shape=self.shape,
            nvertices=dict.fromkeys(_CORTEX, self.mesh_size),
        )


@cache
def standard_grayordinates() -> Grayordinates:
    """Return the 91,282 grayordinates of the Human Connectome Project.

    Notes
    -----
    Glasser et al. 2013, NeuroImage 80: 105, doi 10.1016/j.neuroimage.2013.04.127. The voxels are
    those of a 2 mm lattice of MNI152NLin6Asym; cerebellum and brain stem are whole.

    Examples
    --------
    >>> grayordinates = standard_grayordinates()
    >>> grayordinates.number, len(grayordinates.voxels), grayordinates.structures[4][0]
    (91282, 31870, 'CIFTI_STRUCTURE_AMYGDALA_LEFT')
    """
    arrays = read_arrays("grayordinates_den-91k")
    parts = [slice(int(start), int(stop)) for start, stop in arrays["offsets"]]
    shape = tuple(int(size) for size in arrays["shape"])
    return Grayordinates(
        vertices={
            "L": arrays["left_vertices"].astype(np.intp),
            "R": arrays["right_vertices"].astype(np.intp),
        },
        mesh_size=len(read_arrays("fsLR_den-32k")["points_L"]),
        voxels=arrays["voxels_ijk"].astype(np.intp),
        structures=tuple(zip(map(str, arrays["names"]), parts, strict=True)),
        shape=cast("tuple[int, int, int]", shape),
        affine=arrays["affine"].astype(np.float64),
    )


def encode_dscalar(
    values: NDArray[np.floating[Any]], names: Sequence[str], grayordinates: Grayordinates
) -> bytes:
    """Make a complete .dscalar.nii file; the same bytes for the same input.

    Parameters
    ----------
    values
        (maps, grayordinates), stored as float32.
    names
        Names of the maps, one a row.
    grayordinates
        Brain models of CIFTI: the vertices and voxels of the values.

    Notes
    -----
    CIFTI-2: nitrc.org/projects/cifti. What stands before the values is made once for all files with
    the same names.
    """
    if np.shape(values) != (len(names), grayordinates.number):
        raise ValueError(
            f"{len(names)} names and {grayordinates.number} places, but values {np.shape(values)}"
        )
    return _head(tuple(names), grayordinates) + cifti_values(values)


def read_dscalar(
    path: Path, grayordinates: Grayordinates
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Read a file of maps at these grayordinates.

    Returns
    -------
    names
        Of the maps, in order.
    values
        (maps, grayordinates).

    Raises
    ------
    RunError
        Missing, damaged, or no scalars at these grayordinates.
    """
    require_file(path)
    expected = f"a .dscalar.nii file of {grayordinates.number} grayordinates"
    try:
        image = _cifti.Cifti2Image.from_bytes(read_bytes(path, _MOST_BYTES))
        scalars, brain = (image.header.get_axis(axis) for axis in (0, 1))
        if not isinstance(scalars, _cifti.ScalarAxis) or brain != grayordinates.axis:
            raise RunError(
                f"{path} has other axes: {_kind(scalars)}, {_kind(brain)}", expected=expected
            )
        return tuple(map(str, scalars.name)), np.asarray(image.dataobj, np.float32)
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    except FAULTS as err:
        raise RunError(f"{path} cannot be read: {err}", expected=expected) from err


@lru_cache(maxsize=4)
def _head(names: tuple[str, ...], grayordinates: Grayordinates) -> bytes:
    """Return the bytes before the values: the header, and the axes as XML."""
    matrix = _cifti.Cifti2Matrix()
    matrix.append(_cifti.ScalarAxis(list(names)).to_mapping(0))
    models = [_model(name, part, grayordinates) for name, part in grayordinates.structures]
    volume = _cifti.Cifti2Volume(
        grayordinates.shape,
        _cifti.Cifti2TransformationMatrixVoxelIndicesIJKtoXYZ(-3, grayordinates.affine),
    )
    matrix.append(
        _cifti.Cifti2MatrixIndicesMap((1,), "CIFTI_INDEX_TYPE_BRAIN_MODELS", maps=[volume, *models])
    )
    return cifti_head(matrix, (len(names), grayordinates.number), _INTENT)


def _model(name: str, part: slice, grayordinates: Grayordinates) -> Any:
    """Return one structure as nibabel's brain model."""
    common = {
        "index_offset": part.start,
        "index_count": part.stop - part.start,
        "brain_structure": name,
    }
    if name in _CORTEX:
        vertices = grayordinates.vertices[SIDES[_CORTEX.index(name)]]
        return _cifti.Cifti2BrainModel(
            **common,
            model_type="CIFTI_MODEL_TYPE_SURFACE",
            n_surface_vertices=grayordinates.mesh_size,
            vertex_indices=_cifti.Cifti2VertexIndices(vertices.tolist()),
        )
    first = grayordinates.number - len(grayordinates.voxels)
    voxels = grayordinates.voxels[part.start - first : part.stop - first]
    return _cifti.Cifti2BrainModel(
        **common,
        model_type="CIFTI_MODEL_TYPE_VOXELS",
        voxel_indices_ijk=_cifti.Cifti2VoxelIndicesIJK(voxels.tolist()),
    )


def _kind(axis: Any) -> str:
    return f"{type(axis).__name__} of {len(axis)}"
