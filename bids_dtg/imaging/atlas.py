"""An atlas: labels at a model's voxels or a surface's vertices, and means over its parcels."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float64, Floats, Indices, Integers
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.imaging.grid import Affine, Stored, apply_affine
from bids_dtg.imaging.nifti import read_single
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import both_sides
from bids_dtg.imaging.surfaces.vertices import parcels_of_vertices, vertex_counts
from bids_dtg.imaging.transforms import map_points, read_transforms
from bids_dtg.inputs.atlases import LABELS, AtlasFile, atlas_key, find_atlas_files
from bids_dtg.inputs.run import SURFACE
from bids_dtg.inputs.templateflow import TemplateFlow

# An image with more labels is not an atlas; the finest atlases in use have about 1,000.
_MOST_PARCELS = 10_000
_LARGEST = np.iinfo(np.int32).max  # largest label
# Margin in voxels around the model's grid (64 mm at 2 mm), and around the labels of an image in
# another space, within which a parcel's voxels are counted.
_MARGIN = 32
_WARPED = 10
# Fraction of a parcel that must have values, or else its mean or series is n/a.
MIN_COVERAGE = 0.5


@dataclass(frozen=True, eq=False)
class Atlas:
    """Parcels at a list of voxels, or of vertices: fsLR's, those of the left side first.

    Examples
    --------
    >>> import numpy as np
    >>> atlas = Atlas(
    ...     entities={"atlas": "Schaefer2018", "seg": "7n", "scale": "400"},
    ...     labels=np.array([1, 1, 2, 0]),
    ...     parcels={1: "Vis_1", 2: "Vis_2"},
    ...     voxels=np.array([2, 4]),
    ... )
    >>> atlas.key, atlas.columns
    ('Schaefer2018_seg-7n_scale-400', array([0, 0, 1, 2]))
    """

    # Atlas first, then seg and scale if it has several parcellations.
    entities: Mapping[str, str]
    labels: NDArray[np.int64]  # (places,), 0 outside every parcel
    # Label -> name, all parcels of the image, in order of labels.
    parcels: Mapping[int, str]
    # (parcels,), number of vertices, or of grid voxels inside or outside the model's mask
    voxels: NDArray[np.int64]
    file: AtlasFile | None = None  # its source; None if made from arrays
    surface: ParcelPlaces | None = None  # its parcels of vertices; None: of voxels

    @property
    def key(self) -> str:
        """Key in names of its files, and of the intervals of its parcels' means."""
        return atlas_key(self.entities)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the parcels' indices and of the labels at voxels, as little-endian int64.

        If it is equal, two atlases of the same name have the same parcels at the same voxels.
        """
        indices = np.array([len(self.parcels), *self.parcels], "<i8")
        content = indices.tobytes() + self.labels.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()

    @cached_property
    def identity(self) -> str:
        """SHA-256 of everything that its files depend on: labels, sizes and names of parcels."""
        names = list(self.parcels.values())
        content = json.dumps([self.digest, self.voxels.tolist(), names])
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def columns(self) -> Indices:
        """(places,), position of each voxel's parcel in `parcels`; their number if it has none."""
        return _columns(self.labels, self.parcels)


def find_atlas(
    name_or_file: str | Path,
    places: VoxelPlaces,
    *,
    templateflow: TemplateFlow | None = None,
    datasets: Sequence[Path] = (),
) -> Atlas:
    """Find an atlas by its name or file, and read it at the centres of voxels.

    Parameters
    ----------
    name_or_file
        A name such as ``"Schaefer400"`` or ``"HCP"``, or the path of a label image, as for
        `bids_dtg.inputs.atlases.find_atlas_files`.
    places
        Voxels of the model: grid and mask.
    templateflow
        Folder that is searched for further atlases and transforms; None for this machine's.
    datasets
        BIDS datasets of atlases.

    Raises
    ------
    SettingsError
        There is no such atlas, it is in another space, or the image is not an atlas.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.grid import Grid
    >>> affine = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    >>> grid = Grid((91, 109, 91), affine)
    >>> atlas = find_atlas("HCP", VoxelPlaces.within(grid, np.ones(grid.shape, bool)))
    >>> len(atlas.parcels), atlas.parcels[16], int(atlas.voxels.sum())
    (19, 'BRAIN_STEM', 31870)
    """
    (atlas,) = choose_atlases(
        [name_or_file],
        places,
        templateflow=templateflow or TemplateFlow.here(),
        datasets=datasets,
    )
    return atlas


