"""Simple linear models that every network is compared with, fitted across voxels per person."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Integers, Mask

People = Floats | Sequence[Floats]
VOXELS_A_COEFFICIENT = 2.0  # the fewest in a parcel
# Normal equations are used with more voxels per coefficient, and if their condition is better.
_MANY = 100
_WORST = 1e8
Region = slice | Indices  # selects voxels


class LinearBaseline:
    """One linear model per contrast that predicts its map from the connectome at every voxel.

    For each training person, a contrast map is regressed over voxels on the person's ROI × voxel
    features (each ROI's row z-scored over voxels, ddof 0) and an intercept. The coefficients are
    averaged over people.

    Notes
    -----
    A simpler form of the baseline of Serin et al. 2025, which is `ParcelLinearBaseline`. Voxels
    without a measured value are left out of a person's fit. If there are several solutions (for
    example, when an ROI is given twice), the one with the smallest coefficients is taken.

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

    # Sums over people, so that memory does not grow with their number.
    _total: Float64  # (contrasts, regions, 1 + rois)
    _count: NDArray[np.int64]  # people in the sums, (contrasts, regions)
    _people = 0

    @property
    def coef(self) -> Float64:
        """Slopes, (contrasts, rois)."""
        return self._coefficients()[:, 0, 1:]

    @property
    def intercept(self) -> Float64:
        """Intercepts, (contrasts,)."""
        return self._coefficients()[:, 0, 0]

    def _regions(self, voxels: int) -> Sequence[Region]:
        """Return the voxels of each region that has a model of its own."""
        return (slice(None),)

    def fit(self, X: People, Y: People) -> Self:
        """Fit on training people, read one at a time.

        Parameters
        ----------
        X
            Connectomes, (people, rois, voxels): an array (memory-mapped, if large) or
            a sequence of one array per person.
        Y
            Measured maps, (people, contrasts, voxels), likewise; NaN where nothing was measured.

        Returns
        -------
        Self
            This model.

        Raises
        ------
        ValueError
            If shapes do not match, no person is given, a connectome has a value that is not finite,
            or a map has an infinite value.
        """
        if len(X) != len(Y) or len(X) == 0:
            raise ValueError(
                f"X and Y need the same people, found {len(X)} and {len(Y)}"
            )
        self._people = 0
        for person in range(len(X)):
            self._add(_checked(X[person], Y[person], person), 1)
        return self

    def without(self, connectome: Floats, maps: Floats) -> Self:
        """Return the model fitted without one of its training people.

        Parameters
        ----------
        connectome, maps
            That person's data, as given to `fit`: (rois, voxels) and (contrasts, voxels).

        Returns
        -------
        Self
            A new model, fitted on all the rest.

        Raises
        ------
        ValueError
            If nobody would be left.
        """
        if self._people < 2:
            raise ValueError(
                f"the model was fitted on {self._people} people: nobody would be left"
            )
        reduced = copy.copy(self)
        reduced._total = self._total.copy()
        reduced._count = self._count.copy()
        reduced._add(_checked(connectome, maps, 0), -1)
        return reduced

    def _add(self, person: tuple[Floats, Floats], sign: int) -> None:
        connectome, maps = person
        regions = self._regions(connectome.shape[1])
        shape = (len(maps), len(regions), 1 + len(connectome))
        if not self._people:
            self._total = np.zeros(shape)
            self._count = np.zeros(shape[:2], np.int64)
        elif self._total.shape != shape:
            raise ValueError("the numbers of ROIs and contrasts differ between people")
        self._people += sign
        for number, region in enumerate(regions):
            features = standardised(connectome[:, region])
            fits, fitted = fit_maps(features, maps[:, region])
            self._total[:, number] += sign * fits
            self._count[:, number] += sign * fitted

    def _coefficients(self) -> Float64:
        """Return intercept and slopes, (contrasts, regions, 1 + rois); 0 where nobody has data."""
        if not self._people:
            raise ValueError(
                f"this {type(self).__name__} is not fitted: call fit(X, Y) first"
            )
        count = np.maximum(self._count, 1)
        mean: Float64 = self._total / count[..., None]
        mean[self._count == 0] = 0.0
        return mean

    def predict(self, X: People) -> Float32:
        """Predict maps of new people.

        Parameters
        ----------
        X
            Connectomes, (people, rois, voxels), of the same kind as in the fit.

        Returns
        -------
        numpy.ndarray
            Maps, (people, contrasts, voxels), float32; 0 where no training person had data.

        Raises
        ------
        ValueError
            If the model is not fitted, the ROIs differ from the fitted ones or a
            value is not finite.
        """
        coefficients = self._coefficients()
        rois = coefficients.shape[2] - 1
        maps = []
        for person in range(len(X)):
            connectome = _checked_connectome(X[person], person)
            if len(connectome) != rois:
                raise ValueError(
                    f"X[{person}] has {len(connectome)} ROIs, the model was fitted on {rois}"
                )
            voxels = connectome.shape[1]
            predicted = np.empty((len(coefficients), voxels), np.float32)
            for number, region in enumerate(self._regions(voxels)):
                intercepts = coefficients[:, number, :1]
                slopes = coefficients[:, number, 1:]
                features = standardised(connectome[:, region])
                predicted[:, region] = slopes @ features + intercepts
            maps.append(predicted)
        return np.stack(maps)


