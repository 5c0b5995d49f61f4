"""Grayordinates, the places of CIFTI: vertices of the cortex and voxels of what lies below it.

The standard ones are the 91,282 of the Human Connectome Project. Files of maps at grayordinates
are written and read here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import open_foreign, read_bytes
from bids_dtg.imaging.gifti import Hemisphere
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.header import require_file
from bids_dtg.imaging.places import Indices
from bids_dtg.imaging.surfaces.cifti import (
    CORTEX,
    EXTENSION,
    FAULTS,
    axis_of_xml,
    cifti_head,
    cifti_values,
)
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.imaging.surfaces.templates import (
    SIDES,
    MeshName,
    read_arrays,
    read_template,
)

SURFACE_SPACE: MeshName = "fsLR"
# nibabel has no types.
_cifti: Any = nib.cifti2
_Nifti2Header: Any = nib.Nifti2Header
_NIFTI_BYTES, _TAG_BYTES = 540, 200  # of a NIfTI-2 header, and of the beginning of an axis
_INDICES = re.compile(rb"<MatrixIndicesMap\b(?:[^>]*/>|.*?</MatrixIndicesMap>)", re.DOTALL)
# Of a file of maps, and of what stands before values: 91,282 places take 1 MB.
_MOST_BYTES, _LONGEST_XML = 2**30, 2**26
_INTENT = "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS"
_STANDARD, _NONE = 91_282, -1


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

    def __post_init__(self) -> None:
        for side, own in self.vertices.items():
            if own.size and not 0 <= own.min() <= own.max() < self.mesh_size:
                raise ValueError(f"vertices {side} are 0 to {self.mesh_size - 1}")
            if len(np.unique(own)) < len(own):
                raise ValueError(f"a vertex {side} is there twice")
        if self.voxels.size and not ((self.voxels >= 0) & (self.voxels < self.shape)).all():
            raise ValueError(f"voxels lie in a volume of {self.shape}")
        flat = np.ravel_multi_index(tuple(self.voxels.T), self.shape)
        if len(np.unique(flat)) < len(self.voxels):
            raise ValueError("a voxel is there twice")
        usable = np.shape(self.affine) == (4, 4) and bool(np.isfinite(self.affine).all())
        if not usable or abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise ValueError("the affine of the voxels is (4, 4) and can be inverted")
        ends = [0, *(part.stop for _, part in self.structures)]
        starts = [*(part.start for _, part in self.structures), self.number]
        if ends != starts or not self.number:
            raise ValueError("structures follow each other, and hold all places")
        sizes = {name: part.stop - part.start for name, part in self.structures}
        cortex = {
            name: len(self.vertices[side])
            for side, name in zip(SIDES, CORTEX, strict=True)
            if len(self.vertices[side])
        }
        if list(cortex.items()) != list(sizes.items())[: len(cortex)]:
            raise ValueError("vertices are of the cortex, the structures that come first")
        if unknown := [name for name in sizes if not _is_structure(name)]:
            raise ValueError(f"a structure is called {min(unknown)}, which CIFTI does not have")

    @classmethod
    def of_axis(cls, axis: Any) -> Grayordinates:
        """Take the places of nibabel's `BrainModelAxis`.

        Raises
        ------
        ValueError
            A surface is not the cortex on fsLR's mesh of 32,492 vertices a side, or surfaces do
            not come first, left before right.
        """
        structures = tuple(
            (str(name), slice(part.start or 0, len(axis) if part.stop is None else part.stop))
            for name, part, _ in axis.iter_structures()
        )
        of_mesh = np.asarray(axis.surface_mask)
        cortex = [name for name, part in structures if of_mesh[part.start]]
        mesh_size = len(read_template(SURFACE_SPACE).cortex["L"])
        if sizes := set(map(int, axis.nvertices.values())) - {mesh_size}:
            raise ValueError(f"it has a mesh of {sizes.pop()} vertices, fsLR's has {mesh_size}")
        first = of_mesh[: np.count_nonzero(of_mesh)].all()
        if cortex != [name for name in CORTEX if name in cortex] or not first:
            raise ValueError("its surfaces are not the left and the right cortex, first in order")
        if not of_mesh.all() and (axis.affine is None or axis.volume_shape is None):
            raise ValueError("it has voxels, and no volume that they lie in")
        spans = dict(structures)
        none = np.zeros(0, np.intp)
        return cls(
            vertices={
                side: np.asarray(axis.vertex[spans[name]], np.intp) if name in spans else none
                for side, name in zip(SIDES, CORTEX, strict=True)
            },
            mesh_size=mesh_size,
            voxels=np.asarray(axis.voxel[~of_mesh], np.intp),
            structures=structures,
            shape=(1, 1, 1) if of_mesh.all() else _sizes(axis.volume_shape),
            affine=np.eye(4) if of_mesh.all() else np.asarray(axis.affine, np.float64),
        )

    @property
    def number(self) -> int:
        """How many places there are."""
        return len(self.voxels) + self.cortical

    @property
    def cortical(self) -> int:
        """How many of them are vertices; they come first."""
        return sum(len(vertices) for vertices in self.vertices.values())

    @property
    def density(self) -> str:
        """What the label of den- means."""
        if self.number == _STANDARD:  # fMRIPrep's words
            return (
                "91,282 grayordinates corresponding to all of the grey matter sampled at a 2mm "
                "average vertex spacing on the surface and as 2mm voxels subcortically"
            )
        return (
            f"{self.cortical:,} vertices of fsLR's mesh of 32,492 a hemisphere, about 2 mm apart, "
            f"and {len(self.voxels):,} voxels"
        )

    @cached_property
    def voxel_points(self) -> NDArray[np.float64]:
        """(voxels, 3), their centres in MNI152NLin6Asym, RAS+ mm."""
        centres: NDArray[np.float64] = self.voxels @ self.affine[:3, :3].T + self.affine[:3, 3]
        return centres

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(places, 3), RAS+ mm: vertices where the shipped template's midthickness has them."""
        template = read_template(SURFACE_SPACE).points
        return np.concatenate(
            [*(template[side][self.vertices[side]] for side in SIDES), self.voxel_points]
        )

    @cached_property
    def spacing_mm(self) -> float:
        """Mean distance of neighbouring vertices; without any, the edge of a voxel."""
        if not self.cortical:
            return Grid(self.shape, self.affine).voxel_edge_mm
        pairs = self._edges()
        ends = self.points[pairs if len(pairs) else np.zeros((1, 2), np.intp)]
        return float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).mean()) or 2.0

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
        volume = {"affine": self.affine, "volume_shape": self.shape} if len(self.voxels) else {}
        present = [name for name, _ in self.structures if name in CORTEX]
        return _cifti.BrainModelAxis(
            names,
            voxel=voxel,
            vertex=vertex,
            nvertices=dict.fromkeys(present, self.mesh_size),
            **volume,
        )

    def _edges(self) -> Indices:
        """Return the pairs of vertices that an edge of a triangle joins, lower number first."""
        found, before, template = [], 0, read_template(SURFACE_SPACE)
        for side in SIDES:
            own = self.vertices[side]
            rank = np.full(self.mesh_size, _NONE, np.intp)
            rank[own] = before + np.arange(len(own))
            corners = rank[template.faces[side]]
            edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
            inside = np.sort(edges[(edges != _NONE).all(axis=1)], axis=1)
            found.append(np.unique(inside, axis=0))
            before += len(own)
        return np.concatenate(found)