def choose_atlases(
    names_or_files: Sequence[str | Path],
    places: VoxelPlaces,
    *,
    templateflow: TemplateFlow,
    datasets: Sequence[Path] = (),
) -> tuple[Atlas, ...]:
    """Read several atlases, given by names and files, at the model's voxels; see `find_atlas`.

    Parcels of the cortex's surface are read at fsLR's vertices instead.

    Raises
    ------
    SettingsError
        An atlas cannot be found or used.
    """
    files = find_atlas_files(names_or_files, places.grid.space, templateflow, datasets)
    return tuple(_read_atlas(file, places) for file in files)


def _read_atlas(file: AtlasFile, places: VoxelPlaces) -> Atlas:
    """Read a label image at the centres of voxels, by nearest neighbour.

    If the image is in another space, voxels are first mapped there by its transforms.
    """
    if file.space == SURFACE:
        return _surface_atlas(file)
    try:
        volume, affine = read_single(file.image)
        transforms = read_transforms(file.transforms)
    except RunError as err:
        raise err.as_kind(SettingsError, "--atlases: ") from err
    parcels = _parcels(volume, file)
    stored = volume.ravel(order="F")

    def labels_at(index: Indices) -> NDArray[np.int64]:
        """Return the labels (n,) at voxel indices (n, 3) of the grid; 0 outside the image."""
        points = map_points(apply_affine(places.grid.affine, index), transforms)
        nearest = LatticeSampling.nearest(volume.shape, affine, points)
        labels = np.where(nearest.covered, stored[nearest.source], 0)
        return labels.astype(np.int64)

    labels = labels_at(places.index)
    if not labels.any():
        raise SettingsError(
            f"--atlases {file.image} has no label in the model's grey matter",
            expected=f"a label image in {places.grid.space}",
        )
    # Count the voxels in each parcel on the grid extended beyond its borders.
    counts = np.zeros(len(parcels) + 1, np.int64)
    steps = np.linalg.inv(places.grid.affine) @ affine
    first, last = _lattice_box(
        volume, steps, places.grid.shape, warped=bool(transforms)
    )
    _, count_j, count_k = last - first + 1
    # One sheet after another along i; (voxels of the sheet, 3), indices of the grid.
    sheet = np.indices((1, count_j, count_k)).reshape(3, -1).T + first
    for _ in range(first[0], last[0] + 1):
        columns = _columns(labels_at(sheet), parcels)
        counts += np.bincount(columns, minlength=len(counts))
        sheet[:, 0] += 1
    return Atlas(file.entities, labels, parcels, counts[:-1], file)


def _surface_atlas(file: AtlasFile) -> Atlas:
    """Read parcels of the cortex at fsLR's vertices."""
    try:
        if file.image.name.endswith(LABELS):
            places, indices = ParcelPlaces.of_labels(file.image)
        else:
            places = ParcelPlaces.of_xml(file.image.read_bytes())
            indices = tuple(range(1, places.number + 1))
        parcel = both_sides(parcels_of_vertices(places))
    except RunError as err:
        raise err.as_kind(SettingsError, "--atlases: ") from err
    label_of_parcel = np.array([*indices, 0])  # the last one for -1, no parcel
    return Atlas(
        entities=file.entities,
        labels=label_of_parcel[parcel],
        parcels=dict(zip(indices, places.names, strict=True)),
        voxels=vertex_counts(parcel, places),
        file=file,
        surface=places,
    )


def _parcels(volume: Stored, file: AtlasFile) -> dict[int, str]:
    """Return the labels of an image without the background, with names from its table."""
    # Slice by slice, as all at once would take ten times as much memory.
    values = np.unique(np.concatenate([np.unique(sheet) for sheet in volume.T]))
    numbers = values.astype(np.float64)
    are_whole = (numbers >= 0) & (numbers <= _LARGEST) & (numbers == np.rint(numbers))
    if not are_whole.all() or len(values) > _MOST_PARCELS:
        raise SettingsError(
            f"--atlases {file.image} is not a label image",
            expected=f"integers of 0 or more, and at most {_MOST_PARCELS:,} parcels",
        )
    indices = [int(label) for label in values if label]
    names = file.names
    if names is None:
        return {index: str(index) for index in indices}
    lacking = [index for index in indices if index not in names]
    if lacking:
        raise SettingsError(
            f"--atlases: the table {file.table} has no row for {len(lacking)} of the "
            f"{len(indices)} labels in {file.image.name}, the first {lacking[0]}",
            expected="a row for each label, as a table that counts from 0 would name every parcel "
            "of an image that counts from 1 wrongly",
            remedy="correct the column index of the table",
        )
    return {index: names[index] for index in indices}


