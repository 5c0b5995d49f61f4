"""What a linear core, and what is simpler, says of another session of a person.

Each reads one session of a person and the training people's mean, and is judged by the other one:
its functional connectivity, the next frames, and the dynamics of connectivity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.judging.baselines import FACTORS, of_factors
from bids_dtg.dynamics.lag_covariances import LagCovariances
from bids_dtg.dynamics.linear import LinearModel, LinearProcess, shrunken, yule_walker
from bids_dtg.dynamics.measures import FCD_FRAMES, fcd_shares, ks_distance
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.retest import covariances_of
from bids_dtg.notices import counted
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import identification_accuracy

Values = NDArray[np.floating[Any]]

STEPS = (1, 2, 5, 10)  # frames ahead
SIMULATIONS = 5  # of each person, for the dynamics of connectivity
_SHARE = 0.35  # of the group, in a plain mixture
_HALF = 0.5  # of a person's difference from the mean that another session keeps, about
_NOTHING = 1e-3  # of differences in r
# Stride of FCD's windows: distances differ by less than .01 from those of all windows.
FCD_STRIDE = 8
MODEL = "model"


@dataclass(frozen=True, eq=False)
class Described:
    """What is said of the person's other session."""

    connectivity: Values  # (regions, regions)
    process: LinearProcess | None = None  # None: it says nothing of the course
    fcd: Values | None = None  # (1, grid), of a measured session, in place of simulated ones


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known of a person: one session."""

    label: str
    own: LagCovariances
    series: Values  # (regions, frames)
    others: tuple[Seen, ...] = ()  # people of other families

    @cached_property
    def measured(self) -> Described:
        """The session itself, as what is said."""
        return Described(self.own.values[0], fcd=_fcd(self.series[None]))


@dataclass(frozen=True)
class Describer:
    """A row: what describes a person."""

    name: str
    words: str  # description for pages
    what: str  # model, baseline, or measured
    # None: it needs more people. Of several the scores' mean counts.
    describe: Callable[[LinearModel, Seen], Described | Sequence[Described] | None]


def _of_process(process: LinearProcess) -> Described:
    return Described(process.connectivity, process)


def _factors(model: LinearModel, seen: Seen, count: int) -> Described:
    return Described(of_factors(seen.own.values[:1], count)[0])


def _mixed(model: LinearModel, seen: Seen, share: float) -> Described:
    strength = seen.own.frames * share / (1.0 - share)
    return _of_process(yule_walker(shrunken(seen.own, model.group, strength), 1))


def _half(model: LinearModel, seen: Seen) -> Described:
    return Described(_HALF * seen.own.values[0] + (1.0 - _HALF) * model.group[0])


def _others(model: LinearModel, seen: Seen) -> Sequence[Described] | None:
    return [other.measured for other in seen.others] or None


DESCRIBERS = (
    Describer(
        MODEL, "the linear core", "model", lambda model, seen: _of_process(model.infer(seen.own))
    ),
    Describer(
        "group",
        "the training people's mean connectivity, and the process of their mean",
        "baseline",
        lambda model, _: _of_process(model.infer_group()),
    ),
    Describer(
        "own_var_1",
        "the person's own connectivity, and VAR(1)",
        "baseline",
        partial(_mixed, share=0.0),
    ),
    Describer(
        "mixed_var_1",
        f"VAR(1) of covariances that are {_SHARE:.0%} the training people's",
        "baseline",
        partial(_mixed, share=_SHARE),
    ),
    *(
        Describer(
            f"factors_{count}",
            f"{counted(count, 'factor')} of the person's connectivity",
            "baseline",
            partial(_factors, count=count),
        )
        for count in FACTORS
    ),
    Describer(
        "shrunken", "the mean, and half of the person's difference from it", "baseline", _half
    ),
    Describer(
        "retest",
        "the person's first session itself",
        "measured",
        lambda _, seen: seen.measured,
    ),
    Describer(
        "other_person",
        "another person's first session, mean over all of other families",
        "measured",
        _others,
    ),
)


@dataclass(frozen=True, eq=False)
class PersonScores:
    """How well one describer foretells a person's other session."""

    edges: Values  # (edges,), the connectivity that it says
    fit: float  # Pearson r of connectivity
    residual: float  # the same, of differences from the training people's mean
    r2: Values  # (steps,), share of the variance so many frames ahead; NaN: it says nothing
    nll: float  # negative log density of a frame given those before it, nats a region
    fcd: float  # Kolmogorov-Smirnov distance of FCD; NaN: not known


@dataclass(frozen=True, eq=False)
class JudgedPerson:
    """A person's other session, and what describers say of it."""

    label: str
    edges: Values  # (edges,), of the other session
    scores: dict[str, PersonScores]  # by name


