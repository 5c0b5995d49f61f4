"""Local ridge: at each place, a linear model from a person's connectome to their maps.

The strong simple model that a network should beat: closed form, across people (Tavor's
model, `baselines.LinearBaseline`, is across voxels). At a place, with deviations x of the
connectome and y of the maps from the training means, G = Σ x xᵀ and H = Σ x yᵀ over people
and over the places around, weighed by a Gaussian; A = (G + λ (tr G / rois) I)⁻¹ H; the
prediction is the training mean + Aᵀ x. The sums are additive over people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.lattice import Lattice
from bids_dtg.imaging.places import Places

Array = NDArray[np.float32]
_CELLS = 512  # worked on at once
_REACH = 4.0  # standard deviations after which a Gaussian counts as 0


class LocalRidgeSums:
    """Sums over people: of values at places, and of products in the cells of a lattice.

    Parameters
    ----------
    lattice
        Cells over the places of connectomes and maps.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice, self.people = lattice, 0
        places = len(lattice.cell)
        self.cells, self._members = _groups(lattice.cell, places)
        self.connectome_sum: NDArray[np.float64] = np.zeros(0)  # (rois, places)
        self.map_sum: NDArray[np.float64] = np.zeros(0)  # (contrasts, places)
        # (cells, rois, rois + contrasts): Σ x [x, y]ᵀ, not yet centred
        self.products: NDArray[np.float64] = np.zeros(0)

    def fit_person(
        self, connectome: NDArray[np.floating[Any]], maps: NDArray[np.floating[Any]]
    ) -> None:
        """Add a person.

        Parameters
        ----------
        connectome
            (rois, places).
        maps
            Measured, (contrasts, places).

        Raises
        ------
        ValueError
            If the shapes do not fit the places or earlier people.
        """
        places = len(self.lattice.cell)
        if (
            connectome.ndim != 2
            or maps.ndim != 2
            or {connectome.shape[1], maps.shape[1]} != {places}
        ):
            raise ValueError(
                f"connectome and maps are (rois, {places}) and (contrasts, {places}), "
                f"found {connectome.shape} and {maps.shape}"
            )
        rois, contrasts = len(connectome), len(maps)
        if not self.people:
            self.connectome_sum = np.zeros((rois, places))
            self.map_sum = np.zeros((contrasts, places))
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
        if not self.lattice.matches(other.lattice):
            raise ValueError("only sums over the same places and cells can be added")
        total = LocalRidgeSums(self.lattice)
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
        interpolation = _Interpolation.of(self.lattice)
        pooled = self._pooled(centred, pooling_mm, interpolation.corners_used)
        rois = len(mean_x)
        gram, cross = pooled[:, :, :rois], pooled[:, :, rois:]
        variance = np.trace(gram, axis1=1, axis2=2) / rois
        # Where nobody differs from the mean, any coefficients will do.
        variance = np.maximum(variance, 1e-9 * variance.max() or 1.0)
        models = {}
        for penalty in penalties:
            ridge = penalty * variance[:, None, None] * np.eye(rois)
            coefficients = np.linalg.solve(gram + ridge, cross).astype(np.float32)
            models[penalty] = LocalRidge(
                mean_x, mean_y, coefficients, interpolation, self.lattice.block
            )
        return models

    def _products(self, both: Array, rois: int) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield cells and their Σ x [x, y]ᵀ, (cells, rois, rois + contrasts)."""
        padded = np.concatenate([both, np.zeros((len(both), 1), np.float32)], axis=1).T.copy()
        for start in range(0, len(self._members), _CELLS):
            cells = slice(start, start + _CELLS)
            rows = padded[self._members[cells]]  # (cells, places, rois + contrasts)
            yield cells, (rows[:, :, :rois].transpose(0, 2, 1) @ rows).astype(np.float64)

    def _pooled(
        self, products: NDArray[np.float64], sd_mm: float, wanted: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Smooth products over cells; return those of the wanted cells."""
        smooth = self.lattice.smoothing(sd_mm, _REACH * sd_mm)
        pooled = np.zeros((len(wanted), *products.shape[1:]))
        for row in range(products.shape[1]):  # a part at a time: the whole is large
            values = np.zeros((self.lattice.cells, products.shape[2]))
            values[self.cells] = products[:, row]
            pooled[:, row] = smooth(values)[wanted]
        return pooled


