"""A measured statistic map at points of its space, whatever file it comes in."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import EmptyMapError, RunError
from bids_dtg.imaging.header import READ_ERRORS, require_file
from bids_dtg.imaging.sampling import LinearSampling

# Less than this of an interpolated value comes from voxels with a value: there is none.
_LEAST_WEIGHT = 0.5
_LARGEST = 1e38  # in 32 bits; a sum of weighed neighbours is not larger
_load: Any = nib.load  # nibabel has no types


def read_statmap(path: Path, points: NDArray[np.float64], space: str) -> NDArray[np.float32]:
    """Read a map of one volume at points, by linear interpolation.

    Parameters
    ----------
    path
        NIfTI or an Analyze pair, on any grid of the same space.
    points
        (places, 3), RAS+ mm. The same array again is looked up faster.
    space
        Name of the space, for messages.

    Returns
    -------
    (places,), up to 1e38, which stands for infinity too. NaN where the file has no value: outside
    its field of view, or where most of what would be averaged is NaN, or 0 in a file that marks
    the outside of the brain with 0.

    Raises
    ------
    RunError
        Missing, damaged, or several volumes; `EmptyMapError`: no value at any point.
    """
    values, affine = _read(path)
    # What is too large stays so, and can be added up.
    np.clip(values, -_LARGEST, _LARGEST, out=values)
    inside = np.isfinite(values) & (values != 0)
    sampling = _sampling(values.shape, affine.tobytes(), _Points(points))
    both = np.zeros((2, values.size), np.float32)
    np.copyto(both[0].reshape(values.shape, order="F"), values, where=inside, casting="same_kind")
    both[1] = inside.ravel(order="F")
    total, weight = sampling.apply(both, 1.0, 0.0)
    known = sampling.covered & (weight >= _LEAST_WEIGHT)
    if not known.any():
        raise EmptyMapError(
            f"{path} has no value inside the model's mask", expected=f"a map in {space}"
        )
    found = np.full(len(total), np.nan, np.float32)
    found[known] = total[known] / weight[known]
    return found


class _Points:
    """Points that are compared by identity."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        self.values = points

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Points) and self.values is other.values

    def __hash__(self) -> int:
        return id(self.values)


@lru_cache(maxsize=1)  # maps of a study lie on one grid, and to find the neighbours takes longest
def _sampling(shape: tuple[int, ...], of_file: bytes, points: _Points) -> LinearSampling:
    """Find the neighbours of points; the file's affine as bytes of (4, 4) float64."""
    return LinearSampling(shape, np.frombuffer(of_file).reshape(4, 4), points.values)


def _read(path: Path) -> tuple[NDArray[np.floating[Any]], NDArray[np.float64]]:
    """Return the only volume of a file, and its affine (voxel indices to RAS+ mm)."""
    require_file(path)
    try:
        image = _load(path)
        if len(image.shape) < 3 or 0 in image.shape or math.prod(image.shape[3:]) != 1:
            raise RunError(f"{path} has sizes {image.shape}", expected="one volume")
        values = np.asarray(image.dataobj, dtype=np.float64)
    except (*READ_ERRORS, nib.filebasedimages.ImageFileError, ValueError) as err:
        raise RunError(
            f"{path} cannot be read: {err}", expected="NIfTI or an Analyze pair"
        ) from err
    return values.reshape(values.shape[:3]), np.asarray(image.affine, np.float64)
