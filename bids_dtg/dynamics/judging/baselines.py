"""Simple models that a network model is compared with, and ceilings that it can hardly exceed.

Each is fitted on a session of each person and gives, for each person, a linear process with
Gaussian noise: a functional connectivity, simulated sessions, and a prediction of the next
frame are derived from all of them in the same way. `BASELINES` has a row for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.measures import autocorrelation, connectivity, fc_fit
from bids_dtg.dynamics.networks import Networks
from bids_dtg.notices import counted
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.splits import fold_people

Values = NDArray[np.floating[Any]]

_FOLDS = 5  # of people, for parameters tuned on others
# Coupling of the homogeneous network, as a share of that at which a person's network diverges.
_COUPLINGS = np.append(np.arange(0.05, 1.0, 0.05), 0.99)
FACTORS = (1, 2, 3, 6)
_SHARE = 0.5  # of a person's difference from the mean that another session keeps, about
_DECAYS = (1e-4, 20.0)  # range for a region without coupling, per frame


@dataclass(frozen=True, eq=False)
class Process:
    """A person's stationary linear process: each frame is linear in the last one, plus noise."""

    transition: Values  # (regions, regions), from a frame to the mean of the next
    covariance: Values  # (regions, regions), of a frame

    @cached_property
    def connectivity(self) -> Values:
        """(regions, regions), of infinitely long simulations."""
        return _correlations(self.covariance)

    def simulate(self, simulations: int, frames: int, rng: np.random.Generator) -> Values:
        """Return sessions (simulations, regions, frames), float32, from the stationary state on.

        Examples
        --------
        >>> memory = Process(np.diag([0.9, 0.0]), np.eye(2))
        >>> sessions = memory.simulate(3, 5000, np.random.default_rng(0))
        >>> sessions.shape, sessions.dtype, bool((autocorrelation(sessions)[:, 0] > 0.85).all())
        ((3, 2, 5000), dtype('float32'), True)
        """
        shape = frames, simulations, len(self.covariance)
        series = rng.standard_normal(shape, np.float32)
        series[0] = series[0] @ _root(self.covariance)
        series[1:] = series[1:] @ _root(self._noise_covariance)
        if self.transition.any():
            step = np.asarray(self.transition.T, np.float32)
            for frame in range(1, frames):
                series[frame] += series[frame - 1] @ step
        return np.ascontiguousarray(series.transpose(1, 2, 0))

    def one_step_r2(self, series: Values) -> float:
        """Return the share of a session's variance (regions, frames) explained one step ahead.

        Examples
        --------
        >>> series = np.array([[1.0, -1.0, 1.0, -1.0, 1.0]])
        >>> Process(-np.eye(1), np.eye(1)).one_step_r2(series)
        1.0
        """
        left = series[:, 1:] - self.transition @ series[:, :-1]
        centred = series[:, 1:] - series[:, 1:].mean(axis=1, keepdims=True)
        return float(1.0 - (left**2).sum() / (centred**2).sum())

    @property
    def _noise_covariance(self) -> Values:
        noise: Values = self.covariance - self.transition @ self.covariance @ self.transition.T
        return noise


def _correlations(covariances: Values) -> Values:
    sd = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    correlations: Values = covariances / (sd[..., None] * sd[..., None, :])
    return correlations


def _root(covariance: Values) -> NDArray[np.float32]:
    """Return a symmetric square root, which correlates independent normal rows."""
    variances, axes = np.linalg.eigh(covariance)
    # Rounding can make variances of 0 negative.
    return np.asarray((axes * np.sqrt(np.maximum(variances, 0.0))) @ axes.T, np.float32)


@dataclass(frozen=True)
class Baseline:
    """A simple model, or a ceiling."""

    name: str  # of a column
    words: str  # description for pages
    fit: Callable[[Networks], tuple[Process, ...]]  # a process for each person
    fewest_people: int = 1  # needed for the fit, each of another family
    # Whether a person is judged by the processes of all people of other families, not by the own.
    of_others: bool = False

    def fits(self, networks: Networks) -> bool:
        """Return whether everybody has as many people of other families as it needs."""
        return int(networks.others.sum(axis=1).min()) + 1 >= self.fewest_people

    def judges(self, networks: Networks) -> NDArray[np.bool_]:
        """Return by whose processes each person is judged, (people, people)."""
        return networks.others if self.of_others else np.eye(len(networks.people), dtype=bool)


