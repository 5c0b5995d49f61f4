"""Resampling between grids: a grid's voxels in a run's files, and maps at other points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bids_dtg.array_types import Float32, Floats, Mask
from bids_dtg.errors import RunError
from bids_dtg.files.foreign import file_state
from bids_dtg.imaging.grid import Grid, Points
from bids_dtg.imaging.nifti import (
    NiftiHeader,
    read_header,
    read_mask_values,
    require_one_form,
)
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import (
    LatticeSampling,
    LinearSampling,
    Sampling,
    linear_neighbours,
    sparse_weights,
    voxel_positions,
)
from bids_dtg.imaging.splines import CubicSampling
from bids_dtg.imaging.transforms import Transform, map_points, read_transforms
from bids_dtg.inputs.run import TransformFile
from bids_dtg.settings import Interpolation

_SAMPLINGS: dict[Interpolation, Callable[..., Sampling]] = {
    "linear": LinearSampling,
    "nearest": LatticeSampling.nearest,
    "cubic": CubicSampling,
}
Method = Literal["none", "linear", "nearest", "cubic"]
# Sums of eight float32 weights may differ from one by this tolerance.
_WHOLE = 1 - 1e-4
# A voxel of another grid gets a value if at least this fraction of the weights belongs to voxels
# that have one, so that it lies rather inside the mask than outside.
_LEAST_WEIGHT = 0.5
_NONE = -1
_VOXELS = 2**17  # number of voxels of another grid that are handled at a time


@dataclass(frozen=True, eq=False)
class Placement:
    """Voxels of a grid as points in the space of a run's files."""

    voxels: VoxelPlaces  # the wanted voxels
    # (voxels, 3), as `points`; None if in the grid's space
    mapped: Points | None

    @classmethod
    def through(
        cls, voxels: VoxelPlaces, transforms: Sequence[TransformFile]
    ) -> Placement:
        """Map voxels of a grid to the space of a run.

        Parameters
        ----------
        voxels
            Voxels of the model's grid, (voxels, 3).
        transforms
            From the grid's space to the run's, in order of application to a point; empty if both
            are in the same space.

        Raises
        ------
        RunError
            A transform cannot be read.
        """
        if not transforms:
            return cls(voxels, None)  # points are not needed if voxels can be looked up
        # The last of several transforms belongs to the run; runs share those before.
        shared_number = max(1, len(transforms) - 1)
        shared = tuple(transforms[:shared_number])
        paths = [file.path for file in shared]
        paths += [file.warped for file in shared if file.warped]
        states = tuple(file_state(path.stat()) for path in paths if path.exists())
        grid_points = _mapped_grid(voxels.grid, shared, states)
        run_transforms = read_transforms(transforms[shared_number:])
        return cls(voxels, map_points(grid_points[voxels.positions], run_transforms))

    @property
    def points(self) -> Points:
        """(voxels, 3), RAS+ mm in the files' space."""
        return self.voxels.points if self.mapped is None else self.mapped

    def in_file(
        self, header: NiftiHeader, interpolation: Interpolation
    ) -> tuple[Sampling, Method]:
        """Find the voxels in a file.

        If they coincide with the file's voxels, they are looked up; otherwise, interpolated.

        Returns
        -------
        sampling
            Takes the voxels from frames.
        method
            The method; "none" is a look-up without interpolation.

        Raises
        ------
        RunError
            The file's sform and qform differ, so that transforms may refer to either.
        """
        if self.mapped is None:
            try:
                lookup = LatticeSampling.between(
                    header.shape, header.affine, self.voxels.grid, self.voxels.positions
                )
            except RunError:  # voxels do not coincide
                pass
            else:
                return lookup, "none"
        else:
            require_one_form(header)
        sampling = _SAMPLINGS[interpolation](header.shape, header.affine, self.points)
        return sampling, interpolation

    def mask(self, path: Path) -> Mask:
        """Read a mask in the files' space at the voxels.

        Returns
        -------
        (voxels,), whether it is above 0.5, after linear interpolation if voxels do not coincide;
        False outside its field of view.

        Raises
        ------
        RunError
            The file is damaged, or has more than one volume or no voxel above 0.5.
        """
        # First, as it refuses files of several volumes.
        values, _ = read_mask_values(path)
        sampling, _ = self.in_file(read_header(path), "linear")
        return sampling.sample(values) > 0.5


@lru_cache(maxsize=1)
def _mapped_grid(
    grid: Grid,
    transforms: tuple[TransformFile, ...],
    files: tuple[tuple[int, ...], ...],
) -> Points:
    """Return all voxels of a grid as points in the space that transforms lead to.

    The result is cached, as runs share it and reading a template's transform can take longer than
    reading a run. A change in the states of the `files` invalidates it.
    """
    everywhere = VoxelPlaces.all_of(grid)
    return map_points(everywhere.points, read_transforms(transforms))


