"""Places: where values are wanted. Voxels of a grid, or names in a list.

What a model needs of its places, and what a file of maps needs, is the same for all: `Places`.
Values over places are arrays whose last axis has the places in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.lattice import Lattice, single_lattice, voxel_lattice
from bids_dtg.imaging.nifti import Intent, encode_integers, encode_maps, maps_image
from bids_dtg.imaging.statmap import read_statmap

_NONE = -1
Indices = NDArray[np.intp]


class Places(Protocol):
    """Where values are wanted, in an order, and what lies beside what."""

    @property
    def number(self) -> int:
        """How many places there are."""
        ...

    @property
    def spacing_mm(self) -> float:
        """Distance between neighbouring places."""
        ...

    @property
    def points(self) -> NDArray[np.float64]:
        """(places, 3), RAS+ mm."""
        ...

    @property
    def entities(self) -> dict[str, str | None]:
        """BIDS entities of a file with values at the places."""
        ...

    @property
    def extension(self) -> str:
        """What the name of such a file ends with."""
        ...

    def encode(
        self, values: NDArray[np.floating[Any]], *, intent: Intent = "none", description: str = ""
    ) -> bytes:
        """Make a complete file of one map (places,) or of several (n, places); 0 elsewhere.

        The same input gives the same bytes.
        """
        ...

    def read(self, path: Path) -> NDArray[np.float32]:
        """Read a file of one map at the places: (places,), NaN where it has no value.

        A value of 0 counts as none: it marks what lies outside the brain.

        Raises
        ------
        RunError
            Missing, damaged, or several maps; `EmptyMapError`: no value at any place.
        """
        ...

    def mirror(self) -> Indices:
        """Return the place on the other side of the brain for each place, (places,); -1: none."""
        ...

    def lattice(self, edge: int) -> Lattice:
        """Divide the places into blocks of about `edge` places along an edge."""
        ...


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
        affine = self.grid.affine
        centres: NDArray[np.float64] = self.index @ affine[:3, :3].T + affine[:3, 3]
        return centres

    @property
    def spacing_mm(self) -> float:
        """Mean edge of a voxel."""
        return float(np.mean(self.grid.voxel_sizes_mm))

    @property
    def entities(self) -> dict[str, str | None]:
        """BIDS entities of a map: the template's space and its resolution."""
        return self.grid.entities

    @property
    def extension(self) -> str:
        """What the name of a file of maps ends with."""
        return ".nii.gz"

    def encode(
        self,
        values: NDArray[np.floating[Any]],
        *,
        intent: Intent = "none",
        description: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Make a .nii.gz file of one map (voxels,), or of several (n, voxels) along a fourth axis.

        `description` is cut to 79 ASCII characters; `facts` go whole into the header, as JSON.
        As `Places.encode`.
        """
        return encode_maps(
            *(values, self.positions, self.grid),
            intent=intent,
            description=description,
            facts=facts,
        )

    def encode_steps(
        self,
        values: NDArray[np.floating[Any]],
        step: float,
        *,
        description: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Make a .nii.gz file of one map (voxels,) in whole steps: a fraction of the size.

        Where there are gaps (NaN) or more than 8 bits hold, the steps are stored as floats.
        """
        steps = np.rint(values / np.float32(step))
        fit = np.isfinite(steps).all()
        for kind in (np.uint8, np.int8):
            limits = np.iinfo(kind)
            if fit and limits.min <= steps.min(initial=0) and steps.max(initial=0) <= limits.max:
                return encode_integers(
                    *(self.volume(steps.astype(kind)), self.grid),
                    slope=step,
                    description=description,
                    facts=facts,
                )
        return self.encode(steps * np.float32(step), description=description, facts=facts)

    def image(
        self, values: NDArray[np.floating[Any]], *, intent: Intent = "none", description: str = ""
    ) -> Any:
        """Make an image of nibabel (i, j, k, n) of several maps (n, voxels), 0 elsewhere.

        Values and header are those of `encode`.
        """
        return maps_image(values, self.positions, self.grid, intent=intent, description=description)

    def read(self, path: Path) -> NDArray[np.float32]:
        """Read a map in NIfTI or Analyze on any grid of the space, by linear interpolation.

        As `Places.read`.
        """
        return read_statmap(path, self.points, self.grid.space)

    def volume(self, values: NDArray[Any]) -> NDArray[Any]:
        """Put values (voxels,) into a volume (i, j, k) of their type, 0 elsewhere."""
        volume = np.zeros(self.grid.shape, values.dtype)
        volume.reshape(-1)[self.positions] = values
        return volume

    def neighbours(self) -> Indices:
        """Return the voxels that share a face, (pairs, 2): along i, then j, then k."""
        index, number = self.index, self._numbers()
        pairs = []
        for step in np.eye(3, dtype=np.intp):
            beside = _look_up(number, index + step)
            near = np.flatnonzero(beside != _NONE)
            pairs.append(np.stack([near, beside[near]], axis=1))
        return np.concatenate(pairs)

    def mirror(self) -> Indices:
        """Return the voxel nearest to where x has the other sign, (voxels,); -1: none."""
        return self._nearest(self.points * [-1, 1, 1])

    def lattice(self, edge: int) -> Lattice:
        """Divide the grid into cubes of `edge` voxels along an edge.

        Raises
        ------
        ValueError
            If `edge` is below 1.
        """
        if edge < 1:
            raise ValueError(f"a block has 1 voxel along an edge or more, not {edge}")
        return voxel_lattice(self.index, self.grid.shape, edge)

    def _nearest(self, points: NDArray[np.float64]) -> Indices:
        """Return the voxel of the places that points (n, 3), RAS+ mm, lie in; -1 for none."""
        affine = self.grid.affine
        index = np.rint((points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T)
        return _look_up(self._numbers(), index.astype(np.intp))

    def _numbers(self) -> Indices:
        """Return the place at each voxel of the grid, (i, j, k); -1 for none."""
        numbers = np.full(self.grid.shape, _NONE, np.intp)
        numbers.reshape(-1)[self.positions] = np.arange(self.number)
        return numbers


@dataclass(frozen=True, eq=False)
class ListedPlaces:
    """Places that have names and no position, as parcels of an array.

    Examples
    --------
    >>> places = ListedPlaces(("V1_L", "V1_R"))
    >>> places.number, places.lattice(3).blocks
    (2, 2)
    """

    names: tuple[str, ...]  # each once

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError("places have names, and each name is of one place")

    @property
    def number(self) -> int:
        """How many places there are."""
        return len(self.names)

    @property
    def spacing_mm(self) -> float:
        """1: nothing is known of distances."""
        return 1.0

    @property
    def points(self) -> NDArray[np.float64]:
        """(places, 3), NaN: nothing is known of them."""
        return np.full((self.number, 3), np.nan)

    @property
    def entities(self) -> dict[str, str | None]:
        """None: no file of images has values at such places."""
        return {}

    @property
    def extension(self) -> str:
        """What the name of a file with such values ends with."""
        return ".npz"

    def encode(
        self, values: NDArray[np.floating[Any]], *, intent: Intent = "none", description: str = ""
    ) -> bytes:
        """Raise `RunError`: no image has such places."""
        raise self._no_image("written")

    def read(self, path: Path) -> NDArray[np.float32]:
        """Raise `RunError`: no image has such places."""
        raise self._no_image("read")

    def mirror(self) -> Indices:
        """Return -1 for each place: sides are not known."""
        return np.full(self.number, _NONE, np.intp)

    def lattice(self, edge: int) -> Lattice:
        """Return a block for each place, whatever `edge` is: nothing lies between two of them."""
        return single_lattice(self.number, edge)

    def _no_image(self, done: str) -> RunError:
        return RunError(
            f"no image can be {done} at {self.number} places without a grid",
            expected="arrays",
        )


def _look_up(numbers: Indices, index: Indices) -> Indices:
    """Return the places at voxels (voxels, 3); -1 outside the grid and where there is none."""
    found = np.full(len(index), _NONE, np.intp)
    inside = ((index >= 0) & (index < numbers.shape)).all(axis=1)
    found[inside] = numbers[tuple(index[inside].T)]
    return found
