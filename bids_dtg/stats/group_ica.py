"""Spatial maps of a group's networks: group ICA, as MELODIC makes them (Beckmann & Smith 2004)."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError

Float = NDArray[np.float64]

FIRST = 100  # components kept of each person
_MOST = 500  # components kept of all together: as many places as that lose nothing
_ITERATIONS, _TOLERANCE = 300, 1e-3


@dataclass(frozen=True)
class GroupRecord:
    """How maps were made, for a model's card."""

    method: str
    people: int  # whose rest they are of
    rois: int  # number of maps
    components_each: int  # principal components kept of each person, at most
    seed: int  # of the first guess
    converged: bool  # whether ICA ended before its last iteration

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class GroupIca:
    """Group ICA that takes one person's rest at a time.

    Each person's places are standardised in time; the first principal components, with their
    variances, are joined over people and reduced again, as MIGP does (Smith et al. 2014,
    NeuroImage 101: 738); the first of the group are turned by spatial ICA (FastICA).

    Examples
    --------
    Two networks of places that go together:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> ica = GroupIca()
    >>> for _ in range(3):
    ...     courses = rng.standard_normal((2, 300))
    ...     rest = courses.repeat(30, axis=0) + 0.3 * rng.standard_normal((60, 300))
    ...     ica.add(rest)
    >>> maps, record = ica.maps(2, seed=0)
    >>> maps.shape, record.people
    ((2, 60), 3)
    """

    def __init__(self, first: int = FIRST) -> None:
        self._first, self.people = first, 0
        self._kept: Float | None = None  # (places, components), each of the length of its sd

    def add(self, rest: NDArray[np.floating]) -> None:
        """Add a person's rest (places, frames); places that do not vary count as 0.

        Raises
        ------
        ValueError
            It has other places than the rest before it.
        """
        own = self._components(standardised_places(rest))
        self.people += 1
        if self._kept is None:
            self._kept = own
            return
        if len(own) != len(self._kept):
            raise ValueError(f"rest of {len(own)} places, not {len(self._kept)}")
        self._kept = _reduced(np.hstack([self._kept, own]), _MOST)

    def _components(self, rest: NDArray[np.float32]) -> Float:
        frames = rest.shape[1]
        return _reduced(rest.astype(np.float32) / np.float32(np.sqrt(frames)), self._first)

    def maps(self, rois: int, seed: int) -> tuple[NDArray[np.float32], GroupRecord]:
        """Return maps (rois, places), each of variance 1 and with its long tail above 0.

        Raises
        ------
        DatasetError
            Rest has fewer components than maps were asked for.
        """
        from sklearn.decomposition import FastICA
        from sklearn.exceptions import ConvergenceWarning

        if self._kept is None:
            raise DatasetError("nobody's rest can be used to make ROI maps of")
        group = _reduced(self._kept, rois)
        if group.shape[1] < rois:
            raise DatasetError(
                f"rest of {self.people} people has {group.shape[1]} components",
                expected=f"as many as --rois {rois}, or more",
            )
        ica = FastICA(
            rois,
            whiten="unit-variance",
            random_state=seed % 2**32,
            max_iter=_ITERATIONS,
            tol=_TOLERANCE,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            maps = ica.fit_transform(group).T
        maps = maps * np.where((maps**3).sum(axis=1) < 0, -1.0, 1.0)[:, None]
        record = GroupRecord(
            "group ICA of the training people's rest",
            self.people,
            rois,
            self._first,
            seed,
            bool(ica.n_iter_ < _ITERATIONS),
        )
        return np.ascontiguousarray(maps, np.float32), record


def standardised_places(rest: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return rest (places, frames) with each place of mean 0 and sd 1 in time; 0 if it is constant.

    Examples
    --------
    >>> standardised_places(np.array([[1.0, 3.0], [2.0, 2.0]]))
    array([[-1.,  1.],
           [ 0.,  0.]], dtype=float32)
    """
    centred = rest.astype(np.float32)
    centred -= centred.mean(axis=1, keepdims=True)
    sd = np.sqrt(np.einsum("vt,vt->v", centred, centred) / rest.shape[1])
    centred /= np.where(sd > 0, sd, 1.0)[:, None].astype(np.float32)
    return centred


def _reduced(values: NDArray[np.floating], most: int) -> Float:
    """Return the first principal components (places, components) of columns, by their variances."""
    columns = values.shape[1]
    if columns <= len(values):
        products = (values.T @ values).astype(np.float64)
        variances, vectors = np.linalg.eigh(products)
        kept = _largest(variances, most)
        reduced = values @ vectors[:, kept].astype(values.dtype)
    else:
        variances, vectors = np.linalg.eigh((values @ values.T).astype(np.float64))
        kept = _largest(variances, most)
        reduced = vectors[:, kept] * np.sqrt(variances[kept])
    # One of both signs, whatever the library of linear algebra gives.
    largest = np.abs(reduced).argmax(axis=0)
    signs = np.where(reduced[largest, np.arange(reduced.shape[1])] < 0, -1.0, 1.0)
    return np.asarray(reduced * signs, np.float64)


def _largest(variances: Float, most: int) -> NDArray[np.intp]:
    """Return the numbers of the largest variances, the first one first; none that is rounding."""
    order: NDArray[np.intp] = np.argsort(variances)[::-1][:most]
    kept: NDArray[np.intp] = order[variances[order] > variances[order[0]] * 1e-9]
    return kept
