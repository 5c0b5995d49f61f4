"""A run's time series at a model's parcels, from CIFTI, XCP-D's tables, or fsaverage's meshes."""

from __future__ import annotations

import filecmp
import math
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from nibabel import cifti2

from bids_dtg.array_types import Float32, Indices
from bids_dtg.errors import RunError
from bids_dtg.files.foreign import reading
from bids_dtg.files.regions import read_series
from bids_dtg.imaging.nifti import reading_image, require_end
from bids_dtg.imaging.surfaces.cifti import (
    CORTEX,
    ParcelPlaces,
    read_cifti,
    require_mesh,
)
from bids_dtg.imaging.surfaces.meshes import (
    EXTERNAL,
    IN_ANOTHER_FILE,
    SIDES,
    both_sides,
    read_gifti,
)
from bids_dtg.imaging.surfaces.vertices import (
    ParcelVertices,
    parcels_of_vertices,
    parcels_on_fsaverage,
    require_cortex,
    vertex_counts,
)
from bids_dtg.inputs.cortex import homotopic_pairs
from bids_dtg.inputs.run import GIFTI_SERIES, other_side

# Number of vertices of a hemisphere of fsaverage5, fsaverage6 and fsaverage.
_MESHES = (10242, 40962, 163842)
_GIFTI_FILE = "a GIFTI file of a series on a mesh"
_GIFTI_START = 2**16  # number of bytes in which the first array's sizes are stated
_ARRAYS = re.compile(rb'NumberOfDataArrays="(\d+)"')
_FIRST_ARRAY = re.compile(rb"<DataArray\b[^>]*>", re.DOTALL)
_SIZE = re.compile(rb'Dim(\d)="(\d+)"')
_ENCODING = re.compile(rb'Encoding="(\w+)"')
DENSE = ".dtseries.nii"
TABLE = ".tsv"
_FRAMES = 64  # number of frames in a block
_FEWEST_PAIRS = 5  # of homotopic places, to tell whether hemispheres are equal


@dataclass(frozen=True, eq=False)
class SeriesHeader:
    """The header of a run's file of parcels or grayordinates, without its values."""

    voxel_mm: ClassVar[float] = np.nan  # parcels have no voxel size

    path: Path  # the file
    frames: int  # number of frames
    time: tuple[float, str | None]  # time between frames, and its unit; 0 if not stated
    places: ParcelPlaces | None  # parcels in the file's order; None for grayordinates
    axis: Any = None  # nibabel's `BrainModelAxis` of grayordinates
    # Number of vertices of a hemisphere of one of fsaverage's meshes; `path` is the left one's.
    vertices: int | None = None

    def weights_of(self, parcels: ParcelPlaces) -> tuple[Any, int]:
        """Return the weights by which each parcel's series is a mean of the file's columns.

        Returns
        -------
        weights
            Sparse (parcels, columns), with rows of sum 1, or of 0 if the file lacks the parcel.
        differing
            Number of parcels that have different vertices or voxels in the file.

        Raises
        ------
        ValueError
            Parcels with the same names are at other positions.
        """
        from scipy.sparse import csr_array

        vertices = self.vertices_of(parcels)
        if vertices is not None:
            weights, _ = vertices.means(np.ones(len(vertices.parcel), bool))
            return weights, 0
        assert self.places is not None  # of a file of parcels
        rows, differing = parcels.rows_in(self.places)
        present = rows >= 0
        starts = np.cumsum([0, *present])
        matrix = (np.ones(starts[-1], np.float32), rows[present], starts)
        shape = (parcels.number, self.places.number)
        return csr_array(matrix, shape=shape), differing

    def vertices_of(self, parcels: ParcelPlaces) -> ParcelVertices | None:
        """Return the parcel of each of the file's vertices; None for a file of parcels.

        Columns of grayordinates below the cortex are vertices in no parcel.
        """
        if self.vertices is not None:
            require_cortex(parcels)
            parcel = parcels_on_fsaverage(parcels, self.vertices)
            return ParcelVertices(parcel, vertex_counts(parcel, parcels))
        if self.axis is None:
            return None
        parcel = np.full(len(self.axis), -1, np.intp)
        parcels_by_side = parcels_of_vertices(parcels)
        for side, structure in zip(SIDES, CORTEX, strict=True):
            columns = self.axis.name == structure
            parcel[columns] = parcels_by_side[side][self.axis.vertex[columns]]
        sizes = vertex_counts(both_sides(parcels_by_side), parcels)
        return ParcelVertices(parcel, sizes)


def read_series_header(path: Path) -> SeriesHeader:
    """Read the header of a series of parcels or grayordinates, and check that it describes a run.

    Raises
    ------
    RunError
        It is missing or damaged, is not on the fsLR mesh, or has fewer than two frames.
    """
    if path.name.endswith(GIFTI_SERIES):
        header = _read_gifti_header(path)
        frames = header.frames
    elif path.name.endswith(TABLE):
        with reading(path, RunError):
            series = read_series(path)
        frames = series.values.shape[1]
        header = SeriesHeader(path, frames, (0.0, None), ParcelPlaces(series.names))
    else:
        with reading_image(
            path, as_what=" as a series of parcels or grayordinates (CIFTI)"
        ):
            time, axis, values = read_cifti(path)
            size = math.prod(values.shape) * values.dtype.itemsize
            with path.open("rb") as file:
                file.seek(values.offset + size)
                require_end(file, path, values.shape)
            if not isinstance(time, cifti2.SeriesAxis):
                raise ValueError(f"it has a {type(time).__name__}, not frames")
            require_mesh(path, axis)
            frames = len(time)
            step = (float(time.step), "s" if time.unit == "SECOND" else "Hz")
            if not path.name.endswith(DENSE):
                header = SeriesHeader(path, frames, step, ParcelPlaces.of_axis(axis))
            elif isinstance(axis, cifti2.BrainModelAxis):
                header = SeriesHeader(path, frames, step, None, axis)
            else:
                raise ValueError(f"it has a {type(axis).__name__}, not grayordinates")
    if frames < 2:
        raise RunError(f"{path} has {frames} frames", expected="two frames or more")
    return header


