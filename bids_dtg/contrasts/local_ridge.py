"""Local ridge: at each place, a linear model from a person's connectome to their maps.

The strong simple model that a network should beat: closed form, across people (Tavor's
model, `baselines.LinearBaseline`, is across voxels). At a place, with deviations x of the
connectome and y of the maps from the training means, G = Σ x xᵀ and H = Σ x yᵀ over people
and over the voxels around, weighed by a Gaussian; A = (G + λ (tr G / rois) I)⁻¹ H; the
prediction is the training mean + Aᵀ x. The sums are additive over people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_CELLS = 512  # worked on at once
_REACH = 4.0  # standard deviations after which a Gaussian counts as 0


class LocalRidgeSums:
    """Sums over people: of voxels, and of products in the cells of a coarser grid.

    Parameters
    ----------
    mask
        (i, j, k); voxel vectors are in C order.
    voxel_mm
        Edge of a voxel.
    block
        Edge of a cell in voxels.

    Examples
    --------
    >>> import numpy as np
    >>> rng, mask = np.random.default_rng(0), np.ones((6, 6, 6), dtype=bool)
    >>> sums = LocalRidgeSums(mask, voxel_mm=2.0)
    >>> for _ in range(20):
    ...     connectome = rng.standard_normal((3, 216))
    ...     sums.fit_person(connectome, connectome.sum(axis=0, keepdims=True))
    >>> model = sums.solve(penalty=1e-3)
    >>> bool(np.allclose(model.predict(connectome), connectome.sum(axis=0), atol=0.1))
    True
    """

    def __init__(self, mask: NDArray[np.bool_], voxel_mm: float, block: int = 3) -> None:
        self.mask, self.voxel_mm, self.block = mask, voxel_mm, block
        self.people = 0
        cells = np.argwhere(mask) // block
        self.shape: tuple[int, ...] = tuple(-(-n // block) for n in mask.shape)
        flat: NDArray[np.intp] = np.asarray(np.ravel_multi_index(tuple(cells.T), self.shape))
        self.cells, self._members = _groups(flat, len(flat))
        self.connectome_sum: NDArray[np.float64] = np.zeros(0)  # (rois, voxels)
        self.map_sum: NDArray[np.float64] = np.zeros(0)  # (contrasts, voxels)
        # (cells, rois, rois + contrasts): Σ x [x, y]ᵀ, not yet centred
        self.products: NDArray[np.float64] = np.zeros(0)

    def fit_person(
        self, connectome: NDArray[np.floating[Any]], maps: NDArray[np.floating[Any]]
    ) -> None:
        """Add a person.

        Parameters
        ----------
        connectome
            (rois, voxels).
        maps
            Measured, (contrasts, voxels).

        Raises
        ------
        ValueError
            If the shapes do not fit the mask or earlier people.
        """
        voxels = int(np.count_nonzero(self.mask))
        if (
            connectome.ndim != 2
            or maps.ndim != 2
            or {connectome.shape[1], maps.shape[1]} != {voxels}
        ):
            raise ValueError(
                f"connectome and maps are (rois, {voxels}) and (contrasts, {voxels}), "
                f"found {connectome.shape} and {maps.shape}"
            )
        rois, contrasts = len(connectome), len(maps)
        if not self.people:
            self.connectome_sum = np.zeros((rois, voxels))
            self.map_sum = np.zeros((contrasts, voxels))
            self.products = np.zeros((len(self.cells), rois, rois + contrasts))
        elif (rois, contrasts) != (len(self.connectome_sum), len(self.map_sum)):
            raise ValueError("the numbers of ROIs and contrasts differ between people")
        self.people += 1
        self.connectome_sum += connectome
        self.map_sum += maps
        both = np.concatenate([connectome, maps]).astype(np.float32, copy=False)
        for cells, part in self._products(both, rois):
            self.products[cells] += part

    def __add__(self, other: LocalRidgeSums) -> LocalRidgeSums:
        """Return the sums over both groups of people."""
        if self.block != other.block or not np.array_equal(self.mask, other.mask):
            raise ValueError("only sums over the same mask and cells can be added")
        total = LocalRidgeSums(self.mask, self.voxel_mm, self.block)
        total.people = self.people + other.people
        full = [sums for sums in (self, other) if sums.people]
        if full:
            total.connectome_sum = np.sum([sums.connectome_sum for sums in full], axis=0)
            total.map_sum = np.sum([sums.map_sum for sums in full], axis=0)
            total.products = np.sum([sums.products for sums in full], axis=0)
        return total

    def solve(self, penalty: float, pooling_mm: float = 10.0) -> LocalRidge:
        """Solve for the coefficients with one penalty; as `solve_each`."""
        return self.solve_each((penalty,), pooling_mm)[penalty]

    def solve_each(
        self, penalties: Sequence[float], pooling_mm: float = 10.0
    ) -> dict[float, LocalRidge]:
        """Solve for the coefficients with each of some penalties; what comes before is shared.

        Parameters
        ----------
        penalties
            λ, relative to the mean variance of the connectome's deviations.
        pooling_mm
            Standard deviation of the Gaussian.

        Raises
        ------
        ValueError
            If there are fewer than two people.
        """
        if self.people < 2:
            raise ValueError(f"local ridge needs at least 2 people, found {self.people}")
        mean_x = (self.connectome_sum / self.people).astype(np.float32)
        mean_y = (self.map_sum / self.people).astype(np.float32)
        centred = self.products.copy()
        for cells, part in self._products(np.concatenate([mean_x, mean_y]), len(mean_x)):
            centred[cells] -= self.people * part
        interpolation = _Interpolation.between(self.mask, self.block, self.shape)
        sd = pooling_mm / (self.voxel_mm * self.block)
        pooled = _pooled(centred, self.cells, self.shape, sd=sd, wanted=interpolation.corners_used)
        rois = len(mean_x)
        gram, cross = pooled[:, :, :rois], pooled[:, :, rois:]
        variance = np.trace(gram, axis1=1, axis2=2) / rois
        # Where nobody differs from the mean, any coefficients will do.
        variance = np.maximum(variance, 1e-9 * variance.max() or 1.0)
        models = {}
        for penalty in penalties:
            ridge = penalty * variance[:, None, None] * np.eye(rois)
            coefficients = np.linalg.solve(gram + ridge, cross).astype(np.float32)
            models[penalty] = LocalRidge(mean_x, mean_y, coefficients, interpolation, self.block)
        return models

    def _products(self, both: Array, rois: int) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield cells and their Σ x [x, y]ᵀ, (cells, rois, rois + contrasts)."""
        padded = np.concatenate([both, np.zeros((len(both), 1), np.float32)], axis=1).T.copy()
        for start in range(0, len(self._members), _CELLS):
            cells = slice(start, start + _CELLS)
            rows = padded[self._members[cells]]  # (cells, voxels, rois + contrasts)
            yield cells, (rows[:, :, :rois].transpose(0, 2, 1) @ rows).astype(np.float64)


