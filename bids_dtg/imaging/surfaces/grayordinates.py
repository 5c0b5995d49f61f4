"""The standard grayordinates of the Human Connectome Project, and files of maps at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.gifti import Hemisphere
from bids_dtg.imaging.places import Indices
from bids_dtg.imaging.surfaces.cifti import CORTEX, cifti_head, cifti_values
from bids_dtg.imaging.surfaces.templates import SIDES, read_arrays

# nibabel has no types.
_cifti: Any = nib.cifti2
_INTENT = "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS"


@dataclass(frozen=True, eq=False)
class Grayordinates:
    """Places of the cortex, as vertices of fsLR's mesh, and below it, as voxels.

    Their order is left cortex, right cortex, then the voxels of structures.
    """

    vertices: Mapping[Hemisphere, Indices]  # (cortical vertices,), numbers on the mesh
    mesh_size: int  # vertices of a side's mesh, the medial wall included
    voxels: Indices  # (voxels, 3), along i, j, k; x fastest within a structure
    structures: tuple[tuple[str, slice], ...]  # CIFTI's name of each, and its part of the order
    shape: tuple[int, int, int]  # of the volume
    affine: NDArray[np.float64]  # (4, 4), voxel indices to RAS+ mm; i runs right to left

    @property
    def number(self) -> int:
        """How many places there are."""
        return len(self.voxels) + sum(map(len, self.vertices.values()))

    @property
    def voxel_points(self) -> NDArray[np.float64]:
        """(voxels, 3), their centres in MNI152NLin6Asym, RAS+ mm."""
        centres: NDArray[np.float64] = self.voxels @ self.affine[:3, :3].T + self.affine[:3, 3]
        return centres


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


def encode_dscalar(values: NDArray[np.floating[Any]], names: Sequence[str]) -> bytes:
    """Make a complete .dscalar.nii file at the 91,282 standard grayordinates.

    Parameters
    ----------
    values
        (maps, grayordinates), stored as float32; the same give the same bytes.
    names
        Names of the maps, one a row.

    Notes
    -----
    CIFTI-2: nitrc.org/projects/cifti. What stands before the values is made once for all files with
    the same names.
    """
    places = standard_grayordinates().number
    if np.shape(values) != (len(names), places):
        raise ValueError(f"{len(names)} names and {places} places, but values {np.shape(values)}")
    return _head(tuple(names)) + cifti_values(values)


@lru_cache(maxsize=4)
def _head(names: tuple[str, ...]) -> bytes:
    """Return the bytes before the values: the header, and the axes as XML."""
    places, matrix = standard_grayordinates(), _cifti.Cifti2Matrix()
    matrix.append(_cifti.ScalarAxis(list(names)).to_mapping(0))
    models = [_model(name, part, places) for name, part in places.structures]
    volume = _cifti.Cifti2Volume(
        places.shape, _cifti.Cifti2TransformationMatrixVoxelIndicesIJKtoXYZ(-3, places.affine)
    )
    matrix.append(
        _cifti.Cifti2MatrixIndicesMap((1,), "CIFTI_INDEX_TYPE_BRAIN_MODELS", maps=[volume, *models])
    )
    return cifti_head(matrix, (len(names), places.number), _INTENT)


def _model(name: str, part: slice, grayordinates: Grayordinates) -> Any:
    """Return one structure as nibabel's brain model."""
    common = {
        "index_offset": part.start,
        "index_count": part.stop - part.start,
        "brain_structure": name,
    }
    if name in CORTEX:
        vertices = grayordinates.vertices[SIDES[CORTEX.index(name)]]
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
