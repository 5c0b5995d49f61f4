"""How sure the linear core is of a person: standard deviations, and intervals for another session.

Entries of a process vary between sessions as they would if it were sampled anew, and more: people
differ from day to day. How much more is found on training people with two sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances
from bids_dtg.dynamics.linear import (
    FEWEST_CHOSEN,
    LinearModel,
    LinearProcess,
    Strengths,
    shrunken,
    yule_walker,
)

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]

LEVEL = 0.95  # of intervals
_REACH = 1.959964  # standard deviations to both sides that hold this share of a Gaussian
# Autocorrelations are summed up to the lag where all are smaller, or to the last one.
_NOTHING, _LAST_LAG = 1e-3, 200


@dataclass(frozen=True)
class Spreads:
    """How many times the variance of sampling people's estimates vary between sessions."""

    transition: float
    covariance: float
    judged: int = 0  # training people with two sessions; 0: fixed


# Of the fifty people of the publication's data, by folds: see the page of evidence.
FIXED_SPREADS = Spreads(1.1, 3.6)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Variances of what a linear core says of a person.

    Notes
    -----
    With n frames of the group as a prior, a transition of T frames has the posterior covariance
    Q of rows times the inverse covariance of the earlier frames over T + n (matrix-normal inverse
    Wishart). The covariance of a frame, of regions with variance 1, has that of correlations of
    autocorrelated series (Roy 1989, Commun. Stat. Theory Methods 18: 2459; Afyouni et al. 2019,
    NeuroImage 199: 609).
    """

    process: LinearProcess
    frames: int  # of the person, kept
    strengths: Strengths
    spreads: Spreads

    @property
    def transition_sd(self) -> Array:
        """(order, regions, regions), of the person's transitions."""
        return self._transition_sd(0.0)

    def transition_sd_of(self, frames: int) -> Array:
        """Return that of the difference to another session's transitions, unshrunken.

        Parameters
        ----------
        frames
            Kept ones of the other session.

        Returns
        -------
        numpy.ndarray
            (order, regions, regions); NaN where a session has no more frames than regressors.
        """
        order, regions, _ = self.process.transitions.shape
        free = frames - order * regions - 1
        return self._transition_sd(1.0 / free if free > 0 else np.nan)

    def _transition_sd(self, other: float) -> Array:
        """Return that with the sampling variance of another session, as a share of a frame's."""
        share = 1.0 / (self.frames + self.strengths.transition) + other
        sd: Array = np.sqrt(self.spreads.transition * share * transition_variance(self.process))
        return sd

    def covariance_sd_of(self, frames: int) -> Array:
        """Return that of the difference to another session's covariances of a frame.

        Parameters
        ----------
        frames
            Kept ones of the other session.

        Returns
        -------
        numpy.ndarray
            (regions, regions); the diagonal is 1 in all sessions, and varies in none.
        """
        shares = 1.0 / (self.frames + self.strengths.covariance) + 1.0 / frames
        sd: Array = np.sqrt(self.spreads.covariance * shares * correlation_variance(self.process))
        return sd


def transition_variance(process: LinearProcess) -> Array:
    """Return the sampling variance of transitions, times frames, (order, regions, regions).

    Examples
    --------
    >>> process = LinearProcess(0.5 * np.eye(1)[None], 0.75 * np.eye(1), np.eye(1)[None])
    >>> transition_variance(process)
    array([[[0.75]]])
    """
    order, regions, _ = process.transitions.shape
    inverse = np.linalg.inv(process.of_frames).diagonal().reshape(order, 1, regions)
    return np.asarray(process.noise.diagonal()[:, None] * inverse, np.float64)


def correlation_variance(process: LinearProcess) -> Array:
    """Return the sampling variance of correlations of a frame, times frames, (regions, regions).

    Examples
    --------
    Two white regions that are independent of each other:

    >>> alone = LinearProcess(np.zeros((1, 2, 2)), np.eye(2), np.eye(2)[None])
    >>> correlation_variance(alone)
    array([[0., 1.],
           [1., 0.]])
    """
    order = len(process.transitions)
    sd = np.sqrt(process.covariance.diagonal())
    scale = sd * sd[:, None]
    r = process.covariance / scale
    lagged = list(process.covariances)
    total = _summand(r, r)
    for lag in range(1, _LAST_LAG):
        if lag >= len(lagged):
            last = lagged[-order:][::-1]
            lagged.append(np.einsum("kij,kjl->il", process.transitions, np.stack(last)))
        own = lagged[lag] / scale
        if np.abs(own).max() < _NOTHING:
            break
        part = _summand(r, own)
        total += part + part.T  # of the lag to both sides
    np.fill_diagonal(total, 0.0)
    return np.maximum(total, 0.0)


