"""Simulate people's sessions with a named model, and write them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.analyses.analysis import NamedAnalysis
from bids_dtg.dynamics.analyses.linear_simulation import simulate_everybody
from bids_dtg.dynamics.bank import Bank
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.settings import Settings


def run_named_simulation(settings: Settings) -> int:
    """Simulate people by the named model of ``--model``; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model.
    """
    analysis = NamedAnalysis.prepare(settings, "simulation", "desc-simulated_series")
    bundle = analysis.bundle
    assert bundle is not None
    number, seed = settings.dynamics.simulations, settings.modelling.seed
    bundle.require_length(analysis.people.frames_of(analysis.session))
    return simulate_everybody(
        analysis,
        lambda people: _simulated(bundle.bank(), people, simulations=number, seed=seed),
    )


def _simulated(
    bank: Bank, people: PeopleSeries, *, simulations: int, seed: int
) -> Iterator[NDArray[np.float32]]:
    for row, label in enumerate(people.people):
        rng = np.random.default_rng([seed, *label.encode()])
        kept = None if people.kept is None else people.kept[row]
        posterior = bank.infer(people.series[row], rng, kept)
        yield bank.simulate(posterior, simulations, people.frames, rng)
