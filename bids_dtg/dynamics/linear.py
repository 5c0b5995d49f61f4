"""The linear core: a person's autoregressive process, shrunk towards that of training people.

A person's covariances at lags of 0 to 2 frames are averaged with the training people's mean, which
has the weight of a given number of frames. The weight is large for the process, which follows from
the Yule-Walker equations, and smaller for functional connectivity (FC) on another day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Mask
from bids_dtg.connectome.parcels import upper_edges
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.stats.correlation import correlation

LAGS = 2  # the largest lag, in frames
FEWEST_PEOPLE = 5  # to train on
FEWEST_CHOSEN = 10  # people needed to choose the shrinkage; with fewer it is fixed
# Weights of the training people's mean, in frames of `GRID_TR` seconds.
GRID = (150.0, 300.0, 500.0, 650.0, 1200.0, 2400.0, 4800.0, 9600.0)
GRID_TR = 0.72
FIXED = (2400.0, 500.0)  # for the process, and for functional connectivity
# Data on which the shrinkage is chosen, the better first.
JUDGES = ("another session", "the other half of the session")
# Degrees of freedom of all people together, per region. With fewer than the first, the mean
# covariances between regions are shrunk towards 0; with fewer than the second, the order is 1.
_ENOUGH, _FEWEST = 10, 3
# Share of white noise in every mixture, so that regions with equal series have a process, too.
WHITE = 1e-4


@dataclass(frozen=True, eq=False)
class LagCovariances:
    """Covariances of a person's session.

    Raises
    ------
    ValueError
        The values have another shape.
    """

    values: Float64  # (lags + 1, regions, regions), lag by lag; the row's region is the later one
    frames: int  # number of kept frames
    dof: float = np.nan  # degrees of freedom left after cleaning; NaN: not known

    def __post_init__(self) -> None:
        shape = self.values.shape
        if len(shape) != 3 or shape[1] != shape[2]:
            raise ValueError(f"values is (lags + 1, regions, regions), found {shape}")

    @property
    def independent(self) -> float:
        """Degrees of freedom left after cleaning; if unknown, the number of kept frames."""
        return self.dof if self.dof > 0 else float(self.frames)

    @classmethod
    def of(
        cls, series: Floats, keep: Mask | None = None, dof: float = np.nan
    ) -> LagCovariances:
        """Return the covariances of a session, each region with variance 1.

        Sums over frames are divided by the number of kept frames at every lag, and censored frames
        are set to 0. The covariances are therefore those of a stationary process, however few
        frames there are.

        Parameters
        ----------
        series
            (regions, frames), in any unit.
        keep
            (frames,), which frames to use; None: all.
        dof
            Degrees of freedom left after cleaning; NaN: not known.

        Raises
        ------
        ValueError
            Too few frames are kept, or a series is constant or not finite.

        Examples
        --------
        >>> covariances = LagCovariances.of(np.array([[1.0, -1.0, 1.0, -1.0]]))
        >>> covariances.values[:, 0, 0], covariances.frames
        (array([ 1.  , -0.75,  0.5 ]), 4)
        """
        values = np.asarray(series, np.float64)
        length = values.shape[1]
        keep = np.ones(length, bool) if keep is None else np.asarray(keep, bool)
        frames = int(keep.sum())
        if frames <= LAGS:
            raise ValueError(
                f"covariances need more than {LAGS} kept frames, found {frames}"
            )
        used = values[:, keep]
        if not (np.isfinite(used).all() and np.ptp(used, axis=1).all()):
            raise ValueError("a series is constant or has values that are not finite")
        used = used - used.mean(axis=1, keepdims=True)
        whole = np.zeros_like(values)
        whole[:, keep] = used / used.std(axis=1, keepdims=True)
        sums = [whole[:, lag:] @ whole[:, : length - lag].T for lag in range(LAGS + 1)]
        return cls(np.stack(sums) / frames, frames, dof)


def covariances_of(people: PeopleSeries, row: int) -> LagCovariances:
    """Return a person's covariances over the kept frames."""
    keep = None if people.keep is None else people.keep[row]
    return LagCovariances.of(people.series[row], keep, people.dof_of(row))


