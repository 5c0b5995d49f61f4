"""Lines of `dtg-models info` on a model of contrast maps: facts, contrasts and scores."""

from __future__ import annotations

from collections.abc import Sequence

from bids_dtg.bundles.overview import table_lines
from bids_dtg.bundles.training_hashes import UNCERTAIN, TrainingHashes
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.stats.splits import SETS

# Column headings by key of a row; a value is one number, or a mean and its interval.
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
    """Return names and texts of the facts that are specific to such models."""
    part = bundle.part
    with_source = bundle.card.with_source
    sets = ""
    if part.several:
        sets = f" in sets of {', '.join(map(str, part.connectome.sets))}"
    contrasts = f"{len(bundle.contrasts)} ({part.statistic} maps)"
    same = ", ".join(part.not_individual)
    return [
        ("people", _people_words(bundle.people)),
        ("segment", with_source("segment_seconds", _segment_words(part))),
        *_places_facts(bundle),
        ("ROIs", f"{bundle.rois}{sets}, series by dual regression"),
        ("connectome", part.connectome.title),
        ("contrasts", with_source("contrasts", contrasts)),
        ("same map", f"for everybody in {same}" if same else ""),
    ]


def _segment_words(part: MapsPart) -> str:
    seconds = f"{part.segment_seconds:g} s"
    if part.joins_runs:
        return f"none, runs of a session are joined ({seconds} in training)"
    return "none, runs are read whole" if part.whole_runs else seconds


def _places_facts(bundle: ModelBundle) -> list[tuple[str, str]]:
    grid, number = bundle.part.grid, bundle.places.number
    if grid is None:
        words = "none, it reads arrays of named places"
        if bundle.part.parcels:
            words = "none, it reads parcels"
        return [
            ("grid", bundle.card.with_source("grid", words)),
            ("places", f"{number} places"),
        ]
    sizes = " x ".join(str(size) for size in grid.shape)
    words = f"{sizes} voxels, {grid.space}, res-{grid.resolution or 'none'}"
    return [
        ("grid", bundle.card.with_source("grid", words)),
        ("brain mask", f"{bundle.brain.number} voxels"),
        ("mask", f"{number} voxels"),
    ]


def _people_words(people: TrainingHashes | None) -> str:
    """List how many people each set of the model has, and the groups without a list."""
    if people is None:
        return "unknown, because the bundle has no list of the training people"
    counts = {name: people.count(name) for name in (*SETS, UNCERTAIN)}
    listed = [f"{count} {name}" for name, count in counts.items() if count]
    words = [f"{', '.join(listed) or 'nobody'}, listed as hashes"]
    words += [f"not listed: {text}" for text in people.unlisted]
    return "; ".join(words)


def maps_tables(bundle: ModelBundle) -> list[str]:
    """List the contrasts and, if the card has them, scores of the model and of simple models."""
    rows = [
        (str(contrast.index), contrast.label, contrast.description)
        for contrast in bundle.contrasts
    ]
    lines = table_lines([("INDEX", "LABEL", "DESCRIPTION"), *rows])
    evaluation = bundle.card.evaluation or {}
    if "rows" not in evaluation:
        return lines
    how = "not trained on"
    if "cross_validation" in evaluation:
        how = "by cross-validation, each predicted by a fit to others"
    table = [("MODEL", *_COLUMNS.values())]
    for row in evaluation["rows"]:
        table.append((row["model"], *(_cell(row.get(key)) for key in _COLUMNS)))
    heading = f"scores on {evaluation['participants']} people {how}"
    return [*lines, "", heading, *table_lines(table), evaluation["conventions"]]


def _cell(figure: float | Sequence[float | None] | None) -> str:
    """Write a number, or a mean with its interval if that is known."""
    if figure is None:
        return ""
    figures = figure if isinstance(figure, Sequence) else [figure]
    mean, *ends = (f"{value:.3f}" for value in figures if value is not None)
    return f"{mean} [{', '.join(ends)}]" if ends else mean