@dataclass(frozen=True, eq=False)
class LocalRidge:
    """A solved model; made by `LocalRidgeSums.solve`."""

    mean_connectome: Array  # (rois, voxels), of the training people
    mean_maps: Array  # (contrasts, voxels), of the training people
    coefficients: Array  # (corners, rois, contrasts), at the centres of cells
    interpolation: _Interpolation  # from the cells' centres to the voxels
    block: int  # edge of a cell in voxels

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return all that `from_tensors` needs besides the mask; floats of 16 bits."""
        half = {
            "mean_connectome": self.mean_connectome,
            "mean_maps": self.mean_maps,
            "coefficients": self.coefficients,
        }
        tensors: dict[str, NDArray[Any]] = {k: v.astype(np.float16) for k, v in half.items()}
        return tensors | {"block": np.array(self.block, np.int64)}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_]
    ) -> LocalRidge:
        """Make a model from what `tensors` returned, for the same mask.

        Raises
        ------
        ValueError
            If the tensors do not belong together or to the mask.
        """
        block = int(tensors["block"])
        if not 1 <= block <= max(mask.shape):
            raise ValueError(f"a cell has 1 to {max(mask.shape)} voxels along an edge, not {block}")
        shape = tuple(-(-n // block) for n in mask.shape)
        way = _Interpolation.between(mask, block, shape)
        mean_x, mean_y, coefficients = (
            tensors[name].astype(np.float32)
            for name in ("mean_connectome", "mean_maps", "coefficients")
        )
        voxels = int(np.count_nonzero(mask))
        wanted = (len(way.corners_used), len(mean_x), len(mean_y))
        if coefficients.shape != wanted or {mean_x.shape[1], mean_y.shape[1]} != {voxels}:
            raise ValueError(
                f"coefficients are {wanted} and means (…, {voxels}), found {coefficients.shape}, "
                f"{mean_x.shape} and {mean_y.shape}"
            )
        return cls(mean_x, mean_y, coefficients, way, block)

    def predict(self, connectome: NDArray[np.floating[Any]]) -> Array:
        """Predict the maps (contrasts, voxels) of a connectome (rois, voxels).

        Raises
        ------
        ValueError
            If the shape is another.
        """
        if connectome.shape != self.mean_connectome.shape:
            raise ValueError(
                f"a connectome is {self.mean_connectome.shape}, found {connectome.shape}"
            )
        deviations = (connectome - self.mean_connectome).astype(np.float32, copy=False)
        padded = np.concatenate([deviations, np.zeros((len(deviations), 1), np.float32)], axis=1)
        rows = padded.T.copy()
        spare = np.zeros((1, len(self.mean_maps)), np.float32)
        maps = np.concatenate([self.mean_maps.T, spare])
        way = self.interpolation
        for start in range(0, len(way.members), _CELLS):
            members = way.members[start : start + _CELLS]
            x = rows[members]
            for corner in range(8):
                numbers = way.corners[start : start + _CELLS, corner]
                part = x @ self.coefficients[numbers]  # (groups, voxels, contrasts)
                # A voxel is in one group; only the spare row comes more than once.
                maps[members] += way.weights[start : start + _CELLS, :, corner, None] * part
        return np.ascontiguousarray(maps[:-1].T)


@dataclass(frozen=True, eq=False)
class _Interpolation:
    """Trilinear weights; the voxels between the same eight cell centres form a group."""

    members: NDArray[np.intp]  # (groups, voxels), numbers; the one after the last: none
    corners: NDArray[np.intp]  # (groups, 8), rows of the coefficients
    weights: Array  # (groups, voxels, 8)
    corners_used: NDArray[np.intp]  # (corners,), flat cell numbers of those rows

    @classmethod
    def between(cls, mask: NDArray[np.bool_], block: int, shape: tuple[int, ...]) -> _Interpolation:
        # A cell's centre lies (block - 1) / 2 voxels after its first voxel.
        place = (np.argwhere(mask) - (block - 1) / 2) / block
        last = np.array(shape) - 1
        place = np.clip(place, 0, last)
        lower = np.minimum(place.astype(np.intp), np.maximum(last - 1, 0))
        share = place - lower
        groups, members = _groups(np.ravel_multi_index(tuple(lower.T), shape), len(lower))
        first = np.stack(np.unravel_index(groups, shape), axis=1)
        steps = np.indices((2, 2, 2)).reshape(3, 8).T
        flat = np.ravel_multi_index(
            tuple(np.minimum(first[:, None] + steps, last).transpose(2, 0, 1)), shape
        )
        used, corners = np.unique(flat, return_inverse=True)
        weights = np.where(steps, share[:, None], 1.0 - share[:, None]).prod(axis=2)
        padded = np.concatenate([weights, np.zeros((1, 8))]).astype(np.float32)
        return cls(members, corners.reshape(flat.shape), padded[members], used)


def _groups(keys: NDArray[np.intp], none: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the keys that occur and where, (keys,) and (keys, most), filled up with `none`."""
    order = np.argsort(keys, kind="stable")
    unique, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
    members = np.full((len(unique), counts.max()), none)
    group = np.repeat(np.arange(len(unique)), counts)
    members[group, np.arange(len(keys)) - first[group]] = order
    return unique, members


