"""Simple models that every network is printed beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

People = NDArray[np.floating[Any]] | Sequence[NDArray[np.floating[Any]]]


class LinearBaseline:
    """One linear model of the connectome a contrast, the same at every voxel.

    Each training person gives a least-squares fit, over voxels, of a contrast map on
    the person's ROI × voxel features (each ROI's row z-scored over voxels, ddof 0)
    and an intercept; the coefficients are averaged over people.

    Attributes
    ----------
    coef
        (contrasts, rois), set by `fit`.
    intercept
        (contrasts,), set by `fit`.

    Notes
    -----
    Tavor et al. 2016, Science 352, in the form that Serin et al. 2025 compare with.

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

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]

    def fit(self, X: People, Y: People) -> LinearBaseline:
        """Fit on training people, read one at a time.

        Parameters
        ----------
        X
            Connectomes, (people, rois, voxels): an array (memory-mapped, if large) or
            a sequence of one array a person.
        Y
            Measured maps, (people, contrasts, voxels), likewise.

        Returns
        -------
        LinearBaseline
            This model.

        Raises
        ------
        ValueError
            If shapes do not match, there is nobody, or a value is not finite.
        """
        if len(X) != len(Y) or len(X) == 0:
            raise ValueError(f"X and Y need the same people, found {len(X)} and {len(Y)}")
        fits = [_fit_person(X[n], Y[n], n) for n in range(len(X))]
        if len({(c.shape, i.shape) for c, i in fits}) != 1:
            raise ValueError("the numbers of ROIs and contrasts differ between people")
        self.coef = np.mean([coef for coef, _ in fits], axis=0)
        self.intercept = np.mean([intercept for _, intercept in fits], axis=0)
        return self

    def predict(self, X: People) -> NDArray[np.float32]:
        """Predict maps of new people.

        Parameters
        ----------
        X
            Connectomes, (people, rois, voxels).

        Returns
        -------
        numpy.ndarray
            Maps, (people, contrasts, voxels), float32.

        Raises
        ------
        ValueError
            If the model is not fitted, the ROIs differ from the fitted ones or a
            value is not finite.
        """
        if not hasattr(self, "coef"):
            raise ValueError("this LinearBaseline is not fitted: call fit(X, Y) first")
        rois = self.coef.shape[1]
        maps = []
        for n in range(len(X)):
            features = _features(X[n], n)
            if features.shape[0] != rois:
                raise ValueError(
                    f"X[{n}] has {features.shape[0]} ROIs, the model was fitted on {rois}"
                )
            maps.append((self.coef @ features + self.intercept[:, None]).astype(np.float32))
        if not maps:
            raise ValueError("X has no people in it")
        return np.stack(maps)


def _fit_person(
    connectome: NDArray[np.floating[Any]], maps: NDArray[np.floating[Any]], person: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one person's coefficients (contrasts, rois) and intercepts (contrasts,)."""
    features = _features(connectome, person)
    targets = np.asarray(maps, dtype=np.float64)
    if targets.ndim != 2 or targets.shape[1] != features.shape[1]:
        raise ValueError(
            f"Y[{person}] is (contrasts, {features.shape[1]} voxels), found {targets.shape}"
        )
    if not np.isfinite(targets).all():
        raise ValueError(f"Y[{person}] has values that are not finite")
    # The features have mean 0, so the intercept is the map's mean, and the normal
    # equations are the ROIs' correlation matrix: a product of 50 × 50 in place of a
    # decomposition over 158,680 voxels. lstsq gives absent (constant) ROIs weight 0.
    gram = features @ features.T
    solution = np.linalg.lstsq(gram, features @ targets.T, rcond=None)[0]
    intercept: NDArray[np.float64] = targets.mean(axis=1)
    return solution.T.astype(np.float64), intercept


def _features(connectome: NDArray[np.floating[Any]], person: int) -> NDArray[np.float64]:
    """Return a person's connectome with each ROI's row z-scored over voxels."""
    rows = np.asarray(connectome, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"X[{person}] is (rois, voxels), found {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"X[{person}] has values that are not finite")
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=1))
    # A constant row carries nothing, whatever rounding left of it.
    flat = spread <= 8 * np.finfo(np.float64).eps * np.abs(rows).max(axis=1)
    centred[flat] = 0.0
    features: NDArray[np.float64] = centred / np.where(flat, 1.0, spread)[:, None]
    return features
