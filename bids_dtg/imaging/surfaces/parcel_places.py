"""Parcels of CIFTI as places, and files of their series (.ptseries.nii) and maps (.pscalar.nii)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import EmptyMapError, ForeignFileError, RunError
from bids_dtg.files.foreign import reading
from bids_dtg.imaging.header import HeaderTime, require_file
from bids_dtg.imaging.nifti import Intent
from bids_dtg.imaging.places import Indices, ListedPlaces
from bids_dtg.imaging.surfaces.cifti import CORTEX, cifti_head, cifti_values
from bids_dtg.imaging.surfaces.templates import SIDES, read_template
from bids_dtg.inputs.selection import PARCELS

_cifti: Any = nib.cifti2  # nibabel has no types
_SCALARS = "NIFTI_INTENT_CONNECTIVITY_PARCELLATED_SCALAR"
_NONE = -1
_EXPECTED = "a file of parcels (.ptseries.nii, .pscalar.nii)"


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
            A name is there twice, a surface is not the cortex on fsLR's mesh, or a vertex or a
            voxel lies outside.
        """
        mesh_size = len(read_template("fsLR").cortex["L"])
        if unknown := set(axis.nvertices) - set(CORTEX):
            raise ValueError(f"it has parcels of {min(unknown)}, which is not the cortex")
        if sizes := set(map(int, axis.nvertices.values())) - {mesh_size}:
            raise ValueError(f"it has a mesh of {sizes.pop()} vertices, fsLR's has {mesh_size}")
        for of_sides, voxels in zip(axis.vertices, axis.voxels, strict=True):
            for own in of_sides.values():
                if len(own) and not 0 <= np.min(own) <= np.max(own) < mesh_size:
                    raise ValueError(f"vertices are 0 to {mesh_size - 1}")
            inside = len(voxels) == 0 or (
                axis.volume_shape is not None
                and ((np.asarray(voxels) >= 0) & (voxels < np.array(axis.volume_shape))).all()
            )
            if not inside:
                raise ValueError("a voxel of a parcel lies outside the volume")
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

    def rows_in(self, other: ListedPlaces) -> Indices:
        """Return the position of each parcel in a file's, by name, (parcels,); -1: none.

        Raises
        ------
        ValueError
            A parcel has other vertices or voxels than the one of that name.
        """
        position = {name: number for number, name in enumerate(other.names)}
        rows = np.array([position.get(name, _NONE) for name in self.names], np.intp)
        if isinstance(other, ParcelPlaces):
            for own, row in enumerate(rows.tolist()):
                if row != _NONE and not _same(self.axis, own, other.axis, row):
                    raise ValueError(
                        f"its parcel {self.names[own]} has other vertices or voxels than the "
                        "model's"
                    )
        return rows

    def encode_maps(self, values: NDArray[np.floating[Any]], names: Sequence[str]) -> bytes:
        """Make a .pscalar.nii file of maps (maps, parcels), by their names."""
        return encode_scalars(values, _cifti.ScalarAxis(list(names)), self.axis, _SCALARS)

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
            rows = self.rows_in(other)
        except ValueError as err:
            raise RunError(f"{path}: {err}", expected="maps of the model's parcels") from err
        values = np.where(rows == _NONE, np.float32(np.nan), maps[0][rows])
        known = ~np.isnan(values) & (values != 0)
        if not known.any():
            raise EmptyMapError(f"{path} has no value at the model's parcels")
        return np.where(known, values, np.float32(np.nan))


def _same(axis: Any, number: int, other: Any, row: int) -> bool:
    """Return whether two parcels have the same vertices and voxels, in any order."""

    def held(axis: Any, number: int) -> tuple[Any, ...]:
        sides = {
            name: sorted(np.asarray(vertices).tolist())
            for name, vertices in axis.vertices[number].items()
            if len(vertices)
        }
        return sides, sorted(map(tuple, np.asarray(axis.voxels[number]).tolist()))

    return held(axis, number) == held(other, row)


@dataclass(frozen=True, eq=False)
class SeriesHeader:
    """The header of a run's series of parcels."""

    path: Path  # the file
    places: ParcelPlaces  # in its order
    frames: int  # in time
    time: HeaderTime  # between frames

    @property
    def voxel_mm(self) -> float:
        """Distance between neighbouring places."""
        return self.places.spacing_mm


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


def encode_scalars(
    values: NDArray[np.floating[Any]], rows: Any, columns: Any, intent: str
) -> bytes:
    """Make a CIFTI file of values (rows, columns) by nibabel's axes, stored as float32."""
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"{len(rows)} rows and {len(columns)} parcels, but values {values.shape}")
    matrix = _cifti.Cifti2Matrix()
    matrix.append(rows.to_mapping(0))
    matrix.append(columns.to_mapping(1))
    return cifti_head(matrix, (len(rows), len(columns)), intent) + cifti_values(values)
