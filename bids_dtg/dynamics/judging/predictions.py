"""Predictions of a person's session by a model and by simpler methods, and their scores.

Each row of the table predicts from one session of a person and the mean of other people. The
prediction is judged on a session: its functional connectivity (FC), its next frames, and the
dynamics of its FC (FCD).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bids_dtg.array_types import Floats, Mask
from bids_dtg.connectome.parcels import finite_mean, upper_edges
from bids_dtg.dynamics.linear import (
    LagCovariances,
    LinearModel,
    LinearProcess,
    covariances_of,
    shrunken,
    yule_walker,
)
from bids_dtg.dynamics.measures import (
    bounded,
    connectivity,
    fcd_shares,
    ks_distance,
)
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import correlation_matrix, identification_accuracy

# Names of rows.
MODEL = "model"
RETEST = "retest"
OTHER_PERSON = "other_person"
# How the session that judges relates to the one that is read.
SAME = "same session"
ANOTHER = "another session"
HALF = "other half of the session"
FCD_SIMULATIONS = 5  # simulations of each person whose FCD is compared
# Metrics of each person, from that person's session alone.
FIGURES = ("fit", "fit_single", "r2", "nll", "fcd")
_GROUP_SHARE = 0.35  # weight of the mean in the process of order 1
_NOTHING = 1e-3  # differences in r below this are none


@dataclass(frozen=True, eq=False)
class Prediction:
    """A prediction for a person's session."""

    edges: Floats  # (edges,), functional connectivity
    process: LinearProcess | None = None  # predicts next frames; None: no prediction
    # (sessions, grid), distributions of FCD; None: no prediction.
    fcd: Floats | None = None
    single: Floats | None = None  # (simulations, edges), which `edges` is the mean of
    # (edges,), mean of what could have been predicted for this person; None: the mean prediction
    # for all people.
    mean: Floats | None = None
    diverged: int = 0  # number of simulations that diverged and were left out


def prediction_of_simulations(simulated: Floats) -> Prediction:
    """Return the prediction by simulations (simulations, regions, frames), which may diverge."""
    is_bounded = bounded(simulated)
    diverged = int((~is_bounded).sum())
    if not is_bounded.any():
        edges = upper_edges(np.full((simulated.shape[1],) * 2, np.nan))
        return Prediction(edges, diverged=diverged)
    used = simulated[is_bounded]
    single = upper_edges(connectivity(used))
    shares = fcd_shares(used[:FCD_SIMULATIONS])
    return Prediction(single.mean(axis=0), fcd=shares, single=single, diverged=diverged)


@dataclass(frozen=True, eq=False)
class Person:
    """What a person is predicted from: one session, and other people."""

    label: str
    covariances: LagCovariances  # of the session
    fcd: Floats  # (grid,), distribution of the session's FCD
    frames: int
    core: LinearModel  # trained without the person
    # Positions of people of other families, among all people read.
    apart: tuple[int, ...]

    @property
    def edges(self) -> Floats:
        """(edges,), functional connectivity of the session."""
        return np.asarray(upper_edges(self.covariances.values[0]))

    @property
    def mean(self) -> Floats:
        """(edges,), mean functional connectivity of the other people."""
        return np.asarray(upper_edges(self.core.group[0]))


def read_people(people: PeopleSeries, cores: Sequence[LinearModel]) -> list[Person]:
    """Return what each person is predicted from.

    Parameters
    ----------
    people
        The session that is read.
    cores
        For each person, a linear core trained without the person.
    """
    return [
        Person(
            label=label,
            covariances=covariances_of(people, row),
            fcd=fcd_shares(people.series[row]),
            frames=people.frames,
            core=cores[row],
            apart=tuple(np.flatnonzero(people.apart[row]).tolist()),
        )
        for row, label in enumerate(people.people)
    ]


def _core(person: Person, _: Sequence[Person], seed: int) -> Sequence[Prediction]:
    edges = upper_edges(person.core.connectivity(person.covariances))
    process = person.core.infer(person.covariances)
    return [_simulated(process, edges, person, seed)]


def _group(person: Person, _: Sequence[Person], seed: int) -> Sequence[Prediction]:
    return [_simulated(person.core.infer_group(), person.mean, person, seed)]


def _retest(person: Person, _: Sequence[Person], seed: int) -> Sequence[Prediction]:
    return [Prediction(person.edges, fcd=person.fcd[None])]


def _half_way(person: Person, _: Sequence[Person], seed: int) -> Sequence[Prediction]:
    return [Prediction((person.edges + person.mean) / 2)]


def _var_1(person: Person, _: Sequence[Person], seed: int) -> Sequence[Prediction]:
    frames = person.covariances.frames * _GROUP_SHARE / (1.0 - _GROUP_SHARE)
    covariances = shrunken(person.covariances, person.core.group, frames)
    process = yule_walker(covariances, 1)
    return [_simulated(process, upper_edges(process.connectivity), person, seed)]