@dataclass(frozen=True, eq=False)
class GroupSums:
    """Covariances, summed over people.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> people = [LagCovariances.of(rng.standard_normal((3, 90))) for _ in range(4)]
    >>> rest = GroupSums.over(people).without(people[0])
    >>> rest.people, rest.dof, bool(np.allclose(rest.mean, GroupSums.over(people[1:]).mean))
    (3, 270.0, True)
    """

    total: Float64  # (lags + 1, regions, regions), sum over people
    people: int
    dof: float  # of all people together, see `LagCovariances.independent`

    @classmethod
    def over(cls, people: Iterable[LagCovariances]) -> GroupSums:
        """Return the sums over people, each with the same weight however long the session is."""
        total: Float64 = np.zeros((LAGS + 1, 0, 0))
        count = 0
        dof = 0.0
        for person in people:
            total = total + person.values if count else person.values
            count += 1
            dof = dof + person.independent
        return cls(total, count, dof)

    @property
    def mean(self) -> Float64:
        """(lags + 1, regions, regions), mean over people."""
        return self.total / self.people

    def without(self, person: LagCovariances) -> GroupSums:
        """Return the sums without one of the people."""
        total = self.total - person.values
        return GroupSums(total, self.people - 1, self.dof - person.independent)


@dataclass(frozen=True, eq=False)
class LinearProcess:
    """A stationary autoregressive process of regions with Gaussian noise."""

    # (order, regions, regions), weights of the previous frame, the one before …
    transitions: Float64
    noise: Float64  # (regions, regions), covariance
    covariances: Float64  # (order, regions, regions), at lag 0, 1 …

    @cached_property
    def connectivity(self) -> Float64:
        """(regions, regions), functional connectivity of an infinitely long simulation."""
        return _correlations(self.covariances[0])

    def predict(self, series: Floats) -> Float64:
        """Predict each frame of a session from the frames before it.

        Parameters
        ----------
        series
            (regions, frames), each region with mean 0 and variance 1.

        Returns
        -------
        numpy.ndarray
            (regions, frames); NaN for the first frames, which have too few before them. The
            prediction errors have the covariance `noise`.

        Examples
        --------
        >>> process = LinearProcess(0.5 * np.eye(1)[None], 0.75 * np.eye(1), np.eye(1)[None])
        >>> process.predict(np.array([[2.0, 0.0, 1.0]]))
        array([[nan,  1.,  0.]])
        """
        order, frames = len(self.transitions), series.shape[1]
        mean = np.full(series.shape, np.nan)
        mean[:, order:] = 0.0
        for lag, transition in enumerate(self.transitions, 1):
            mean[:, order:] += transition @ series[:, order - lag : frames - lag]
        return mean

    def density(self, series: Floats, judged: Mask) -> float:
        """Return the negative log density of a session's frames, each given the frames before it.

        Parameters
        ----------
        series
            (regions, frames), each region with mean 0 and variance 1.
        judged
            (frames,), which frames count: some that have enough frames before them.

        Returns
        -------
        float
            Nats per region and frame, from the joint density of all regions. White noise of
            variance 1 has 1.42.
        """
        missed = (series - self.predict(series))[:, judged]
        return _gaussian(self.noise, missed @ missed.T / missed.shape[1])

    def simulate(
        self, simulations: int, frames: int, rng: np.random.Generator
    ) -> Float32:
        """Return sessions (simulations, regions, frames) that start in the stationary state."""
        order, regions, _ = self.transitions.shape
        series = rng.standard_normal((frames + order, simulations, regions))
        first = series[:order].swapaxes(0, 1).reshape(simulations, -1)
        first = first @ _root(_toeplitz(self.covariances, order))
        series[order:] = series[order:] @ np.linalg.cholesky(self.noise).T
        # The joint covariance has the latest frame first.
        series[:order] = first.reshape(simulations, order, regions).swapaxes(0, 1)[::-1]
        for frame in range(order, frames + order):
            for lag, transition in enumerate(self.transitions, 1):
                series[frame] += series[frame - lag] @ transition.T
        return np.ascontiguousarray(series[order:].transpose(1, 2, 0), np.float32)