def region_means(maps: Floats, atlas: Atlas, fewest: float = 0.0) -> Float64:
    """Average maps over the voxels of each parcel that have a value.

    The result equals nilearn's `NiftiLabelsMasker` with a mask of the voxels that have a value.

    Parameters
    ----------
    maps
        (maps, places); NaN where a map has no value.
    atlas
        The parcel of each voxel, and the parcels' names.
    fewest
        Fraction of a parcel's voxels in the whole image that must have values.

    Returns
    -------
    (maps, parcels); NaN for a parcel without values, or with too few.

    Examples
    --------
    >>> import numpy as np
    >>> parcels = {1: "a", 2: "b"}
    >>> atlas = Atlas({"atlas": "A"}, np.array([1, 1, 2, 0]), parcels, np.array([2, 1]))
    >>> region_means(np.array([[1.0, 3.0, 5.0, 9.0], [np.nan, 3.0, np.nan, 9.0]]), atlas)
    array([[ 2.,  5.],
           [ 3., nan]])
    """
    counts = region_voxels(maps, atlas)
    zero_filled = (np.where(np.isnan(row), 0, row) for row in maps)
    sums = _sums(zero_filled, atlas)
    with np.errstate(invalid="ignore"):
        means: Float64 = sums / counts
    share_with_value = counts / np.maximum(atlas.voxels, 1)
    return np.where(share_with_value >= fewest, means, np.nan)


def region_voxels(maps: Floats, atlas: Atlas) -> NDArray[np.int64]:
    """Count the voxels of each parcel that have a value.

    Parameters
    ----------
    maps
        (maps, places); NaN where a map has no value.
    atlas
        The parcel of each voxel, and the parcels' names.

    Returns
    -------
    (maps, parcels).
    """
    has_value = ~np.isnan(maps)
    if (has_value == has_value[:1]).all():  # maps usually lack the same voxels
        has_value = has_value[:1]
    counts = _sums(has_value, atlas).astype(np.int64)
    return np.broadcast_to(counts, (len(maps), counts.shape[1]))


def _sums(rows: Iterable[NDArray[np.floating | np.bool_]], atlas: Atlas) -> Float64:
    """Sum rows (places,) over each parcel in float64, (rows, parcels)."""
    parcels = len(atlas.parcels)
    sums = [
        np.bincount(atlas.columns, row, minlength=parcels + 1)[:parcels] for row in rows
    ]
    return np.stack(sums)


def _columns(labels: Integers, parcels: Mapping[int, str]) -> Indices:
    """Return the position of each label among the parcels; their number for further labels."""
    sorted_labels = np.array(list(parcels))
    columns = np.searchsorted(sorted_labels, labels)
    is_parcel = sorted_labels.take(columns, mode="clip") == labels
    return np.where(is_parcel, columns, len(sorted_labels))


def _lattice_box(
    volume: Stored,
    steps: Affine,
    shape: tuple[int, int, int],
    *,
    warped: bool,
) -> tuple[Indices, Indices]:
    """Return the first and the last grid index, (3,), at which labels may lie.

    Parameters
    ----------
    volume
        (i, j, k), the labels.
    steps
        (4, 4), from indices of the volume to those of the grid.
    shape
        Shape of the grid.
    warped
        Whether the volume is in another space.
    """
    labelled = volume != 0
    ends = []  # first and last index with a label, along each axis
    for other_axes in ((1, 2), (0, 2), (0, 1)):
        along = np.flatnonzero(labelled.any(axis=other_axes))
        ends.append((along[0], along[-1]))
    corners = apply_affine(steps, np.array(list(itertools.product(*ends))))
    # Voxels of the image may be larger than those of the grid, and templates differ by millimetres.
    margin = np.abs(steps[:3, :3]).sum(axis=1) + (_WARPED if warped else 1)
    low = np.floor(corners.min(axis=0) - margin)
    high = np.ceil(corners.max(axis=0) + margin)
    first = np.maximum(low, -_MARGIN)
    last = np.minimum(high, np.array(shape) + _MARGIN)
    return first.astype(np.intp), last.astype(np.intp)