def _other_person(
    person: Person, people: Sequence[Person], _: int
) -> Sequence[Prediction]:
    mean = np.mean([people[row].edges for row in person.apart], axis=0)
    return [
        Prediction(people[row].edges, fcd=people[row].fcd[None], mean=mean)
        for row in person.apart
    ]


def _simulated(
    process: LinearProcess, edges: Floats, person: Person, seed: int
) -> Prediction:
    rng = np.random.default_rng([seed, *person.label.encode()])
    sessions = process.simulate(FCD_SIMULATIONS, person.frames, rng)
    return Prediction(edges, process, fcd_shares(sessions))


@dataclass(frozen=True)
class Row:
    """A row of the table: a way to predict a session."""

    name: str
    words: str  # description for pages
    # From a person, everybody and a seed. The scores of several predictions are averaged.
    predict: Callable[[Person, Sequence[Person], int], Sequence[Prediction]]


CORE = Row(MODEL, "the linear core", _core)
# Rows with which a core and a network are compared.
REFERENCES = (
    Row("group", "the mean FC of other people, and the process of their mean", _group),
    Row(RETEST, "the person's session that is read, without a model", _retest),
    Row(
        "half_way", "half the person's own FC, half the mean of other people", _half_way
    ),
    Row(
        "var_1",
        f"VAR(1) of covariances with a weight of {100 * _GROUP_SHARE:.0f} % on other people",
        _var_1,
    ),
    Row(
        OTHER_PERSON,
        "another person's session, mean over people of other families",
        _other_person,
    ),
)


@dataclass(frozen=True, eq=False)
class Judge:
    """A measured session, on which predictions for people are judged."""

    name: str  # of the session
    relation: str  # to the session that is read: SAME, ANOTHER or HALF
    people: PeopleSeries
    # (edges,) by label, mean FC of other people; people without others are missing
    means: Mapping[str, Floats]

    @cached_property
    def edges(self) -> Floats:
        """(people, edges), functional connectivity over the kept frames."""
        rows = range(len(self.people.people))
        sessions = (covariances_of(self.people, row) for row in rows)
        return np.stack([upper_edges(session.values[0]) for session in sessions])

    @cached_property
    def fcd(self) -> Floats:
        """(people, grid), distributions of FCD."""
        return fcd_shares(self.people.series)

    def score(self, row: int, prediction: Prediction) -> dict[str, float]:
        """Return the metrics `FIGURES` of the prediction for a person; NaN: no prediction."""
        edges = self.edges[row]
        keep = None if self.people.keep is None else self.people.keep[row]
        r2, nll = next_frames(prediction.process, self.people.series[row], keep)
        scores = dict.fromkeys(FIGURES, np.nan)
        scores |= {"r2": r2, "nll": nll}
        scores["fit"] = float(correlation(prediction.edges, edges))
        if prediction.single is not None:
            scores["fit_single"] = float(correlation(prediction.single, edges).mean())
        if prediction.fcd is not None:
            scores["fcd"] = float(ks_distance(prediction.fcd, self.fcd[row]).mean())
        return scores


def _differs(deviation: Floats) -> bool:
    finite = deviation[np.isfinite(deviation)]
    return bool(finite.size and finite.std() > _NOTHING)


def _mean_r(deviations: Sequence[Floats], measured: Floats) -> float:
    """Return r with a measured deviation (edges,), mean over predictions; NaN if one is 0."""
    if not all(_differs(deviation) for deviation in deviations):
        return np.nan
    return float(correlation(np.stack(deviations), measured).mean())


def next_frames(
    process: LinearProcess | None, series: Floats, keep: Mask | None
) -> tuple[float, float]:
    """Return how well a process predicts a session's next frames.

    Parameters
    ----------
    process
        A process that was not fitted to these frames; None: no prediction.
    series
        (regions, frames), each region with mean 0 and variance 1.
    keep
        (frames,), which frames are used, as predicted and as preceding frames; None: all.

    Returns
    -------
    share
        Share of the variance that is predicted one frame ahead; NaN without a prediction.
    density
        Negative log density, see `LinearProcess.density`.

    Examples
    --------
    >>> process = LinearProcess(0.5 * np.eye(1)[None], 0.75 * np.eye(1), np.eye(1)[None])
    >>> share, _ = next_frames(process, np.tile([1.0, 1.0, -1.0, -1.0], (1, 5)), None)
    >>> round(share, 1)  # 9 of 19 frames have the sign of the one before them
    -0.2
    """
    if process is None:
        return np.nan, np.nan
    keep = np.ones(series.shape[1], bool) if keep is None else keep
    judged = keep.copy()
    for lag in range(1, len(process.transitions) + 1):
        judged[:lag] = False
        judged[lag:] &= keep[:-lag]
    if not judged.any():
        return np.nan, np.nan
    missed = (series - process.predict(series))[:, judged]
    share = 1.0 - (missed**2).sum() / (series[:, judged] ** 2).sum()
    return float(share), process.density(series, judged)


