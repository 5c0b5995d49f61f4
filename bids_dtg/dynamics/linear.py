"""The linear core: a person's autoregressive process, shrunk to that of training people.

Covariances of a person at lags of 0 to 2 frames are mixed with the training people's mean, which
counts as much as a given number of the person's own frames. Two mixtures are made: a strong one
gives the transition by the Yule-Walker equations, a weak one the covariance of a frame, and thus
functional connectivity. A linear map of the process brings both together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.lag_covariances import LAGS, GroupSums, LagCovariances
from bids_dtg.stats.correlation import correlation

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]
Kept = NDArray[np.bool_]

FEWEST_PEOPLE = 5  # to train on
FEWEST_CHOSEN = 10  # people that strengths are chosen by; with fewer they are fixed
# Frames that the training people's mean counts as much as, at `GRID_TR` seconds between frames.
GRID = (150.0, 300.0, 500.0, 650.0, 1200.0, 2400.0, 4800.0, 9600.0)
GRID_TR = 0.72
FIXED = (2400.0, 500.0)  # for the transition, and for the covariance of a frame
OTHER_DAY = "another session"
JUDGES = (OTHER_DAY, "the other half of the session")  # of strengths, the better first
# Degrees of freedom of all people together, for each region: with fewer, mean covariances between
# regions are mixed with none at all, or the order is 1.
_ENOUGH, _FEWEST = 10, 3
# Share of white noise in every mixture: regions with equal series have a process, too.
WHITE = 1e-4


@dataclass(frozen=True, eq=False)
class LinearProcess:
    """A stationary autoregressive process of regions with Gaussian noise."""

    transitions: Array  # (order, regions, regions): of the last frame, the one before …
    noise: Array  # (regions, regions), covariance
    covariances: Array  # (order, regions, regions), of a frame, with the frame before …

    @property
    def covariance(self) -> Array:
        """(regions, regions), of a frame."""
        found: Array = self.covariances[0]
        return found

    @cached_property
    def connectivity(self) -> Array:
        """(regions, regions), functional connectivity of infinitely long simulations."""
        sd = np.sqrt(self.covariance.diagonal())
        found: Array = self.covariance / (sd * sd[:, None])
        return found

    @cached_property
    def _companion(self) -> Array:
        """(order x regions, same): the same process as one of order 1."""
        order, regions, _ = self.transitions.shape
        found = np.eye(order * regions, k=-regions)
        found[:regions] = np.concatenate(self.transitions, axis=1)
        return found

    @property
    def radius(self) -> float:
        """Size of the largest eigenvalue: below 1, the process is stationary."""
        return float(np.abs(np.linalg.eigvals(self._companion)).max())

    def predict(self, series: Values, steps: Sequence[int]) -> tuple[Array, Array]:
        """Predict each frame of a session from frames before it.

        Parameters
        ----------
        series
            (regions, frames), each region with mean 0 and variance 1.
        steps
            Numbers of frames ahead.

        Returns
        -------
        mean
            (steps, regions, frames): of a frame from those that are known as many frames before
            it; NaN of frames before which too few are known.
        variance
            (steps, regions), of the prediction's error.

        Examples
        --------
        >>> process = LinearProcess(0.5 * np.eye(1)[None], 0.75 * np.eye(1), np.eye(1)[None])
        >>> mean, variance = process.predict(np.array([[2.0, 0.0, 1.0]]), (1, 2))
        >>> mean[:, 0], variance[:, 0]
        (array([[nan, 1. , 0. ],
               [nan, nan, 0.5]]), array([0.75  , 0.9375]))
        """
        order, regions, _ = self.transitions.shape
        frames = series.shape[1]
        known = np.concatenate([series[:, order - 1 - n : frames - n] for n in range(order)])
        noise = np.zeros_like(self._companion)
        noise[:regions, :regions] = self.noise
        mean = np.full((len(steps), regions, frames), np.nan)
        variance = np.empty((len(steps), regions))
        power, error = np.eye(len(noise)), np.zeros_like(noise)
        for ahead in range(1, max(steps) + 1):
            error = self._companion @ error @ self._companion.T + noise
            power = self._companion @ power
            if ahead in steps:
                row, first = steps.index(ahead), order - 1 + ahead
                later = power[:regions] @ known
                mean[row, :, first:] = later[:, : frames - first]
                variance[row] = error.diagonal()[:regions]
        return mean, variance

    def density(self, series: Values, judged: Kept | None = None) -> float:
        """Return the negative log density of a session's frames, each given those before it.

        Parameters
        ----------
        series
            (regions, frames), each region with mean 0 and variance 1.
        judged
            (frames,), which frames are judged; None: all that enough frames lie before.

        Returns
        -------
        float
            Nats a region a frame; all regions of a frame together. White noise of variance 1 has
            1.42; NaN where no frame is judged.
        """
        mean, _ = self.predict(series, (1,))
        late = np.arange(series.shape[1]) >= len(self.transitions)
        chosen = late if judged is None else late & judged
        if not chosen.any():
            return float("nan")
        missed = (series - mean[0])[:, chosen]
        return _gaussian(self.noise, missed @ missed.T / missed.shape[1])

    def simulate(
        self, simulations: int, frames: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return sessions (simulations, regions, frames) from the stationary state on."""
        order, regions, _ = self.transitions.shape
        series = rng.standard_normal((frames + order, simulations, regions))
        first = series[:order].swapaxes(0, 1).reshape(simulations, -1)
        first = first @ _power(self.of_frames, 0.5)
        series[order:] = series[order:] @ np.linalg.cholesky(self.noise).T
        # The joint covariance has the later frame first.
        series[:order] = first.reshape(simulations, order, regions).swapaxes(0, 1)[::-1]
        for frame in range(order, frames + order):
            for lag, transition in enumerate(self.transitions, 1):
                series[frame] += series[frame - lag] @ transition.T
        return np.ascontiguousarray(series[order:].transpose(1, 2, 0), np.float32)

    @property
    def of_frames(self) -> Array:
        """(order x regions, same), covariance of as many frames, the later first."""
        return _toeplitz(self.covariances, len(self.transitions))


