"""CIFTI-2: the standard 91,282 grayordinates, and parcels as places; series in and maps out.

Files of maps are written as Workbench writes them.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import EmptyMapError, ForeignFileError, RunError
from bids_dtg.files.foreign import reading
from bids_dtg.imaging.header import HeaderTime, require_file
from bids_dtg.imaging.nifti import Intent
from bids_dtg.imaging.places import Indices, ListedPlaces
from bids_dtg.imaging.surfaces.meshes import SIDES, Hemisphere, read_arrays, read_template
from bids_dtg.inputs.selection import PARCELS

# nibabel has no types.
_cifti: Any = nib.cifti2
_Nifti2Header: Any = nib.Nifti2Header
# Structures of the cortex, in the order of `SIDES`.
CORTEX = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")
_DENSE = "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS"
_PARCELS = "NIFTI_INTENT_CONNECTIVITY_PARCELLATED_SCALAR"
_EXTENSION = 32  # of a NIfTI file: its axes are in CIFTI-2's XML
_NONE = -1
# A parcel with its side, as atlases and programs spell it.
_SIDED = re.compile(r"(?i:(l|left|lh|r|right|rh))[_-](.+?)(?:_ROI)?")
# Versions of one atlas have parcels of the same names that overlap by more, others by less.
_LEAST_SHARED = 0.5
_EXPECTED = "a file of parcels (.ptseries.nii, .pscalar.nii)"


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
    return _head(tuple(names)) + np.asarray(values, "<f4").T.tobytes()  # rows are the fastest axis


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
    return _cifti_head(matrix, (len(names), places.number), _DENSE)


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


@dataclass(frozen=True, eq=False)
class ParcelPlaces(ListedPlaces):
    """Parcels of fsLR's mesh of 32,492 vertices a side, and of voxels."""

    axis: Any = None  # nibabel's `ParcelsAxis`

    @classmethod
    def of_axis(cls, axis: Any) -> ParcelPlaces:
        """Take the parcels of nibabel's `ParcelsAxis`.

        Raises
        ------
        ValueError
            A name is there twice, or a surface is not the cortex on fsLR's mesh.
        """
        mesh_size = len(read_template("fsLR").cortex["L"])
        if unknown := set(axis.nvertices) - set(CORTEX):
            raise ValueError(f"it has parcels of {min(unknown)}, which is not the cortex")
        if sizes := set(map(int, axis.nvertices.values())) - {mesh_size}:
            raise ValueError(f"it has a mesh of {sizes.pop()} vertices, fsLR's has {mesh_size}")
        return cls(tuple(map(str, axis.name)), axis=axis)

    @classmethod
    def of_xml(cls, xml: bytes) -> ParcelPlaces:
        """Take the parcels from the columns of a file's axes, in CIFTI's XML.

        Raises
        ------
        ValueError
            They are no parcels, or as `of_axis`.
        """
        parser = _cifti.parse_cifti2.Cifti2Parser()
        parser.parse(string=xml)
        axis = parser.header.get_axis(1)
        if not isinstance(axis, _cifti.ParcelsAxis):
            raise ValueError(f"it has a {type(axis).__name__}, not parcels")
        return cls.of_axis(axis)

    def to_xml(self) -> bytes:
        """Return CIFTI's XML of a map of the parcels, for `of_xml`."""
        matrix = _cifti.Cifti2Matrix()
        matrix.append(_cifti.ScalarAxis(["map"]).to_mapping(0))
        matrix.append(self.axis.to_mapping(1))
        xml: bytes = _cifti.Cifti2Header(matrix).to_xml()
        return xml

    @property
    def space(self) -> str:
        """What they are called where a space is asked for."""
        return PARCELS

    @property
    def entities(self) -> dict[str, str | None]:
        """BIDS entities of a file of maps."""
        return {"space": "fsLR"}

    @property
    def extension(self) -> str:
        """What the name of a file of maps ends with."""
        return ".pscalar.nii"

    @property
    def density(self) -> str:
        """What the places are, in words."""
        return f"{self.number:,} parcels of fsLR's mesh (32,492 vertices a hemisphere) and voxels"

    @property
    def metadata(self) -> dict[str, Any]:
        """What goes into the sidecars of maps at the places."""
        return {"Density": self.density}

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(parcels, 3), RAS+ mm: means of their vertices on the template, and of their voxels."""
        template, affine = read_template("fsLR").points, self.axis.affine
        found = np.zeros((self.number, 3))
        for row, (of_sides, voxels) in enumerate(
            zip(self.axis.vertices, self.axis.voxels, strict=True)
        ):
            parts = [
                template[SIDES[CORTEX.index(name)]][np.asarray(own, np.intp)]
                for name, own in of_sides.items()
            ]
            if len(voxels):
                parts.append(np.asarray(voxels) @ affine[:3, :3].T + affine[:3, 3])
            found[row] = np.concatenate(parts).mean(axis=0) if parts else np.nan
        return found

    @cached_property
    def spacing_mm(self) -> float:
        """Median distance of a parcel to the next."""
        far = np.linalg.norm(self.points[:, None] - self.points[None], axis=2)
        np.fill_diagonal(far, np.inf)
        nearest = far.min(axis=1)
        nearest = nearest[np.isfinite(nearest)]
        return float(np.median(nearest)) if len(nearest) else 1.0

    def rows_in(self, other: ListedPlaces) -> tuple[Indices, int]:
        """Find each parcel in a file, by name.

        Returns
        -------
        rows
            (parcels,), position in the file; -1: none.
        others
            How many of them have other vertices or voxels there.

        Raises
        ------
        ValueError
            Parcels of the same names are elsewhere.
        """
        position = {parcel_name(name): number for number, name in enumerate(other.names)}
        rows = np.array([position.get(parcel_name(name), _NONE) for name in self.names], np.intp)
        found = np.flatnonzero(rows != _NONE)
        if not isinstance(other, ParcelPlaces) or not len(found):  # of names alone nothing is known
            return rows, 0
        numbers = [(int(own), int(rows[own])) for own in found]
        pairs = [(_held(self.axis, own), _held(other.axis, row)) for own, row in numbers]
        shared = np.array([len(one & two) / max(1, len(one | two)) for one, two in pairs])
        if np.median(shared) < _LEAST_SHARED:
            worst = self.names[int(found[shared.argmin()])]
            raise ValueError(f"its parcel {worst} has other vertices or voxels than the model's")
        return rows, int(np.count_nonzero(shared < 1))

    def encode_maps(self, values: NDArray[np.floating[Any]], names: Sequence[str]) -> bytes:
        """Make a .pscalar.nii file of maps (maps, parcels), by their names."""
        if values.shape != (len(names), self.number):
            raise ValueError(f"{len(names)} names, {self.number} parcels and values {values.shape}")
        matrix = _cifti.Cifti2Matrix()
        matrix.append(_cifti.ScalarAxis(list(names)).to_mapping(0))
        matrix.append(self.axis.to_mapping(1))
        head = _cifti_head(matrix, (len(names), self.number), _PARCELS)
        return head + np.asarray(values, "<f4").T.tobytes()

    def encode(
        self, values: NDArray[np.floating[Any]], *, intent: Intent = "none", description: str = ""
    ) -> bytes:
        """Make a .pscalar.nii file; its `description` names the maps, an `intent` is not kept."""
        rows = np.atleast_2d(values)
        return self.encode_maps(rows, [description] * len(rows))

    def read(self, path: Path) -> NDArray[np.float32]:
        """Read a map of parcels, (parcels,); NaN where it has no value, which 0 is, too."""
        other, _, maps = read_parcel_maps(path)
        if len(maps) != 1:
            raise RunError(f"{path} has {len(maps)} maps", expected="one map a file")
        try:
            rows, _ = self.rows_in(other)
        except ValueError as err:
            raise RunError(f"{path}: {err}", expected="maps of the model's parcels") from err
        values = np.where(rows == _NONE, np.float32(np.nan), maps[0][rows])
        known = ~np.isnan(values) & (values != 0)
        if not known.any():
            raise EmptyMapError(f"{path} has no value at the model's parcels")
        return np.where(known, values, np.float32(np.nan))


def _held(axis: Any, number: int) -> set[tuple[Any, ...]]:
    """Return a parcel's vertices and voxels."""
    sides = axis.vertices[number].items()
    vertices = {(side, vertex) for side, own in sides for vertex in np.asarray(own).tolist()}
    return vertices | set(map(tuple, np.asarray(axis.voxels[number]).tolist()))