class Scored:
    """The scores of a row by one judge; people are added one by one.

    Parameters
    ----------
    name, words
        As in `Row`.
    judge
        The session on which predictions are judged.
    """

    def __init__(self, name: str, words: str, judge: Judge) -> None:
        self.name = name
        self.words = words
        self.judge = judge
        count = len(judge.people.people)
        self.edges = np.full(judge.edges.shape, np.nan)  # (people, edges), predicted FC
        # (people,), by metric.
        self.figures = {name: np.full(count, np.nan) for name in FIGURES}
        self.diverged = 0  # simulations that were left out
        # By row, FC of the predictions for a person whose mean over people is known at the end.
        self._predicted: dict[int, Floats] = {}
        # Of predictions with a mean of their own.
        self._residual = np.full(count, np.nan)
        # Whether somebody's prediction is not the mean of other people.
        self._is_informed = False

    def add(self, label: str, predictions: Sequence[Prediction]) -> None:
        """Add the predictions for a person; the metrics of several predictions are averaged."""
        row = self.judge.people.people.index(label)
        scores = [self.judge.score(row, prediction) for prediction in predictions]
        for name, values in self.figures.items():
            values[row] = np.mean([score[name] for score in scores])
        edges = [prediction.edges for prediction in predictions]
        self.edges[row] = np.mean(edges, axis=0)
        self.diverged += sum(prediction.diverged for prediction in predictions)
        mean = self.judge.means.get(label)
        if mean is not None and _differs(self.edges[row] - mean):
            self._is_informed = True
        deviations = [
            prediction.edges - prediction.mean
            for prediction in predictions
            if prediction.mean is not None
        ]
        if deviations:
            measured = self.judge.edges[row] - self.judge.edges.mean(axis=0)
            self._residual[row] = _mean_r(deviations, measured)
        elif np.isfinite(self.edges[row]).any():
            self._predicted[row] = np.stack(edges)

    @property
    def residual(self) -> Floats:
        """(people,), r of predicted and measured deviations from their means over people.

        NaN for everybody if the predictions are the mean of other people, which only differs
        between people because each is left out of their own.
        """
        residual = self._residual.copy()
        rows = list(self._predicted)
        if not (self._is_informed and rows):
            return residual
        mean_predicted = finite_mean(self.edges[rows].T)
        mean_measured = finite_mean(self.judge.edges[rows].T)
        for row, predicted in self._predicted.items():
            measured = self.judge.edges[row] - mean_measured
            residual[row] = _mean_r([*(predicted - mean_predicted)], measured)
        return residual

    @cached_property
    def identified(self) -> float:
        """Share of people with a prediction whose session is closest to their own one."""
        predicted = np.isfinite(self.edges).any(axis=1)
        if not predicted.any():
            return np.nan
        r = correlation_matrix(self.edges[predicted], self.judge.edges[predicted])
        return identification_accuracy(r.T)


def score_row(
    name: str,
    words: str,
    people_predictions: Iterable[tuple[str, Sequence[Prediction]]],
    judges: Sequence[Judge],
) -> list[Scored]:
    """Return the scores of a row by each judge.

    Parameters
    ----------
    name, words
        As in `Row`.
    people_predictions
        Labels of people and their predictions; iterated over once.
    judges
        Measured sessions of some or all of these people.
    """
    by_judge = [Scored(name, words, judge) for judge in judges]
    for label, predictions in people_predictions:
        for scored in by_judge:
            if label in scored.judge.people.people:
                scored.add(label, predictions)
    return by_judge


def score_references(
    people: Sequence[Person], judges: Sequence[Judge], rows: Sequence[Row], seed: int
) -> list[Scored]:
    """Return the scores of rows by each judge, without rows for which other people are missing.

    A judge that is the session read does not score the row `RETEST`, which is that session.

    Parameters
    ----------
    people
        What each person is predicted from.
    judges
        Measured sessions of some or all of these people.
    rows
        `REFERENCES`, with or without `CORE`.
    seed
        Seed of simulations; a person's simulations do not depend on other people.
    """
    scored: list[Scored] = []
    for row in rows if people else ():
        if row.name == OTHER_PERSON and not all(person.apart for person in people):
            continue
        predictions = (
            (person.label, row.predict(person, people, seed)) for person in people
        )
        by = [judge for judge in judges if row.name != RETEST or judge.relation != SAME]
        scored += score_row(row.name, row.words, predictions, by)
    return scored