@dataclass(frozen=True)
class Strengths:
    """How strongly a person's covariances are shrunk to the training people's mean.

    Both are numbers of a person's frames that the mean counts as much as.
    """

    transition: float
    covariance: float
    # What they were chosen by; empty: fixed, as people were too few.
    chosen_by: str = ""
    # Scores of the values of `GRID`, mean over people: nats a region a frame of the transition and
    # of single frames, r of functional connectivity.
    densities: tuple[float, ...] = ()
    frame_densities: tuple[float, ...] = ()
    fits: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class LinearModel:
    """What a linear core keeps of its training people."""

    group: Array  # (lags + 1, regions, regions), mean covariances
    strengths: Strengths
    order: int = LAGS  # of the processes
    unconnected: float = 0.0  # share of covariances without any between regions, in `group`

    @classmethod
    def of(cls, sums: GroupSums, strengths: Strengths) -> LinearModel:
        """Return the model of training people's sums.

        Raises
        ------
        ValueError
            There are fewer than 5 people.
        """
        if sums.people < FEWEST_PEOPLE:
            raise ValueError(f"a linear core needs {FEWEST_PEOPLE} people, found {sums.people}")
        group, dof = sums.mean, sums.dof / sums.total.shape[1]
        share = max(0.0, 1.0 - dof / _ENOUGH)
        alone = group * np.eye(group.shape[1])
        order = LAGS if dof >= _FEWEST else 1
        return cls((1.0 - share) * group + share * alone, strengths, order, share)

    def infer(self, own: LagCovariances) -> LinearProcess:
        """Return the process of a person, in closed form.

        Parameters
        ----------
        own
            Covariances of the person's session.
        """
        strong = shrunken(own, self.group, self.strengths.transition)
        weak = shrunken(own, self.group, self.strengths.covariance)
        return _moved(yule_walker(strong, self.order), weak[0])

    def infer_group(self) -> LinearProcess:
        """Return the process of the training people's mean covariances."""
        return yule_walker(_with_white(self.group), self.order)


