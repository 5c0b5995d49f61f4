"""Effective connectivity: a linear process in continuous time, with independent noise of regions.

dx = J x dt + noise, a multivariate Ornstein-Uhlenbeck process (Gilson et al., 2016,
doi:10.1371/journal.pcbi.1004762). Noise is independent between regions, so all of their covariance
comes from connections: only then can a connection be taken out. Connections are where the training
people's structural connectomes or homotopy allow them. J is fitted to covariances of a frame, and
with the frame before, in a fixed number of gradient steps from the group's J.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.linear import LinearProcess, shrunken

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]
Allowed = NDArray[np.bool_]

# Steps from the group's J to a person's, and to the group's from regions without connections; the
# size is in 1/s, of logarithms for the noise; both were fixed on training people.
PERSON_STEPS, PERSON_SIZE = 80, 0.0005
GROUP_STEPS, GROUP_SIZE = 600, 0.003
_HALVINGS = 30  # of a step to a process that is not stationary
_PRESENT = 0.5  # share of people who have a connection
_SLOW = (0.05, 0.95)  # autocorrelation of a frame that decays are taken from
# Decay of the mean of gradients and of their squares (Adam: Kingma & Ba, 2015).
_MEAN, _SQUARE, _FLOOR = 0.9, 0.999, 1e-12


class UnboundedError(ValueError):
    """Activity grows without bounds: there is no stationary process."""


@dataclass(frozen=True, eq=False)
class EffectiveConnectivity:
    """A stationary process of regions in continuous time, by its connections.

    Examples
    --------
    >>> own = EffectiveConnectivity(np.array([[-1.0, 0.5], [0.0, -1.0]]), np.full(2, 2.0))
    >>> own.covariance.round(4)
    array([[1.125, 0.25 ],
           [0.25 , 1.   ]])
    """

    coupling: Array  # (regions, regions), 1/s: J, rows are driven by columns
    noise: Array  # (regions,), variance that a region gains in a second

    @property
    def regions(self) -> int:
        """Number of regions."""
        return len(self.coupling)

    @cached_property
    def _schur(self) -> _Schur:
        return _Schur.of(self.coupling)

    @property
    def stationary(self) -> bool:
        """Whether its activity has bounds."""
        return self._schur.stationary

    @cached_property
    def covariance(self) -> Array:
        """(regions, regions), of a moment.

        Raises
        ------
        UnboundedError
            The process is not stationary.
        """
        if not self.stationary:
            raise UnboundedError("activity grows without bounds")
        return self._schur.covariance(self.noise)

    @cached_property
    def connectivity(self) -> Array:
        """(regions, regions), functional connectivity of infinitely long series.

        Raises
        ------
        UnboundedError
            The process is not stationary.
        """
        sd = np.sqrt(self.covariance.diagonal())
        found: Array = self.covariance / (sd * sd[:, None])
        return found

    def lagged(self, seconds: float) -> Array:
        """Return the covariance (regions, regions) of regions with columns some seconds before.

        Raises
        ------
        UnboundedError
            The process is not stationary.
        """
        found: Array = self.over(seconds) @ self.covariance
        return found

    def over(self, seconds: float) -> Array:
        """Return what is left of a moment's activity after some seconds, (regions, regions)."""
        from scipy.linalg import expm

        return np.asarray(expm(seconds * self.coupling))

    def in_frames(self, tr_seconds: float) -> LinearProcess:
        """Return the same process from one frame to the next.

        Raises
        ------
        UnboundedError
            The process is not stationary.
        """
        step, now = self.over(tr_seconds), self.covariance
        return LinearProcess(step[None], now - step @ now @ step.T, now[None])

    def adjoint(self, gradient: Array) -> Array:
        """Solve J' X + X J = -gradient for X, (regions, regions): of gradients with covariances."""
        return self._schur.adjoint(gradient)


