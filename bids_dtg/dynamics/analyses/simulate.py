"""Simulate people's sessions with a linear core or a network, and write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from bids_dtg.array_types import Float32
from bids_dtg.dynamics.analyses.analysis import DynamicsAnalysis
from bids_dtg.dynamics.analyses.session_means import SessionMeans, compared
from bids_dtg.dynamics.bundle.network import NetworkBundle
from bids_dtg.dynamics.linear import covariances_of
from bids_dtg.dynamics.measures import bounded
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.options import DynamicsOptions
from bids_dtg.errors import BundleError
from bids_dtg.files.array_store import new_array, write_npz
from bids_dtg.files.paths import temporary_folder
from bids_dtg.notices import counted, say
from bids_dtg.settings import Settings

_SERIES = "desc-simulated_series"


def run_simulation(settings: Settings) -> int:
    """Simulate people's sessions with `--model`; return how many people's simulations all diverge.

    A network needs its training people.

    Raises
    ------
    DtgError
        Wrong options, files or model, or all simulations diverge.
    """
    analysis = DynamicsAnalysis.prepare(settings, "simulation", _SERIES)
    is_network = isinstance(analysis.model, NetworkBundle)
    labels = analysis.training_people() if is_network else analysis.inferable()
    number = settings.part(DynamicsOptions).simulations
    if settings.behaviour.dry_run:
        return analysis.print_plan(
            f"{counted(number, 'simulation')} of each person", labels
        )
    with analysis.writing():
        if is_network:
            people, simulations = _by_network(analysis, labels)
        else:
            people = analysis.people.series(analysis.session, labels)
            simulations = _by_core(analysis, people)
        means = SessionMeans(people.tr_seconds)
        simulations = _counted(analysis, people.people, simulations, means)
        _write_series(analysis, people, simulations)
        analysis.write_page(
            {},
            f"{counted(people.people, 'participant')} of {analysis.data_set}. Simulated "
            "series were not measured.",
            [compared(people, means)],
        )
    return len(people.people) - means.people


def _by_network(
    analysis: DynamicsAnalysis, labels: Sequence[str]
) -> tuple[PeopleSeries, Iterable[Float32]]:
    """Return people, and the simulations of each person (simulations, regions, frames)."""
    from bids_dtg.dynamics.inference import infer
    from bids_dtg.dynamics.simulation import simulate

    settings, model = analysis.settings, analysis.model.model()
    people = analysis.people.networks(analysis.session, labels)
    return people, simulate(
        model,
        people,
        infer(model, people, analysis.row_labels),
        simulations=settings.part(DynamicsOptions).simulations,
        seed=settings.modelling.seed,
    )


def _by_core(analysis: DynamicsAnalysis, people: PeopleSeries) -> Iterator[Float32]:
    """Yield the simulations of each person (simulations, regions, frames)."""
    settings, model = analysis.settings, analysis.model.model()
    simulations = settings.part(DynamicsOptions).simulations
    for row, label in enumerate(people.people):
        rng = np.random.default_rng([settings.modelling.seed, *label.encode()])
        process = model.infer(covariances_of(people, row))
        yield process.simulate(simulations, people.frames, rng)


def _counted(
    analysis: DynamicsAnalysis,
    labels: Sequence[str],
    simulations: Iterable[Float32],
    means: SessionMeans,
) -> Iterator[Float32]:
    """Yield each person's simulations, report how many diverged, and add the others to `means`.

    Raises
    ------
    BundleError
        All simulations diverge.
    """
    for label, simulated in zip(labels, simulations, strict=True):
        number = int(bounded(simulated).sum())
        means.add(simulated)
        if number:
            diverged = len(simulated) - number
            words = f", {diverged} diverged" if diverged else ""
            say(f"sub-{label}: simulated{words}")
        else:
            say(f"error: sub-{label}: all simulations diverged")
        yield simulated
    if not means.people:
        raise BundleError(
            f"the activity of {analysis.model.name} diverges in all simulations",
            expected="a model with finite activity",
            remedy="train it for more epochs, or with another --seed",
        )


def _write_series(
    analysis: DynamicsAnalysis, people: PeopleSeries, simulations: Iterable[Float32]
) -> None:
    settings, card = analysis.settings, analysis.model.card
    number = settings.part(DynamicsOptions).simulations
    shape = (len(people.people), number, len(people.regions), people.frames)
    path = analysis.results.add(f"{_SERIES}.npz")
    with temporary_folder() as folder:  # one person's series are in memory at a time
        simulated = new_array(folder / "simulated.npy", shape)
        for place, person_simulations in enumerate(simulations):
            simulated[place] = person_simulations
        arrays: dict[str, ArrayLike] = {
            "people": people.people,
            "places": people.regions,
            "tr_seconds": people.tr_seconds,
            "simulated": simulated,
        }
        write_npz(path, arrays)
    facts = {
        "Description": "Simulated series (people, simulations, places, frames) under the key "
        "simulated; people and places hold the names. Simulated by a model, not measured",
        "Units": "standard deviations of a region's measured series",
        "RepetitionTime": people.tr_seconds,
        "Session": analysis.session,
        "Seed": settings.modelling.seed,
        "ModelName": card.name,
        "ModelSHA256": analysis.model.identity,
        "ForScience": card.for_science,
        "Notice": card.notice,
    }
    analysis.results.json(
        path.stem, {key: fact for key, fact in facts.items() if fact != ""}
    )
    say(f"simulations: {path}")
