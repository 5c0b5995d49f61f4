"""The lines of `dtg-models info` on a model of contrast maps: facts, contrasts and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bids_dtg.bundles.overview import table_lines
from bids_dtg.bundles.people import UNCERTAIN, ModelPeople
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.stats.splits import SETS

# Key of a row and heading of its column; a value is one number, or a mean and its interval.
_COLUMNS = {
    "r": "R",
    "r_minus_group_average": "R - GROUP'S",
    "r_minus_own_mean": "R - OWN MEAN",
    "index": "INDEX",
    "product": "PRODUCT",
    "ratio": "RATIO",
    "identification": "IDENTIFIED",
    "residual_r": "RESIDUAL R",
}


def maps_facts(bundle: ModelBundle) -> list[tuple[str, str]]:
    """Return the names and texts of facts that only such models have."""
    part, fact = bundle.card.part, bundle.card.with_source
    same = ", ".join(part.not_individual)
    sets = f" in sets of {', '.join(map(str, part.connectome.sets))}" if part.several else ""
    segment = "none: each run is read whole" if part.whole_runs else f"{part.segment_seconds:g} s"
    if part.of_sessions:
        segment = f"none: runs of a session are joined, {part.segment_seconds:g} s in training"
    return [
        ("people", _people_words(bundle.people)),
        ("segment", fact("segment_seconds", segment)),
        *_places_facts(bundle),
        (
            "ROIs",
            f"{bundle.rois}{sets}, series by dual regression",
        ),
        ("connectome", part.connectome.title),
        ("contrasts", fact("contrasts", f"{len(bundle.contrasts)} ({part.statistic} maps)")),
        ("same map", f"for everybody in {same}" if same else ""),
    ]


def _places_facts(bundle: ModelBundle) -> list[tuple[str, str]]:
    grid, number = bundle.card.part.grid, bundle.places.number
    if grid is None:
        words = "none: places have names, and arrays are read"
        if bundle.card.part.parcels:
            words = "none: places are parcels, and CIFTI series are read"
        return [("grid", bundle.card.with_source("grid", words)), ("places", f"{number} places")]
    sizes = " x ".join(str(size) for size in grid.shape)
    words = f"{sizes} voxels, {grid.space}, res-{grid.resolution or 'none'}"
    return [
        ("grid", bundle.card.with_source("grid", words)),
        ("brain mask", f"{bundle.brain.number} voxels"),
        ("mask", f"{number} voxels"),
    ]


def _people_words(people: ModelPeople | None) -> str:
    """List how many people each set of the model has, and the groups without a list."""
    if people is None:
        return "unknown: the bundle has no list of the people used to make the model"
    counts = [f"{people.count(name)} {name}" for name in (*SETS, UNCERTAIN) if people.count(name)]
    listed = f"{', '.join(counts) or 'nobody'}, listed as hashes"
    return "; ".join((listed, *(f"not listed: {text}" for text in people.unlisted)))


def maps_tables(bundle: ModelBundle) -> list[str]:
    """List the contrasts, and the scores in the card with those of simple models, if it has any."""
    rows = [(str(c.index), c.label, c.description) for c in bundle.contrasts]
    lines = table_lines([("INDEX", "LABEL", "DESCRIPTION"), *rows])
    evaluation = bundle.card.evaluation or {}
    scores = score_table(evaluation)
    if not scores:
        return lines
    how = "not trained on"
    if "cross_validation" in evaluation:
        how = "by cross-validation: each predicted by a fit to others"
    heading = f"scores on {evaluation.get('participants', 'some')} people {how}"
    conventions = " ".join(str(evaluation.get("conventions", "")).split())
    return [*lines, "", heading, *table_lines(scores), conventions]


def score_table(evaluation: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """Return headings and rows, one for each model; nothing if the card has no such scores.

    Parameters
    ----------
    evaluation
        The card's field, which is not validated.
    """
    rows = (evaluation or {}).get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        return []
    table = [("MODEL", *_COLUMNS.values())]
    for row in rows:
        table.append((str(row.get("model", "")), *(_cell(row.get(key)) for key in _COLUMNS)))
    return table


def _cell(figure: object) -> str:
    match figure:
        case float() | int():
            return f"{figure:.3f}"
        case [float() | int() as mean, float() | int() as low, float() | int() as high]:
            return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
        case [float() | int() as mean, None, None]:
            return f"{mean:.3f}"
        case _:
            return ""