@dataclass(frozen=True, eq=False)
class _Schur:
    """A matrix by its Schur form, which every matrix has: equations with it are triangular."""

    form: Array  # quasi-triangular
    axes: Array  # orthogonal

    @classmethod
    def of(cls, matrix: Array) -> _Schur:
        from scipy.linalg import schur

        return cls(*schur(matrix, output="real"))

    @property
    def stationary(self) -> bool:
        """Whether all eigenvalues have a negative real part, which is on the diagonal."""
        return bool(self.form.diagonal().max() < 0)

    def covariance(self, noise: Array) -> Array:
        """Solve J X + X J' = -diag(noise)."""
        return self._solved((self.axes.T * noise) @ self.axes, "N", "T")

    def adjoint(self, gradient: Array) -> Array:
        """Solve J' X + X J = -gradient."""
        return self._solved(self.axes.T @ gradient @ self.axes, "T", "N")

    def _solved(self, right: Array, left_as: str, right_as: str) -> Array:
        from scipy.linalg.lapack import dtrsyl

        found, scale, _ = dtrsyl(self.form, self.form, -right, trana=left_as, tranb=right_as)
        return np.asarray(self.axes @ (found / scale) @ self.axes.T)


@dataclass(frozen=True)
class Misfit:
    """How far a process is from covariances, and how that changes with its parts."""

    value: float  # half the squared errors, each lag's as a share of the squared covariances
    coupling: Array  # (regions, regions), gradient with J
    noise: Array  # (regions,), with the noise


def misfit(own: EffectiveConnectivity, covariances: Values, tr_seconds: float) -> Misfit:
    """Return how far a process is from covariances, with its analytic gradient.

    Parameters
    ----------
    own
        A stationary process.
    covariances
        (2 or more, regions, regions), of a frame, and with the frame before.
    tr_seconds
        Time between frames in seconds.

    Raises
    ------
    UnboundedError
        The process is not stationary.

    Examples
    --------
    >>> own = EffectiveConnectivity(np.array([[-1.0, 0.5], [0.0, -1.0]]), np.full(2, 2.0))
    >>> misfit(own, np.stack([own.covariance, own.lagged(0.72)]), 0.72).value
    0.0
    """
    from scipy.linalg import expm_frechet

    now, step = own.covariance, own.over(tr_seconds)
    sizes = np.square(covariances[:2]).sum(axis=(1, 2))
    errors = np.stack([now, step @ now]) - covariances[:2]
    value = 0.5 * float((np.square(errors).sum(axis=(1, 2)) / sizes).sum())
    at_once, later = errors / sizes[:, None, None]
    both = at_once + step.T @ later
    through = own.adjoint((both + both.T) / 2)
    # The adjoint of an exponential's derivative is that of the transposed matrix.
    slope = expm_frechet(tr_seconds * own.coupling.T, later @ now, compute_expm=False)
    coupling = 2 * through @ now + tr_seconds * slope
    return Misfit(value, coupling, through.diagonal().copy())


def descent(
    start: EffectiveConnectivity,
    covariances: Values,
    tr_seconds: float,
    allowed: Allowed,
    *,
    size: float = PERSON_SIZE,
) -> Iterator[EffectiveConnectivity]:
    """Yield the processes on the way to covariances, one a gradient step (Adam), without end.

    Parameters
    ----------
    start
        A stationary process.
    covariances, tr_seconds
        As of `misfit`.
    allowed
        (regions, regions), which connections may differ from the start; regions' own decay always
        may.
    size
        Of steps; one that ends the process' bounds is halved until it does not.
    """
    free = allowed | np.eye(start.regions, dtype=bool)
    # Coupling and logarithms of noise, one beside the other.
    now = np.column_stack([start.coupling, np.log(start.noise)])
    means, squares, own = np.zeros_like(now), np.zeros_like(now), start
    for number in count(1):
        found = misfit(own, covariances, tr_seconds)
        gradient = np.column_stack([found.coupling * free, found.noise * own.noise])
        means = _MEAN * means + (1 - _MEAN) * gradient
        squares = _SQUARE * squares + (1 - _SQUARE) * np.square(gradient)
        spread = np.sqrt(squares / (1 - _SQUARE**number)) + _FLOOR
        step = size * means / (1 - _MEAN**number) / spread
        for _ in range(_HALVINGS):
            moved = now - step
            tried = EffectiveConnectivity(moved[:, :-1], np.exp(moved[:, -1]))
            if tried.stationary:
                now, own = moved, tried
                break
            step = step / 2
        yield own


def _after(steps: int, way: Iterator[EffectiveConnectivity]) -> EffectiveConnectivity:
    return next(islice(way, steps - 1, None))


def unconnected(covariances: Values, tr_seconds: float) -> EffectiveConnectivity:
    """Return regions without connections, of each region's variance and decay.

    Parameters
    ----------
    covariances, tr_seconds
        As of `misfit`.
    """
    variance = covariances[0].diagonal()
    remembered = np.clip(covariances[1].diagonal() / variance, *_SLOW)
    decay = -np.log(remembered) / tr_seconds
    return EffectiveConnectivity(np.diag(-decay), np.asarray(2 * decay * variance))