def fit_baseline(baseline: Baseline, networks: Networks) -> tuple[Process, ...]:
    """Fit a baseline on a session of each person.

    Parameters
    ----------
    baseline
        Simple model or ceiling, a row of `BASELINES`.
    networks
        People's networks, with z-scored series.

    Returns
    -------
    tuple
        A process for each person.

    Raises
    ------
    ValueError
        If there are too few people, or a value is not finite.

    Examples
    --------
    >>> from bids_dtg.dynamics.networks import normalised, standardised
    >>> rng = np.random.default_rng(0)
    >>> series = standardised(rng.standard_normal((2, 3, 200)))
    >>> weights = normalised(rng.uniform(size=(2, 3, 3)))
    >>> people = Networks(("a", "b"), ("x", "y", "z"), series, 0.72, weights=weights)
    >>> for baseline in BASELINES:
    ...     fits = fit_baseline(baseline, people)
    ...     print(baseline.name, fits[0].simulate(4, 50, rng).shape)
    white_noise (4, 3, 50)
    ar_1 (4, 3, 50)
    var_1 (4, 3, 50)
    global_signal (4, 3, 50)
    homogeneous (4, 3, 50)
    factors_1 (4, 3, 50)
    factors_2 (4, 3, 50)
    factors_3 (4, 3, 50)
    factors_6 (4, 3, 50)
    other_person (4, 3, 50)
    group (4, 3, 50)
    shrunken (4, 3, 50)
    own_session (4, 3, 50)
    """
    if not baseline.fits(networks):
        raise ValueError(
            f"the baseline {baseline.name!r} needs {baseline.fewest_people} people of different "
            f"families, found {len(networks.people)} people"
        )
    if not np.isfinite(networks.series).all():
        raise ValueError("baselines need series whose values are all finite")
    return baseline.fit(networks)


def _white(covariances: Values) -> tuple[Process, ...]:
    """Return processes without memory, of covariances (people, regions, regions)."""
    return tuple(Process(np.zeros_like(covariance), covariance) for covariance in covariances)


def _white_noise(networks: Networks) -> tuple[Process, ...]:
    people, regions, _ = networks.series.shape
    return _white(np.broadcast_to(np.eye(regions), (people, regions, regions)))


def _ar_1(networks: Networks) -> tuple[Process, ...]:
    regions = len(networks.regions)
    return tuple(Process(np.diag(r), np.eye(regions)) for r in autocorrelation(networks.series))


def _var_1(networks: Networks) -> tuple[Process, ...]:
    return tuple(var_1(series) for series in networks.series)


def var_1(series: Values) -> Process:
    """Return the vector-autoregressive process of a session: each region follows from all.

    Parameters
    ----------
    series
        Series of one session, (regions, frames), z-scored.

    Returns
    -------
    Process
        By the Yule–Walker equations. Sums over frames are divided by the number of all frames, so
        the process is stationary, however few there are. Covariances, within and between frames,
        are shrunk towards those of white noise by regions² / (regions² + frames²): 0.3 % of 68
        regions over 1,200 frames, half where frames are as few as regions. All correlations
        shrink by the same factor: the fit of functional connectivities does not change.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> series = rng.standard_normal((3, 5000))
    >>> for frame in range(1, 5000):
    ...     series[0, frame] += 0.7 * series[1, frame - 1]
    >>> var_1(series).transition.round(1) + 0.0
    array([[0. , 0.7, 0. ],
           [0. , 0. , 0. ],
           [0. , 0. , 0. ]])
    """
    y = np.asarray(series, np.float64)
    y = y - y.mean(axis=1, keepdims=True)
    frames = y.shape[1]
    shrinkage = len(y) ** 2 / (len(y) ** 2 + frames**2)
    same = (1 - shrinkage) * (y @ y.T) / frames
    same += shrinkage * (y**2).mean() * np.eye(len(y))
    later = (1 - shrinkage) * (y[:, 1:] @ y[:, :-1].T) / frames
    return Process(np.linalg.solve(same, later.T).T, same)


def _global_signal(networks: Networks) -> tuple[Process, ...]:
    r = correlation(networks.series, networks.series.mean(axis=1, keepdims=True))
    products = r[:, :, None] * r[:, None].astype(np.float64)
    regions = np.arange(r.shape[1])
    products[:, regions, regions] = 1.0
    return _white(products)


def _own_session(networks: Networks) -> tuple[Process, ...]:
    return _white(connectivity(networks.series))


def _factors(networks: Networks, count: int) -> tuple[Process, ...]:
    """Return processes of some factors of each connectivity, and noise of each region alone."""
    return _white(of_factors(connectivity(networks.series), count))


def of_factors(connectivities: Values, count: int) -> Values:
    """Return what some factors of connectivities (people, regions, regions) leave of them."""
    variances, axes = np.linalg.eigh(connectivities.astype(np.float64))
    kept = axes[..., -count:] * np.sqrt(np.maximum(variances[:, None, -count:], 0.0))
    products: Values = kept @ kept.swapaxes(1, 2)
    regions = np.arange(products.shape[1])
    products[:, regions, regions] = 1.0
    return products


def _shrunken(networks: Networks) -> tuple[Process, ...]:
    own = connectivity(networks.series).astype(np.float64)
    return _white(_SHARE * own + (1.0 - _SHARE) * _mean_of_others(own, networks.others))


def _group(networks: Networks) -> tuple[Process, ...]:
    own = connectivity(networks.series).astype(np.float64)
    return _white(_mean_of_others(own, networks.others))


def _mean_of_others(values: Values, others: NDArray[np.bool_]) -> Values:
    """Return for each person the mean over `others`, (people, regions, regions)."""
    weights = others / others.sum(axis=1, keepdims=True)
    mean: Values = np.tensordot(weights, values, axes=1)
    return mean