@dataclass(frozen=True, eq=False)
class TrainingPerson:
    """A person's covariances: of the session that is trained on, and of other frames."""

    session: LagCovariances
    again: LagCovariances | None = None  # of another session; None: there is none
    halves: tuple[LagCovariances, LagCovariances] | None = None  # of the session

    @classmethod
    def of(
        cls,
        series: Values,
        kept: Kept | None = None,
        again: LagCovariances | None = None,
        *,
        dof: float = float("nan"),
    ) -> TrainingPerson:
        """Return the person of a session (regions, frames), as `LagCovariances.of` reads it.

        Raises
        ------
        ValueError
            The session cannot be used, see `LagCovariances.of`.
        """
        session, half = LagCovariances.of(series, kept, dof), series.shape[1] // 2
        parts = [
            LagCovariances.of(series[:, part], None if kept is None else kept[part])
            for part in (slice(half), slice(half, None))
            if again is None
        ]
        return cls(session, again, (parts[0], parts[1]) if parts else None)


@dataclass(frozen=True, eq=False)
class StrengthScores:
    """How well each value of `GRID` does, summed over people.

    There is a row for each of `JUDGES`.
    """

    densities: Array  # (rows, grid), nats a region a frame, of the transition
    frame_densities: Array  # (rows, grid), the same of single frames, of the covariance
    fits: Array  # (rows, grid), r of functional connectivity; 0: there is none, of two regions
    judged: NDArray[np.int64]  # (rows,), numbers of people

    def choose(self, tr_seconds: float) -> Strengths:
        """Return the best strengths for the people of a row; fixed ones of fewer than 10.

        Parameters
        ----------
        tr_seconds
            Time between frames in seconds.
        """
        scale = GRID_TR / tr_seconds
        grid = np.array(GRID) * scale
        fixed = Strengths(FIXED[0] * scale, FIXED[1] * scale)
        for row, words in enumerate(JUDGES):
            if self.judged[row] < FEWEST_CHOSEN:
                continue
            scores = (self.densities[row], self.frame_densities[row], self.fits[row])
            densities, single, fits = (values / self.judged[row] for values in scores)
            # Halves of a session are more alike than two days: by fit, too little is shrunk.
            best = fits.argmax() if words == OTHER_DAY and fits.any() else single.argmin()
            return Strengths(
                float(grid[densities.argmin()]),
                float(grid[best]),
                words,
                tuple(densities.tolist()),
                tuple(single.tolist()),
                tuple(fits.tolist()),
            )
        return fixed


def fit_core(people: Iterable[TrainingPerson], tr_seconds: float) -> LinearModel:
    """Return the linear core of training people.

    Parameters
    ----------
    people
        Training people; they are read twice, one after the other.
    tr_seconds
        Time between frames in seconds.

    Raises
    ------
    ValueError
        There are fewer than 5 people.
    """
    sums = GroupSums.over(own.session for own in people)
    return LinearModel.of(sums, score_strengths(people, sums, tr_seconds).choose(tr_seconds))


def score_strengths(
    people: Iterable[TrainingPerson], sums: GroupSums, tr_seconds: float
) -> StrengthScores:
    """Score strengths by how well people's processes describe other frames of the same people.

    The transition's is scored by the density of a frame given those before it; the covariance's by
    the fit of functional connectivity, and by the density of single frames. Of another session,
    the density would choose a covariance that is twice as close to the group's, and describes
    connectivity less well.

    Parameters
    ----------
    people
        Training people, each judged by another session, else by the second half of the session.
    sums
        Their sums: each is left out of the mean that the person is shrunk to. So of fewer than 6
        people there are no scores.
    tr_seconds
        Time between frames in seconds.
    """
    shape = (len(JUDGES), len(GRID))
    found = StrengthScores(
        np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(len(JUDGES), np.int64)
    )
    if sums.people <= FEWEST_PEOPLE:
        return found
    for person in people:
        row = int(person.again is None)
        pair = person.halves if person.again is None else (person.session, person.again)
        if pair is None:
            continue
        own, other = pair
        others = LinearModel.of(sums.without(person.session), Strengths(*FIXED))
        edges = upper_edges(other.values[0])
        found.judged[row] += 1
        for number, frames in enumerate(GRID):
            mixed = shrunken(own, others.group, frames * GRID_TR / tr_seconds)
            found.densities[row, number] += _density_of(yule_walker(mixed, others.order), other)
            found.frame_densities[row, number] += _gaussian(mixed[0], other.values[0])
            found.fits[row, number] += np.nan_to_num(correlation(upper_edges(mixed[0]), edges))
    return found