def parcel_name(name: str) -> str:
    """Return a parcel's name in one of its spellings; names without a side stay as they are.

    Examples
    --------
    >>> [parcel_name(name) for name in ("L_V1_ROI", "Left_V1", "lh_V1", "R_5m", "AMYGDALA")]
    ['L_V1', 'L_V1', 'L_V1', 'R_5m', 'AMYGDALA']
    """
    found = _SIDED.fullmatch(name)
    return f"{found[1][0].upper()}_{found[2]}" if found else name


@dataclass(frozen=True, eq=False)
class SeriesHeader:
    """The header of a run's series of parcels."""

    path: Path  # the file
    places: ParcelPlaces  # in its order
    frames: int  # in time
    time: HeaderTime  # between frames

    @property
    def voxel_mm(self) -> float:
        """NaN: parcels have no voxels of one size."""
        return float("nan")


def read_series_header(path: Path) -> SeriesHeader:
    """Read the header of a .ptseries.nii file, and check that it describes a run.

    Raises
    ------
    RunError
        Missing, damaged, of other places than parcels of fsLR's mesh, or fewer than two frames.
    """
    axis, places, _ = _read(path)
    if not isinstance(axis, _cifti.SeriesAxis) or len(axis) < 2:
        raise RunError(
            f"{path} has a {type(axis).__name__} of {len(axis)}",
            expected="a run of at least two frames (.ptseries.nii)",
        )
    time = HeaderTime(float(axis.step), "s" if axis.unit == "SECOND" else "Hz")
    return SeriesHeader(path, places, len(axis), time)


