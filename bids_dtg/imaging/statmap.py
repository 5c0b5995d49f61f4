"""A measured statistic map at the voxels of a model, whatever file it comes in."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.header import READ_ERRORS, require_file
from bids_dtg.imaging.sampling import LinearSampling

# Less than this of an interpolated value comes from voxels with a value: there is none.
_LEAST_WEIGHT = 0.5
_load: Any = nib.load  # nibabel has no types


def read_statmap(path: Path, grid: Grid, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Read a map of one volume at the centres of the mask's voxels, by linear interpolation.

    Parameters
    ----------
    path
        NIfTI or an Analyze pair, on any grid of the same space.
    grid, mask
        The model's voxels, (i, j, k).

    Returns
    -------
    (voxels,) in C order of (i, j, k); NaN where the file has no value: outside its field of
    view, or where most of what would be averaged is NaN, or 0 in a file that marks the
    outside of the brain with 0.

    Raises
    ------
    RunError
        Missing, damaged, several volumes, or no value inside the mask.
    """
    values, affine = _read(path)
    inside = np.isfinite(values) & (values != 0)
    sampling = _sampling(
        values.shape, affine.tobytes(), np.asarray(grid.affine, np.float64).tobytes(), _Mask(mask)
    )
    both = np.stack([np.where(inside, values, 0), inside]).reshape(2, -1, order="F")
    total, weight = sampling.apply(both.astype(np.float32), 1.0, 0.0)
    known = sampling.covered & (weight >= _LEAST_WEIGHT)
    if not known.any():
        raise RunError(
            f"{path} has no value inside the model's mask", expected=f"a map in {grid.space}"
        )
    found = np.full(len(total), np.nan, np.float32)
    found[known] = total[known] / weight[known]
    return found


class _Mask:
    """A mask that is compared by its values."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.values = mask
        self._key = mask.shape, np.packbits(mask).tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Mask) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=1)  # maps of a study lie on one grid, and to find the neighbours takes longest
def _sampling(
    shape: tuple[int, ...], of_file: bytes, of_grid: bytes, mask: _Mask
) -> LinearSampling:
    """Find the neighbours of the mask's voxels; affines as bytes of (4, 4) float64."""
    from_file, from_grid = (np.frombuffer(one).reshape(4, 4) for one in (of_file, of_grid))
    points = np.argwhere(mask.values) @ from_grid[:3, :3].T + from_grid[:3, 3]
    return LinearSampling(shape, from_file, points)


def _read(path: Path) -> tuple[NDArray[np.floating[Any]], NDArray[np.float64]]:
    """Return the only volume of a file, and its affine (voxel indices to RAS+ mm)."""
    require_file(path)
    try:
        image = _load(path)
        values = np.asarray(image.dataobj, dtype=np.float64)
    except (*READ_ERRORS, nib.filebasedimages.ImageFileError, ValueError) as err:
        raise RunError(
            f"{path} cannot be read: {err}", expected="NIfTI or an Analyze pair"
        ) from err
    if values.ndim < 3 or values.size != np.prod(values.shape[:3]):
        raise RunError(f"{path} has sizes {values.shape}", expected="one volume")
    return values.reshape(values.shape[:3]), np.asarray(image.affine, np.float64)
