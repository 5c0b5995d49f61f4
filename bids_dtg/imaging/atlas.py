"""An atlas: a label image read at a model's voxels, and means of maps over its parcels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError, SettingsError
from bids_dtg.files.foreign import read_table
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_single
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.atlases import AtlasFile, atlas_file

# An image with more labels is a picture, not an atlas; the finest in use have some 1,000.
_MOST_PARCELS = 10_000
# Voxels of the lattice that are counted around the model's grid: 64 mm at 2 mm.
_MARGIN = 32


@dataclass(frozen=True, eq=False)
class Atlas:
    """Parcels at a list of voxels.

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

    entities: Mapping[str, str]  # atlas, and seg and scale where it has several; atlas first
    labels: NDArray[np.int64]  # (places,), 0 outside every parcel
    parcels: Mapping[int, str]  # label -> name, all parcels of the image in order
    # (parcels,), voxels of the model's lattice in each parcel, within the model's mask or not
    voxels: NDArray[np.int64]
    file: AtlasFile | None = None  # where it is from; None: made of arrays

    @property
    def name(self) -> str:
        """Letters and digits that name it."""
        return "".join(self.entities.values())

    @property
    def key(self) -> str:
        """What its files, and the intervals of its parcels' means, are found by."""
        (_, first), *others = self.entities.items()
        return "_".join([first, *(f"{entity}-{label}" for entity, label in others)])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the parcels' indices and of the labels at the places, as little-endian int64.

        Where it is equal, two atlases of one name have the same parcels at the same places.
        """
        indices = np.array([len(self.parcels), *self.parcels], "<i8")
        content = indices.tobytes() + self.labels.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()

    @cached_property
    def columns(self) -> NDArray[np.intp]:
        """The parcel at each place as its number in `parcels`, (places,); their count for none."""
        return _columns(self.labels, list(self.parcels))


def find_atlas(name_or_file: str | Path, places: VoxelPlaces) -> Atlas:
    """Find an atlas by its name or file, and read it at the centres of voxels.

    Parameters
    ----------
    name_or_file
        As `bids_dtg.inputs.atlases.atlas_file` takes it: ``"Schaefer400"``, ``"HCP"`` or a path.
    places
        The model's voxels.

    Raises
    ------
    SettingsError
        There is no such atlas, it is in another space, or it is no atlas.

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
    return read_atlas_file(atlas_file(name_or_file, places.grid.space), places)


def read_atlas(path: Path, places: VoxelPlaces) -> Atlas:
    """Read a label image at the centres of voxels; as `find_atlas`."""
    return find_atlas(path, places)


def read_atlas_file(file: AtlasFile, places: VoxelPlaces) -> Atlas:
    """Read a label image at the centres of voxels, nearest neighbour.

    Parameters
    ----------
    file
        Three-dimensional image of whole numbers; 0 is background. Its table, where it has one,
        names every label of the image.
    places
        The model's voxels.

    Raises
    ------
    SettingsError
        Not whole numbers, no label inside the mask, or a table that does not fit the image.
    """
    volume, affine = _read_labels(file.image)
    indices = _present(volume, file.image)
    labels = _nearest(volume, affine, places.grid, places.index)
    if not labels.any():
        raise SettingsError(
            f"--atlas {file.image} has no label in the model's grey matter",
            expected=f"a label image in {places.grid.space}",
        )
    return Atlas(
        entities=file.entities,
        labels=labels,
        parcels=_parcels(indices, file),
        voxels=_lattice_counts(volume, affine, places.grid, indices),
        file=file,
    )


