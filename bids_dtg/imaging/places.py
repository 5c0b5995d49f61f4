"""Places: the voxels of a grid, or the named parcels, at which a model has values.

Arrays of such values have the places, in order, as their last axis.
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

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Mask, Values
from bids_dtg.errors import RunError, UnusableMapError
from bids_dtg.imaging.grid import Affine, Grid, Points, Shape, apply_affine
from bids_dtg.imaging.nifti import encode, encode_integers, make_header, reading_image
from bids_dtg.imaging.sampling import LatticeSampling, LinearSampling, outer_weights

_NONE = -1
# An interpolated value needs at least this weight of voxels with a value.
_LEAST_WEIGHT = 0.5
_BLOCK_MM = 8.0  # errors of maps vary over longer distances
_LARGEST = 1e38  # within float32; weighted sums of neighbours are not larger


@dataclass(frozen=True, eq=False)
class Lattice:
    """Blocks that cover the places, for values that vary slowly between places.

    The corners of a place are the blocks between which its values are interpolated: eight for a
    voxel, one for a parcel.
    """

    shape: Shape  # shape of an array over the blocks, in C order
    edge: int  # edge of a block, counted in places
    block_of: Indices  # (places,), index of the block in which a place lies
    corners: Indices  # (places, corners), indices of blocks
    weights: Float64  # (places, corners), which add up to 1

    @property
    def blocks(self) -> int:
        """Number of blocks, including those without a place."""
        return int(np.prod(self.shape))

    def interpolate(self, values: Floats) -> Float32:
        """Interpolate values at the blocks' centres, (rows, *shape), to places: (rows, places)."""
        rows = values.reshape(len(values), -1).astype(np.float64)
        interpolated = np.empty((len(rows), len(self.block_of)), np.float32)
        for out, row in zip(interpolated, rows, strict=True):
            out[:] = np.einsum("pc,pc->p", row[self.corners], self.weights)
        return interpolated


def single_lattice(places: int, edge: int) -> Lattice:
    """Return a lattice with one block per place, so that nothing is interpolated.

    Examples
    --------
    >>> single_lattice(3, edge=2).interpolate(np.array([[1.0, 2.0, 3.0]]))
    array([[1., 2., 3.]], dtype=float32)
    """
    blocks = np.arange(places, dtype=np.intp)
    return Lattice(
        shape=(places,),
        edge=edge,
        block_of=blocks,
        corners=blocks[:, None],
        weights=np.ones((places, 1)),
    )