def _homogeneous(networks: Networks) -> tuple[Process, ...]:
    """Return x' = a x + c W x + noise with one a and one c for all, tuned on other people."""
    modes = _Modes.of(networks)
    processes: dict[str, Process] = {}
    for fold in fold_people(networks.people, _FOLDS, seed=0, families=networks.families):
        others = ~np.isin(networks.people, fold)
        memory = float(autocorrelation(networks.series[others]).mean())
        # Variance of correlations between two series with this autocorrelation (Bartlett 1946).
        noise = (1 + memory**2) / (1 - memory**2) / networks.frames
        coupling = modes.best_coupling(connectivity(networks.series[others]), others, noise)
        decay = modes.best_decay(coupling, memory, others)
        for label in fold:
            person = networks.people.index(label)
            processes[label] = modes.process(coupling, decay, person)
    return tuple(processes[label] for label in networks.people)


@dataclass(frozen=True, eq=False)
class _Modes:
    """The eigenmodes of people's networks, which are independent of each other.

    With time in frames, decay d = -a and coupling g = c / d, mode k of eigenvalue l of the
    weights decays by d (1 - g l) a frame; its variance is 1 / (1 - g l), up to a factor.
    """

    eigenvalues: Values  # (people, regions), of the weights
    vectors: Values  # (people, regions, regions), a mode a column

    @classmethod
    def of(cls, networks: Networks) -> _Modes:
        """Decompose undirected connections: the mean of both directions."""
        weights = networks.weights.astype(np.float64)
        return cls(*np.linalg.eigh((weights + weights.transpose(0, 2, 1)) / 2))

    def covariances(self, people: NDArray[np.bool_], powers: Values) -> Values:
        """Return covariances (people, regions, regions) of modes' variances (people, regions)."""
        vectors = self.vectors[people]
        covariances: Values = (vectors * powers[:, None]) @ vectors.transpose(0, 2, 1)
        return covariances

    def best_coupling(self, observed: Values, people: NDArray[np.bool_], noise: float) -> float:
        """Return the coupling whose simulated sessions fit the observed connectivities best.

        Infinitely long simulations fit as well with hardly any coupling, but in a session of
        typical length weak correlations are noise, of the given variance.
        """
        couplings = _COUPLINGS / self.eigenvalues.max()
        fits = []
        for coupling in couplings:
            powers = 1.0 / (1.0 - coupling * self.eigenvalues[people])
            fcs = _correlations(self.covariances(people, powers))
            signal = upper_edges(fcs).var(axis=-1)
            fits.append((fc_fit(fcs, observed) * np.sqrt(signal / (signal + noise))).mean())
        return float(couplings[np.argmax(fits)])

    def best_decay(self, coupling: float, memory: float, people: NDArray[np.bool_]) -> float:
        """Return the decay that gives the observed lag-1 autocorrelation of people's regions."""
        from scipy.optimize import brentq

        rates = 1.0 - coupling * self.eigenvalues[people]
        squares = self.vectors[people] ** 2
        variances = np.einsum("pik,pk->pi", squares, 1.0 / rates)

        def excess(decay: float) -> float:
            later = np.einsum("pik,pk->pi", squares, np.exp(-decay * rates) / rates)
            return float((later / variances).mean()) - memory

        low, high = _DECAYS
        if excess(low) <= 0 or excess(high) >= 0:
            return low if excess(low) <= 0 else high
        return float(brentq(excess, low, high))

    def process(self, coupling: float, decay: float, person: int) -> Process:
        rates = 1.0 - coupling * self.eigenvalues[person]
        vectors = self.vectors[person]
        covariance = (vectors / rates) @ vectors.T
        transition = (vectors * np.exp(-decay * rates)) @ vectors.T
        sd = np.sqrt(covariance.diagonal())
        return Process(transition * sd / sd[:, None], _correlations(covariance))


BASELINES = (
    Baseline("white_noise", "white noise", _white_noise),
    Baseline("ar_1", "each region follows from its own last frame: AR(1)", _ar_1),
    Baseline("var_1", "each region follows from all regions' last frame: VAR(1)", _var_1),
    Baseline(
        "global_signal", "one signal for all, by each region's correlation with it", _global_signal
    ),
    Baseline(
        "homogeneous",
        "linear network of equal regions over the structural connectome, tuned on other people",
        _homogeneous,
        2,
    ),
    *(
        Baseline(
            f"factors_{count}",
            f"{counted(count, 'factor')} of the person's functional connectivity",
            partial(_factors, count=count),
        )
        for count in FACTORS
    ),
    Baseline(
        "other_person",
        "another person's functional connectivity, mean over all of other families",
        _own_session,
        2,
        of_others=True,
    ),
    Baseline("group", "the other people's mean functional connectivity", _group, 2),
    Baseline(
        "shrunken",
        "the other people's mean, and half of the person's difference from it",
        _shrunken,
        2,
    ),
    Baseline(
        "own_session",
        "the person's own functional connectivity",
        _own_session,
    ),
)