def _pooled(
    products: NDArray[np.float64],
    cells: NDArray[np.intp],
    shape: tuple[int, ...],
    *,
    sd: float,
    wanted: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Smooth over cells by a Gaussian of `sd` cells; return the wanted cells of the grid."""
    kernels = [_gaussian(n, sd) for n in shape]
    pooled = np.zeros((len(wanted), *products.shape[1:]))
    for row in range(products.shape[1]):  # a part at a time: the whole is large
        values = np.zeros((int(np.prod(shape)), products.shape[2]))
        values[cells] = products[:, row]
        grid = values.reshape(*shape, -1)
        for axis, kernel in enumerate(kernels):
            grid = np.moveaxis(np.tensordot(kernel, grid, axes=(1, axis)), 0, axis)
        pooled[:, row] = grid.reshape(len(values), -1)[wanted]
    return pooled


def _gaussian(n: int, sd: float) -> NDArray[np.float64]:
    """Return weights (n, n) between the places of an axis; sd 0 leaves all as it is."""
    distance = np.subtract.outer(np.arange(n), np.arange(n)).astype(np.float64)
    if sd == 0:
        return np.eye(n)
    weights: NDArray[np.float64] = np.exp(-0.5 * (distance / sd) ** 2)
    weights[np.abs(distance) > _REACH * sd] = 0.0
    return weights
