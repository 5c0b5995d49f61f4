"""Simulate people's sessions with a linear core, and write them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.analyses.analysis import LinearAnalysis
from bids_dtg.dynamics.analyses.evaluate import sessions_of
from bids_dtg.dynamics.analyses.simulate import write_simulations
from bids_dtg.dynamics.linear import LinearModel, covariances_of
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.notices import counted
from bids_dtg.report.flags import Flag
from bids_dtg.settings import Settings

Array = NDArray[np.float32]


def run_linear_simulation(settings: Settings) -> int:
    """Simulate people by the linear core of ``--model``; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model.
    """
    analysis = LinearAnalysis.prepare(settings, "simulation", "desc-simulated_series")
    labels, bundle = analysis.inferable(), analysis.bundle
    assert bundle is not None
    number, seed = settings.dynamics.simulations, settings.modelling.seed
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"{counted(number, 'simulation')} of each person", labels)
    flags = [Flag("warning", bundle.card.notice)] if bundle.card.notice else []
    with analysis.results.begun():
        sessions = sessions_of(analysis, labels, analysis.people.series)
        own = next(iter(sessions.values()))
        found = _simulated(bundle.model(), own, simulations=number, seed=seed)
        write_simulations(analysis, sessions, found, flags)
    return 0


def _simulated(
    model: LinearModel, people: PeopleSeries, *, simulations: int, seed: int
) -> Iterator[Array]:
    for row, label in enumerate(people.people):
        process = model.infer(covariances_of(people, row))
        rng = np.random.default_rng([seed, *label.encode()])
        yield process.simulate(simulations, people.frames, rng)
