"""What a second session of training people shows of a linear core: how far it can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.components import Components, edges_of
from bids_dtg.dynamics.intervals import FIXED_SPREADS, Spreads, find_spreads
from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances
from bids_dtg.dynamics.linear import FEWEST_CHOSEN, LinearModel, TrainingPerson
from bids_dtg.dynamics.networks import LEAST_FRAMES, PeopleSeries
from bids_dtg.dynamics.regional import regional_figures
from bids_dtg.stats.agreement import agreement
from bids_dtg.stats.correlation import correlation

Values = NDArray[np.floating[Any]]

MOST_JUDGED = 30  # people with two sessions whose processes are compared
_PARTS = (0.125, 0.25, 0.5, 1.0)  # of the first session


@dataclass(frozen=True)
class Retest:
    """What training people's other session shows; nothing where too few have one."""

    spreads: Spreads = FIXED_SPREADS
    # Minutes of the first session, and mean r of functional connectivity with the other one.
    minutes: tuple[tuple[float, float], ...] = ()
    regional: tuple[float, ...] = ()  # ICC(A,1) of `regional.FIGURES`, mean over regions


def draw(labels: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    """Return at most so many people, drawn by the seed, in their order.

    Examples
    --------
    >>> draw(["a", "b", "c"], 5, 0), len(draw("abcdef", 4, 0))
    (('a', 'b', 'c'), 4)
    """
    if len(labels) <= most:
        return tuple(labels)
    chosen = np.random.default_rng(seed).choice(len(labels), most, replace=False)
    return tuple(labels[number] for number in sorted(chosen))


def covariances_of(people: PeopleSeries, row: int) -> LagCovariances:
    """Return the covariances of a person, over the frames kept."""
    kept = None if people.kept is None else people.kept[row]
    return LagCovariances.of(people.series[row], kept, people.dof_of(row))


def find_retest(
    model: LinearModel, sums: GroupSums, first: PeopleSeries, again: PeopleSeries, seed: int
) -> Retest:
    """Judge a linear core by the other session of its training people.

    Parameters
    ----------
    model, sums
        Of all training people.
    first, again
        The session that was trained on, and another one, of the same people in the same order.
    seed
        Draws 30 of them, if there are more.

    Returns
    -------
    Retest
        Each person is left out of the mean that it is shrunk to. Of fewer than 10 people nothing
        is found.
    """
    drawn = draw(first.people, MOST_JUDGED, seed)
    if len(drawn) < FEWEST_CHOSEN:
        return Retest()
    first, again = first.of(list(drawn)), again.of(list(drawn))
    both = [(covariances_of(first, n), covariances_of(again, n)) for n in range(len(drawn))]
    models = [LinearModel.of(sums.without(own), model.strengths) for own, _ in both]
    figures = np.stack(
        [
            [regional_figures(own_model.infer(session)) for session in pair]
            for own_model, pair in zip(models, both, strict=True)
        ]
    )
    # (people, sessions, figures, regions) to (figures, regions, people, sessions)
    iccs = agreement(figures.transpose(2, 3, 0, 1)).absolute.mean(axis=1)
    return Retest(
        find_spreads(sums, model.strengths, both),
        tuple(_cost_of_minutes(models, first, both)),
        tuple(iccs.tolist()) if np.isfinite(iccs).all() else (),
    )


def _cost_of_minutes(
    models: Sequence[LinearModel],
    first: PeopleSeries,
    both: Sequence[tuple[LagCovariances, LagCovariances]],
) -> list[tuple[float, float]]:
    """Return minutes of the first session, and how well they foretell connectivity again."""
    found = []
    for part in _PARTS:
        frames = round(part * first.frames)
        if frames < LEAST_FRAMES or len(first.regions) < 3:
            continue
        fits = []
        for row, (model, (_, other)) in enumerate(zip(models, both, strict=True)):
            kept = np.ones(first.frames, bool) if first.kept is None else first.kept[row].copy()
            kept[np.flatnonzero(kept)[frames:]] = False
            own = LagCovariances.of(first.series[row], kept)
            edges = upper_edges(model.infer(own).connectivity)
            fits.append(float(correlation(edges, upper_edges(other.values[0]))))
        found.append((round(frames * first.tr_seconds / 60, 2), round(float(np.mean(fits)), 4)))
    return found


def find_components(people: Iterable[TrainingPerson]) -> Components | None:
    """Return components of training people, with their reliability where it can be known.

    Parameters
    ----------
    people
        Some or all training people, each with another session where there is one; they are read
        once, one after the other.

    Returns
    -------
    Components
        None where people do not vary in two ways at least.
    """
    sessions, twice = list[Values](), dict[int, Values]()
    for row, person in enumerate(people):
        sessions.append(edges_of(person.session))
        if person.again is not None:
            twice[row] = edges_of(person.again)
    edges = np.stack(sessions)
    if edges.shape[1] < 2 or not np.ptp(edges, axis=0).any():
        return None
    found = Components.of(edges)
    if len(twice) < FEWEST_CHOSEN:
        return found
    reliability = found.retest(edges[list(twice)], np.stack(list(twice.values())))
    return Components(found.mean, found.loadings, found.sd, found.shares, reliability)
