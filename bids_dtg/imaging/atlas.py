"""An atlas: a label image read at the model's voxels, and means of maps over its parcels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, MissingFileError, RunError, SettingsError
from bids_dtg.files.foreign import read_table
from bids_dtg.imaging.nifti import read_single
from bids_dtg.imaging.places import VoxelPlaces

_SPACE = re.compile(r"(?:^|_)(?:tpl|space)-([0-9A-Za-z]+)")
_LABELLED = re.compile(r"(?:^|_)(?:atlas|seg|desc)-([0-9A-Za-z]+)")


@dataclass(frozen=True, eq=False)
class Atlas:
    """Parcels at a list of voxels."""

    name: str  # letters and digits, for the entity seg-
    labels: NDArray[np.int64]  # (voxels,), 0 outside every parcel
    parcels: Mapping[int, str]  # label -> name, all parcels of the image in order


def read_atlas(path: Path, places: VoxelPlaces) -> Atlas:
    """Read a label image at the centres of voxels, nearest neighbour.

    Parameters
    ----------
    path
        Three-dimensional image of whole numbers; 0 is background. A TSV file of the same name
        with the columns ``index`` and ``name`` gives the parcels' names.
    places
        The model's voxels.

    Raises
    ------
    SettingsError
        Another space by its name, not whole numbers, or no label inside the mask.
    """
    stated = _SPACE.search(path.name)
    if stated and stated[1] != places.grid.space:
        raise SettingsError(
            f"--atlas {path} is in {stated[1]} by its name",
            expected=f"an atlas in {places.grid.space}",
        )
    try:
        volume, affine = read_single(path)
    except RunError as err:
        raise SettingsError(
            f"--atlas: {err.found}", expected=err.expected, remedy=err.remedy
        ) from err
    if not all(_is_whole(sheet) for sheet in volume.T):  # all at once would take ten times as much
        raise SettingsError(
            f"--atlas {path} is no label image", expected="one whole number a voxel"
        )
    labels = _nearest(volume, affine, places)
    found: set[int] = set()
    for sheet in volume.T:
        found.update(int(label) for label in np.unique(sheet))
    present = sorted(found - {0})
    if not labels.any():
        raise SettingsError(
            f"--atlas {path} has no label in the model's grey matter",
            expected=f"a label image in {places.grid.space}",
        )
    names = _read_names(path)
    named = "".join(_LABELLED.findall(path.name)) or path.name.partition(".")[0]
    return Atlas(
        name=re.sub("[^0-9A-Za-z]", "", named) or "atlas",
        labels=labels,
        parcels={label: names.get(label, str(label)) for label in present},
    )


def parcel_means(
    maps: NDArray[np.floating], labels: NDArray[np.integer], parcels: Sequence[int]
) -> NDArray[np.float64]:
    """Average maps within parcels.

    Parameters
    ----------
    maps
        (contrasts, voxels).
    labels
        (voxels,) parcel of each voxel; labels that are not asked for are left out.
    parcels
        Labels that are asked for.

    Returns
    -------
    (contrasts, parcels); NaN for a parcel without a voxel.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.array([[1.0, 3.0, 5.0, 9.0]], dtype=np.float32)
    >>> parcel_means(maps, np.array([1, 1, 2, 0]), np.array([1, 2]))
    array([[2., 5.]])
    """
    if labels.shape != maps.shape[1:]:
        raise ValueError(f"labels {labels.shape} do not fit maps {maps.shape}")
    wanted = np.asarray(parcels)
    order = np.argsort(wanted)
    nearest = np.searchsorted(wanted, labels, sorter=order).clip(max=len(wanted) - 1)
    position = np.where(wanted[order[nearest]] == labels, order[nearest], len(wanted))
    counts = np.bincount(position, minlength=len(wanted) + 1)
    sums = np.stack([np.bincount(position, row, minlength=len(wanted) + 1) for row in maps])
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = sums[:, : len(wanted)] / counts[: len(wanted)]
    return means


def _is_whole(values: NDArray[np.generic]) -> bool:
    if values.dtype.kind in "iu":
        return True
    return bool((np.isfinite(values) & (values == np.rint(values))).all())


def _nearest(
    volume: NDArray[np.generic], affine: NDArray[np.float64], places: VoxelPlaces
) -> NDArray[np.int64]:
    to_file = np.linalg.inv(affine) @ places.grid.affine
    # (voxels, 3) grid indices -> positions in the file
    indices = places.index @ to_file[:3, :3].T + to_file[:3, 3]
    nearest = np.rint(indices).astype(np.int64)
    inside = ((nearest >= 0) & (nearest < np.asarray(volume.shape))).all(axis=1)
    labels = np.zeros(len(nearest), np.int64)
    labels[inside] = volume[tuple(nearest[inside].T)]
    return labels


def _read_names(path: Path) -> dict[int, str]:
    table = path.with_name(path.name.partition(".nii")[0] + ".tsv")
    expected = "tab-separated columns index and name"
    try:
        read = read_table(table)
        if read.short:
            raise ValueError(f"{read.short} of its lines are cut off")
        return {int(row["index"]): row["name"].strip() or row["index"] for row in read.dicts()}
    except MissingFileError:
        return {}
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, "--atlas: the table ", expected=expected) from err
    except (ValueError, KeyError) as err:
        raise SettingsError(
            f"--atlas: the table {table} cannot be read: {err}", expected=expected
        ) from err