def judge_people(
    model: LinearModel,
    first: PeopleSeries,
    again: PeopleSeries,
    *,
    seed: int,
) -> Iterator[JudgedPerson]:
    """Judge what is said of people who are not among the model's training people.

    Parameters
    ----------
    model
        The linear core.
    first, again
        Both sessions of these people, in the same order.
    seed
        Seed of simulations; those of a person do not depend on other people.

    Yields
    ------
    JudgedPerson
        Of each person.
    """
    known = [
        Seen(label, covariances_of(first, row), first.series[row])
        for row, label in enumerate(first.people)
    ]
    mean = upper_edges(model.group[0])
    for row, (seen, apart) in enumerate(zip(known, first.others, strict=True)):
        person = replace(seen, others=tuple(known[number] for number in np.flatnonzero(apart)))
        measured = again.series[row]
        kept = None if again.kept is None else again.kept[row]
        edges = upper_edges(covariances_of(again, row).values[0])
        shares = _fcd(measured[None])[0]
        scores = {}
        for describer in DESCRIBERS:
            said = describer.describe(model, person)
            if said is None:
                continue
            found = []
            for own in [said] if isinstance(said, Described) else said:
                described = upper_edges(own.connectivity)
                rng = np.random.default_rng([seed, *seen.label.encode()])
                r2, nll = score_course(own.process, measured, kept)
                found.append(
                    PersonScores(
                        edges=described,
                        fit=float(correlation(described, edges)),
                        residual=_residual(described - mean, edges - mean),
                        r2=r2,
                        nll=nll,
                        fcd=_distance(own, shares, first.frames, rng),
                    )
                )
            scores[describer.name] = found[0] if len(found) == 1 else _mean_scores(found)
        yield JudgedPerson(seen.label, edges, scores)


def _mean_scores(found: Sequence[PersonScores]) -> PersonScores:
    """Return the mean of each score."""
    return PersonScores(
        **{
            field.name: np.mean([getattr(own, field.name) for own in found], axis=0)
            for field in fields(PersonScores)
        }
    )


def identified(people: Sequence[JudgedPerson], name: str) -> float:
    """Return the share of people whose other session is closest to what is said of them.

    Parameters
    ----------
    people
        All of them; each is looked for among all.
    name
        Of the describer.
    """
    said = np.stack([person.scores[name].edges for person in people])
    measured = np.stack([person.edges for person in people])
    return identification_accuracy(correlation(measured[:, None], said[None]))


def _residual(said: Values, measured: Values) -> float:
    """Return r of differences from the mean; NaN where it is the mean, up to white noise."""
    return np.nan if said.std() < _NOTHING else float(correlation(said, measured))


def score_course(
    process: LinearProcess | None, series: Values, kept: NDArray[np.bool_] | None
) -> tuple[Values, float]:
    """Return how well a process predicts a session's next frames.

    Parameters
    ----------
    process
        Not fitted to these frames; None: nothing is said of next frames.
    series
        (regions, frames), each region with mean 0 and variance 1 over the frames kept; more frames
        than the last of `STEPS` and the order.
    kept
        (frames,), which frames count, both as predicted ones and as those that come before; None:
        all.

    Returns
    -------
    shares
        (steps,), share of the variance that is explained `STEPS` frames ahead; NaN where nothing
        is said.
    density
        Negative log density one frame ahead, see `LinearProcess.density`.

    Examples
    --------
    >>> process = LinearProcess(0.5 * np.eye(1)[None], 0.75 * np.eye(1), np.eye(1)[None])
    >>> shares, _ = score_course(process, np.tile([1.0, 1.0, -1.0, -1.0], (1, 5)), None)
    >>> round(float(shares[0]), 1)  # 9 of 19 frames have the sign of the one before them
    -0.2
    """
    if process is None:
        return np.full(len(STEPS), np.nan), np.nan
    frames, order = series.shape[1], len(process.transitions)
    there = np.ones(frames, bool) if kept is None else kept
    mean, _ = process.predict(series, STEPS)
    shares = np.full(len(STEPS), np.nan)
    for number, step in enumerate(STEPS):
        judged = _known(there, step, order)
        if judged.any():
            missed = (series - mean[number])[:, judged]
            shares[number] = 1.0 - (missed**2).sum() / (series[:, judged] ** 2).sum()
    return shares, process.density(series, _known(there, 1, order))


def _known(kept: NDArray[np.bool_], step: int, order: int) -> NDArray[np.bool_]:
    """Return which frames were kept, and those that they are predicted from."""
    found = kept.copy()
    found[: step + order - 1] = False
    for lag in range(step, step + order):
        found[lag:] &= kept[: len(kept) - lag]
    return found


def _distance(said: Described, shares: Values, frames: int, rng: np.random.Generator) -> float:
    if said.fcd is not None:
        return float(ks_distance(said.fcd, shares).mean())  # NaN: too short for two windows
    if said.process is None or not np.isfinite(shares).all():
        return np.nan
    sessions = said.process.simulate(SIMULATIONS, frames, rng)
    return float(ks_distance(_fcd(sessions), shares).mean())


def _fcd(sessions: Values) -> Values:
    """Return distributions of FCD; NaN of sessions that are too short for two windows."""
    if sessions.shape[-1] < FCD_FRAMES + FCD_STRIDE + 1:
        return np.full((len(sessions), 1), np.nan)
    return fcd_shares(sessions, stride=FCD_STRIDE)