def _is_structure(name: str) -> bool:
    """Return whether CIFTI has a structure of this name, as it is written in files."""
    axis: Any = nib.cifti2.cifti2_axes.BrainModelAxis
    try:
        return bool(axis.to_cifti_brain_structure_name(name) == name)
    except (ValueError, IndexError):
        return False


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


@dataclass(frozen=True, eq=False)
class CiftiHeader:
    """What is needed to read the values of a CIFTI file at grayordinates.

    As stored, the values of one place lie beside each other: (grayordinates, maps or frames).
    """

    path: Path  # the file
    first: Any  # nibabel's axis of maps or frames
    places: Grayordinates | ParcelPlaces  # of its rows
    dtype: np.dtype[np.generic]  # stored type, with its byte order
    slope: float  # value = stored * slope + inter
    inter: float
    offset: int  # byte at which the values start


def read_cifti_header(path: Path, expected: str) -> CiftiHeader:
    """Read the axes of a CIFTI file.

    Brain models that were read before are not parsed again: those of a study are the same, and
    91,282 take a second.

    Parameters
    ----------
    path
        The file.
    expected
        What it should be, for the error.

    Raises
    ------
    RunError
        Missing, damaged, cut, or not of maps or frames at grayordinates of fsLR's mesh.
    """
    require_file(path)
    try:
        with open_foreign(path) as file:
            start = file.read(_NIFTI_BYTES)
            nifti = _Nifti2Header(start)
            offset = int(nifti["vox_offset"])
            if not _NIFTI_BYTES < offset <= _LONGEST_XML:
                raise RunError(f"{path} has its values at byte {offset}", expected=expected)
            first, places = _axes(start + file.read(offset - len(start)), nifti.endianness)
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    except FAULTS as err:
        raise RunError(f"{path} cannot be read: {err}", expected=expected) from err
    if not isinstance(places, Grayordinates | ParcelPlaces):
        raise RunError(f"{path} has other axes: {_kind(first)}, {_kind(places)}", expected=expected)
    slope, inter = nifti.get_slope_inter()
    found = CiftiHeader(
        *(path, first, places, nifti.get_data_dtype()),
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        offset=offset,
    )
    wanted = offset + places.number * len(first) * found.dtype.itemsize
    if found.dtype.kind not in "iuf":
        raise RunError(f"{path} is of type {found.dtype}", expected="real numbers")
    if (size := path.stat().st_size) < wanted:
        raise RunError(
            f"{path} has {size} bytes of {wanted}",
            expected="the whole file",
            remedy="fetch or make it anew",
        )
    return found


