"""Local ridge: at each place, a linear model from a person's connectome to their maps.

The strong simple model that a network should beat: closed form, across people (Tavor's
model, `baselines.LinearBaseline`, is across voxels). At a place, with deviations x of the
connectome and y of the maps from the training means, G = Σ x xᵀ and H = Σ x yᵀ over people
and over the places around, weighed by a Gaussian; A = (G + λ (tr G / rois) I)⁻¹ H; the
prediction is the training mean + Aᵀ x. The sums are additive over people.

Values that were not measured are not counted: at each place, means and sums of a contrast are over
the people who have it. Contrasts that the same people lack at the same places share G; where these
differ, e.g. if some people lack a task, each group of contrasts has its own G and means. Memory and
time grow with the number of these groups, not with people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.lattice import Lattice
from bids_dtg.imaging.places import Places

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[np.float32]
Float = NDArray[np.float64]
_BLOCKS = 512  # solved at once
_REACH = 4.0  # standard deviations beyond which a Gaussian counts as 0
# Contrasts of a person whose gaps differ in less than this share of the places, e.g. because one
# map has a stray 0, count together: only where all of them were measured.
_SAME_GAPS = 0.02
_LARGEST_EDGE = 1000  # places along the edge of a cell, at most
_ROUNDING = 1e-5  # of a sum of squares; less than this around the mean is rounding error


class LocalRidgeSums:
    """Sums over people: of values at places, and of products in the blocks of a lattice.

    Contrasts that have been measured in the same people at the same places form a group; it is
    divided when a person lacks a part of it.

    Parameters
    ----------
    lattice
        Blocks over the places of connectomes and maps.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice, self.people = lattice, 0
        places = len(lattice.block_of)
        self.blocks, self._members = _groups(lattice.block_of, places)
        self.connectome_sum: NDArray[np.float64] = np.zeros(0)  # (rois, places), of everybody
        self.map_sum: NDArray[np.float64] = np.zeros(0)  # (contrasts, places)
        self.cross: NDArray[np.float64] = np.zeros(0)  # (blocks, rois, contrasts): Σ x yᵀ
        self.group: NDArray[np.int64] = np.zeros(0, np.int64)  # (contrasts,), rows of what follows
        self.measured: NDArray[np.int64] = np.zeros(0, np.int64)  # (groups, places), how many
        self.measured_sum: NDArray[np.float64] = np.zeros(0)  # (groups, rois, places), Σ x of them
        self.gram: NDArray[np.float64] = np.zeros(0)  # (groups, blocks, rois, rois): Σ x xᵀ of them

    def fit_person(
        self, connectome: NDArray[np.floating[Any]], maps: NDArray[np.floating[Any]]
    ) -> None:
        """Add a person.

        Parameters
        ----------
        connectome
            Connectome of the person, (rois, places).
        maps
            Measured, (contrasts, places); NaN where they were not.

        Raises
        ------
        ValueError
            If the shapes do not fit the places or earlier people.
        """
        places = len(self.lattice.block_of)
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
            self.cross = np.zeros((len(self.blocks), rois, contrasts))
            self.group = np.zeros(contrasts, np.int64)
            self.measured = np.zeros((1, places), np.int64)
            self.measured_sum = np.zeros((1, rois, places))
            self.gram = np.zeros((1, len(self.blocks), rois, rois))
        elif (rois, contrasts) != (len(self.connectome_sum), len(self.map_sum)):
            raise ValueError("the numbers of ROIs and contrasts differ between people")
        self.people += 1
        self.connectome_sum += connectome
        patterns, of_contrast = _patterns(np.isfinite(maps))
        group, parents, pattern = _refined(self.group, of_contrast)
        self._divide(group, parents)
        x = connectome.astype(np.float32, copy=False)
        y = np.where(patterns[of_contrast], maps, 0.0).astype(np.float32, copy=False)
        self.map_sum += y
        for blocks, part in self._products(x, y):
            self.cross[blocks] += part
        for number, known in enumerate(patterns):
            groups = np.flatnonzero(pattern == number)
            if not known.any():
                continue
            own = x if known.all() else x * known
            self.measured[groups] += known
            self.measured_sum[groups] += own
            for blocks, part in self._products(own, own):
                self.gram[groups, blocks] += part

    def _divide(self, group: NDArray[np.int64], parents: NDArray[np.int64]) -> None:
        """Assign each contrast to a new group; `parents` are the old groups of the new ones."""
        self.group = group
        if not np.array_equal(parents, np.arange(len(self.gram))):
            self.measured, self.measured_sum = self.measured[parents], self.measured_sum[parents]
            self.gram = self.gram[parents]

    def __add__(self, other: LocalRidgeSums) -> LocalRidgeSums:
        """Return the sums over both groups of people."""
        if not self.lattice.matches(other.lattice):
            raise ValueError("only sums over the same places and blocks can be added")
        total = LocalRidgeSums(self.lattice)
        total.people = self.people + other.people
        full = [sums for sums in (self, other) if sums.people]
        for name in ("connectome_sum", "map_sum", "cross"):
            if full:
                setattr(total, name, np.sum([getattr(sums, name) for sums in full], axis=0))
        if len(full) == 1:
            for name in ("group", "measured", "measured_sum", "gram"):
                setattr(total, name, getattr(full[0], name).copy())
        elif full:
            total.group, mine, theirs = _refined(self.group, other.group)
            total.measured = self.measured[mine] + other.measured[theirs]
            total.measured_sum = self.measured_sum[mine] + other.measured_sum[theirs]
            total.gram = self.gram[mine] + other.gram[theirs]
        return total

    def solve(self, penalty: float, pooling_mm: float = 10.0) -> LocalRidge:
        """Solve for the coefficients with one penalty (see `solve_each`)."""
        return self.solve_each((penalty,), pooling_mm)[penalty]

    def solve_each(
        self, penalties: Sequence[float], pooling_mm: float = 10.0
    ) -> dict[float, LocalRidge]:
        """Solve for the coefficients with each of several penalties; common steps are done once.

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
        rois, contrasts = len(self.connectome_sum), len(self.map_sum)
        mean_x = (self.connectome_sum / self.people).astype(np.float32)
        interpolation = _Interpolation.of(self.lattice)
        solved = {
            penalty: LocalRidge(
                mean_x,
                np.zeros(self.map_sum.shape, np.float32),
                np.zeros((len(interpolation.corners_used), rois, contrasts), np.float32),
                interpolation,
                self.lattice.edge,
            )
            for penalty in penalties
        }
        for number in range(len(self.gram)):
            self._solve_group(number, solved, pooling_mm)
        return solved

    def _solve_group(
        self, number: int, solved: Mapping[float, LocalRidge], pooling_mm: float
    ) -> None:
        """Fill in the models' values for the contrasts of a group."""
        rows = np.flatnonzero(self.group == number)
        count = self.measured[number]
        everybody = next(iter(solved.values())).mean_connectome
        mean_x = np.where(
            count > 0, self.measured_sum[number] / np.maximum(count, 1), everybody
        ).astype(np.float32)
        mean_y = (self.map_sum[rows] / np.maximum(count, 1)).astype(np.float32)
        centred = np.concatenate([self.gram[number], self.cross[:, :, rows]], axis=2)
        rois, largest = len(mean_x), np.trace(self.gram[number], axis1=1, axis2=2)
        total = count.astype(np.float32) * mean_x
        for blocks, part in self._products(total, np.concatenate([mean_x, mean_y])):
            centred[blocks] -= part
        # With one person, or equal people, only rounding error is left.
        rounding = np.trace(centred[:, :, :rois], axis1=1, axis2=2) < _ROUNDING * largest
        centred[rounding] = 0.0
        interpolation = next(iter(solved.values())).interpolation
        pooled = self._pooled(centred, pooling_mm, interpolation.corners_used)
        gram, cross = pooled[:, :, :rois], pooled[:, :, rois:]
        variance = np.trace(gram, axis1=1, axis2=2) / rois
        # Where nobody differs from the mean, any coefficients are valid.
        variance = np.maximum(variance, 1e-9 * variance.max() or 1.0)
        for penalty, model in solved.items():
            ridge = penalty * variance[:, None, None] * np.eye(rois)
            model.coefficients[:, :, rows] = np.linalg.solve(gram + ridge, cross)
            model.mean_maps[rows] = mean_y
            if not np.array_equal(mean_x, everybody):
                # Estimates the mean map of everybody, had the others been measured as well.
                own = LocalRidge(
                    mean_x,
                    mean_y,
                    np.ascontiguousarray(model.coefficients[:, :, rows]),
                    model.interpolation,
                    model.edge,
                )
                model.mean_maps[rows] = own.predict(everybody)

    def _products(self, one: Array, other: Array) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield blocks and Σ a bᵀ over their places, (blocks, rows of one, rows of the other)."""
        spare = np.zeros((1, len(one) + len(other)), np.float32)
        padded = np.concatenate([np.concatenate([one, other]).T, spare])
        for start in range(0, len(self._members), _BLOCKS):
            blocks = slice(start, start + _BLOCKS)
            rows = padded[self._members[blocks]]  # (blocks, places, rows of both)
            a, b = rows[:, :, : len(one)], rows[:, :, len(one) :]
            yield blocks, (a.transpose(0, 2, 1) @ b).astype(np.float64)

    def _pooled(
        self, products: NDArray[np.float64], sd_mm: float, wanted: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Smooth products over blocks; return those of the requested blocks."""
        smooth = self.lattice.smoothing(sd_mm, _REACH * sd_mm)
        pooled = np.zeros((len(wanted), *products.shape[1:]))
        for row in range(products.shape[1]):  # one part at a time: the whole is large
            values = np.zeros((self.lattice.blocks, products.shape[2]))
            values[self.blocks] = products[:, row]
            pooled[:, row] = smooth(values)[wanted]
        return pooled


