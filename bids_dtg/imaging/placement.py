"""Where a grid's voxels lie in a run's files, and how their values are taken there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.header import NiftiHeader, read_header, require_one_form, state_of
from bids_dtg.imaging.nifti import read_single
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import (
    CubicSampling,
    GridMismatchError,
    LatticeSampling,
    LinearSampling,
    Sampling,
    nearest_sampling,
)
from bids_dtg.imaging.transforms import map_points, read_transforms
from bids_dtg.inputs.run import TransformFile
from bids_dtg.settings import Interpolation

_SAMPLINGS: dict[Interpolation, Callable[..., Sampling]] = {
    "linear": LinearSampling,
    "nearest": nearest_sampling,
    "cubic": CubicSampling,
}
Method = Literal["none", "linear", "nearest", "cubic"]
# Voxels of a grid all of which are mapped, for the next run through the same transforms.
_MOST_MAPPED = 2**21


@dataclass(frozen=True, eq=False)
class Placement:
    """Voxels of a grid as points in the space of a run's files."""

    voxels: VoxelPlaces  # that are wanted
    mapped: NDArray[np.float64] | None  # (voxels, 3), as `points`; None: in the grid's space

    @classmethod
    def through(cls, voxels: VoxelPlaces, transforms: Sequence[TransformFile]) -> Placement:
        """Carry voxels of a grid to the space of a run.

        Parameters
        ----------
        voxels
            Voxels of the model's grid, (voxels, 3).
        transforms
            From the grid's space to the run's, in order of application to a point; none where
            that is the same space.

        Raises
        ------
        RunError
            A transform cannot be read.
        """
        if not transforms:
            return cls(voxels, None)  # looked up on a lattice, they need no points
        grid = voxels.grid
        if np.prod(grid.shape) > _MOST_MAPPED:
            return cls(voxels, map_points(voxels.points, read_transforms(transforms)))
        # A run's own one is the last, if it has one; runs share those before.
        cut = max(1, len(transforms) - 1)
        shared, own = tuple(transforms[:cut]), transforms[cut:]
        paths = [path for file in shared for path in (file.path, file.warped) if path]
        affine = np.asarray(grid.affine, np.float64).tobytes()
        mapped = _mapped_grid(grid.shape, affine, shared, tuple(map(state_of, paths)))
        return cls(voxels, map_points(mapped[voxels.positions], read_transforms(own)))

    @property
    def points(self) -> NDArray[np.float64]:
        """(voxels, 3), RAS+ mm in the files' space."""
        return self.voxels.points if self.mapped is None else self.mapped

    def in_file(self, header: NiftiHeader, interpolation: Interpolation) -> tuple[Sampling, Method]:
        """Find the voxels in a file.

        Voxels that lie on voxels of the file are looked up; only others are interpolated.

        Returns
        -------
        sampling
            Takes the voxels out of frames.
        method
            What it does: "none" is a look-up without interpolation.

        Raises
        ------
        RunError
            The file's forms differ, so that it is not known to which the transforms lead.
        """
        if self.mapped is None:
            try:
                lattice = LatticeSampling.between(
                    header.shape,
                    header.affine,
                    self.voxels.grid,
                    self.voxels.positions,
                    name=str(header.path),
                )
            except GridMismatchError:
                pass
            else:
                return lattice, "none"
        else:
            require_one_form(header)
        sample = _SAMPLINGS[interpolation]
        return sample(header.shape, header.affine, self.points), interpolation

    def mask(self, path: Path) -> NDArray[np.bool_]:
        """Read a mask of the files' space at the voxels.

        Returns
        -------
        (voxels,), where it is above 0.5, interpolated linearly off the lattice; False outside
        its field of view.

        Raises
        ------
        RunError
            Damaged file, or more than one volume.
        """
        values, _ = read_single(path)  # first: it refuses what is no volume
        sampling, _ = self.in_file(read_header(path), "linear")
        sampled = sampling.apply(values.reshape(1, -1, order="F"), 1.0, 0.0)[0]
        inside: NDArray[np.bool_] = sampled > 0.5
        return inside


@lru_cache(maxsize=1)
def _mapped_grid(
    shape: tuple[int, int, int],
    affine: bytes,
    transforms: tuple[TransformFile, ...],
    files: tuple[tuple[int, ...], ...],  # what they were when they were read
) -> NDArray[np.float64]:
    """Return all voxels of a grid as points of the space that transforms lead to.

    To read a template's transform takes longer than to read some runs, and runs share it.
    """
    grid = Grid(shape, np.frombuffer(affine).reshape(4, 4))
    everywhere = VoxelPlaces(grid, np.arange(np.prod(shape)))
    return map_points(everywhere.points, read_transforms(transforms))