def region_means(maps: NDArray[np.floating], atlas: Atlas) -> NDArray[np.float64]:
    """Average maps over the places of each parcel that have a value.

    Equal to nilearn's `NiftiLabelsMasker` with a mask of the voxels that have a value.

    Parameters
    ----------
    maps
        (maps, places); NaN where a map has no value.
    atlas
        Parcels at the places.

    Returns
    -------
    (maps, parcels); NaN for a parcel without a value.

    Examples
    --------
    >>> import numpy as np
    >>> parcels = {1: "a", 2: "b"}
    >>> atlas = Atlas({"atlas": "A"}, np.array([1, 1, 2, 0]), parcels, np.array([2, 1]))
    >>> region_means(np.array([[1.0, 3.0, 5.0, 9.0], [np.nan, 3.0, np.nan, 9.0]]), atlas)
    array([[ 2.,  5.],
           [ 3., nan]])
    """
    known = _known(maps, atlas)
    sums = _sums(maps if known.all() else np.where(known, maps, 0), atlas)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = sums / _counts(known, atlas)
    return means


def region_voxels(maps: NDArray[np.floating], atlas: Atlas) -> NDArray[np.int64]:
    """Count the places of each parcel that have a value.

    Parameters
    ----------
    maps
        (maps, places); NaN where a map has no value.
    atlas
        Parcels at the places.

    Returns
    -------
    (maps, parcels).
    """
    counts = _counts(_known(maps, atlas), atlas)
    return np.broadcast_to(counts, (len(maps), counts.shape[1])).astype(np.int64)


def region_coverage(maps: NDArray[np.floating], atlas: Atlas) -> NDArray[np.float64]:
    """Return the share of each parcel that has a value.

    Parameters
    ----------
    maps
        (maps, places); NaN where a map has no value.
    atlas
        Parcels at the places, with the number of voxels that they have in the whole image.

    Returns
    -------
    (maps, parcels), 0 to 1; 0 for a parcel that is too small for the model's voxels.

    Examples
    --------
    >>> import numpy as np
    >>> parcels = {1: "a", 2: "b"}
    >>> atlas = Atlas({"atlas": "A"}, np.array([1, 1, 2, 0]), parcels, np.array([2, 4]))
    >>> region_coverage(np.array([[1.0, np.nan, 5.0, 9.0]]), atlas)
    array([[0.5 , 0.25]])
    """
    return region_voxels(maps, atlas) / np.maximum(atlas.voxels, 1)


def parcel_means(
    maps: NDArray[np.floating], labels: NDArray[np.integer], parcels: Sequence[int]
) -> NDArray[np.float64]:
    """Average maps (contrasts, voxels) over the voxels of each label; NaN where it has none."""
    named = {int(label): str(label) for label in parcels}
    atlas = Atlas({"atlas": "labels"}, np.asarray(labels), named, np.zeros(len(named), np.int64))
    return region_means(maps, atlas)


def _known(maps: NDArray[np.floating], atlas: Atlas) -> NDArray[np.bool_]:
    """Return where maps have a value: (maps, places), or (1, places) where it is everywhere."""
    if atlas.labels.shape != maps.shape[1:]:
        raise ValueError(f"labels {atlas.labels.shape} do not fit maps {maps.shape}")
    missing = np.isnan(maps)
    return ~missing if missing.any() else np.ones((1, maps.shape[1]), bool)


def _sums(values: NDArray[np.floating | np.bool_], atlas: Atlas) -> NDArray[np.float64]:
    """Sum values (maps, places) over each parcel in float64, (maps, parcels)."""
    parcels = len(atlas.parcels)
    sums = [np.bincount(atlas.columns, row, minlength=parcels + 1)[:parcels] for row in values]
    return np.stack(sums)


def _counts(known: NDArray[np.bool_], atlas: Atlas) -> NDArray[np.float64]:
    """Count the places with a value, (maps, parcels); maps mostly lack the same places."""
    if (known == known[0]).all():
        known = known[:1]
    return _sums(known, atlas)


def _columns(labels: NDArray[np.integer], parcels: Sequence[int]) -> NDArray[np.intp]:
    """Return the position of each label among the parcels, their count for other labels."""
    wanted = np.asarray(parcels)
    order = np.argsort(wanted)
    nearest = np.searchsorted(wanted, labels, sorter=order).clip(max=len(wanted) - 1)
    found: NDArray[np.intp] = np.where(
        wanted[order[nearest]] == labels, order[nearest], len(wanted)
    )
    return found


