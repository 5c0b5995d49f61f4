"""The table of how individual a participant's maps are: a row a contrast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_path
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.stats.individuality import Individuality, individuality
from bids_dtg.workflows.participant.outputs.layers import whose

INDIVIDUALITY = "individuality"  # value of desc-
_COLUMNS = {
    "contrast": "Label of the contrast",
    "distance": "How far the predicted map lies from the mean of other people's: root mean square "
    "over places of the deviation, in spreads between people; that of most people is about 1",
    "chance": "What of this distance the choice of rest makes: root mean square of the map's "
    "standard error over segments of rest, in spreads between people; n/a with one segment",
    "individual": "1 - chance^2 / distance^2, at least 0: the share of the squared distance that "
    "other segments of rest would show again",
    "halves_r": "Correlation over places of the deviations of the maps of the odd and the even "
    "pieces of rest; n/a without --half-maps",
    "reliability": "2 r / (1 + r) of the halves, at least 0: that of the whole deviation",
}


def individuality_path(entities: Mapping[str, str], bundle: ModelBundle) -> PurePosixPath:
    """Return the path of the table, relative to the output folder; its JSON lies beside it."""
    named = {
        **entities,
        **bundle.places.entities,
        "stat": bundle.card.part.statistic,
        "desc": INDIVIDUALITY,
    }
    return build_path(named, "statmap", ".tsv")


def figures_of(estimate: Estimate, bundle: ModelBundle) -> Individuality | None:
    """Return how individual the maps of an estimate are; None: the model cannot tell."""
    found = bundle.deviation
    if found is None or len(bundle.without_deviation) == len(bundle.contrasts):
        return None
    error, halves = None, None
    if estimate.spread is not None:
        error = estimate.spread / found.spread_at_places
        error /= np.float32(np.sqrt(estimate.n_segments))
    if estimate.halves is not None:
        halves = found.deviations(estimate.halves[0]), found.deviations(estimate.halves[1])
    return individuality(found.deviations(estimate.values), error, halves)


def write_individuality(
    entities: Mapping[str, str], estimate: Estimate, bundle: ModelBundle, output: DerivativeDataset
) -> Iterator[PurePosixPath]:
    """Write the table and its dictionary, and yield their paths; nothing where none can be told.

    Parameters
    ----------
    entities
        What the names of the set share.
    estimate
        The maps.
    bundle
        The model that predicted them.
    output
        Where the files go.
    """
    figures = figures_of(estimate, bundle)
    if figures is None:
        return
    path = individuality_path(entities, bundle)
    write_tsv(output.path(path), list(_COLUMNS), list(_rows(figures, bundle)))
    yield path
    write_json(output.path(path.with_suffix(".json")), _sidecar(bundle))
    yield path.with_suffix(".json")


def _rows(figures: Individuality, bundle: ModelBundle) -> Iterator[list[str | None]]:
    """Yield a row a contrast that has deviations."""
    columns = figures.distance, figures.chance, figures.share, figures.halves_r, figures.reliability
    for contrast, *values in zip(bundle.contrasts, *columns, strict=True):
        if contrast.label not in bundle.without_deviation:
            yield [contrast.label, *(None if v != v else f"{v:.4f}" for v in values)]


def _sidecar(bundle: ModelBundle) -> dict[str, Any]:
    none = bundle.without_deviation
    without = f"; none of {', '.join(none)}, which the model predicts alike for all" * bool(none)
    return {
        "Description": "How individual the predicted maps are, against those of "
        f"{whose(bundle)}: a row a contrast{without}",
        **{name: {"Description": text} for name, text in _COLUMNS.items()},
    }
