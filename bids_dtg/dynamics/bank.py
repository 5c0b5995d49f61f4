"""A named model with its simulations, from which people's parameters are inferred.

Sessions are simulated once, by parameters from the prior; the posterior of a person then takes
milliseconds. Further simulations say whether such posteriors can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.calibration import CHECKS, RANKED, Calibration, calibration
from bids_dtg.dynamics.measures import spectra
from bids_dtg.dynamics.named import NAMED, NamedModel, Substrate
from bids_dtg.dynamics.networks import PeopleSeries, normalised, standardised
from bids_dtg.dynamics.posterior import Posterior, SimulatedStatistics
from bids_dtg.dynamics.session_statistics import STATISTICS, session_statistics

Values = NDArray[np.floating[Any]]
Array = NDArray[np.float64]

SIMULATIONS = 600  # that posteriors are inferred from
OWN_SIMULATIONS = 200  # of a person's own connectome
_AT_ONCE = 8_160_000  # values of sessions in memory together: 100 sessions of 68 regions
_FEWEST_AT_ONCE = 25  # sessions: with fewer, each step would take as long
_BAND_HZ = (0.04, 0.07)  # in which regions' frequencies are looked for (Deco et al., 2017)


@dataclass(frozen=True, eq=False)
class Bank:
    """A named model, and what its simulations showed."""

    name: str  # a row of `NAMED`
    substrate: Substrate
    frames: int  # of each simulated session
    simulated: SimulatedStatistics
    calibrations: tuple[Calibration, ...] = ()  # of each parameter; empty: not judged

    @property
    def model(self) -> NamedModel:
        """The row."""
        return NAMED[self.name]

    def statistics(self, series: Values, kept: NDArray[np.bool_] | None = None) -> Array:
        """Return the statistics of a session, see `session_statistics`."""
        return session_statistics(series, self.substrate.weights, kept)

    def infer(
        self, series: Values, rng: np.random.Generator, kept: NDArray[np.bool_] | None = None
    ) -> Posterior:
        """Return the posterior of a person's parameters.

        Parameters
        ----------
        series
            (regions, frames), about as many frames as were simulated.
        rng
            Draws of the posterior.
        kept
            (frames,), which frames were measured and kept; None: all.

        Raises
        ------
        ValueError
            As `session_statistics`.
        """
        return self.simulated.posterior(self.statistics(series, kept), rng)

    def simulate(
        self, posterior: Posterior, simulations: int, frames: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Simulate sessions, each by a draw of a posterior.

        Returns
        -------
        numpy.ndarray
            (simulations, regions, frames), each series with mean 0 and variance 1.
        """
        unit = posterior.unit[rng.integers(0, len(posterior.unit), simulations)]
        series = self.model.simulate(self.substrate, self.model.values(unit), frames, rng)
        return standardised(series)

    def of_connectome(self, weights: Values, seed: int) -> Bank:
        """Return the same model with simulations of a person's own connectome.

        Parameters
        ----------
        weights
            (regions, regions).
        seed
            Of the simulations.
        """
        own = np.asarray(normalised(np.asarray(weights)[None])[0], np.float64)
        substrate = replace(self.substrate, weights=own)
        simulated = simulated_sessions(self.model, substrate, OWN_SIMULATIONS, self.frames, seed)
        return replace(self, substrate=substrate, simulated=simulated)


def make_bank(
    name: str,
    substrate: Substrate,
    frames: int,
    seed: int,
    *,
    simulations: int = SIMULATIONS,
    checks: int = CHECKS,
) -> Bank:
    """Simulate sessions of a named model, and judge what can be inferred from them.

    Parameters
    ----------
    name
        A row of `NAMED`.
    substrate
        What the simulations share.
    frames
        Of each session.
    seed
        Of parameters and noise.
    simulations, checks
        Numbers of sessions to infer from, and to judge by; 0 checks: it is not judged.

    Raises
    ------
    ValueError
        Sessions are too short, or too few.
    """
    model = NAMED[name]
    own = simulated_sessions(model, substrate, simulations + checks, frames, seed)
    bank = Bank(
        name,
        substrate,
        frames,
        SimulatedStatistics(own.unit[:simulations], own.statistics[:simulations]),
    )
    if not checks:
        return bank
    return replace(bank, calibrations=_judged(bank, own, checks, seed))


def _judged(
    bank: Bank, own: SimulatedStatistics, checks: int, seed: int
) -> tuple[Calibration, ...]:
    rng = np.random.default_rng([seed, 1])
    draws = np.stack(
        [bank.simulated.posterior(row, rng, RANKED).unit for row in own.statistics[-checks:]]
    )
    truth = own.unit[-checks:]
    return tuple(calibration(truth[:, n], draws[:, :, n], rng) for n in range(truth.shape[1]))


def simulated_sessions(
    model: NamedModel, substrate: Substrate, sessions: int, frames: int, seed: int
) -> SimulatedStatistics:
    """Simulate sessions by parameters from the prior.

    Parameters
    ----------
    model, substrate
        What is simulated.
    sessions, frames
        How many sessions, and frames of each.
    seed
        Of parameters and noise.
    """
    unit = np.random.default_rng([seed, 0]).random((sessions, len(model.parameters)))
    found = np.empty((sessions, len(STATISTICS)))
    at_once = max(_FEWEST_AT_ONCE, _AT_ONCE // (len(substrate.weights) * frames))
    for start in range(0, sessions, at_once):
        rows = slice(start, start + at_once)
        rng = np.random.default_rng([seed, 2, start])
        series = model.simulate(substrate, model.values(unit[rows]), frames, rng)
        found[rows] = [session_statistics(own, substrate.weights) for own in series]
    return SimulatedStatistics(unit, found)


def shared_substrate(
    weights: Iterable[Values], people: Iterable[PeopleSeries], tr_seconds: float
) -> Substrate:
    """Return what simulations of everybody share, from training people.

    Parameters
    ----------
    weights
        (regions, regions) of each person; each counts once, divided by its largest weight.
    people
        Their series, a few at a time.
    tr_seconds
        Time between frames in seconds.

    Returns
    -------
    Substrate
        With the mean connectome, and of each region the mean over people of the frequency at which
        its spectrum is highest between 0.04 and 0.07 Hz.
    """
    each = [normalised(np.asarray(own)[None])[0].astype(np.float64) for own in weights]
    mean = np.mean(each, axis=0)
    peaks = [_peaks(some.series, tr_seconds) for some in people]
    frequencies = np.concatenate(peaks).mean(axis=0)
    return Substrate(mean / mean.max(), frequencies, tr_seconds)


def _peaks(series: Values, tr_seconds: float) -> Array:
    """Return the frequencies (people, regions) of the highest power in the band."""
    frequencies, power = spectra(series, tr_seconds)
    inside = (frequencies >= _BAND_HZ[0]) & (frequencies <= _BAND_HZ[1])
    found: Array = frequencies[inside][power[..., inside].argmax(axis=-1)]
    return found