@dataclass(frozen=True, eq=False)
class VoxelPlaces:
    """Voxels of a grid.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.imaging.grid import Grid
    >>> grid = Grid((3, 1, 1), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> places = VoxelPlaces.within(grid, np.array([True, False, True]).reshape(3, 1, 1))
    >>> places.number, places.points[:, 0]
    (2, array([0., 4.]))
    """

    extension: ClassVar[str] = ".nii.gz"  # extension of files of maps

    grid: Grid
    positions: Indices  # (voxels,), flat positions in the grid, C order of (i, j, k); no repeats

    def __post_init__(self) -> None:
        size = int(np.prod(self.grid.shape))
        in_grid = (self.positions >= 0) & (self.positions < size)
        if self.positions.ndim != 1 or not in_grid.all():
            raise ValueError(
                f"positions are (voxels,) within a grid of {self.grid.shape}"
            )

    @classmethod
    def within(cls, grid: Grid, mask: Mask) -> VoxelPlaces:
        """Return the voxels of a mask (i, j, k), in C order.

        Raises
        ------
        ValueError
            The mask is not boolean, or its shape differs from the grid's.
        """
        if mask.shape != grid.shape or mask.dtype != np.bool_:
            raise ValueError(
                f"a mask is boolean {grid.shape}, found {mask.dtype} {mask.shape}"
            )
        return cls(grid, np.flatnonzero(mask))

    @classmethod
    def all_of(cls, grid: Grid) -> VoxelPlaces:
        """Return all voxels of a grid, in C order."""
        return cls(grid, np.arange(np.prod(grid.shape)))

    @property
    def number(self) -> int:
        """Number of voxels."""
        return len(self.positions)

    @cached_property
    def mask(self) -> Mask:
        """(i, j, k), whether a voxel of the grid is one of the places."""
        return self.volume(np.ones(self.number, bool))

    @property
    def index(self) -> Indices:
        """(voxels, 3), indices along i, j and k."""
        return np.stack(np.unravel_index(self.positions, self.grid.shape), axis=1)

    @cached_property
    def points(self) -> Points:
        """(voxels, 3), centres of the voxels, RAS+ mm."""
        return apply_affine(self.grid.affine, self.index)

    @property
    def block_edge(self) -> int:
        """Edge of a block of the `lattice`, counted in voxels: four for voxels of 2 mm."""
        return max(1, round(_BLOCK_MM / float(np.mean(self.grid.voxel_sizes_mm))))

    @property
    def entities(self) -> dict[str, str | None]:
        """BIDS entities of a map: space and resolution."""
        return self.grid.entities

    def encode(self, values: Floats, **header_facts: Any) -> bytes:
        """Return the bytes of a .nii.gz file of one map (voxels,) or several (n, voxels).

        Several maps are stacked along a fourth axis. Voxels elsewhere are 0, and equal input gives
        equal bytes. `header_facts` are arguments of `make_header`: intent, description and facts.
        """
        maps = np.atleast_2d(values)
        shape: Shape = self.grid.shape
        if np.ndim(values) > 1:
            shape = (*shape, len(maps))
        header = make_header(shape, self.grid, **header_facts)
        return encode(header, map(self.volume, maps))

    def encode_steps(self, values: Floats, step: float, **header_facts: Any) -> bytes:
        """Return the bytes of a .nii.gz file of one map (voxels,), rounded to multiples of a step.

        Such a file is much smaller. If values are NaN or do not fit into 8 bits, they are stored
        as floats.
        """
        steps = np.rint(values / np.float32(step))
        for kind in (np.uint8, np.int8):
            with np.errstate(invalid="ignore"):
                stored = steps.astype(kind)
            if np.array_equal(stored, steps):
                return encode_integers(
                    self.volume(stored), self.grid, slope=step, **header_facts
                )
        return self.encode(steps * np.float32(step), **header_facts)

    def image(self, values: Floats, **header_facts: Any) -> Any:
        """Return a nibabel image (i, j, k, n) of several maps (n, voxels), 0 elsewhere.

        Values and header are the same as in `encode`.
        """
        maps = np.atleast_2d(values)
        # (n, k, j, i) in memory, seen as (i, j, k, n) with i fastest, as in files.
        in_memory = np.zeros((len(maps), *self.grid.shape[::-1]), np.float32)
        volumes = in_memory.T
        i, j, k = self.index.T
        volumes[i, j, k] = maps.T
        header = make_header(volumes.shape, self.grid, **header_facts)
        return nib.Nifti1Image(volumes, header.get_best_affine(), header)

    def read(self, path: Path) -> Float32:
        """Read a NIfTI or Analyze map on any grid of the space, by linear interpolation.

        Returns
        -------
        (voxels,), NaN where it has no value. A value of 0 counts as missing, as it marks voxels
        outside the brain.

        Raises
        ------
        RunError
            It is missing or damaged, or has several maps.
        UnusableMapError
            It has no value at any voxel.
        """
        return read_statmap(path, self.points, self.grid.space)

    def volume(self, values: Values) -> Values:
        """Return values (voxels,) as a volume (i, j, k) of the same type, 0 elsewhere."""
        # i is fastest, as in files, for which other orders would be copied.
        volume = np.zeros(self.grid.shape, values.dtype, order="F")
        volume.reshape(-1, order="F")[self._positions_in_file] = values
        return volume

    @cached_property
    def _positions_in_file(self) -> Indices:
        """(voxels,), flat positions in the grid where i is fastest."""
        index = np.unravel_index(self.positions, self.grid.shape)
        return np.ravel_multi_index(index, self.grid.shape, order="F")

    def mirror(self) -> Indices:
        """Return the voxel nearest to the mirror position (-x, y, z), (voxels,); -1 if none."""
        # Of each voxel of the grid: its number among the places, or -1.
        numbers = self.volume(np.arange(self.number) + 1) - 1
        points = self.points * [-1, 1, 1]
        mirrored = LatticeSampling.nearest(self.grid.shape, self.grid.affine, points)
        numbers_there = numbers.ravel(order="F")[mirrored.source]
        return np.where(mirrored.covered, numbers_there, _NONE)

    def lattice(self, edge: int) -> Lattice:
        """Divide the grid into cubes of `edge` voxels along an edge; the last may be incomplete."""
        index = self.index
        blocks = tuple(math.ceil(size / edge) for size in self.grid.shape)
        last = np.array(blocks) - 1
        # A block's centre is (edge - 1) / 2 voxels from its first voxel.
        position = np.clip((index - (edge - 1) / 2) / edge, 0, last)
        lower = np.minimum(position.astype(np.intp), np.maximum(last - 1, 0))
        upper_share = position - lower
        shares = np.stack([1.0 - upper_share, upper_share])  # (2, voxels, 3)
        i, j, k = shares.T  # (voxels, 2) each
        weights = outer_weights(i, j, k)
        steps = np.indices((2, 2, 2)).reshape(3, 8).T
        corners = np.minimum(lower[:, None] + steps, last)  # (voxels, 8, 3)
        return Lattice(
            shape=blocks,
            edge=edge,
            block_of=np.ravel_multi_index(tuple((index // edge).T), blocks),
            corners=np.ravel_multi_index(tuple(np.moveaxis(corners, -1, 0)), blocks),
            weights=weights.reshape(-1, 8),
        )


@dataclass(frozen=True, eq=False)
class ListedPlaces:
    """Places that have names but no positions, such as parcels of an array.

    Examples
    --------
    >>> places = ListedPlaces(("V1_L", "V1_R"))
    >>> places.number, places.lattice(3).blocks
    (2, 2)
    """

    extension: ClassVar[str] = ".npz"  # extension of files of values
    # BIDS entities of files of values.
    entities: ClassVar[Mapping[str, str | None]] = {}
    block_edge: ClassVar[int] = 1  # as distances are unknown

    names: tuple[str, ...]  # without repeats

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError("places need names, and each name may occur only once")

    @property
    def number(self) -> int:
        """Number of places."""
        return len(self.names)

    def mirror(self) -> Indices:
        """Return -1 for each place, as hemispheres are unknown."""
        return np.full(self.number, _NONE, np.intp)

    def lattice(self, edge: int) -> Lattice:
        """Return one block for each place, for any `edge`, as nothing can be interpolated."""
        return single_lattice(self.number, edge)


Places = VoxelPlaces | ListedPlaces


def read_statmap(path: Path, points: Points, space: str) -> Float32:
    """Read a statistic map of one volume at points, by linear interpolation.

    Parameters
    ----------
    path
        NIfTI file or Analyze pair, on any grid of the same space.
    points
        (places, 3), RAS+ mm.
    space
        Name of the space, for messages.

    Returns
    -------
    (places,), at most 1e38, which also replaces infinity. NaN where the file has no value: outside
    its field of view, or where most of the neighbouring voxels are NaN or 0, which marks voxels
    outside the brain.

    Raises
    ------
    RunError
        It is missing or damaged, or has several volumes.
    UnusableMapError
        It has no value at any point.
    """
    return sample_statmap(path, *read_statmap_volume(path), points, space)


def sample_statmap(
    path: Path,
    values: Float64,
    affine: Affine,
    points: Points,
    space: str,
) -> Float32:
    """Sample the volume of a file, from `read_statmap_volume`, as `read_statmap` does."""
    # Limit large values, so that weighted sums stay finite.
    values = np.clip(values, -_LARGEST, _LARGEST)
    inside = np.isfinite(values) & (values != 0)
    sampling = _linear_sampling(values.shape, affine.tobytes(), points.tobytes())
    zero_filled = np.where(inside, values, 0.0)
    volumes = np.stack([zero_filled.ravel("F"), inside.ravel("F")])
    total, weight = sampling.apply(volumes, 1.0, 0.0)
    has_value = sampling.covered & (weight >= _LEAST_WEIGHT)
    if not has_value.any():
        raise UnusableMapError(
            f"{path} has no value inside the model's mask", expected=f"a map in {space}"
        )
    sampled = np.full(len(total), np.nan, np.float32)
    np.divide(total, weight, out=sampled, where=has_value)
    return sampled


# A study's maps share one grid, and finding the neighbours takes longest.
@lru_cache(maxsize=1)
def _linear_sampling(shape: Shape, affine: bytes, points: bytes) -> LinearSampling:
    return LinearSampling(
        shape,
        np.frombuffer(affine).reshape(4, 4),
        np.frombuffer(points).reshape(-1, 3),
    )


def read_statmap_volume(path: Path) -> tuple[Float64, Affine]:
    """Return the only volume of a file, and its affine (voxel indices to RAS+ mm).

    Raises
    ------
    RunError
        It is missing or damaged, or has several volumes.
    """
    with reading_image(path, as_what=" as NIfTI or an Analyze pair"):
        image = nib.load(path)
        if len(image.shape) < 3 or 0 in image.shape or math.prod(image.shape[3:]) != 1:
            raise RunError(f"{path} has sizes {image.shape}", expected="one volume")
        values = np.asarray(image.dataobj, np.float64).reshape(image.shape[:3])
    return values, np.asarray(image.affine, np.float64)