class ParcelLinearBaseline(LinearBaseline):
    """One linear model per contrast and parcel: the published baseline.

    For each training person, a contrast map is regressed over the voxels of a parcel on the
    person's ROI × voxel features (each ROI's row z-scored over the parcel's voxels, ddof 0) and an
    intercept. The coefficients are averaged over people.

    Parameters
    ----------
    parcels
        Label of each voxel's parcel, (voxels,), integers; `roi_parcels` makes them as published.

    Raises
    ------
    ValueError
        If `parcels` is not a vector of integers.

    Notes
    -----
    The model of Tavor et al. 2016, Science 352, in the form that Serin et al. 2025 compare with:
    50 parcels with 51 coefficients each, one random rest segment per training person, and the mean
    of the predictions for a person's segments. If a parcel has fewer voxels than coefficients, the
    solution with the smallest coefficients is taken, as by the pseudo-inverse in the published
    code; `roi_parcels` makes no such parcels. A person with missing data in a parcel is used there
    if at least two voxels per coefficient remain.

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

    def __init__(self, parcels: Integers) -> None:
        if parcels.ndim != 1 or not np.issubdtype(parcels.dtype, np.integer):
            raise ValueError(
                f"parcels are integers, (voxels,), found {parcels.dtype} of shape {parcels.shape}"
            )
        self._members = tuple(
            np.flatnonzero(parcels == label) for label in np.unique(parcels)
        )
        self._voxels = len(parcels)

    @property
    def coef(self) -> Float64:
        """Slopes, (contrasts, parcels, rois); parcels in the order of their labels."""
        return self._coefficients()[:, :, 1:]

    @property
    def intercept(self) -> Float64:
        """Intercepts, (contrasts, parcels)."""
        return self._coefficients()[:, :, 0]

    def _regions(self, voxels: int) -> Sequence[Region]:
        if voxels != self._voxels:
            raise ValueError(
                f"the parcels are of {self._voxels} voxels, found {voxels}"
            )
        return self._members


def roi_parcels(
    maps: Floats, voxels_a_coefficient: float = VOXELS_A_COEFFICIENT
) -> Indices:
    """Return the ROI whose map is largest at each voxel: the parcels of `ParcelLinearBaseline`.

    On a coarse grid, parcels have hardly more voxels than a fit has coefficients, and the fit
    follows noise. So the smallest parcel is merged, voxel by voxel, into the parcel of the ROI
    with the next largest value, until all parcels have enough voxels. At 2 mm, as published, none
    of the 50 parcels is too small.

    Parameters
    ----------
    maps
        ROI maps, (rois, voxels), dimensionless weights.
    voxels_a_coefficient
        Smallest number of voxels in a parcel for each of its `rois + 1` coefficients.

    Returns
    -------
    numpy.ndarray
        (voxels,), row numbers of `maps`.

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
        parcels: Indices = heights.argmax(axis=0)
        labels, sizes = np.unique(parcels, return_counts=True)
        if len(labels) == 1 or sizes.min() >= voxels_a_coefficient * (1 + len(maps)):
            return parcels
        heights[labels[sizes.argmin()]] = -np.inf


