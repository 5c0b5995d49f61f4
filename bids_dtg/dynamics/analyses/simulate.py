"""Simulate people's sessions with a network model, and write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.analyses.analysis import NetworkAnalysis, SeriesAnalysis
from bids_dtg.dynamics.analyses.network_evaluation import Judged, notices
from bids_dtg.dynamics.analyses.session_means import SessionMeans, beside, measured_means
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.simulation import simulate
from bids_dtg.errors import BundleError
from bids_dtg.files.array_store import Stream, write_npz
from bids_dtg.notices import counted, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, PageSection
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings
from bids_dtg.version import __version__

SIMULATED_FILE = "desc-simulated_series.npz"
_CAN_WRITE = ("desc-simulated_series",)
Array = NDArray[np.float32]


def run_simulation(settings: Settings) -> int:
    """Simulate the training participants of `--model`; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or model.
    """
    analysis = NetworkAnalysis.prepare(settings, "simulation", *_CAN_WRITE)
    judged = Judged(analysis, analysis.known())
    number = settings.dynamics.simulations
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"{counted(number, 'simulation')} of each person", judged.labels)
    with analysis.results.begun():
        found = simulate(
            judged.model,
            judged.networks,
            judged.inferred,
            simulations=number,
            seed=settings.modelling.seed,
        )
        write_simulations(analysis, judged.sessions, found, notices(judged))
    return 0


def write_simulations(
    analysis: SeriesAnalysis[Any],
    sessions: Mapping[str, PeopleSeries],
    found: Iterable[Array],
    flags: Sequence[Flag],
) -> None:
    """Write simulated sessions of people, and their page.

    Parameters
    ----------
    analysis
        The call.
    sessions
        People's sessions by name; the first is the one that is simulated.
    found
        (simulations, regions, frames) of each person, in the order of the first session.
    flags
        What a reader must know first.

    Raises
    ------
    BundleError
        No simulation of anybody is finite.
    """
    analysis.describe()
    own, settings = next(iter(sessions.values())), analysis.settings
    kept = SessionMeans(own.tr_seconds)
    shape = (len(own.people), settings.dynamics.simulations, len(own.regions), own.frames)
    path = analysis.results.add(SIMULATED_FILE)
    series = _kept(analysis, sessions, found, kept)
    write_npz(
        path,
        {
            "people": np.array(own.people),
            "places": np.array(own.regions),
            "tr_seconds": np.array(own.tr_seconds),
            "simulated": Stream(shape, np.dtype("<f4"), series),
        },
    )
    analysis.results.json(path.stem, _facts(analysis, own))
    say(f"simulations: {path}")
    _write_page(analysis, own, kept, flags)


def _kept(
    analysis: SeriesAnalysis[Any],
    sessions: Mapping[str, PeopleSeries],
    found: Iterable[Array],
    kept: SessionMeans,
) -> Iterator[Array]:
    """Yield each person's simulations, and keep measures for the page.

    Raises
    ------
    BundleError
        No simulation of anybody is finite.
    """
    bundle, any_finite = analysis.bundle, False
    assert bundle is not None
    for label, simulated in zip(next(iter(sessions.values())).people, found, strict=True):
        kept.add(simulated)
        finite = int(np.isfinite(simulated).all(axis=(1, 2)).sum())
        any_finite |= finite > 0
        grown = len(simulated) - finite
        say(f"sub-{label}: simulated" + (f", {grown} without bounds (NaN or inf)" if grown else ""))
        yield simulated
    if not any_finite:
        raise BundleError(
            f"the activity of {bundle.card.name} grows without bounds in all simulations",
            expected="a model with finite activity",
            remedy="train it for more epochs, or with another --seed",
        )


def _facts(analysis: SeriesAnalysis[Any], own: PeopleSeries) -> dict[str, object]:
    bundle = analysis.bundle
    assert bundle is not None
    facts = {
        "Description": "Simulated series (people, simulations, places, frames) under the key "
        "simulated; people and places have the names. Simulated by a model, not measured",
        "Units": "standard deviations of a region's measured series",
        "RepetitionTime": own.tr_seconds,
        "Session": analysis.session,
        "Seed": analysis.settings.modelling.seed,
        "ModelName": bundle.card.name,
        "ModelVersion": bundle.card.version,
        "ModelKind": bundle.card.kind,
        "ModelSHA256": bundle.identity,
        "ForScience": bundle.card.for_science,
        "Notice": bundle.card.notice,
        "DataSet": analysis.data_set,
        "Version": __version__,
    }
    return {key: fact for key, fact in facts.items() if fact != ""}


def _write_page(
    analysis: SeriesAnalysis[Any], people: PeopleSeries, kept: SessionMeans, flags: Sequence[Flag]
) -> None:
    results, (matrices, spectra) = analysis.results, beside(measured_means(people), kept)
    results.page(
        AnalysisPageFacts(
            title=results.title,
            index=f"../../{INDEX}",
            lead=f"{counted(len(people.people), 'participant')} of {analysis.data_set}. "
            "Simulated series were not measured.",
            flags=flags,
            sections=(PageSection("Simulated and measured", matrices=matrices, spectra=spectra),),
        ),
        analysis.page_name,
    )
