"""Measures of people by a network model, one value a person, for comparisons over people.

They need no training on these people: an amortised model may be evaluated on new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.inference import alignment_of, elbo_of, infer
from bids_dtg.dynamics.judging.baselines import BASELINES, fit_baseline
from bids_dtg.dynamics.judging.forecast import Forecast, forecast, forecast_baselines
from bids_dtg.dynamics.measures import connectivity, fc_fit
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.parameters import retest
from bids_dtg.dynamics.simulation import simulate
from bids_dtg.stats.paired import jackknife_shares

Values = NDArray[np.floating[Any]]
Sessions = Mapping[str, Networks]  # by name, of the same people in the same order

_FEWEST_RETESTED = 3  # people needed for jackknife shares of an agreement


@dataclass(frozen=True)
class Figure:
    """A measure of a person."""

    name: str  # elbo, nll_K, r2_K, fit, icc_theta_N
    session: str

    @property
    def words(self) -> str:
        """Description for pages.

        Examples
        --------
        >>> Figure("nll_5", "REST1").words, Figure("icc_theta_1", "REST2").words
        ('5 frames ahead, nats a region a frame', 'theta 1, ICC with the first session')
        """
        kind, _, number = self.name.rpartition("_")
        return {
            "nll": f"{number} frames ahead, nats a region a frame",
            "r2": f"{number} frames ahead, R²",
            "icc_theta": f"theta {number}, ICC with the first session",
            "": {"elbo": "ELBO, nats a region a frame"}.get(self.name, "fit of FC, r"),
        }[kind]

    @property
    def smaller_is_better(self) -> bool:
        """Whether smaller values are better."""
        return self.name.startswith("nll")


Figures = dict[Figure, Values]  # (people,) each


def figures_of(
    model: GenerativeModel,
    sessions: Sessions,
    known: tuple[str, ...] = (),
    *,
    simulations: int = 20,
    seed: int = 0,
    with_elbo: bool = True,
) -> Figures:
    """Return measures of people by a network model.

    Parameters
    ----------
    model
        Fitted model; amortised, or fitted to these people.
    sessions
        People's networks by session; parameters are inferred from the first.
    known
        Labels of the model's training participants, as `inference.infer` takes it.
    simulations
        Number of simulations of each person, from the first session, for the fit of connectivity;
        0: no fit.
    seed
        Seed of all random draws.
    with_elbo
        Whether to compute the ELBO: a model whose tables hold the external input of one session has
        none of another one.

    Returns
    -------
    dict
        (people,) by measure. Agreement between sessions is one number for all people: each has the
        share given by the jackknife (Efron & Stein 1981, Ann. Stat. 9: 586), and the mean of shares
        is the ICC(A,1) over regions of people.
    """
    found: Figures = {}
    first = next(iter(sessions))
    for name, networks in sessions.items():
        if with_elbo and (model.recipe.amortised or name == first):
            elbo = elbo_of(model, networks, known, seed=seed).mean(axis=1)
            found[Figure("elbo", name)] = elbo / networks.frames
        found |= _forecast_measures(forecast(model, networks, known, seed=seed), name)
    inferred = infer(model, sessions[first], known)
    if simulations:
        simulated = simulate(model, sessions[first], inferred, simulations=simulations, seed=seed)
        found |= _fits([_bounded_connectivity(session) for session in simulated], sessions)
    theta = inferred.region.mean
    alignment = alignment_of(model.recipe, inferred, sessions[first])
    for name, networks in list(sessions.items())[1:]:
        again = infer(model, networks, known).region.mean
        shares = _agreement(alignment.apply(theta), alignment.apply(again))
        for number, values in enumerate(shares.T, 1):
            found[Figure(f"icc_theta_{number}", name)] = values
    return found


def baseline_figures(
    sessions: Sessions, *, simulations: int = 20, seed: int = 0
) -> dict[str, tuple[str, Figures]]:
    """Return measures of people by simple models and ceilings: words and measures by name.

    Parameters
    ----------
    sessions, simulations, seed
        As for `figures_of`. Functional connectivity is fitted on the first session; "other people"
        are the other people here.
    """
    found: dict[str, tuple[str, Figures]] = {}
    for name, networks in sessions.items():
        for row in forecast_baselines(networks):
            found.setdefault(row.name, (row.words, {}))[1].update(_forecast_measures(row, name))
    first, rng = next(iter(sessions.values())), np.random.default_rng(seed)
    for baseline in BASELINES if simulations else ():
        if baseline.fits(first):
            processes = fit_baseline(baseline, first)
            made = [
                connectivity(process.simulate(simulations, first.frames, rng))
                for process in processes
            ]
            row_of = found.setdefault(baseline.name, (baseline.words, {}))
            row_of[1].update(_fits(made, sessions, baseline.judges(first)))
    return found


def _forecast_measures(row: Forecast, session: str) -> Figures:
    return {
        Figure(f"{kind}_{step}", session): values[:, number]
        for kind, values in (("nll", row.nll), ("r2", row.r2))
        for number, step in enumerate(row.steps)
    }


def _bounded_connectivity(simulated: Values) -> Values:
    """Return (simulations, regions, regions), without those that diverged."""
    bounded = np.isfinite(simulated).all(axis=(1, 2))
    return connectivity(simulated[bounded] if bounded.any() else simulated)


def _fits(
    made: list[Values], sessions: Sessions, judges: NDArray[np.bool_] | None = None
) -> Figures:
    """Return the mean fit of simulations with each person's sessions.

    `judges` (people, people) is whose simulations count for a person; None: the own.
    """
    by = np.eye(len(made), dtype=bool) if judges is None else judges
    return {
        Figure("fit", name): np.array(
            [
                np.mean([fc_fit(made[row], measured).mean() for row in np.flatnonzero(own)])
                for own, measured in zip(by, connectivity(networks.series), strict=True)
            ]
        )
        for name, networks in sessions.items()
    }


def _agreement(one: Values, other: Values) -> Values:
    """Return each person's jackknife share in the ICC between sessions, (people, parameters)."""
    score = retest(one, other).pairs.absolute
    if len(one) < _FEWEST_RETESTED:
        return np.broadcast_to(score, (len(one), len(score)))
    people = np.arange(len(one))
    without = np.array(
        [retest(one[people != n], other[people != n]).pairs.absolute for n in people]
    )
    columns = zip(score, without.T, strict=True)
    return np.stack([jackknife_shares(float(own), left) for own, left in columns], axis=1)