@dataclass(frozen=True, eq=False)
class LocalRidge:
    """A solved model; made by `LocalRidgeSums.solve`."""

    mean_connectome: Array  # (rois, places), of the training people
    mean_maps: Array  # (contrasts, places), of the training people
    coefficients: Array  # (corners, rois, contrasts), at the centres of cells
    interpolation: _Interpolation  # from the cells' centres to the places
    block: int  # edge of a cell, counted in places

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return all that `from_tensors` needs besides the places; floats of 16 bits."""
        half = {
            "mean_connectome": self.mean_connectome,
            "mean_maps": self.mean_maps,
            "coefficients": self.coefficients,
        }
        tensors: dict[str, NDArray[Any]] = {k: v.astype(np.float16) for k, v in half.items()}
        return tensors | {"block": np.array(self.block, np.int64)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], places: Places) -> LocalRidge:
        """Make a model from what `tensors` returned, for the same places.

        Raises
        ------
        ValueError
            If the tensors do not belong together or to the places.
        """
        block = int(tensors["block"])
        way = _Interpolation.of(places.lattice(block))
        mean_x, mean_y, coefficients = (
            tensors[name].astype(np.float32)
            for name in ("mean_connectome", "mean_maps", "coefficients")
        )
        wanted = (len(way.corners_used), len(mean_x), len(mean_y))
        if coefficients.shape != wanted or {mean_x.shape[1], mean_y.shape[1]} != {places.number}:
            raise ValueError(
                f"coefficients are {wanted} and means (…, {places.number}), "
                f"found {coefficients.shape}, {mean_x.shape} and {mean_y.shape}"
            )
        return cls(mean_x, mean_y, coefficients, way, block)

    def predict(self, connectome: NDArray[np.floating[Any]]) -> Array:
        """Predict the maps (contrasts, places) of a connectome (rois, places).

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
            for corner in range(way.corners.shape[1]):
                numbers = way.corners[start : start + _CELLS, corner]
                part = x @ self.coefficients[numbers]  # (groups, places, contrasts)
                # A place is in one group; only the spare row comes more than once.
                maps[members] += way.weights[start : start + _CELLS, :, corner, None] * part
        return np.ascontiguousarray(maps[:-1].T)


@dataclass(frozen=True, eq=False)
class _Interpolation:
    """Weights of cells; the places that are interpolated between the same cells form a group."""

    members: NDArray[np.intp]  # (groups, places), numbers; the one after the last: none
    corners: NDArray[np.intp]  # (groups, corners), rows of the coefficients
    weights: Array  # (groups, places, corners)
    corners_used: NDArray[np.intp]  # (corners,), cells of those rows

    @classmethod
    def of(cls, lattice: Lattice) -> _Interpolation:
        _, members = _groups(lattice.element, len(lattice.element))
        used, corners = np.unique(lattice.corners, return_inverse=True)
        spare = np.zeros((1, lattice.weights.shape[1]))
        padded = np.concatenate([lattice.weights, spare]).astype(np.float32)
        return cls(members, corners.reshape(lattice.corners.shape), padded[members], used)


def _groups(keys: NDArray[np.intp], none: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the keys that occur and where, (keys,) and (keys, most), filled up with `none`."""
    order = np.argsort(keys, kind="stable")
    unique, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
    members = np.full((len(unique), counts.max()), none)
    group = np.repeat(np.arange(len(unique)), counts)
    members[group, np.arange(len(keys)) - first[group]] = order
    return unique, members