def standardised(connectome: Floats) -> Float64:
    """Return a connectome (rois, voxels) with each ROI's row z-scored over voxels.

    Examples
    --------
    >>> import numpy as np
    >>> standardised(np.array([[0.0, 2.0], [5.0, 5.0]]))
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    features: Float64 = np.array(connectome, dtype=np.float64)
    largest = np.maximum(features.max(axis=1), -features.min(axis=1))
    features -= features.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.einsum("rv,rv->r", features, features) / features.shape[1])
    # A row that is constant up to rounding carries no information.
    flat = spread <= 8 * np.finfo(np.float64).eps * largest
    features[flat] = 0.0
    features /= np.where(flat, 1.0, spread)[:, None]
    return features


def fit_maps(features: Float64, maps: Floats) -> tuple[Float64, Mask]:
    """Regress a person's maps on features, each contrast on its own.

    Parameters
    ----------
    features
        (rois, voxels), as `standardised` makes them.
    maps
        (contrasts, voxels), NaN where nothing was measured.

    Returns
    -------
    Intercepts and slopes (contrasts, 1 + rois), 0 without a fit; and whether each contrast was
    fitted (contrasts,).

    Examples
    --------
    >>> import numpy as np
    >>> features = np.tile([[-1.0, 0.0, 1.0, 0.0]], 100)
    >>> fits, fitted = fit_maps(features, 3 + 2 * features)
    >>> fits.round(6).tolist(), fitted.tolist()
    ([[3.0, 2.0]], [True])
    """
    rois, voxels = features.shape
    coefficients = np.zeros((len(maps), 1 + rois))
    measured = np.isfinite(maps)
    voxels_measured = measured.sum(axis=1)
    enough = voxels_measured >= VOXELS_A_COEFFICIENT * (1 + rois)
    fitted: Mask = enough | (voxels_measured == voxels)
    design = np.concatenate([np.ones((1, voxels)), features])
    # Contrasts with the same missing voxels are solved together.
    for rows in rows_alike(measured):
        contrasts = rows[fitted[rows]]
        if len(contrasts):
            inside = measured[contrasts[0]]
            targets = maps[np.ix_(contrasts, inside)].astype(np.float64)
            inside_design = design if inside.all() else design[:, inside]
            coefficients[contrasts] = _least_squares(inside_design, targets)
    return coefficients, fitted


def _least_squares(design: Float64, targets: Float64) -> Float64:
    """Return coefficients (targets, rows of the design)."""
    rows, voxels = design.shape
    if voxels > _MANY * rows:
        # The normal equations are as exact here, and ten times as fast.
        gram = design @ design.T
        if np.linalg.cond(gram) < _WORST:
            solution = np.linalg.solve(gram, design @ targets.T)
            return np.asarray(solution.T, np.float64)
    solution, *_ = np.linalg.lstsq(design.T, targets.T, rcond=None)
    return np.asarray(solution.T, np.float64)


def rows_alike(rows: Mask) -> list[Indices]:
    """Return groups of identical rows, as row numbers.

    Examples
    --------
    >>> [group.tolist() for group in rows_alike(np.array([[True], [False], [True]]))]
    [[0, 2], [1]]
    """
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(np.packbits(rows, axis=1)):
        groups.setdefault(row.tobytes(), []).append(number)
    return [np.array(numbers) for numbers in groups.values()]


def _checked(connectome: Floats, maps: Floats, person: int) -> tuple[Floats, Floats]:
    connectome = _checked_connectome(connectome, person)
    maps = np.asarray(maps)
    voxels = connectome.shape[1]
    if maps.ndim != 2 or maps.shape[1] != voxels:
        raise ValueError(
            f"Y[{person}] is (contrasts, {voxels} voxels), found {maps.shape}"
        )
    if np.isinf(maps).any():
        raise ValueError(f"Y[{person}] has infinite values")
    return connectome, maps


def _checked_connectome(connectome: Floats, person: int) -> Floats:
    rows = np.asarray(connectome)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"X[{person}] is (rois, voxels), found {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"X[{person}] has values that are not finite")
    return rows