def _summand(r: Array, lagged: Array) -> Array:
    """Return what correlations at a lag add to the variance of those at lag 0."""
    own = lagged.diagonal()
    row, column, back = own[:, None], own, lagged.T
    found: Array = (
        row * column
        + lagged * back
        + r**2 * (lagged**2 + row**2 / 2 + column**2 / 2)
        - 2 * r * (row * lagged + column * back)
    )
    return found


@dataclass(frozen=True)
class Held:
    """Shares of another session's entries within the intervals."""

    transition: float  # NaN: the session is too short for unshrunken transitions
    covariance: float
    # Of effects between different regions, those whose interval leaves out the training people's.
    different: float


def held_by(
    model: LinearModel, spreads: Spreads, own: LagCovariances, other: LagCovariances
) -> Held:
    """Return how much of another session the intervals from a person's session hold.

    Parameters
    ----------
    model, spreads
        Of training people, the person not among them.
    own, other
        Covariances of the two sessions.
    """
    process = model.infer(own)
    z_transition, z_covariance = _missed(process, model, spreads, own, other)
    return Held(
        _share_below(z_transition, _REACH**2),
        _share_below(z_covariance, _REACH**2),
        share_different(process, model, spreads, own.frames),
    )


def share_different(
    process: LinearProcess, model: LinearModel, spreads: Spreads, frames: int
) -> float:
    """Return the share of a person's effects that differ from the training people's.

    Parameters
    ----------
    process, model, spreads
        Of the person, and what it was inferred by.
    frames
        Of the person, kept.

    Returns
    -------
    float
        Of the effects of a region on another one a frame later, those whose interval leaves out
        the training people's; NaN of a single region.
    """
    sd = Uncertainty(process, frames, model.strengths, spreads).transition_sd[0]
    away = np.abs(process.transitions[0] - model.infer_group().transitions[0])
    between = ~np.eye(len(sd), dtype=bool)
    return float((away > _REACH * sd)[between].mean()) if between.any() else float("nan")


def find_spreads(
    sums: GroupSums,
    strengths: Strengths,
    sessions: list[tuple[LagCovariances, LagCovariances]],
) -> Spreads:
    """Return how much more than by sampling training people vary between sessions.

    Parameters
    ----------
    sums
        Of all training people: each is left out of the mean that they are shrunk to.
    strengths
        As chosen by them.
    sessions
        Of people with two sessions: that which is in the sums, and the other one.

    Returns
    -------
    Spreads
        Such that intervals hold 95 % of the other session, mean over people; fixed ones where
        fewer than 10 people have two sessions.
    """
    if len(sessions) < FEWEST_CHOSEN:
        return FIXED_SPREADS
    plain, found = Spreads(1.0, 1.0), []
    for own, other in sessions:
        model = LinearModel.of(sums.without(own), strengths)
        missed = _missed(model.infer(own), model, plain, own, other)
        found.append([np.quantile(z, LEVEL) / _REACH**2 if len(z) else np.nan for z in missed])
    transition, covariance = np.mean(found, axis=0)
    return Spreads(
        float(transition) if np.isfinite(transition) else FIXED_SPREADS.transition,
        float(covariance) if np.isfinite(covariance) else FIXED_SPREADS.covariance,
        len(sessions),
    )


def _missed(
    process: LinearProcess,
    model: LinearModel,
    spreads: Spreads,
    own: LagCovariances,
    other: LagCovariances,
) -> tuple[Array, Array]:
    """Return squared differences to another session over their variances; none where unknown."""
    sure = Uncertainty(process, own.frames, model.strengths, spreads)
    plain = yule_walker(shrunken(other, model.group, 0.0), model.order)
    variance = sure.transition_sd_of(other.frames) ** 2
    transition = (plain.transitions - process.transitions) ** 2 / variance
    away = upper_edges(other.values[0] - process.covariance) ** 2
    variance = upper_edges(sure.covariance_sd_of(other.frames)) ** 2
    known = variance > 0
    return transition[np.isfinite(transition)], away[known] / variance[known]


def _share_below(values: Array, end: float) -> float:
    return float((values < end).mean()) if values.size else float("nan")
