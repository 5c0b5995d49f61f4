"""Simple linear models that every network is compared with: across voxels, a fit a person."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

People = NDArray[np.floating[Any]] | Sequence[NDArray[np.floating[Any]]]
VOXELS_A_COEFFICIENT = 2.0  # at least, in a parcel
# From so many voxels a coefficient on, and up to such a condition number, products are solved.
_MANY, _WORST = 100, 1e8
Region = slice | NDArray[np.intp]  # of voxels
_Model = TypeVar("_Model", bound="_RegionBaseline")


class _RegionBaseline:
    """Least-squares fits a person, contrast and region of voxels, averaged over people.

    Sums over people are kept: memory does not grow with their number.
    """

    _total: NDArray[np.float64]  # (contrasts, regions, 1 + rois)
    _count: NDArray[np.int64]  # of people, (contrasts, regions)
    _people = 0

    def _regions(self, voxels: int) -> Sequence[Region]:
        """Return the voxels of each region."""
        raise NotImplementedError

    def fit(self: _Model, X: People, Y: People) -> _Model:
        """Fit on training people, read one at a time.

        Parameters
        ----------
        X
            Connectomes, (people, rois, voxels): an array (memory-mapped, if large) or
            a sequence of one array a person.
        Y
            Measured maps, (people, contrasts, voxels), likewise; NaN where nothing was measured.

        Returns
        -------
        Self
            This model.

        Raises
        ------
        ValueError
            If shapes do not match, no person is given, a connectome has a value that is not finite
            or a map an infinite one.
        """
        if len(X) != len(Y) or len(X) == 0:
            raise ValueError(f"X and Y need the same people, found {len(X)} and {len(Y)}")
        self._people = 0
        for n in range(len(X)):
            self._add(_checked(X[n], Y[n], n), 1)
        return self

    def without(
        self: _Model, connectome: NDArray[np.floating[Any]], maps: NDArray[np.floating[Any]]
    ) -> _Model:
        """Return the model without one of the people that it was fitted on.

        Parameters
        ----------
        connectome, maps
            That person's, as `fit` was given them: (rois, voxels) and (contrasts, voxels).

        Returns
        -------
        Self
            Another model, fitted on all the others.

        Raises
        ------
        ValueError
            If nobody would be left.
        """
        if self._people < 2:
            raise ValueError(f"{self._people} people were fitted on: nobody would be left")
        others = copy.copy(self)
        others._total, others._count = self._total.copy(), self._count.copy()
        others._add(_checked(connectome, maps, 0), -1)
        return others

    def _add(self, person: tuple[NDArray[Any], NDArray[Any]], sign: int) -> None:
        connectome, maps = person
        regions = self._regions(connectome.shape[1])
        shape = len(maps), len(regions), 1 + len(connectome)
        if not self._people:
            self._total, self._count = np.zeros(shape), np.zeros(shape[:2], np.int64)
        elif self._total.shape != shape:
            raise ValueError("the numbers of ROIs and contrasts differ between people")
        self._people += sign
        for number, region in enumerate(regions):
            fits, fitted = fit_maps(standardised(connectome[:, region]), maps[:, region])
            self._total[:, number] += sign * fits
            self._count[:, number] += sign * fitted

    def _coefficients(self) -> NDArray[np.float64]:
        """Return intercept and slopes, (contrasts, regions, 1 + rois); 0 where nobody has data."""
        if not self._people:
            raise ValueError(f"this {type(self).__name__} is not fitted: call fit(X, Y) first")
        mean: NDArray[np.float64] = self._total / np.maximum(self._count, 1)[..., None]
        mean[self._count == 0] = 0.0
        return mean

    def predict(self, X: People) -> NDArray[np.float32]:
        """Predict maps of new people.

        Parameters
        ----------
        X
            Connectomes, (people, rois, voxels), of the same kind as in the fit.

        Returns
        -------
        numpy.ndarray
            Maps, (people, contrasts, voxels), float32; 0 where nobody had a map to fit on.

        Raises
        ------
        ValueError
            If the model is not fitted, the ROIs differ from the fitted ones or a
            value is not finite.
        """
        coefficients = self._coefficients()
        rois = coefficients.shape[2] - 1
        if not len(X):
            raise ValueError("X has no people in it")
        maps = []
        for n in range(len(X)):
            connectome = _checked_connectome(X[n], n)
            if len(connectome) != rois:
                raise ValueError(
                    f"X[{n}] has {len(connectome)} ROIs, the model was fitted on {rois}"
                )
            regions = self._regions(connectome.shape[1])
            found = np.empty((len(coefficients), connectome.shape[1]), np.float32)
            for number, region in enumerate(regions):
                fit, features = coefficients[:, number], standardised(connectome[:, region])
                found[:, region] = fit[:, 1:] @ features + fit[:, :1]
            maps.append(found)
        return np.stack(maps)


class LinearBaseline(_RegionBaseline):
    """One linear model of the connectome a contrast, the same at every voxel.

    Each training person gives a least-squares fit, over voxels, of a contrast map on
    the person's ROI × voxel features (each ROI's row z-scored over voxels, ddof 0)
    and an intercept; the coefficients are averaged over people.

    Notes
    -----
    An older form of the baseline of Serin et al. 2025, which is `ParcelLinearBaseline`. Voxels
    where nothing was measured are left out of a person's fit; of several solutions (as with an
    ROI that is given twice) it is the one with the smallest coefficients.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> connectomes = rng.standard_normal((10, 4, 200))  # people, ROIs, voxels
    >>> maps = connectomes[:, :1] + 0.5 * connectomes[:, 1:2]
    >>> model = LinearBaseline()
    >>> _ = model.fit(connectomes, maps)
    >>> predicted = model.predict(connectomes)
    >>> round(float(np.corrcoef(predicted[0, 0], maps[0, 0])[0, 1]), 2)
    1.0
    """

    @property
    def coef(self) -> NDArray[np.float64]:
        """Slopes, (contrasts, rois)."""
        return self._coefficients()[:, 0, 1:]

    @property
    def intercept(self) -> NDArray[np.float64]:
        """Intercepts, (contrasts,)."""
        return self._coefficients()[:, 0, 0]

    def _regions(self, voxels: int) -> Sequence[Region]:
        return (slice(None),)


class ParcelLinearBaseline(_RegionBaseline):
    """A linear model of the connectome a contrast and parcel: the published baseline.

    Each training person gives a least-squares fit, over the voxels of a parcel, of a contrast map
    on the person's ROI × voxel features (each ROI's row z-scored over the parcel's voxels, ddof 0)
    and an intercept; the coefficients are averaged over people.

    Parameters
    ----------
    parcels
        Label of each voxel's parcel, (voxels,), integers; `roi_parcels` makes them as published.

    Raises
    ------
    ValueError
        If `parcels` is no vector of integers.

    Notes
    -----
    Tavor et al. 2016, Science 352, as Serin et al. 2025 compare with it: 50 parcels and 51
    coefficients in each, one random segment of rest a training person, and the mean over the
    predictions for a person's segments. Where a parcel has fewer voxels than coefficients, the
    fit is the solution with the smallest coefficients, as with the pseudo-inverse of the published
    code; `roi_parcels` makes no such parcels. A person who lacks data in a parcel counts there if
    two voxels a coefficient are left.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> connectomes = rng.standard_normal((10, 4, 200))  # people, ROIs, voxels
    >>> parcels = np.arange(200) // 100  # two
    >>> maps = np.where(parcels == 0, connectomes[:, :1], -connectomes[:, :1])
    >>> model = ParcelLinearBaseline(parcels)
    >>> _ = model.fit(connectomes, maps)
    >>> predicted = model.predict(connectomes)
    >>> round(float(np.corrcoef(predicted[0, 0], maps[0, 0])[0, 1]), 1)
    1.0
    """

    def __init__(self, parcels: NDArray[np.integer[Any]]) -> None:
        if parcels.ndim != 1 or not np.issubdtype(parcels.dtype, np.integer):
            raise ValueError(
                f"parcels are integers, (voxels,), found {parcels.dtype} of shape {parcels.shape}"
            )
        self._members = tuple(np.flatnonzero(parcels == n) for n in np.unique(parcels))
        self._voxels = len(parcels)

    @property
    def coef(self) -> NDArray[np.float64]:
        """Slopes, (contrasts, parcels, rois); parcels in the order of their labels."""
        return self._coefficients()[:, :, 1:]

    @property
    def intercept(self) -> NDArray[np.float64]:
        """Intercepts, (contrasts, parcels)."""
        return self._coefficients()[:, :, 0]

    def _regions(self, voxels: int) -> Sequence[Region]:
        if voxels != self._voxels:
            raise ValueError(f"the parcels are of {self._voxels} voxels, found {voxels}")
        return self._members


def roi_parcels(
    maps: NDArray[np.floating[Any]], voxels_a_coefficient: float = VOXELS_A_COEFFICIENT
) -> NDArray[np.intp]:
    """Return the ROI whose map is largest at each voxel: the parcels of `ParcelLinearBaseline`.

    On a coarse grid parcels have hardly more voxels than a fit has coefficients, and a fit
    follows the noise. So the smallest parcel is dissolved into those of the maps that come next at
    its voxels, until all have voxels enough. At 2 mm, as published, that is none of 50.

    Parameters
    ----------
    maps
        ROI maps, (rois, voxels), dimensionless weights.
    voxels_a_coefficient
        How many voxels a parcel has for each of its `rois + 1` coefficients, at least.

    Returns
    -------
    numpy.ndarray
        (voxels,), rows of `maps`.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.zeros((2, 10))
    >>> maps[0, :6] = maps[1, 6:] = 1.0
    >>> roi_parcels(maps, 1.0).tolist()
    [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    >>> roi_parcels(maps).tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    heights = np.array(maps, np.float32)
    while True:
        parcels: NDArray[np.intp] = heights.argmax(axis=0)
        labels, sizes = np.unique(parcels, return_counts=True)
        if len(labels) == 1 or sizes.min() >= voxels_a_coefficient * (1 + len(maps)):
            return parcels
        heights[labels[sizes.argmin()]] = -np.inf


def standardised(connectome: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return a connectome (rois, voxels) with each ROI's row z-scored over voxels.

    Examples
    --------
    >>> import numpy as np
    >>> standardised(np.array([[0.0, 2.0], [5.0, 5.0]]))
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    features: NDArray[np.float64] = np.array(connectome, dtype=np.float64)
    largest = np.maximum(features.max(axis=1), -features.min(axis=1))
    features -= features.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.einsum("rv,rv->r", features, features) / features.shape[1])
    # A constant row carries nothing, whatever rounding left of it.
    flat = spread <= 8 * np.finfo(np.float64).eps * largest
    features[flat] = 0.0
    features /= np.where(flat, 1.0, spread)[:, None]
    return features


def fit_maps(
    features: NDArray[np.float64], maps: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit a person's maps by features, each contrast alone, by least squares.

    Parameters
    ----------
    features
        (rois, voxels), as `standardised` makes them.
    maps
        (contrasts, voxels), NaN where nothing was measured.

    Returns
    -------
    Intercepts and slopes (contrasts, 1 + rois), 0 where there is no fit, and where there is one
    (contrasts,).

    Examples
    --------
    >>> import numpy as np
    >>> features = np.array([[-1.0, 0.0, 1.0, 0.0]])
    >>> fits, fitted = fit_maps(features, 3 + 2 * features)
    >>> fits.round(6).tolist(), fitted.tolist()
    ([[3.0, 2.0]], [True])
    """
    rois, voxels = features.shape
    found = np.zeros((len(maps), 1 + rois))
    known = np.isfinite(maps)
    voxels_known = known.sum(axis=1)
    enough = VOXELS_A_COEFFICIENT * (1 + rois)
    fitted: NDArray[np.bool_] = (voxels_known >= enough) | (voxels_known == voxels)
    design = np.concatenate([np.ones((1, voxels)), features])
    # Contrasts that lack the same voxels share a decomposition.
    for alike in rows_alike(known):
        contrasts = alike[fitted[alike]]
        if len(contrasts):
            inside = known[contrasts[0]]
            targets = maps[np.ix_(contrasts, inside)].astype(np.float64)
            own = design if inside.all() else design[:, inside]
            found[contrasts] = _least_squares(own, targets)
    return found, fitted


def _least_squares(
    design: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return coefficients (targets, rows of the design)."""
    rows, voxels = design.shape
    if voxels > _MANY * rows:  # products are as exact there, and ten times as fast
        gram = design @ design.T
        if np.linalg.cond(gram) < _WORST:
            return np.asarray(np.linalg.solve(gram, design @ targets.T).T, np.float64)
    return np.asarray(np.linalg.lstsq(design.T, targets.T, rcond=None)[0].T, np.float64)


def rows_alike(known: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the numbers of rows that are the same, group by group.

    Examples
    --------
    >>> [group.tolist() for group in rows_alike(np.array([[True], [False], [True]]))]
    [[0, 2], [1]]
    """
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(np.packbits(known, axis=1)):
        groups.setdefault(row.tobytes(), []).append(number)
    return [np.array(numbers) for numbers in groups.values()]


def _checked(
    connectome: NDArray[np.floating[Any]], maps: NDArray[np.floating[Any]], person: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    own, targets = _checked_connectome(connectome, person), np.asarray(maps)
    if targets.ndim != 2 or targets.shape[1] != own.shape[1]:
        raise ValueError(
            f"Y[{person}] is (contrasts, {own.shape[1]} voxels), found {targets.shape}"
        )
    if np.isinf(targets).any():
        raise ValueError(f"Y[{person}] has infinite values")
    return own, targets


def _checked_connectome(
    connectome: NDArray[np.floating[Any]], person: int
) -> NDArray[np.floating[Any]]:
    rows = np.asarray(connectome)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"X[{person}] is (rois, voxels), found {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"X[{person}] has values that are not finite")
    return rows
