"""Places: where values are wanted. Voxels of a grid, or names in a list.

Values over places are arrays whose last axis has the places in their order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError, UnusableMapError
from bids_dtg.imaging.grid import Grid, apply_affine
from bids_dtg.imaging.nifti import (
    encode,
    encode_integers,
    make_header,
    reading_image,
)
from bids_dtg.imaging.sampling import LatticeSampling, LinearSampling

_NONE = -1
# Less than this of an interpolated value comes from voxels with a value: there is none.
_LEAST_WEIGHT = 0.5
_BLOCK_MM = 8.0  # errors of maps change over longer distances
_LARGEST = 1e38  # in 32 bits; a sum of weighed neighbours is not larger
_nib: Any = nib  # nibabel has no types
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Lattice:
    """Blocks that cover places, and how values pass between blocks and places.

    A place's corners are the blocks that its values are interpolated between: eight around a
    voxel, one of a parcel.
    """

    shape: tuple[int, ...]  # of an array over the blocks, in C order
    edge: int  # of a block, counted in places
    block_of: Indices  # (places,), number of the block that a place lies in
    corners: Indices  # (places, corners), numbers of blocks
    weights: NDArray[np.float64]  # (places, corners), they add up to 1

    @property
    def blocks(self) -> int:
        """How many blocks there are, those without a place included."""
        return int(np.prod(self.shape))

    def interpolate(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Interpolate values at the blocks' centres, (rows, *shape), to places: (rows, places)."""
        rows = values.reshape(len(values), -1).astype(np.float64)
        found = np.empty((len(rows), len(self.block_of)), np.float32)
        for own, row in zip(found, rows, strict=True):
            own[:] = np.einsum("pc,pc->p", row[self.corners], self.weights)
        return found


def single_lattice(places: int, edge: int) -> Lattice:
    """Give each place a block of its own, between which nothing is interpolated.

    Examples
    --------
    >>> single_lattice(3, edge=2).interpolate(np.array([[1.0, 2.0, 3.0]]))
    array([[1., 2., 3.]], dtype=float32)
    """
    own = np.arange(places, dtype=np.intp)
    return Lattice((places,), edge, own, own[:, None], np.ones((places, 1)))