def stream_series(
    header: SeriesHeader, weights: Any
) -> Generator[tuple[int, Float32], None, None]:
    """Read the frames of a file of parcels; yield the first frame's index and the block.

    Parameters
    ----------
    header
        Header of a file of parcels, as `frames_at_vertices` reads others.
    weights
        From `SeriesHeader.weights_of`.

    Raises
    ------
    RunError
        The file ends early, or cannot be read.
    """
    values = _frames(header, slice(None))
    series = np.ascontiguousarray((weights @ values.T).T, np.float32)
    yield from series_blocks(series)


def series_blocks(series: Float32) -> Generator[tuple[int, Float32], None, None]:
    """Yield series (frames, parcels) as blocks: the first frame's index, and a copy of some."""
    for first in range(0, len(series), _FRAMES):
        yield first, series[first : first + _FRAMES].copy()


def _read_gifti_header(path: Path) -> SeriesHeader:
    """Read the first lines of a hemisphere's series on a mesh, as files are large."""
    with reading_image(path, expected=_GIFTI_FILE), path.open("rb") as file:
        start = file.read(_GIFTI_START)
        frames = _ARRAYS.search(start)
        array = _FIRST_ARRAY.search(start)
        if frames is None or array is None:
            raise ValueError("its first lines are not those of GIFTI")
        encoding = _ENCODING.search(array[0])
        if encoding and encoding[1].decode() in EXTERNAL:
            raise ValueError(IN_ANOTHER_FILE)
        sizes = dict(_SIZE.findall(array[0]))
        vertices = int(sizes.get(b"0", 0))
    if vertices not in _MESHES or int(sizes.get(b"1", 1)) != 1:
        raise RunError(
            f"{path} has arrays of {' x '.join(size.decode() for size in sizes.values())} values",
            expected=f"an array per frame, of {', '.join(map(str, _MESHES))} vertices",
        )
    return SeriesHeader(path, int(frames[1]), (0.0, None), None, vertices=vertices)


def frames_at_vertices(
    header: SeriesHeader,
) -> Generator[tuple[slice, Any], None, None]:
    """Read a run's frames at the vertices of grayordinates, or of each hemisphere of fsaverage.

    Yields
    ------
    Which of the vertices they are, and the frames, each of (vertices,).

    Raises
    ------
    RunError
        A file ends early or cannot be read, or the hemispheres differ in mesh or length.
    """
    if header.vertices is None:
        yield slice(None), _frames(header, slice(None))
        return
    right = other_side(header.path)
    assert right is not None
    for number, path in enumerate((header.path, right)):
        # nibabel's `agg_data` turns series round.
        frames = [array.data for array in read_gifti(path).darrays]
        if {np.shape(frame) for frame in frames} != {(header.vertices,)}:
            raise RunError(
                f"{path} has arrays of other sizes than {header.vertices:,}",
                expected="one value a vertex, of the same mesh in both hemispheres",
            )
        if len(frames) != header.frames:
            raise RunError(
                f"{path} has {len(frames)} frames", expected=f"{header.frames}"
            )
        first = number * header.vertices
        yield slice(first, first + header.vertices), frames


def read_frame(header: SeriesHeader, frame: int) -> Float32:
    """Read one frame of parcels or grayordinates, (places of the file,)."""
    values = _frames(header, slice(frame, frame + 1))
    return values[0]


def has_equal_sides(header: SeriesHeader, frame: int) -> bool:
    """Return whether the right hemisphere has the left's values in a frame, so one is a copy.

    Homotopic parcels are compared by name, vertices of grayordinates by number, and of fsaverage's
    meshes the files.
    """
    right_path = other_side(header.path)
    if right_path is not None:
        with reading(header.path, RunError):
            return filecmp.cmp(header.path, right_path, shallow=False)
    values = read_frame(header, frame)
    if header.places is not None:
        pairs = np.array(homotopic_pairs(header.places.names), np.intp).reshape(-1, 2)
    else:
        pairs = _columns_of_common_vertices(header.axis)
    values_of_pairs = values[pairs]
    is_finite = np.isfinite(values_of_pairs).all(axis=1)
    lefts, rights = values_of_pairs[is_finite].T
    if len(lefts) < _FEWEST_PAIRS or np.ptp(lefts) == 0:
        return False
    return np.array_equal(lefts, rights)


def _columns_of_common_vertices(axis: Any) -> Indices:
    """Return the columns (vertices, 2) of those vertices that both hemispheres have."""
    lefts, rights = (np.flatnonzero(axis.name == structure) for structure in CORTEX)
    _, left_rows, right_rows = np.intersect1d(
        axis.vertex[lefts], axis.vertex[rights], return_indices=True
    )
    return np.stack([lefts[left_rows], rights[right_rows]], axis=1)


def _frames(header: SeriesHeader, which: slice) -> Float32:
    """Return the values of some frames, (frames, places of the file)."""
    if header.path.name.endswith(TABLE):
        with reading(header.path, RunError):
            return np.asarray(read_series(header.path).values.T[which], np.float32)
    with reading_image(header.path), np.errstate(over="ignore"):
        _, _, values = read_cifti(header.path)
        return np.asarray(values[which], np.float32)
