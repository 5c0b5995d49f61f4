"""What makes a person's map different: contributions of a connectome's columns to its deviation.

In an area, the deviation that a linear model predicts is a sum over the columns of the connectome,
one for each ROI: of a column, the mean over places of coefficient times the column's deviation from
the training people's mean. The sum is exact. Of a network, contributions are integrated gradients
along the straight path from the training people's mean connectome (`Differentiable`), sure to a few
percent. Whether a column means anything is another question.
With each contribution comes the pattern, the covariance over training people of the column in
the area with the measured deviation there: coefficients also cancel noise that columns share, so
that a column without any relation to the task may contribute (Haufe et al. 2014, NeuroImage 87:
96). Its sign is that of the column in the direction in which it contributes more.

A pattern counts if its correlation is above the largest one, over all columns and areas of the
contrast, of 95 % of permutations of the training people (Westfall & Young 1993).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.people import Array, Float, MapModel, Person, for_rest
from bids_dtg.stats.linear import Region

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PREFIX = "explanation."  # of the names of `Support`'s tensors in a bundle's file of weights
LEAST_PEOPLE = 8  # with fewer, no permutation is rare enough
PERMUTATIONS = 500
LEVEL = 0.05
_TENSORS = ("areas", "peaks", "overlap", "centre", "pattern", "p")
_MEAN = "mean"  # a tensor that only models have whose contributions are along a path
_SHIFT = 0.1  # of a whole column, by which the direction is found in which it contributes more


@dataclass(frozen=True, eq=False)
class Areas:
    """Groups of places: those where each of some ROI maps is the largest.

    Examples
    --------
    >>> areas = Areas.of(np.array([[1.0, 0.8, 0.0, 0.0], [0.0, 0.9, 0.5, 0.0]]))
    >>> areas.labels.tolist(), areas.means(np.array([[1.0, 2.0, 4.0, 9.0]])).tolist()
    ([0, 1, 1, -1], [[1.0, 3.0]])
    """

    labels: NDArray[np.integer[Any]]  # (places,), numbers of areas; -1: in none
    number: int  # of areas; some may be empty

    @classmethod
    def of(cls, roi_maps: NDArray[np.floating[Any]]) -> Areas:
        """Return the areas of ROI maps (rois, places); where all are 0 is in none."""
        labels = roi_maps.argmax(axis=0)
        return cls(np.where(roi_maps.max(axis=0) > 0, labels, -1).astype(np.int32), len(roi_maps))

    @cached_property
    def weights(self) -> csr_array:
        """(places, areas), columns add up to 1, or are 0 where an area is empty."""
        from scipy.sparse import csr_array

        inside = np.flatnonzero(self.labels >= 0)
        own = self.labels[inside]
        share = 1.0 / np.bincount(own, minlength=self.number)[own]
        shape = len(self.labels), self.number
        return csr_array((share, (inside, own)), shape=shape)

    def at_places(self, values: NDArray[np.floating[Any]]) -> Array:
        """Return values (rows, areas) at their places, (rows, places); NaN in no area.

        Examples
        --------
        >>> Areas(np.array([1, 0, -1]), 2).at_places(np.array([[5.0, 7.0]])).tolist()
        [[7.0, 5.0, nan]]
        """
        found = np.where(self.labels >= 0, values[:, self.labels], np.nan)
        return np.asarray(found, np.float32)

    def means(self, values: NDArray[np.floating[Any]], places: Region = slice(None)) -> Float:
        """Return means (rows, areas) of values (rows, places); of some places, their part of it."""
        return np.asarray((self.weights[places].T @ values.T).T, np.float64)


@runtime_checkable
class Explained(MapModel, Protocol):
    """A model whose prediction is a sum over the columns of a connectome, and a constant."""

    def columns(self, connectome: NDArray[np.float32], areas: Areas) -> Float:
        """Return the means over areas of what the model reads of each column, (columns, areas)."""
        ...

    def contributions(self, connectome: NDArray[np.float32], areas: Areas) -> Float:
        """Return the parts of the prediction's means over areas, (contrasts, columns, areas).

        They add up over columns, up to a constant of the model, to the prediction before any
        correction, and before an amplitude is read apart from the shape.
        """
        ...


@runtime_checkable
class Differentiable(MapModel, Protocol):
    """A model that is no sum over columns, but has contributions along a path of connectomes."""

    def path_contributions(
        self,
        connectome: NDArray[np.floating[Any]],
        start: NDArray[np.floating[Any]],
        areas: Areas,
        points: int | None = None,
    ) -> Float:
        """Return the parts of the change of maps from `start` on, (contrasts, columns, areas).

        They add up over columns to the difference between the means over areas of the maps of both
        connectomes (columns, places). `points` of the path are read; None: as many as are enough.
        """
        ...


@dataclass(frozen=True, eq=False)
class Explanation:
    """Contributions of ROIs to a person's deviation, by contrast and area.

    Where a model reads several sets of ROI maps, the contributions of all are brought to one set:
    each is divided among this set's ROIs in proportion to the overlap of the maps. Pattern and p
    are those of the column that brings most to an ROI.
    """

    contrasts: tuple[Contrast, ...]  # rows of all arrays
    contributions: Float  # (contrasts, rois, areas), in the units of the maps
    halves: tuple[Float, Float] | None  # the same of the odd and the even pieces; None: not made
    pattern: Array  # (contrasts, rois, areas)
    p: Array  # (contrasts, rois, areas), over permuted people, corrected over ROIs and areas

    @property
    def deviation(self) -> Float:
        """The predicted deviation, before the amplitude step, (contrasts, areas)."""
        return np.asarray(self.contributions.sum(axis=1))

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Which contributions may be interpreted, (contrasts, rois, areas).

        Those of one sign in both halves of rest and in all of it, with p below 0.05; none without
        halves.
        """
        if self.halves is None:
            return np.zeros(self.contributions.shape, np.bool_)
        sign = np.sign(self.contributions)
        same = (sign != 0) & (np.sign(self.halves[0]) == sign) & (np.sign(self.halves[1]) == sign)
        return np.asarray(same & (self.p < LEVEL))

    @property
    def sums(self) -> Float:
        """The sums of the contributions that may be interpreted, (contrasts, areas)."""
        return np.asarray(np.where(self.shown, self.contributions, 0.0).sum(axis=1))


