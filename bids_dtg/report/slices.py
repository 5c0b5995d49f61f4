"""Slices through volumes, one pixel a millimetre, the person's left on the left."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.grid import Grid

SAGITTAL, CORONAL, AXIAL = 0, 1, 2
_GAP = 6  # pixels between slices
_FLAT = 0.02  # change a pixel below which there is no edge


@dataclass(frozen=True)
class View:
    """Where a slice lies."""

    axis: int  # SAGITTAL, CORONAL or AXIAL
    mm: float  # position on that axis, RAS+

    def __str__(self) -> str:
        return f"{'xyz'[self.axis]} = {self.mm:g}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True, eq=False)
class Box:
    """The part of space that is shown."""

    low: NDArray[np.float64]  # (3,), RAS+ mm
    high: NDArray[np.float64]  # (3,)

    @classmethod
    def around(cls, grid: Grid) -> Box:
        """Return the smallest box that holds the centres of a grid's voxels."""
        far = np.asarray(grid.shape) - 1
        corners = np.array(np.meshgrid(*[(0, end) for end in far])).reshape(3, -1)
        points = grid.affine[:3, :3] @ corners + grid.affine[:3, 3:]
        return cls(points.min(axis=1), points.max(axis=1))

    def sides(self, view: View) -> list[NDArray[np.float64]]:
        """Return where the pixels of a slice lie on x, y and z, RAS+ mm: one value on its axis.

        On the other axes, of which the lower one runs along the columns, values increase.
        """
        sides = [np.arange(low, high + 0.5) for low, high in zip(self.low, self.high, strict=True)]
        sides[view.axis] = np.array([view.mm])
        return sides


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume and where it lies."""

    values: NDArray[np.floating]  # (i, j, k)
    affine: NDArray[np.float64]  # (4, 4), voxel indices to RAS+ mm

    def cut(self, box: Box, view: View, *, order: int = 1) -> NDArray[np.float32]:
        """Return a slice (rows, columns), linear (order 1) or nearest (0); 0 outside the volume."""
        sides = box.sides(view)
        toward = _toward(self.affine)
        if np.count_nonzero(self.affine[:3, :3]) == len(set(toward)) == 3:
            sizes = self.affine[toward, range(3)]
            places = [
                (sides[of] - self.affine[of, 3]) / size
                for of, size in zip(toward, sizes, strict=True)
            ]
            part = np.asarray(self.values, np.float32)
            # The slice's own axis first: what follows is done on one plane.
            for axis in sorted(range(3), key=lambda axis: toward[axis] != view.axis):
                part = _along(part, axis, places[axis], order)
            part = part.transpose(np.argsort(toward))
        else:
            part = self._oblique(sides, order)
        # (columns, rows), rows upward -> top row first
        return np.ascontiguousarray(part.squeeze(view.axis).T[::-1])

    def _oblique(self, sides: Sequence[NDArray[np.float64]], order: int) -> NDArray[np.float32]:
        """Return values at the points of a lattice along x, y and z that is not the volume's."""
        from scipy.ndimage import map_coordinates

        inverse = np.linalg.inv(self.affine)
        points = np.stack(np.meshgrid(*sides, indexing="ij"))
        indices = np.tensordot(inverse[:3, :3], points, 1) + inverse[:3, 3, None, None, None]
        found: NDArray[np.float32] = map_coordinates(
            np.asarray(self.values, np.float32), indices, order=order, prefilter=False
        )
        return found

    def within(self, box: Box) -> Volume:
        """Return the part that a box covers, with voxels stored along x, y and z."""
        toward = _toward(self.affine)
        values, affine = np.transpose(self.values, np.argsort(toward)), self.affine.copy()
        affine[:, :3] = affine[:, np.argsort(toward)]
        for axis in range(3):
            if affine[axis, axis] < 0:
                values = np.flip(values, axis)
                affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
                affine[:, axis] *= -1
        sizes = np.diag(affine)[:3]
        first = np.rint((box.low - affine[:3, 3]) / sizes).astype(int).clip(0)
        last = np.rint((box.high - affine[:3, 3]) / sizes).astype(int) + 1
        part = values[tuple(slice(*ends) for ends in zip(first, last, strict=True))]
        affine[:3, 3] += affine[:3, :3] @ first
        return Volume(np.ascontiguousarray(part), affine)

    def row(self, box: Box, views: Sequence[View], *, order: int = 1) -> NDArray[np.float32]:
        """Return slices of one axis side by side."""
        return beside([self.cut(box, view, order=order) for view in views])


