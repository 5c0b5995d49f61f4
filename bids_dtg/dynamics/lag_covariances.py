"""Covariances of regions at lags of a few frames, of a person and summed over people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]

LAGS = 2  # the largest lag, in frames


@dataclass(frozen=True, eq=False)
class LagCovariances:
    """Covariances of a person's session.

    Raises
    ------
    ValueError
        Shapes do not belong together.
    """

    values: Array  # (lags + 1, regions, regions), row: a region some frames later
    frames: int  # that were kept
    dof: float = float("nan")  # degrees of freedom that cleaning left of them; NaN: not known

    def __post_init__(self) -> None:
        shape = self.values.shape
        if len(shape) != 3 or shape[1] != shape[2] or self.frames < 1:
            raise ValueError(
                f"values is (lags + 1, regions, regions) over 1 frame or more, found {shape} over "
                f"{self.frames}"
            )

    @property
    def independent(self) -> float:
        """Degrees of freedom; kept frames, where it is not known what cleaning took."""
        return self.dof if self.dof > 0 else float(self.frames)

    @classmethod
    def of(
        cls, series: Values, kept: NDArray[np.bool_] | None = None, dof: float = float("nan")
    ) -> LagCovariances:
        """Return the covariances of a session, each region with variance 1.

        Sums over frames are divided by the number of kept frames at every lag, and frames that
        were left out count as 0: so together the covariances are those of a stationary process,
        however few frames there are.

        Parameters
        ----------
        series
            (regions, frames), in any unit.
        kept
            (frames,), which of them to use; None: all.
        dof
            Degrees of freedom that cleaning left of them; NaN: not known.

        Raises
        ------
        ValueError
            There are no more kept frames than lags, a series is constant, or not finite.

        Examples
        --------
        >>> found = LagCovariances.of(np.array([[1.0, -1.0, 1.0, -1.0]]))
        >>> found.values[:, 0, 0], found.frames
        (array([ 1.  , -0.75,  0.5 ]), 4)
        """
        values = np.asarray(series, np.float64)
        keep = np.ones(values.shape[1], bool) if kept is None else np.asarray(kept, bool)
        frames = int(keep.sum())
        if frames <= LAGS:
            raise ValueError(f"covariances need more than {LAGS} kept frames, found {frames}")
        if not np.isfinite(values[:, keep]).all():
            raise ValueError("a series has values that are not finite")
        if (np.ptp(values[:, keep], axis=1) == 0).any():
            raise ValueError("a series is constant")
        own = values[:, keep]
        own = own - own.mean(axis=1, keepdims=True)
        whole = np.zeros_like(values)
        whole[:, keep] = own / own.std(axis=1, keepdims=True)
        length = values.shape[1]
        sums = [whole[:, lag:] @ whole[:, : length - lag].T for lag in range(LAGS + 1)]
        return cls(np.stack(sums) / frames, frames, dof)


@dataclass(frozen=True, eq=False)
class GroupSums:
    """Sums over people of their covariances.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> people = [LagCovariances.of(rng.standard_normal((3, 90))) for _ in range(4)]
    >>> others = GroupSums.over(people).without(people[0])
    >>> others.people, others.dof, bool(np.allclose(others.mean, GroupSums.over(people[1:]).mean))
    (3, 270.0, True)
    """

    total: Array  # (lags + 1, regions, regions), sum over people
    people: int
    dof: float  # of all people together; where they are not known, kept frames

    @classmethod
    def over(cls, people: Iterable[LagCovariances]) -> GroupSums:
        """Return the sums over people, one after the other.

        Each counts once, however long the session is.
        """
        total: Array = np.zeros((LAGS + 1, 0, 0))
        count, dof = 0, 0.0
        for own in people:
            total = total + own.values if count else own.values
            count, dof = count + 1, dof + own.independent
        return cls(total, count, dof)

    @property
    def mean(self) -> Array:
        """(lags + 1, regions, regions), mean over people."""
        return self.total / self.people

    def without(self, own: LagCovariances) -> GroupSums:
        """Return the sums over the others."""
        return GroupSums(self.total - own.values, self.people - 1, self.dof - own.independent)