def shrunken(own: LagCovariances, group: Values, strength: float) -> Array:
    """Return a person's covariances mixed with the group's, (lags + 1, regions, regions).

    Parameters
    ----------
    own
        Of the person.
    group
        (lags + 1, regions, regions), of training people.
    strength
        Frames of the person that the group counts as much as.

    Examples
    --------
    >>> own = LagCovariances(np.stack([np.eye(1), 0.5 * np.eye(1), 0.2 * np.eye(1)]), 100)
    >>> shrunken(own, np.zeros((3, 1, 1)), 300.0)[:, 0, 0].round(3)
    array([0.25 , 0.125, 0.05 ])
    """
    mixed = (own.frames * own.values + strength * group) / (own.frames + strength)
    return _with_white(mixed)


def _with_white(covariances: Values) -> Array:
    mixed: Array = (1.0 - WHITE) * np.asarray(covariances, np.float64)
    mixed[0] += WHITE * np.diag(covariances[0].diagonal())
    return mixed


def yule_walker(covariances: Values, order: int = LAGS) -> LinearProcess:
    """Return the autoregressive process that has these covariances.

    Parameters
    ----------
    covariances
        (lags + 1, regions, regions), of a stationary process.
    order
        Number of earlier frames that a frame follows from, up to the largest lag.

    Examples
    --------
    >>> found = yule_walker(np.array([1.0, 0.5, 0.25])[:, None, None])
    >>> found.transitions.round(12)[:, 0, 0], found.noise
    (array([0.5, 0. ]), array([[0.75]]))
    """
    regions = covariances.shape[1]
    later = np.concatenate(covariances[1 : order + 1], axis=1)
    together = np.linalg.solve(_toeplitz(covariances, order), later.T).T
    noise = covariances[0] - together @ later.T
    return LinearProcess(
        np.asarray(together.reshape(regions, order, regions).swapaxes(0, 1), np.float64),
        (noise + noise.T) / 2,
        np.asarray(covariances[:order], np.float64),
    )


def _moved(process: LinearProcess, covariance: Values) -> LinearProcess:
    """Return a linear map of a process whose frames have another covariance."""
    there = _power(covariance, 0.5) @ _power(process.covariance, -0.5)
    back = _power(process.covariance, 0.5) @ _power(covariance, -0.5)
    noise: Array = there @ process.noise @ there.T
    covariances = np.asarray(there @ process.covariances @ there.T, np.float64)
    covariances[0] = covariance
    transitions: Array = there @ process.transitions @ back
    return LinearProcess(transitions, (noise + noise.T) / 2, covariances)


def _toeplitz(covariances: Values, order: int) -> Array:
    """Return the covariance of consecutive frames (order x regions, same), the latest first."""
    blocks = [
        [covariances[col - row] if col >= row else covariances[row - col].T for col in range(order)]
        for row in range(order)
    ]
    return np.block(blocks)


def _power(covariance: Values, power: float) -> Array:
    """Return a symmetric power of a positive definite matrix."""
    variances, axes = np.linalg.eigh(covariance)
    found: Array = (axes * np.maximum(variances, np.finfo(float).tiny) ** power) @ axes.T
    return found


def _density_of(process: LinearProcess, other: LagCovariances) -> float:
    """Return the density of a session that only its covariances are known of, as `density`."""
    order, regions, _ = process.transitions.shape
    weights = np.concatenate([np.eye(regions), *(-process.transitions)], axis=1)
    return _gaussian(process.noise, weights @ _toeplitz(other.values, order + 1) @ weights.T)


def _gaussian(covariance: Array, observed: Array) -> float:
    """Return the mean negative log density of frames with an observed covariance and mean 0."""
    size = np.linalg.slogdet(covariance)[1] + np.trace(np.linalg.solve(covariance, observed))
    return float(0.5 * (size / len(covariance) + np.log(2 * np.pi)))