@dataclass(frozen=True, eq=False)
class Support:
    """What training people say of the columns' contributions; a bundle keeps it.

    Nothing in it is of a single person.
    """

    areas: Areas
    peaks: NDArray[np.int32]  # (areas,), the place where each area's ROI map is largest
    overlap: Array  # (columns, rois), rows add up to 1: how the columns' maps overlap one set's
    centre: Float  # (contrasts, columns, areas), mean over people of the contributions
    # Covariance over people of the column, in the direction in which it contributes more, with the
    # measured deviation: below 0, contributions are against what is measured.
    pattern: Array  # (contrasts, columns, areas)
    p: Array  # (contrasts, columns, areas)
    # (columns, places), mean connectome of the people, where paths begin; None: the model is a sum.
    mean: Array | None = None

    def __post_init__(self) -> None:
        columns, rois = self.overlap.shape
        if rois != self.areas.number or self.peaks.shape != (rois,):
            raise ValueError(f"{rois} ROIs have {self.areas.number} areas, {len(self.peaks)} peaks")
        if self.areas.labels.min() < -1 or self.areas.labels.max() >= rois:
            raise ValueError(f"areas are numbers below {rois}")
        if self.peaks.min() < 0 or self.peaks.max() >= len(self.areas.labels):
            raise ValueError(f"peaks are numbers below {len(self.areas.labels)}")
        shape = len(self.centre), columns, rois
        for name in ("centre", "pattern", "p"):
            if (found := getattr(self, name).shape) != shape:
                raise ValueError(f"{name} is {shape}, found {found}")
        if self.mean is not None and self.mean.shape != (columns, len(self.areas.labels)):
            raise ValueError(f"mean is {columns, len(self.areas.labels)}, found {self.mean.shape}")

    @classmethod
    def learn(
        cls,
        people: Sequence[Person],
        model: Explained | Differentiable,
        roi_maps: NDArray[np.floating[Any]],
        one_set: slice,
        seed: int = 0,
    ) -> Support:
        """Learn from training people.

        Parameters
        ----------
        people
            `LEAST_PEOPLE` or more, with connectomes as the model reads them.
        model
            The fitted model.
        roi_maps
            (columns, places), of all sets.
        one_set
            Rows of the set that contributions are brought to, and whose areas they are in.
        seed
            Of the permutations.

        Raises
        ------
        ValueError
            There are too few people, or no ROI maps.
        """
        if len(people) < LEAST_PEOPLE:
            raise ValueError(f"{len(people)} people are fewer than {LEAST_PEOPLE}")
        maps = np.asarray(roi_maps, np.float32)
        if not (maps[one_set] > 0).any():
            raise ValueError("the model has no ROI maps")
        areas = Areas.of(maps[one_set])
        mean = None
        if isinstance(model, Explained):
            columns, centre, slopes = _of_sums(model, people, areas)
        else:
            columns = np.array([areas.means(person.mean_connectome()) for person in people])
            mean = _mean_connectome(people)
            # Of the directions, signs alone are kept: one point is enough.
            slopes = model.path_contributions(mean + _SHIFT, mean, areas, points=1)
            centre = np.zeros(slopes.shape)
        measured = []
        for person in people:
            known = np.isfinite(person.maps)
            share = areas.means(known.astype(np.float32))
            sums = areas.means(np.where(known, person.maps, 0.0))
            measured.append(np.where(share > 0, sums / np.where(share > 0, share, 1.0), np.nan))
        pattern, p = _patterns(columns, np.array(measured), np.random.default_rng(seed))
        return cls(
            areas=areas,
            peaks=maps[one_set].argmax(axis=1).astype(np.int32),
            overlap=overlap(maps, maps[one_set]),
            centre=centre,
            pattern=(np.sign(slopes) * pattern).astype(np.float32),
            p=p,
            mean=mean,
        )

    def contributions(self, model: MapModel, connectome: NDArray[np.float32]) -> Float:
        """Return a model's contributions, as `explain` takes them, (contrasts, columns, areas).

        Raises
        ------
        TypeError
            The model has none, or they need the mean connectome that is not here.
        """
        if isinstance(model, Explained):
            return model.contributions(connectome, self.areas)
        if isinstance(model, Differentiable) and self.mean is not None:
            return model.path_contributions(connectome, self.mean, self.areas)
        raise TypeError("the maps are no sum over columns, and no mean connectome is known")

    def explain(
        self,
        contrasts: Sequence[Contrast],
        whole: NDArray[np.floating[Any]],
        halves: tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]] | None,
        gains: NDArray[np.floating[Any]] | None = None,
    ) -> Explanation:
        """Explain a person's deviation.

        Parameters
        ----------
        contrasts
            Of the rows.
        whole, halves
            Contributions from `Explained.contributions`, means over segments of rest.
        gains
            (contrasts,), of the model's correction; None: 1.
        """
        factor = 1.0 if gains is None else np.asarray(gains, np.float64)[:, None, None]
        own, *parts = (factor * (part - self.centre) for part in (whole, *(halves or ())))
        amount = np.abs(own)
        lead = np.empty(self.shape, np.intp)  # the column that brings most
        for roi in range(lead.shape[1]):
            lead[:, roi] = (amount * self.overlap[None, :, roi, None]).argmax(axis=1)
        odd_even = [self._brought(part) for part in parts]
        return Explanation(
            contrasts=tuple(contrasts),
            contributions=self._brought(own),
            halves=(odd_even[0], odd_even[1]) if odd_even else None,
            pattern=np.take_along_axis(self.pattern, lead, axis=1),
            p=np.take_along_axis(self.p, lead, axis=1),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Contrasts, ROIs of one set, and areas."""
        return len(self.centre), self.areas.number, self.areas.number

    def _brought(self, contributions: Float) -> Float:
        """Bring contributions of columns to the ROIs of one set; sums stay as they are."""
        return np.asarray(np.einsum("qka,kr->qra", contributions, self.overlap, optimize=True))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        return {
            "areas": self.areas.labels.astype(np.int32),
            "peaks": self.peaks,
            "overlap": self.overlap.astype(np.float32),
            "centre": self.centre.astype(np.float32),
            "pattern": self.pattern.astype(np.float32),
            "p": self.p.astype(np.float32),
            **({} if self.mean is None else {_MEAN: self.mean.astype(np.float16)}),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], places: int) -> Support:
        """Make it from the result of `tensors`, for so many places.

        Raises
        ------
        KeyError
            If a tensor is missing.
        ValueError
            If they do not fit each other or the places.
        """
        labels, peaks, overlap_, *rest = (tensors[name] for name in _TENSORS)
        if labels.shape != (places,) or {labels.dtype.kind, peaks.dtype.kind} != {"i"}:
            raise ValueError(f"areas are {places} whole numbers, found {labels.dtype}")
        if overlap_.ndim != 2 or any(array.ndim != 3 for array in rest):
            raise ValueError("overlap has two axes, and what follows it three")
        centre, pattern, p = (array.astype(np.float32) for array in rest)
        areas = Areas(labels, overlap_.shape[1])
        overlap_ = overlap_.astype(np.float32)
        mean = tensors.get(_MEAN)
        mean = None if mean is None else mean.astype(np.float32)
        return cls(areas, peaks, overlap_, centre.astype(np.float64), pattern, p, mean)


def _of_sums(
    model: Explained, people: Sequence[Person], areas: Areas
) -> tuple[Float, Float, Float]:
    """Return columns (people, columns, areas), and mean and slopes on them of contributions."""
    columns = []
    centre, products = np.zeros(()), np.zeros(())
    for person in people:
        column, contribution = of_segments(model, person, areas)
        columns.append(column)
        centre = centre + contribution / len(people)
        products = products + contribution * column / len(people)
    return np.array(columns), centre, products - centre * np.mean(columns, axis=0)


def _mean_connectome(people: Sequence[Person]) -> Array:
    """Return the mean over people of their connectomes, as a bundle keeps it, (columns, places)."""
    total = np.zeros(())
    for person in people:
        total = total + person.mean_connectome() / len(people)
    return total.astype(np.float16).astype(np.float32)


def of_segments(model: Explained, person: Person, areas: Areas) -> tuple[Float, Float]:
    """Return a person's columns and contributions, means over segments as maps are averaged."""
    total = sum(person.weights)
    columns, contributions = np.zeros(()), np.zeros(())
    for segment, weight in zip(person.connectomes, person.weights, strict=True):
        share, connectome = weight / total, segment.astype(np.float32)
        of_rest = for_rest(model, person.minutes * share)
        assert isinstance(of_rest, Explained)
        columns = columns + share * of_rest.columns(connectome, areas)
        contributions = contributions + share * of_rest.contributions(connectome, areas)
    return columns, contributions


def overlap(
    maps: NDArray[np.floating[Any]], one_set: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """Return how ROI maps (columns, places) overlap those of one set (rois, places).

    Returns
    -------
    numpy.ndarray
        (columns, rois), sums over places of the products of positive values; rows add up to 1. A
        map of the set is its own alone; one that overlaps none is divided evenly.

    Examples
    --------
    >>> overlap(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]), np.eye(3)[:2]).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    positive, ends = np.maximum(maps, 0.0), np.maximum(one_set, 0.0)
    products = np.asarray(positive @ ends.T, np.float64)
    for column, own in enumerate(maps):
        if (same := np.flatnonzero((one_set == own).all(axis=1))).size:
            products[column] = 0.0
            products[column, same[0]] = 1.0
    total = products.sum(axis=1, keepdims=True)
    even = np.full_like(products, 1.0 / len(one_set))
    return np.where(total > 0, products / np.where(total > 0, total, 1.0), even).astype(np.float32)


def _patterns(columns: Float, measured: Float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return covariances over people, and p by permutations of them, (contrasts, columns, areas).

    Parameters
    ----------
    columns, measured
        (people, columns, areas) and (people, contrasts, areas); NaN where nothing was measured,
        which counts as the mean.
    """
    known = np.isfinite(measured)
    count = known.sum(axis=0)
    mean = np.where(known, measured, 0.0).sum(axis=0) / np.maximum(count, 1)
    x, y = columns - columns.mean(axis=0), np.where(known, measured - mean, 0.0)
    # (areas, columns or contrasts, people), for products over people.
    x, y = (np.ascontiguousarray(part.transpose(2, 1, 0)) for part in (x, y))
    covariance = (y @ x.transpose(0, 2, 1)) / np.maximum(count.T - 1, 1)[..., None]
    x, y = _unit(x), _unit(y)
    turned = np.ascontiguousarray(x.transpose(0, 2, 1))
    found = np.abs(y @ turned)  # (areas, contrasts, columns)
    largest = np.empty((PERMUTATIONS, found.shape[1]), np.float32)
    for own in largest:
        own[:] = np.abs(y[..., rng.permutation(y.shape[-1])] @ turned).max(axis=(0, 2))
    p = np.empty(found.shape)
    for contrast, null in enumerate(np.sort(largest.T, axis=1)):
        # Rounding must not put a value above its own permutation.
        below = np.searchsorted(null, found[:, contrast] * (1 - 1e-6))
        p[:, contrast] = (1 + len(null) - below) / (1 + len(null))
    p[found == 0] = 1.0
    return tuple(part.transpose(1, 2, 0).astype(np.float32) for part in (covariance, p))  # type: ignore[return-value]


def _unit(rows: Float) -> Array:
    """Return rows of length 1 along the last axis, or 0 where nothing but rounding varies."""
    length = np.sqrt((rows**2).sum(axis=-1, keepdims=True))
    flat = length <= 1e-9 * max(float(length.max(initial=0.0)), 1e-30)
    return np.where(flat, 0.0, rows / np.where(flat, 1.0, length)).astype(np.float32)