@dataclass(frozen=True, eq=False)
class Connections:
    """Connections that training people have.

    Examples
    --------
    >>> two = np.array([[[0, 9, 1], [9, 0, 0], [1, 0, 0]], [[0, 7, 0], [7, 0, 0], [0, 0, 0]]])
    >>> found = Connections.of(two, [(1, 2)])
    >>> found.allowed.astype(int)
    array([[0, 1, 1],
           [1, 0, 1],
           [1, 1, 0]])
    """

    share: Array  # (regions, regions), of the people who have a connection
    homotopic: Allowed  # (regions, regions), regions that are each other's like
    people: int

    @classmethod
    def of(cls, weights: Values, pairs: Sequence[tuple[int, int]]) -> Connections:
        """Return those of structural connectomes.

        Parameters
        ----------
        weights
            (people, regions, regions); above 0: there is a connection.
        pairs
            Numbers of regions that are each other's like in the two hemispheres.
        """
        homotopic = np.zeros(weights.shape[1:], bool)
        for one, other in pairs:
            homotopic[one, other] = homotopic[other, one] = True
        return cls(np.asarray((weights > 0).mean(axis=0), np.float64), homotopic, len(weights))

    @property
    def allowed(self) -> Allowed:
        """(regions, regions), where half of the people have a connection, or homotopy is."""
        return ((self.share >= _PRESENT) | self.homotopic) & ~np.eye(len(self.share), dtype=bool)


def everywhere(regions: int) -> Allowed:
    """Return (regions, regions) connections between all regions."""
    return ~np.eye(regions, dtype=bool)


@dataclass(frozen=True, eq=False)
class EffectiveModel:
    """What people's effective connectivity is fitted with."""

    group: Array  # (lags + 1, regions, regions), the training people's mean covariances
    strength: float  # frames of a person that these count as much as
    allowed: Allowed  # (regions, regions), connections that there may be
    tr_seconds: float  # time between frames
    known_start: EffectiveConnectivity | None = None  # `start`, where it was found before

    @cached_property
    def start(self) -> EffectiveConnectivity:
        """The training people's effective connectivity, where everybody's starts."""
        if self.known_start is not None:
            return self.known_start
        alone = unconnected(self.group, self.tr_seconds)
        way = descent(alone, self.group, self.tr_seconds, self.allowed, size=GROUP_SIZE)
        return _after(GROUP_STEPS, way)

    def infer(self, own: LagCovariances) -> EffectiveConnectivity:
        """Return a person's effective connectivity.

        Parameters
        ----------
        own
            Covariances of the person's session.
        """
        mixed = shrunken(own, self.group, self.strength)
        return _after(PERSON_STEPS, descent(self.start, mixed, self.tr_seconds, self.allowed))


def without_connections(own: EffectiveConnectivity, cut: Allowed) -> EffectiveConnectivity:
    """Return a process without some connections; decays and noise stay.

    Parameters
    ----------
    own
        The process.
    cut
        (regions, regions), which to take out; a region's own decay stays.
    """
    kept = ~cut | np.eye(own.regions, dtype=bool)
    return replace(own, coupling=own.coupling * kept)


def scaled(own: EffectiveConnectivity, factor: float) -> EffectiveConnectivity:
    """Return a process with all connections multiplied by a factor; decays and noise stay."""
    decay = np.diag(own.coupling.diagonal())
    return replace(own, coupling=factor * (own.coupling - decay) + decay)


def response(own: EffectiveConnectivity, region: int) -> Array:
    """Return by how much regions' means change under a constant input to one of them, (regions,).

    The input would raise that region by 1 if it had no connections.

    Parameters
    ----------
    own
        A stationary process.
    region
        Number of the region.

    Raises
    ------
    UnboundedError
        The process is not stationary.

    Examples
    --------
    >>> own = EffectiveConnectivity(np.array([[-1.0, 0.5], [0.0, -1.0]]), np.full(2, 2.0))
    >>> response(own, 1)
    array([0.5, 1. ])
    """
    if not own.stationary:
        raise UnboundedError("activity grows without bounds")
    put = np.zeros(own.regions)
    put[region] = own.coupling[region, region]
    return np.asarray(np.linalg.solve(own.coupling, put))