def _read_labels(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    try:
        volume, affine = read_single(path)
    except RunError as err:
        raise err.as_kind(SettingsError, "--atlas: ") from err
    if not all(_is_whole(sheet) for sheet in volume.T):  # all at once would take ten times as much
        raise SettingsError(
            f"--atlas {path} is no label image", expected="one whole number a voxel, 0 or above"
        )
    return volume, affine


def _is_whole(values: NDArray[np.generic]) -> bool:
    if values.dtype.kind not in "iuf":
        return False
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        return False
    most = np.iinfo(np.int32).max
    return bool(((values >= 0) & (values <= most)).all())  # type: ignore[operator]


def _present(volume: NDArray[np.generic], path: Path) -> list[int]:
    found: set[int] = set()
    for sheet in volume.T:
        found.update(int(label) for label in np.unique(sheet))
        if len(found) > _MOST_PARCELS:
            raise SettingsError(
                f"--atlas {path} is no label image: it has more than {_MOST_PARCELS} values",
                expected="one number a parcel",
            )
    return sorted(found - {0})


def _nearest(
    volume: NDArray[np.generic], affine: NDArray[np.float64], grid: Grid, index: NDArray[np.intp]
) -> NDArray[np.int64]:
    """Read a volume at voxels (n, 3) of a grid's lattice; 0 outside the volume."""
    to_file = np.linalg.inv(affine) @ grid.affine
    positions = index @ to_file[:3, :3].T + to_file[:3, 3]  # (n, 3), in the file
    nearest = np.rint(positions).astype(np.int64)
    inside = ((nearest >= 0) & (nearest < np.asarray(volume.shape))).all(axis=1)
    labels = np.zeros(len(nearest), np.int64)
    labels[inside] = volume[tuple(nearest[inside].T)]
    return labels


def _lattice_counts(
    volume: NDArray[np.generic],
    affine: NDArray[np.float64],
    grid: Grid,
    indices: Sequence[int],
) -> NDArray[np.int64]:
    """Count the voxels of the grid's lattice in each parcel, (parcels,), beyond the grid too."""
    counts = np.zeros(len(indices) + 1, np.int64)
    i, j, k = (np.arange(-_MARGIN, size + _MARGIN) for size in grid.shape)
    sheet = np.stack(np.meshgrid([0], j, k, indexing="ij"), axis=-1).reshape(-1, 3)
    for number in i:
        sheet[:, 0] = number
        labels = _nearest(volume, affine, grid, sheet)
        counts += np.bincount(_columns(labels, indices), minlength=len(counts))
    return counts[:-1]


def _parcels(indices: Sequence[int], file: AtlasFile) -> dict[int, str]:
    """Name the parcels of an image, by its table where it has one."""
    if file.table is None:
        return {index: str(index) for index in indices}
    names = _read_names(file.table)
    if lacking := [index for index in indices if index not in names]:
        raise SettingsError(
            f"--atlas: the table {file.table} has no row for {len(lacking)} of the {len(indices)} "
            f"labels in {file.image.name}, the first {lacking[0]}",
            expected="a row for each label; a table that counts from 0 beside an image that "
            "counts from 1 would name every parcel wrongly",
            remedy="correct the column index of the table",
        )
    return {index: names[index] for index in indices}


def _read_names(table: Path) -> dict[int, str]:
    expected = "tab-separated columns index and name, one row a label"
    try:
        read = read_table(table)
        if read.short:
            raise ValueError(f"{read.short} of its lines are cut off")
        rows = [(int(row["index"]), row["name"].strip() or row["index"]) for row in read.dicts()]
        names = dict(rows)
        if len(names) < len(rows):
            raise ValueError("it has two rows of one index")
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, "--atlas: the table ", expected=expected) from err
    except (ValueError, KeyError) as err:
        raise SettingsError(
            f"--atlas: the table {table} cannot be read: {err}", expected=expected
        ) from err
    return names
