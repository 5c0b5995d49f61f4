"""How individual a participant's maps are: the table, and its sentences on a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_name, build_path, parse_name
from bids_dtg.files.text import read_rows, write_json, write_tsv
from bids_dtg.report.contents import AverageFiles
from bids_dtg.report.quality import number
from bids_dtg.stats.individuality import Individuality, individuality

INDIVIDUALITY = "individuality"  # value of desc-
_COLUMNS = {
    "contrast": "Label of the contrast",
    "distance": "Distance of the predicted map from the mean of other people's: root mean square "
    "over places of the deviation, in between-person SDs; about 1 for most people",
    "standard_error": "Part of this distance due to the scanned rest: root mean square of "
    "the map's standard error over segments of rest, in between-person SDs; n/a with one "
    "segment",
    "individual": "1 - standard_error^2 / distance^2, at least 0: the share of the squared "
    "distance that other segments of rest would reproduce",
    "halves_r": "Correlation over places of the deviations of the maps of the odd and the even "
    "pieces of rest; n/a without --half-maps",
    "reliability": "2 r / (1 + r) of the halves, at least 0: reliability of the whole deviation",
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
    """Return how individual an estimate's maps are; None if the model has no mean and spread."""
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
    entities: Mapping[str, str],
    estimate: Estimate,
    bundle: ModelBundle,
    output: DerivativeDataset,
    *,
    whose: str,
    contrasts: Sequence[Contrast],
) -> Iterator[PurePosixPath]:
    """Write the table and its dictionary, and yield their paths; nothing without deviations.

    Parameters
    ----------
    entities
        Entities that all file names of the average share.
    estimate
        Predicted maps of the set, with spread and halves.
    bundle
        The model that predicted them.
    output
        Output dataset in which the files are written.
    whose
        Words for the people whose mean and spread the model has.
    contrasts
        Those that have a row.
    """
    figures = figures_of(estimate, bundle)
    if figures is None:
        return
    path = individuality_path(entities, bundle)
    write_tsv(output.path(path), list(_COLUMNS), list(_rows(figures, bundle, contrasts)))
    yield path
    write_json(output.path(path.with_suffix(".json")), _sidecar(bundle, whose))
    yield path.with_suffix(".json")


def individuality_words(made: AverageFiles) -> dict[str, str]:
    """Return a sentence for each contrast of an average, by label; nothing without a table.

    Parameters
    ----------
    made
        The average, whose maps' names lead to the table.
    """
    name = parse_name(made.maps[0].path.name)
    named = {key: value for key, value in name.entities if key != "contrast"}
    table = build_name({**named, "desc": INDIVIDUALITY}, name.suffix, ".tsv")
    rows = read_rows(made.maps[0].path.with_name(table))
    return {row.get("contrast") or "": _words(row) for row in rows}


def _words(row: Mapping[str, str]) -> str:
    distance, share, reliability = (
        number(row.get(name)) for name in ("distance", "individual", "reliability")
    )
    if distance is None:
        return ""
    words = f"Distance from others {distance:.1f} (typical: 1)"
    if share is not None:
        words += f"; other rest would reproduce {share:.0%} of its square"
    if reliability is not None:
        words += f"; reliability by halves {reliability:.2f}"
    return words


def _rows(
    figures: Individuality, bundle: ModelBundle, contrasts: Sequence[Contrast]
) -> Iterator[list[str | None]]:
    """Yield a row for each of the contrasts that has deviations."""
    columns = figures.distance, figures.chance, figures.share, figures.halves_r, figures.reliability
    for contrast in contrasts:
        values = [float(column[contrast.index]) for column in columns]
        if contrast.label not in bundle.without_deviation:
            yield [contrast.label, *(None if v != v else f"{v:.4f}" for v in values)]


def _sidecar(bundle: ModelBundle, whose: str) -> dict[str, Any]:
    none = bundle.without_deviation
    without = f"; none of {', '.join(none)}, which the model predicts alike for all" * bool(none)
    return {
        "Description": "How individual the predicted maps are, against those of "
        f"{whose}: a row a contrast{without}",
        **(bundle.metadata if bundle.card.part.parcels else bundle.grid.metadata),
        **{name: {"Description": text} for name, text in _COLUMNS.items()},
    }