@dataclass(frozen=True, eq=False)
class PointSampling:
    """Interpolation from a list of voxels to a list of points, prepared once for all maps.

    Plain trilinear interpolation would treat values outside the mask as zeros, which pulls values
    at the edge of grey matter towards zero. Here voxels without a value get no weight, and the
    weights of the rest add up to one: trilinear(map * mask) / trilinear(mask).

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.grid import Grid
    >>> grid = Grid((3, 1, 1), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> places = VoxelPlaces.within(grid, np.array([True, True, False]).reshape(3, 1, 1))
    >>> points = np.array([[1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [90.0, 0.0, 0.0]])
    >>> sampling = PointSampling.between(places, points)
    >>> sampling.apply(np.array([[1.0, 2.0]], dtype=np.float32))
    array([[1.5, 2. , nan]], dtype=float32)
    >>> sampling.support
    array([1. , 0.5, 0. ], dtype=float32)
    """

    matrix: Any  # sparse (points, places) float32: trilinear weights, not normalised
    # (points,), sum of a point's weights: 1 inside the mask
    support: Float32
    # Least weight of voxels with a value for which a point gets one.
    least_weight: float = 0.0

    @classmethod
    def between(cls, places: VoxelPlaces, points: Points) -> PointSampling:
        """Find the voxels around points (points, 3), RAS+ mm, and their weights."""
        # With a rim of voxels without values, as the mask may reach the edge of the grid.
        return cls(*_weights(places, points, rim=1))

    @property
    def whole(self) -> Mask:
        """(points,), whether all eight voxels around a point have a value."""
        return self.support >= _WHOLE

    @property
    def partial(self) -> Mask:
        """(points,), whether some, but not all, voxels around a point have a value."""
        return (self.support > 0) & ~self.whole

    def apply(self, maps: Floats) -> Float32:
        """Interpolate maps.

        Parameters
        ----------
        maps
            (maps, places); NaN at places without a value.

        Returns
        -------
        (maps, points) float32; NaN where voxels with a value have too little weight.
        """
        maps = maps.astype(np.float32, copy=False)
        at_points = np.full((len(maps), len(self.support)), np.nan, np.float32)
        for row, out in zip(maps, at_points, strict=True):
            has_value = np.isfinite(row)
            weights = self.support
            if not has_value.all():
                weights = self.matrix @ has_value.astype(np.float32)
                row = np.where(has_value, row, np.float32(0))
            enough = (weights > 0) & (weights >= self.least_weight)
            np.divide(self.matrix @ row, weights, out=out, where=enough)
        return at_points


def sample_grid(
    places: VoxelPlaces, grid: Grid, transforms: Sequence[Transform]
) -> tuple[VoxelPlaces, PointSampling]:
    """Prepare interpolation to the voxels of another grid that lie in a model's mask.

    Files of maps hold 0 outside the model's mask, so plain interpolation, as by
    antsApplyTransforms, pulls values at the edge of the mask towards 0. Here they are divided by
    the interpolated mask. Inside the mask, both give the same result.

    Parameters
    ----------
    places
        Voxels of the model's grid, which have values.
    grid
        Grid to which values are interpolated.
    transforms
        From points in that grid's space to points in the model's, in order of application.

    Raises
    ------
    ValueError
        No voxel of the grid lies in the model's mask.

    Examples
    --------
    >>> model = VoxelPlaces(Grid((2, 1, 1), np.eye(4)), np.array([0, 1]))
    >>> halfway = np.eye(4)
    >>> halfway[0, 3] = 0.5
    >>> other = Grid((1, 1, 1), halfway, space="T1w", resolution=None)
    >>> sample_grid(model, other, ())[1].apply(np.array([[1.0, 3.0]], np.float32))
    array([[2.]], dtype=float32)
    """
    from scipy.sparse import vstack

    in_mask = []  # positions of voxels in the grid
    weights_in_mask = []
    supports = []
    number = int(np.prod(grid.shape))
    for positions in np.split(np.arange(number), range(_VOXELS, number, _VOXELS)):
        points = map_points(VoxelPlaces(grid, positions).points, transforms)
        weights, support = _weights(places, points, rim=0)
        enough = np.flatnonzero(support >= _LEAST_WEIGHT)
        in_mask.append(positions[enough])
        weights_in_mask.append(weights[enough])
        supports.append(support[enough])
    voxels = VoxelPlaces(grid, np.concatenate(in_mask))
    if not voxels.number:
        raise ValueError(
            f"no voxel of the grid in {grid.space} lies in the model's mask"
        )
    matrix = vstack(weights_in_mask, format="csr")
    return voxels, PointSampling(matrix, np.concatenate(supports), _LEAST_WEIGHT)


def _weights(places: VoxelPlaces, points: Points, rim: int) -> tuple[Any, Float32]:
    """Return sparse trilinear weights (points, places), and their sum for each point, (points,).

    The grid is extended by `rim` voxels without values on each side.
    """
    shape = [size + 2 * rim for size in places.grid.shape]
    number_of_voxel = np.full(shape, _NONE, np.int32)
    i, j, k = (places.index + rim).T
    number_of_voxel[i, j, k] = np.arange(places.number)
    positions = voxel_positions(points, places.grid.affine) + rim
    neighbours, weights, _ = linear_neighbours(positions, number_of_voxel.shape)
    columns = number_of_voxel.ravel(order="F")[neighbours]
    used = (weights > 0) & (columns != _NONE)
    matrix = sparse_weights(weights, columns, used, places.number)
    return matrix, matrix @ np.ones(places.number, np.float32)
