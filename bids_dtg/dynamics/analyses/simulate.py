"""Simulate people's sessions with a network model, and write them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.analyses.analysis import NetworkAnalysis
from bids_dtg.dynamics.analyses.connectivity import Kept, measured, page_spectra
from bids_dtg.dynamics.analyses.evaluate import Judged, notices
from bids_dtg.dynamics.simulation import simulate
from bids_dtg.errors import BundleError
from bids_dtg.files.array_store import Stream, write_npz
from bids_dtg.notices import counted, say
from bids_dtg.report.pages.analysis import (
    AnalysisPageFacts,
    Matrices,
    PageSection,
)
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
    judged = Judged(analysis, analysis.inferable())
    number = settings.dynamics.simulations
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"{counted(number, 'simulation')} of each person", judged.labels)
    with analysis.results.begun():
        analysis.describe()
        kept = Kept()
        shape = (len(judged.labels), number, len(analysis.people.regions), judged.networks.frames)
        path = analysis.results.add(SIMULATED_FILE)
        write_npz(
            path,
            {
                "people": np.array(judged.labels),
                "places": np.array(analysis.people.regions),
                "tr_seconds": np.array(judged.networks.tr_seconds),
                "simulated": Stream(shape, np.dtype("<f4"), _simulated(judged, settings, kept)),
            },
        )
        analysis.results.json(path.stem, _facts(judged, settings))
        say(f"simulations: {path}")
        _write_page(judged, kept)
    return 0


def _simulated(judged: Judged, settings: Settings, kept: Kept) -> Iterator[Array]:
    """Yield each person's simulations, and keep measures for the page.

    Raises
    ------
    BundleError
        No simulation of anybody is finite.
    """
    bundle = judged.analysis.bundle
    assert bundle is not None
    any_finite = False
    found = simulate(
        judged.model,
        judged.networks,
        judged.inferred,
        simulations=settings.dynamics.simulations,
        seed=settings.modelling.seed,
    )
    for label, simulated in zip(judged.labels, found, strict=True):
        kept.add(label, simulated, judged.sessions)
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


def _facts(judged: Judged, settings: Settings) -> dict[str, object]:
    bundle = judged.analysis.bundle
    assert bundle is not None
    facts = {
        "Description": "Simulated series (people, simulations, places, frames) under the key "
        "simulated; people and places have the names. Simulated by a model, not measured",
        "Units": "standard deviations of a region's measured series",
        "RepetitionTime": judged.networks.tr_seconds,
        "Session": judged.analysis.session,
        "Seed": settings.modelling.seed,
        "ModelName": bundle.card.name,
        "ModelVersion": bundle.card.version,
        "ModelKind": bundle.card.kind,
        "ModelSHA256": bundle.identity,
        "ForScience": bundle.card.for_science,
        "Notice": bundle.card.notice,
        "DataSet": judged.analysis.data_set,
        "Version": __version__,
    }
    return {key: fact for key, fact in facts.items() if fact != ""}


def _write_page(judged: Judged, kept: Kept) -> None:
    results, own = judged.analysis.results, measured(judged.networks)
    results.page(
        AnalysisPageFacts(
            title=results.title,
            index=f"../../{INDEX}",
            lead=f"{counted(len(judged.labels), 'participant')} of {judged.analysis.data_set}. "
            "Simulated series were not measured.",
            flags=notices(judged),
            sections=(
                PageSection(
                    title="Simulated and measured",
                    matrices=(
                        Matrices(
                            "Functional connectivity, mean over people",
                            {
                                "measured": own.mean_connectivity,
                                "simulated": kept.mean_connectivity,
                            },
                        ),
                    ),
                    spectra=page_spectra({"measured": own, "simulated": kept}),
                ),
            ),
        ),
        judged.analysis.page_name,
    )