@dataclass(frozen=True, eq=False)
class LocalRidge:
    """A solved model; made by `LocalRidgeSums.solve`."""

    mean_connectome: Array  # (rois, places), of the training people
    # (contrasts, places), of the training people; where some lack a map, the mean of the others,
    # adjusted to the mean connectome of all
    mean_maps: Array
    coefficients: Array  # (corners, rois, contrasts), at the centres of blocks
    interpolation: _Interpolation  # from the blocks' centres to the places
    edge: int  # of a block, counted in places

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return all arrays that `from_tensors` needs besides the places.

        Floats have 16 bits, or 32 if a value is too large for these.
        """
        half = {
            "mean_connectome": self.mean_connectome,
            "mean_maps": self.mean_maps,
            "coefficients": self.coefficients,
        }
        tensors: dict[str, NDArray[Any]] = {k: _as_half(v) for k, v in half.items()}
        return tensors | {"block": np.array(self.edge, np.int64)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], places: Places) -> LocalRidge:
        """Make a model from the result of `tensors`, for the same places.

        Raises
        ------
        ValueError
            If the tensors do not fit each other or the places.
        """
        edge = _block(tensors["block"])
        way = _Interpolation.of(places.lattice(edge))
        mean_x, mean_y, coefficients = (
            tensors[name].astype(np.float32)
            for name in ("mean_connectome", "mean_maps", "coefficients")
        )
        rois, contrasts = mean_x.shape[:1], mean_y.shape[:1]
        wanted = (len(way.corners_used), *rois, *contrasts)
        means = ((*rois, places.number), (*contrasts, places.number))
        if coefficients.shape != wanted or (mean_x.shape, mean_y.shape) != means:
            raise ValueError(
                f"coefficients are {wanted} and means (…, {places.number}), "
                f"found {coefficients.shape}, {mean_x.shape} and {mean_y.shape}"
            )
        return cls(mean_x, mean_y, coefficients, way, edge)

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
        for start in range(0, len(way.members), _BLOCKS):
            members = way.members[start : start + _BLOCKS]
            x = rows[members]
            for corner in range(way.corners.shape[1]):
                numbers = way.corners[start : start + _BLOCKS, corner]
                part = x @ self.coefficients[numbers]  # (groups, places, contrasts)
                # A place is in one group; only the padding row occurs more than once.
                maps[members] += way.weights[start : start + _BLOCKS, :, corner, None] * part
        return np.ascontiguousarray(maps[:-1].T)


@dataclass(frozen=True, eq=False)
class _Interpolation:
    """Interpolation weights; places between the same blocks form a group."""

    members: NDArray[np.intp]  # (groups, places), numbers; `places` stands for none
    corners: NDArray[np.intp]  # (groups, corners), rows of the coefficients
    weights: Array  # (groups, places, corners)
    corners_used: NDArray[np.intp]  # (corners,), blocks of those rows

    @classmethod
    def of(cls, lattice: Lattice) -> _Interpolation:
        _, members = _groups(lattice.element, len(lattice.element))
        used, corners = np.unique(lattice.corners, return_inverse=True)
        spare = np.zeros((1, lattice.weights.shape[1]))
        padded = np.concatenate([lattice.weights, spare]).astype(np.float32)
        return cls(members, corners.reshape(lattice.corners.shape), padded[members], used)

    def matrix(self, places: int) -> csr_array:
        """Return the weights of corners at places, (places, corners)."""
        from scipy.sparse import csr_array

        numbers, columns = np.broadcast_arrays(self.members[..., None], self.corners[:, None])
        inside = numbers < places
        values = (self.weights[inside], (numbers[inside], columns[inside]))
        return csr_array(values, shape=(places, len(self.corners_used)))


def _as_half(values: Array) -> NDArray[Any]:
    """Return values as 16-bit floats, or unchanged if one is too large for these."""
    largest = np.abs(values).max(initial=0.0)
    return values.astype(np.float16) if largest <= np.finfo(np.float16).max else values


def _block(tensor: NDArray[Any]) -> int:
    """Return the edge of a block.

    Raises
    ------
    ValueError
        It is not one whole number of 1 or more.
    """
    if tensor.shape != () or tensor.dtype.kind not in "iu" or not 0 < tensor < _LARGEST_EDGE:
        raise ValueError(
            f"block is one whole number from 1 to {_LARGEST_EDGE - 1}, found {tensor.dtype} of "
            f"shape {tensor.shape}: {tensor.ravel()[:3].tolist()}"
        )
    return int(tensor)


def _patterns(known: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return the distinct masks of measured places, and the mask of each contrast.

    Parameters
    ----------
    known
        (contrasts, places), where a person was measured.

    Returns
    -------
    (patterns, places), and numbers of patterns (contrasts,). Nearly equal masks are merged.
    """
    rows = [row.tobytes() for row in np.packbits(known, axis=1)]
    number = {row: position for position, row in enumerate(dict.fromkeys(rows))}
    distinct = known[[rows.index(row) for row in number]]
    patterns: list[NDArray[np.bool_]] = []
    of_distinct = np.zeros(len(distinct), np.intp)
    # The fullest mask first: the others are compared with it and lose the least.
    for one in np.argsort(-distinct.sum(axis=1), kind="stable"):
        own = distinct[one]
        for position, pattern in enumerate(patterns):
            if own.any() and np.count_nonzero(own != pattern) < _SAME_GAPS * len(own):
                patterns[position] = pattern & own
                of_distinct[one] = position
                break
        else:
            of_distinct[one] = len(patterns)
            patterns.append(own)
    return np.stack(patterns), of_distinct[[number[row] for row in rows]]


def _refined(
    one: NDArray[np.integer[Any]], other: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the coarsest groups that refine both groupings of contrasts, and their parents.

    Examples
    --------
    >>> group, of_one, of_other = _refined(np.array([0, 0, 1]), np.array([0, 1, 1]))
    >>> group.tolist(), of_one.tolist(), of_other.tolist()
    ([0, 1, 2], [0, 0, 1], [0, 1, 1])
    """
    pairs, group = np.unique(np.stack([one, other], axis=1), axis=0, return_inverse=True)
    return group.reshape(-1).astype(np.int64), pairs[:, 0], pairs[:, 1]


def _groups(keys: NDArray[np.intp], none: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return distinct keys and their positions, (keys,) and (keys, most), padded with `none`."""
    order = np.argsort(keys, kind="stable")
    unique, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
    members = np.full((len(unique), counts.max()), none)
    group = np.repeat(np.arange(len(unique)), counts)
    members[group, np.arange(len(keys)) - first[group]] = order
    return unique, members
