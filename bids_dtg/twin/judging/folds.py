"""People who are judged by folds: each by the twin that was fitted without the person's fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.judging.simple import Simple
from bids_dtg.twin.trial_series import Segments

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Outputs
    from bids_dtg.twin.judging.evaluation import Twins

Values = NDArray[np.float64]
Rows = NDArray[np.integer]
_ROUNDING = 1e-9  # of means of equal values


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold: its people, and what was fitted to the others."""

    rows: Rows  # of the fold's people, among all people
    twins: Twins  # of these people
    simple: Simple  # predictions of these people by baselines


@dataclass(frozen=True, eq=False)
class TwinsOfFolds:
    """Everybody's twin, each of the fit without the person."""

    folds: Sequence[Fold]

    def perform(self, segments: Segments) -> Outputs:
        """Run each person's twin."""
        found = [fold.twins.perform(_of(segments, fold.rows)) for fold in self.folds]
        return _joined([fold.rows for fold in self.folds], found)

    def perform_group(self, segments: Segments) -> Outputs | None:
        """Run the group's network of each fold, once for each of its people."""
        found = []
        for fold in self.folds:
            own = fold.twins.perform_group(_of(segments, fold.rows))
            if own is None:
                return None
            found.append(np.broadcast_to(own, (len(fold.rows), *own.shape[1:])))
        return _joined([fold.rows for fold in self.folds], found)


def _of(segments: Segments, rows: Rows) -> Segments:
    """Return what some people saw; what everybody saw stays as it is."""
    return segments if len(segments.inputs) == 1 else segments.people(rows)


def numbers_of(folds: Sequence[Fold]) -> NDArray[np.intp]:
    """Return the number of each person's fold, (people,)."""
    found = np.empty(sum(len(fold.rows) for fold in folds), np.intp)
    for number, fold in enumerate(folds):
        found[fold.rows] = number
    return found


def simple_of(folds: Sequence[Fold]) -> Simple:
    """Return the predictions of everybody by the baselines that all folds have."""
    rows, first = [fold.rows for fold in folds], folds[0].simple

    def everywhere(names: Sequence[str], own: Sequence[Sequence[str]]) -> list[str]:
        return [name for name in names if all(name in known for known in own)]

    targets = everywhere(list(first.targets), [list(fold.simple.targets) for fold in folds])
    names = everywhere(
        list(first.distributions), [list(fold.simple.distributions) for fold in folds]
    )
    return replace(
        first,
        targets={name: _joined(rows, [f.simple.targets[name] for f in folds]) for name in targets},
        distributions={
            name: [
                Distribution(
                    parts[0].seconds,
                    _joined(rows, [part.answered for part in parts]),
                    _joined(rows, [part.shares for part in parts]),
                )
                for parts in zip(*(f.simple.distributions[name] for f in folds), strict=True)
            ]
            for name in names
        },
    )


def _joined(rows: Sequence[Rows], parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    found = np.empty((sum(map(len, rows)), *parts[0].shape[1:]), parts[0].dtype)
    for own, part in zip(rows, parts, strict=True):
        found[own] = part
    return found


def within_folds(values: Values, folds: NDArray[np.integer] | None) -> Values:
    """Return values less the mean of their fold; None: they are of no folds and stay.

    Training people without a fold of slow people are the quick ones: what is predicted for all
    alike goes against what these people are, and its r over people would be below 0.

    Parameters
    ----------
    values
        (people,), finite.
    folds
        Number of each person's fold, (people,).

    Examples
    --------
    >>> within_folds(np.array([1.0, 3.0, 7.0, 7.0]), np.array([0, 0, 1, 1])).tolist()
    [-1.0, 1.0, 0.0, 0.0]
    """
    if folds is None:
        return values
    _, place = np.unique(folds, return_inverse=True)
    mean = np.bincount(place, values) / np.bincount(place)
    centred = values - mean[place]
    return np.where(np.abs(centred) < _ROUNDING, 0.0, centred)