@dataclass(frozen=True)
class Shrinkage:
    """How strongly a person's covariances are shrunk towards the training people's mean.

    Both values are the weight of that mean, in frames of the person's session.
    """

    process: float
    connectivity: float
    chosen_by: str = ""  # one of `JUDGES`; empty: fixed, as people were too few
    # (3, values of `GRID`), means over people: nats per region and frame by the process and by
    # single frames, and r of functional connectivity.
    scores: tuple[tuple[float, ...], ...] = ()

    def own_share(self, frames: int) -> float:
        """Return the weight of a person's own functional connectivity in the predicted one.

        Examples
        --------
        >>> round(Shrinkage(4800.0, 650.0).own_share(1200), 2)
        0.65
        """
        return frames / (frames + self.connectivity)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear core: the training people's mean covariances, and the shrinkage towards them."""

    group: Float64  # (lags + 1, regions, regions), mean covariances
    shrinkage: Shrinkage
    order: int = LAGS  # of the processes
    # How far covariances between regions in `group` are shrunk to 0.
    diagonal_share: float = 0.0

    @classmethod
    def of(cls, sums: GroupSums, shrinkage: Shrinkage) -> LinearModel:
        """Return the model from the sums over training people."""
        group, dof = sums.mean, sums.dof / sums.total.shape[1]
        share = max(0.0, 1.0 - dof / _ENOUGH)
        alone = group * np.eye(group.shape[1])
        order = LAGS if dof >= _FEWEST else 1
        return cls((1.0 - share) * group + share * alone, shrinkage, order, share)

    def infer(self, person: LagCovariances) -> LinearProcess:
        """Return the process of a person, in closed form.

        Parameters
        ----------
        person
            Covariances of the person's session.
        """
        covariances = shrunken(person, self.group, self.shrinkage.process)
        return yule_walker(covariances, self.order)

    def infer_group(self) -> LinearProcess:
        """Return the process of the training people's mean covariances."""
        return yule_walker(_with_white(self.group), self.order)

    def connectivity(self, person: LagCovariances) -> Float64:
        """Return a person's predicted functional connectivity on another day, (regions, regions).

        It is shrunk less than the process, so it is further from the mean than
        `LinearProcess.connectivity`.

        Parameters
        ----------
        person
            Covariances of the person's session.
        """
        covariances = shrunken(person, self.group, self.shrinkage.connectivity)
        return _correlations(covariances[0])


@dataclass(frozen=True, eq=False)
class TrainingPerson:
    """A person's covariances in the training session, and in data to choose the shrinkage on."""

    session: LagCovariances
    again: LagCovariances | None = None  # in another session; None: there is none
    # In each half of the session.
    halves: tuple[LagCovariances, LagCovariances] | None = None

    @classmethod
    def of(
        cls,
        series: Floats,
        keep: Mask | None = None,
        again: LagCovariances | None = None,
        *,
        dof: float = np.nan,
    ) -> TrainingPerson:
        """Return the person with a session (regions, frames), as `LagCovariances.of` reads it.

        Raises
        ------
        ValueError
            The session cannot be used, see `LagCovariances.of`.
        """
        session = LagCovariances.of(series, keep, dof)
        if again is not None:
            return cls(session, again)
        half = series.shape[1] // 2
        keep = np.ones(series.shape[1], bool) if keep is None else keep
        first = LagCovariances.of(series[:, :half], keep[:half])
        second = LagCovariances.of(series[:, half:], keep[half:])
        return cls(session, halves=(first, second))


def fit_core(people: Iterable[TrainingPerson], tr_seconds: float) -> LinearModel:
    """Fit the linear core to training people.

    Parameters
    ----------
    people
        Training people, 5 or more; iterated over twice.
    tr_seconds
        Time between frames in seconds.
    """
    sums = GroupSums.over(person.session for person in people)
    return LinearModel.of(sums, _choose(people, sums, tr_seconds))


def _choose(
    people: Iterable[TrainingPerson], sums: GroupSums, tr_seconds: float
) -> Shrinkage:
    """Choose the shrinkage that best describes other frames of the same people.

    Each person is judged on another session, else on the second half of the session, and is left
    out of the mean. For the process, the density of frames given the frames before them decides.
    For connectivity, its fit to another session's decides: the density of single frames would
    choose twice as much shrinkage, which describes connectivity less well.
    """
    grid = np.array(GRID) * GRID_TR / tr_seconds
    scores = np.zeros((len(JUDGES), 3, len(GRID)))
    judged = np.zeros(len(JUDGES), np.int64)  # number of people
    for person in people if sums.people > FEWEST_PEOPLE else ():
        row = int(person.again is None)
        pair = person.halves if person.again is None else (person.session, person.again)
        assert pair is not None  # `of` has made halves where there is no other session
        known_session, judging_session = pair
        core = LinearModel.of(sums.without(person.session), Shrinkage(*FIXED))
        edges = upper_edges(judging_session.values[0])
        judged[row] += 1
        for number, frames in enumerate(grid):
            mixed = shrunken(known_session, core.group, frames)
            fit = np.nan_to_num(correlation(upper_edges(mixed[0]), edges))
            density = _density_of(yule_walker(mixed, core.order), judging_session)
            single = _gaussian(mixed[0], judging_session.values[0])
            scores[row, :, number] += [density, single, float(fit)]
    for row, words in enumerate(JUDGES):
        if judged[row] < FEWEST_CHOSEN:
            continue
        means = scores[row] / judged[row]
        process_scores, frame_scores, fits = means
        # Halves of a session are more alike than two days, so their fit would shrink too little.
        best = fits.argmax() if row == 0 and fits.any() else frame_scores.argmin()
        process, connectivity = grid[process_scores.argmin()], grid[best]
        table = tuple(tuple(scores_of_grid.tolist()) for scores_of_grid in means)
        return Shrinkage(float(process), float(connectivity), words, table)
    scale = GRID_TR / tr_seconds
    return Shrinkage(FIXED[0] * scale, FIXED[1] * scale)