def stream_series(
    header: SeriesHeader, rows: Indices, frames_per_block: int = 64
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Read a run's frames at the wanted parcels: the first one's index, and (frames, parcels).

    Parameters
    ----------
    header
        Header of the file.
    rows
        (places,), position of each wanted parcel in the file.
    frames_per_block
        At most; the consumer may change a block.

    Raises
    ------
    RunError
        The file ends early, or cannot be read.
    """
    _, _, values = _read(header.path, values=True)
    for first in range(0, len(values), frames_per_block):
        yield first, np.ascontiguousarray(values[first : first + frames_per_block, rows])


def read_parcel_maps(path: Path) -> tuple[ParcelPlaces, tuple[str, ...], NDArray[np.float32]]:
    """Read a file of maps: the parcels, names of the maps, and (maps, parcels).

    Raises
    ------
    RunError
        Missing, damaged, or no such file.
    """
    axis, places, values = _read(path, values=True)
    return places, tuple(map(str, getattr(axis, "name", ()))), values


def _read(path: Path, *, values: bool = False) -> tuple[Any, ParcelPlaces, NDArray[np.float32]]:
    """Return nibabel's axis of maps or frames, the parcels, and values where they are wanted."""
    require_file(path)
    try:
        with reading(path):
            image: Any = _cifti.Cifti2Image.from_filename(path)
            axis, parcels = (image.header.get_axis(number) for number in range(2))
            if not isinstance(parcels, _cifti.ParcelsAxis):
                raise RunError(f"{path} has a {type(parcels).__name__}, not parcels")
            held = image.dataobj if values else np.zeros((0, len(parcels)))
            with np.errstate(over="ignore"):
                return axis, ParcelPlaces.of_axis(parcels), np.asarray(held, np.float32)
    except ForeignFileError as err:
        raise err.as_kind(RunError, expected=_EXPECTED) from err


def _cifti_head(matrix: Any, shape: tuple[int, int], intent: str) -> bytes:
    """Return the bytes before the values: the header, and the axes as XML.

    Parameters
    ----------
    matrix
        nibabel's `Cifti2Matrix` with the mappings of both axes.
    shape
        Of the values: rows and columns.
    intent
        Of the file, as NIfTI names it: nibabel writes that of an unknown kind, by which other
        programs do not know such a file.
    """
    header = _Nifti2Header(endianness="<")
    header.set_data_dtype("<f4")
    header.set_data_shape((1, 1, 1, 1, *shape))
    header.set_intent(intent)
    # An element a line, as Workbench writes them: NiiVue reads nothing else.
    xml = _cifti.Cifti2Header(matrix).to_xml().replace(b"><", b">\n<")
    header.extensions.append(nib.nifti1.Nifti1Extension(_EXTENSION, xml))
    stream = BytesIO()
    header.write_to(stream)
    return stream.getvalue().ljust(int(header["vox_offset"]), b"\0")