def beside(slices: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Put slices (rows, columns) side by side with a gap of zeros."""
    gap = np.zeros((slices[0].shape[0], _GAP), np.float32)
    parts = [part for cut in slices for part in (gap, cut)][1:]
    return np.concatenate(parts, axis=1)


def soften(region: NDArray[np.bool_], sd: float) -> NDArray[np.float32]:
    """Smooth the edge of a region by a Gaussian.

    Parameters
    ----------
    region
        (i, j, k), True inside.
    sd
        Standard deviation in voxels; four of them are summed on either side.

    Returns
    -------
    (i, j, k), from 0 outside to 1 inside.

    Examples
    --------
    >>> import numpy as np
    >>> print(soften(np.arange(5)[:, None, None] > 2, 0.5)[:, 0, 0].round(2))
    [0.   0.   0.11 0.89 1.  ]
    """
    # As scipy.ndimage does, whose import takes as long as a tenth of a page.
    reach = int(4 * sd + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd) ** 2).astype(np.float32)
    weights /= weights.sum()
    soft = region.astype(np.float32)
    for axis in range(3):
        beyond = [(reach, reach) if own == axis else (0, 0) for own in range(3)]
        lines = np.moveaxis(np.pad(soft, beyond, "symmetric"), axis, 0)
        size = soft.shape[axis]
        soft = np.zeros_like(soft)
        added = np.moveaxis(soft, axis, 0)
        for first, weight in enumerate(weights):
            added += weight * lines[first : first + size]
    return soft


def _toward(affine: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the axis of space that each axis of an array runs along most."""
    toward: NDArray[np.intp] = np.abs(affine[:3, :3]).argmax(axis=0)
    return toward


def _along(
    values: NDArray[np.float32], axis: int, places: NDArray[np.float64], order: int
) -> NDArray[np.float32]:
    """Take values at places along an axis, in voxels; 0 beyond the outermost centres."""
    last = values.shape[axis] - 1
    places = places.round(6)  # of two voxels equally near always the same one is taken
    shape = [1, 1, 1]
    shape[axis] = -1
    inside = ((places >= 0) & (places <= last)).reshape(shape)
    low = np.floor(places if order else places + 0.5).astype(np.intp).clip(0, last)
    # Not by `take`, which copies a volume whose first axis is the fastest.
    before: tuple[Any, ...] = (slice(None),) * axis
    taken: NDArray[np.float32] = values[(*before, low)]
    share = (places - low).astype(np.float32).reshape(shape)
    if order and share.any():
        taken = taken * (1 - share) + values[(*before, (low + 1).clip(0, last))] * share
    taken *= inside
    return taken


def outline(level: NDArray[np.floating], *, width: float = 1.6) -> NDArray[np.float32]:
    """Draw where smooth values (rows, columns) cross 0.5 as a line.

    Returns
    -------
    Opacity from 0 to 1; the line is about `width` pixels wide, with smooth edges.
    """
    down, right = np.gradient(level)
    slope = np.hypot(down, right)
    # Pixels to the contour, by the values' slope; flat parts are far from it.
    distance = np.abs(level - 0.5) / np.maximum(slope, 1e-3)
    line: NDArray[np.float32] = np.clip(width / 2 + 0.5 - distance, 0, 1).astype(np.float32)
    line[slope <= _FLAT] = 0.0
    return line


@functools.cache
def standard_anatomy() -> Volume:
    """Return nilearn's T1 template without skull, 1 mm: brightness from 0 to 1, 0 outside.

    It is the symmetric template of 2009, for orientation: maps lie in the space of another.
    """
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=1)
    values = np.asarray(image.dataobj, np.float32)
    return Volume(np.clip(values / np.quantile(values[values > 0], 0.995), 0, 1), image.affine)
