"""Sessions that an amortised model simulates by known parameters, which judge its posteriors.

Parameters, external inputs and noise are drawn from the model's own priors, and its encoders infer
the parameters from the simulated series, as they do from measured ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.amortised import AmortisedModel
from bids_dtg.dynamics.calibration import CHECKS, RANKED, Calibration, calibration
from bids_dtg.dynamics.inference import Belief, Inferred, infer
from bids_dtg.dynamics.networks import Networks, standardised
from bids_dtg.dynamics.simulation import DROPPED, draw, run

Array = NDArray[np.float64]

_MOST_CONNECTOMES = 20  # of people, which sessions are simulated with in turn


@dataclass(frozen=True, eq=False)
class KnownSessions:
    """True parameters of a region of each session, and draws of their posteriors."""

    truth: Array  # (sessions, region parameters)
    draws: Array  # (sessions, draws, region parameters)

    def calibrations(self, seed: int) -> tuple[Calibration, ...]:
        """Judge the posteriors of each parameter.

        Parameters
        ----------
        seed
            Breaks ties of ranks.
        """
        rng = np.random.default_rng(seed)
        return tuple(
            calibration(true, draws, rng)
            for true, draws in zip(self.truth.T, np.moveaxis(self.draws, 2, 0), strict=True)
        )


def simulate_known(
    model: AmortisedModel,
    networks: Networks,
    seed: int,
    *,
    sessions: int = CHECKS,
    of_people: bool = False,
) -> KnownSessions:
    """Simulate sessions by parameters from the prior, and infer these.

    Parameters
    ----------
    model
        The trained model.
    networks
        People whose structural connectomes are taken, and as many frames as they have.
    seed
        Of all draws.
    sessions
        How many.
    of_people
        Whether parameters are drawn from the posteriors of these people, in place of the prior.
        That is no calibration, but says whether parameters are recovered where people have them.

    Returns
    -------
    KnownSessions
        Of one region of each session, drawn at random: regions of a session share its external
        inputs, so that their ranks are not independent.

    References
    ----------
    Talts S, et al. Validating Bayesian inference algorithms with simulation-based calibration.
    arXiv 1804.06788 (2018).
    """
    rng = np.random.default_rng([seed, 3])
    truth, draws = [], []
    for region, made in sessions_with_truth(model, networks, seed, rng, sessions, of_people):
        inferred = infer(model, made).region
        which = np.arange(len(region)), rng.integers(0, len(networks.regions), len(region))
        truth.append(region[which])
        own = Belief(inferred.mean[which], inferred.sd[which])
        draws.append(own.draw(rng, RANKED).swapaxes(0, 1))
    return KnownSessions(np.concatenate(truth), np.concatenate(draws))


def sessions_with_truth(
    model: AmortisedModel,
    networks: Networks,
    seed: int,
    rng: np.random.Generator,
    sessions: int,
    of_people: bool,
) -> Iterator[tuple[Array, Networks]]:
    """Simulate sessions by known parameters, one structural connectome after the other.

    Parameters
    ----------
    model, networks, seed, sessions, of_people
        As for `simulate_known`.
    rng
        Draws the people whose connectomes are taken.

    Yields
    ------
    tuple
        Region parameters (sessions, regions, region parameters), and the sessions as networks.
    """
    count = min(sessions, _MOST_CONNECTOMES, len(networks.people))
    chosen = rng.choice(len(networks.people), count, replace=False)
    shares = [len(part) for part in np.array_split(np.arange(sessions), count)]
    drop = int(DROPPED["prior"] * networks.frames)
    for person, share in zip(chosen, shares, strict=True):
        of_person = networks.of([networks.people[person]])
        believed = infer(model, of_person) if of_people else _prior(model, networks)
        drawn = draw(
            *(model, of_person, believed, share),
            *(networks.frames + drop, seed),
            first="prior",
        )
        series = run(model, drawn, of_person.weights, drop=drop)[0]
        yield drawn.region[0], _repeated(of_person, series)


def _prior(model: AmortisedModel, networks: Networks) -> Inferred:
    """Return the prior of a person's parameters."""
    recipe, regions = model.recipe, len(networks.regions)

    def standard(*shape: int) -> Belief:
        return Belief(np.zeros((1, *shape)), np.ones((1, *shape)))

    return Inferred(
        region=standard(regions, recipe.region_parameters),
        person=standard(recipe.person_parameters),
        first_state=standard(regions, recipe.states),
    )


def _repeated(person: Networks, series: NDArray[np.float32]) -> Networks:
    """Return sessions (sessions, regions, frames) of a person's network, as measured ones are."""
    return Networks(
        people=tuple(str(number) for number in range(len(series))),
        regions=person.regions,
        series=standardised(series),
        weights=np.repeat(person.weights, len(series), axis=0),
        tr_seconds=person.tr_seconds,
    )