@dataclass(frozen=True, eq=False)
class VoxelPlaces:
    """Voxels of a grid.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.grid import Grid, apply_affine
    >>> grid = Grid((3, 1, 1), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> places = VoxelPlaces.within(grid, np.array([True, False, True]).reshape(3, 1, 1))
    >>> places.number, places.points[:, 0]
    (2, array([0., 4.]))
    """

    extension: ClassVar[str] = ".nii.gz"  # what the name of a file of maps ends with

    grid: Grid
    positions: Indices  # (voxels,), flat in the grid, C order of (i, j, k); each once

    def __post_init__(self) -> None:
        size = int(np.prod(self.grid.shape))
        if self.positions.ndim != 1 or not np.all((self.positions >= 0) & (self.positions < size)):
            raise ValueError(f"positions are (voxels,) within a grid of {self.grid.shape}")

    @classmethod
    def within(cls, grid: Grid, mask: NDArray[np.bool_]) -> VoxelPlaces:
        """Take the voxels of a mask (i, j, k), in C order.

        Raises
        ------
        ValueError
            If the mask is not boolean or has another shape than the grid.
        """
        if mask.shape != grid.shape or mask.dtype != np.bool_:
            raise ValueError(f"a mask is boolean {grid.shape}, found {mask.dtype} {mask.shape}")
        return cls(grid, np.flatnonzero(mask))

    @property
    def number(self) -> int:
        """How many voxels there are."""
        return len(self.positions)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Whether a voxel of the grid is one of the places, (i, j, k)."""
        return self.volume(np.ones(self.number, bool))

    @property
    def index(self) -> Indices:
        """(voxels, 3), along i, j and k."""
        return np.stack(np.unravel_index(self.positions, self.grid.shape), axis=1)

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(voxels, 3), the centres, RAS+ mm."""
        return apply_affine(self.grid.affine, self.index)

    @property
    def block_edge(self) -> int:
        """Edge of a block of a `lattice`, counted in voxels: four of 2 mm."""
        return max(1, round(_BLOCK_MM / float(np.mean(self.grid.voxel_sizes_mm))))

    @property
    def entities(self) -> dict[str, str | None]:
        """BIDS entities of a map: the template's space and its resolution."""
        return self.grid.entities

    def encode(self, values: NDArray[np.floating[Any]], **said: Any) -> bytes:
        """Make a .nii.gz file of one map (voxels,), or of several (n, voxels) along a fourth axis.

        Other voxels are 0, and the same input gives the same bytes. `said` is what `make_header`
        takes: intent, description and facts.
        """
        rows = self._rows(values)
        shape = self.grid.shape if np.ndim(values) == 1 else (*self.grid.shape, len(rows))
        return encode(make_header(shape, self.grid, **said), map(self.volume, rows))

    def encode_steps(self, values: NDArray[np.floating[Any]], step: float, **said: Any) -> bytes:
        """Make a .nii.gz file of one map (voxels,) in whole steps: a fraction of the size.

        Where there are gaps (NaN) or more than 8 bits hold, the steps are stored as floats.
        """
        steps = np.rint(values / np.float32(step))
        for kind in (np.uint8, np.int8):
            with np.errstate(invalid="ignore"):
                stored = steps.astype(kind)
            if np.array_equal(stored, steps):
                return encode_integers(self.volume(stored), self.grid, slope=step, **said)
        return self.encode(steps * np.float32(step), **said)

    def image(self, values: NDArray[np.floating[Any]], **said: Any) -> Any:
        """Make an image of nibabel (i, j, k, n) of several maps (n, voxels), 0 elsewhere.

        Values and header are those of `encode`.
        """
        rows = self._rows(values)
        # (n, k, j, i) in memory is (i, j, k, n) with i fastest, as files have it.
        volumes = np.zeros((len(rows), *self.grid.shape[::-1]), np.float32).T
        volumes[tuple(self.index.T)] = rows.T
        header = make_header(volumes.shape, self.grid, **said)
        return _nib.Nifti1Image(volumes, header.get_best_affine(), header)

    def _rows(self, values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        rows = np.atleast_2d(values)
        if rows.shape[1:] != (self.number,) or not len(rows):
            raise ValueError(f"{self.number} voxels and maps of {np.shape(values)} values")
        return rows

    def read(self, path: Path) -> NDArray[np.float32]:
        """Read a map in NIfTI or Analyze on any grid of the space, by linear interpolation.

        Returns
        -------
        (voxels,), NaN where it has no value. A value of 0 counts as none: it marks what lies
        outside the brain.

        Raises
        ------
        RunError
            Missing, damaged, or several maps; `UnusableMapError`: no value at any voxel.
        """
        return read_statmap(path, self.points, self.grid.space)

    def volume(self, values: NDArray[Any]) -> NDArray[Any]:
        """Put values (voxels,) into a volume (i, j, k) of their type, 0 elsewhere."""
        volume = np.zeros(self.grid.shape, values.dtype)
        volume.reshape(-1)[self.positions] = values
        return volume

    def mirror(self) -> Indices:
        """Return the voxel nearest to where x has the other sign, (voxels,); -1: none."""
        numbers = self.volume(np.arange(1, self.number + 1)).ravel(order="F") - 1
        mirrored = self.points * [-1, 1, 1]
        there = LatticeSampling.nearest(self.grid.shape, self.grid.affine, mirrored)
        return np.where(there.covered, numbers[there.source], _NONE)

    def lattice(self, edge: int) -> Lattice:
        """Divide the grid into cubes of `edge` voxels along an edge; the last may be incomplete."""
        index, blocks = self.index, tuple(-(-size // edge) for size in self.grid.shape)
        last = np.array(blocks) - 1
        # A block's centre lies (edge - 1) / 2 voxels after its first voxel.
        place = np.clip((index - (edge - 1) / 2) / edge, 0, last)
        lower = np.minimum(place.astype(np.intp), np.maximum(last - 1, 0))
        share = place - lower
        i, j, k = np.stack([1.0 - share, share], axis=2).transpose(1, 0, 2)
        weights = i[:, :, None, None] * j[:, None, :, None] * k[:, None, None, :]
        corners = np.minimum(lower[:, None] + np.indices((2, 2, 2)).reshape(3, 8).T, last)
        return Lattice(
            shape=blocks,
            edge=edge,
            block_of=np.ravel_multi_index(tuple((index // edge).T), blocks),
            corners=np.ravel_multi_index(tuple(np.moveaxis(corners, -1, 0)), blocks),
            weights=weights.reshape(-1, 8),
        )


@dataclass(frozen=True, eq=False)
class ListedPlaces:
    """Places that have names and no position, as parcels of an array: no image has them.

    Examples
    --------
    >>> places = ListedPlaces(("V1_L", "V1_R"))
    >>> places.number, places.lattice(3).blocks
    (2, 2)
    """

    extension: ClassVar[str] = ".npz"  # what the name of a file of values ends with
    entities: ClassVar[Mapping[str, str | None]] = {}  # of a file of values
    block_edge: ClassVar[int] = 1  # nothing is known of distances

    names: tuple[str, ...]  # each once

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError("places have names, and each name is of one place")

    @property
    def number(self) -> int:
        """How many places there are."""
        return len(self.names)

    def mirror(self) -> Indices:
        """Return -1 for each place: sides are not known."""
        return np.full(self.number, _NONE, np.intp)

    def lattice(self, edge: int) -> Lattice:
        """Return a block for each place, whatever `edge` is: nothing lies between two of them."""
        return single_lattice(self.number, edge)


Places = VoxelPlaces | ListedPlaces


def read_statmap(path: Path, points: NDArray[np.float64], space: str) -> NDArray[np.float32]:
    """Read a statistic map of one volume at points, by linear interpolation.

    Parameters
    ----------
    path
        NIfTI or an Analyze pair, on any grid of the same space.
    points
        (places, 3), RAS+ mm.
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
        Missing, damaged, or several volumes; `UnusableMapError`: no value at any point.
    """
    values, affine = _read_statmap(path)
    # What is too large stays so, and can be added up.
    np.clip(values, -_LARGEST, _LARGEST, out=values)
    inside = np.isfinite(values) & (values != 0)
    sampling = _linear_sampling(values.shape, affine.tobytes(), points.tobytes())
    both = np.stack([np.where(inside, values, 0.0).ravel("F"), inside.ravel("F")])
    total, weight = sampling.apply(both, 1.0, 0.0)
    known = sampling.covered & (weight >= _LEAST_WEIGHT)
    if not known.any():
        raise UnusableMapError(
            f"{path} has no value inside the model's mask", expected=f"a map in {space}"
        )
    found = np.full(len(total), np.nan, np.float32)
    np.divide(total, weight, out=found, where=known)
    return found


@lru_cache(maxsize=1)  # maps of a study lie on one grid, and to find the neighbours takes longest
def _linear_sampling(shape: tuple[int, ...], affine: bytes, points: bytes) -> LinearSampling:
    wanted = np.frombuffer(points).reshape(-1, 3)
    return LinearSampling(shape, np.frombuffer(affine).reshape(4, 4), wanted)


def _read_statmap(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the only volume of a file, and its affine (voxel indices to RAS+ mm)."""
    with reading_image(path, as_what=" as NIfTI or an Analyze pair"):
        image = _nib.load(path)
        if len(image.shape) < 3 or 0 in image.shape or math.prod(image.shape[3:]) != 1:
            raise RunError(f"{path} has sizes {image.shape}", expected="one volume")
        values = np.asarray(image.dataobj, np.float64).reshape(image.shape[:3])
    return values, np.asarray(image.affine, np.float64)