def _axes(start: bytes, endianness: str) -> tuple[Any, Any]:
    """Return the axis of maps or frames, and the places; of other axes nibabel's."""
    position, xml = _NIFTI_BYTES + 4, b""
    while not xml:
        size, code = struct.unpack(endianness + "ii", start[position : position + 8])
        if code == EXTENSION:
            xml = start[position + 8 : position + size].rstrip(b"\0")
        if size < 8:
            raise ValueError("it has no axes")
        position += size
    parts = list(_INDICES.finditer(xml))
    if len(parts) != 2:
        raise ValueError(f"it has {len(parts)} axes, not 2")
    axes: list[Any] = [None, None]
    for part in parts:
        of = re.search(rb'AppliesToMatrixDimension="([01])"', part[0][:_TAG_BYTES])
        if of is None or axes[number := int(of[1])] is not None:
            raise ValueError("its axes are not those of rows and columns")
        # Nothing but this axis.
        alone = xml[: parts[0].start()] + part[0] + xml[parts[1].end() :]
        axes[number] = _places(alone) if number else axis_of_xml(alone, number)
    return axes[0], axes[1]


@lru_cache(maxsize=4)
def _places(xml: bytes) -> Any:
    axis = axis_of_xml(xml, 1)
    if isinstance(axis, _cifti.ParcelsAxis):
        return ParcelPlaces.of_axis(axis)
    return Grayordinates.of_axis(axis) if isinstance(axis, _cifti.BrainModelAxis) else axis


def read_cifti_maps(path: Path, expected: str) -> tuple[CiftiHeader, NDArray[np.float32]]:
    """Read the header and all values of a file, (maps, grayordinates).

    Raises
    ------
    RunError
        As `read_cifti_header`; also a file of more than 1 GiB.
    """
    header = read_cifti_header(path, expected)
    try:
        content = read_bytes(path, _MOST_BYTES)
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    shape = header.places.number, len(header.first)
    stored = np.frombuffer(content, header.dtype, shape[0] * shape[1], header.offset)
    with np.errstate(over="ignore"):
        values = stored.reshape(shape).T * header.slope + header.inter
        return header, values.astype(np.float32)


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
    parts = [volume, *models] if len(grayordinates.voxels) else models
    matrix.append(_cifti.Cifti2MatrixIndicesMap((1,), "CIFTI_INDEX_TYPE_BRAIN_MODELS", maps=parts))
    return cifti_head(matrix, (len(names), grayordinates.number), _INTENT)


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


def _sizes(shape: Sequence[int]) -> tuple[int, int, int]:
    i, j, k = map(int, shape)
    return i, j, k


def _kind(axis: Any) -> str:
    return f"{type(axis).__name__} of {len(axis)}"
