"""Slices through volumes, one pixel a millimetre, the person's left on the left."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

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

    def points(self, view: View) -> NDArray[np.float64]:
        """Return the pixels of a slice as (3, rows, columns) RAS+ mm, top row first."""
        across, up = [axis for axis in (0, 1, 2) if axis != view.axis]
        columns = np.arange(self.low[across], self.high[across] + 0.5)
        rows = np.arange(self.low[up], self.high[up] + 0.5)[::-1]
        points = np.empty((3, len(rows), len(columns)))
        points[across], points[up] = columns[None, :], rows[:, None]
        points[view.axis] = view.mm
        return points


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume and where it lies."""

    values: NDArray[np.floating]  # (i, j, k)
    affine: NDArray[np.float64]  # (4, 4), voxel indices to RAS+ mm

    def cut(self, box: Box, view: View, *, order: int = 1) -> NDArray[np.float32]:
        """Return a slice (rows, columns); 0 outside the volume."""
        from scipy.ndimage import map_coordinates

        inverse = np.linalg.inv(self.affine)
        points = box.points(view)
        indices = np.tensordot(inverse[:3, :3], points, 1) + inverse[:3, 3, None, None]
        cut: NDArray[np.float32] = map_coordinates(
            np.asarray(self.values, np.float32), indices, order=order, prefilter=False
        )
        return cut

    def row(self, box: Box, views: Sequence[View], *, order: int = 1) -> NDArray[np.float32]:
        """Return slices of one axis side by side."""
        return beside([self.cut(box, view, order=order) for view in views])


def beside(slices: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Put slices (rows, columns) side by side with a gap of zeros."""
    gap = np.zeros((slices[0].shape[0], _GAP), np.float32)
    parts = [part for cut in slices for part in (gap, cut)][1:]
    return np.concatenate(parts, axis=1)


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
def template() -> Volume:
    """Return nilearn's T1 template of the MNI space without skull, from 0 to 1; 1 mm.

    It is the symmetric template of 2009, for orientation: the model's own outlines are drawn from
    the model's masks.
    """
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=1)
    values = np.asarray(image.dataobj, np.float32)
    return Volume(np.clip(values / np.quantile(values[values > 0], 0.995), 0, 1), image.affine)