def shrunken(person: LagCovariances, group: Floats, frames: float) -> Float64:
    """Return a person's covariances averaged with the group's, (lags + 1, regions, regions).

    Parameters
    ----------
    person
        The person's covariances.
    group
        (lags + 1, regions, regions), the training people's mean.
    frames
        Weight of the group, in frames of the person's session.

    Examples
    --------
    >>> person = LagCovariances(np.stack([np.eye(1), 0.5 * np.eye(1), 0.2 * np.eye(1)]), 100)
    >>> shrunken(person, np.zeros((3, 1, 1)), 300.0)[:, 0, 0].round(3)
    array([0.25 , 0.125, 0.05 ])
    """
    sums = person.frames * person.values + frames * group
    return _with_white(sums / (person.frames + frames))


def _with_white(covariances: Floats) -> Float64:
    mixed: Float64 = (1.0 - WHITE) * np.asarray(covariances, np.float64)
    mixed[0] += WHITE * np.diag(covariances[0].diagonal())
    return mixed


def yule_walker(covariances: Floats, order: int = LAGS) -> LinearProcess:
    """Return the autoregressive process that has these covariances.

    Parameters
    ----------
    covariances
        (lags + 1, regions, regions), of a stationary process.
    order
        Number of earlier frames that predict a frame, up to the largest lag.

    Examples
    --------
    >>> process = yule_walker(np.array([1.0, 0.5, 0.25])[:, None, None])
    >>> process.transitions.round(12)[:, 0, 0], process.noise
    (array([0.5, 0. ]), array([[0.75]]))
    """
    regions = covariances.shape[1]
    later = np.concatenate(covariances[1 : order + 1], axis=1)
    together = np.linalg.solve(_toeplitz(covariances, order), later.T).T
    noise = covariances[0] - together @ later.T
    transitions = together.reshape(regions, order, regions).swapaxes(0, 1)
    return LinearProcess(
        np.asarray(transitions, np.float64),
        (noise + noise.T) / 2,
        np.asarray(covariances[:order], np.float64),
    )


def _toeplitz(covariances: Floats, order: int) -> Float64:
    """Return the joint covariance of `order` consecutive frames, the latest first."""
    blocks = [
        [
            covariances[col - row] if col >= row else covariances[row - col].T
            for col in range(order)
        ]
        for row in range(order)
    ]
    return np.block(blocks)


def _correlations(covariance: Float64) -> Float64:
    sd = np.sqrt(covariance.diagonal())
    return covariance / (sd * sd[:, None])


def _root(covariance: Floats) -> Float64:
    """Return the symmetric square root of a positive definite matrix."""
    variances, axes = np.linalg.eigh(covariance)
    sds = np.sqrt(np.maximum(variances, np.finfo(float).tiny))
    return (axes * sds) @ axes.T


def _density_of(process: LinearProcess, session: LagCovariances) -> float:
    """Return `LinearProcess.density` of a session, from its covariances alone."""
    order, regions, _ = process.transitions.shape
    weights = np.concatenate([np.eye(regions), *(-process.transitions)], axis=1)
    errors = weights @ _toeplitz(session.values, order + 1) @ weights.T
    return _gaussian(process.noise, errors)


def _gaussian(covariance: Float64, observed: Float64) -> float:
    """Return the mean negative log density of frames with an observed covariance and mean 0."""
    log_determinant = np.linalg.slogdet(covariance)[1]
    size = log_determinant + np.trace(np.linalg.solve(covariance, observed))
    return float(0.5 * (size / len(covariance) + np.log(2 * np.pi)))
