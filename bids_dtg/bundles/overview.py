"""Models in words: the lines, tables and scores that `dtg-models` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.bundles.card import read_card
from bids_dtg.bundles.people import UNCERTAIN, SeenPeople
from bids_dtg.bundles.published_people import people_of
from bids_dtg.bundles.registry import PUBLISHED
from bids_dtg.bundles.store import installed_models
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.errors import BundleError
from bids_dtg.notices import counted
from bids_dtg.stats.splits import SETS

# Key of a row and heading of its column; a figure is one number, or a mean and its interval.
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


def bundle_lines(bundle: ModelBundle) -> list[str]:
    """Describe a bundle, a line a fact."""
    card, part, training = bundle.card, bundle.card.part, bundle.card.training
    same = ", ".join(part.not_individual)
    if card.grid is None:
        grid, units = "none: places have names, and arrays are read (--input-arrays)", "places"
    else:
        sizes = " x ".join(str(size) for size in card.grid.shape)
        grid = f"{sizes} voxels, {card.grid.space}, res-{card.grid.resolution or 'none'}"
        units = "voxels"

    def fact(field: str, text: str) -> str:
        return f"{text} ({card.sources[field]})" if text and field in card.sources else text

    whole = part.segment_seconds >= SECONDS_PER_RUN
    segment = "none: each run is read whole" if whole else f"{part.segment_seconds:g} s"
    participants = counted(training.participants, "participant") if training.participants else ""
    trained = (fact("training.data", training.data), fact("training.participants", participants))
    frame = f"{training.repetition_time_s:g} s" if training.repetition_time_s else ""
    facts = [
        ("model", f"{card.name}, version {card.version} ({card.kind})"),
        ("folder", str(bundle.path)),
        ("SHA-256", bundle.identity),
        ("description", fact("description", card.description)),
        ("licence", fact("licence", card.licence)),
        ("citation", fact("citation", card.citation)),
        ("notice", card.notice if card.for_science else f"NOT FOR SCIENCE: {card.notice}"),
        ("trained on", ", ".join(filter(None, trained))),
        ("people", _people_words(people_of(bundle))),
        ("cleaning", fact("training.cleaning", training.cleaning)),
        ("frame", fact("training.repetition_time_s", frame)),
        ("segment", fact("segment_seconds", segment)),
        ("grid", fact("grid", grid)),
        ("brain mask", f"{bundle.brain.number} voxels" if card.grid else ""),
        ("mask" if card.grid else "places", f"{bundle.places.number} {units}"),
        ("ROIs", f"{len(bundle.roi_maps)}, series by {part.roi_series}"),
        ("connectome", part.connectome.title),
        ("contrasts", fact("contrasts", f"{len(bundle.contrasts)} ({part.statistic} maps)")),
        ("same map", f"for everybody in {same}" if same else ""),
    ]
    return [f"{name:<12}{' '.join(text.split())}" for name, text in facts if text]


def _people_words(people: SeenPeople | None) -> str:
    """Say whom a model has seen, and of whom nobody knows it."""
    if people is None:
        return "the bundle lists nobody whom the model has seen"
    counts = [f"{people.count(name)} {name}" for name in (*SETS, UNCERTAIN) if people.count(name)]
    listed = f"{', '.join(counts) or 'nobody'}, listed as hashes"
    return "; ".join((listed, *(f"not listed: {text}" for text in people.unlisted)))


def contrast_lines(bundle: ModelBundle) -> list[str]:
    """List a bundle's contrasts."""
    rows = [(str(c.index), c.label, c.description) for c in bundle.contrasts]
    return table_lines([("INDEX", "LABEL", "DESCRIPTION"), *rows])


def score_lines(bundle: ModelBundle) -> list[str]:
    """List the scores in a bundle's card beside those of simple models, if it has them."""
    evaluation = bundle.card.evaluation or {}
    scores = score_table(evaluation)
    if not scores:
        return []
    heading = f"scores on {evaluation.get('participants', 'some')} people not trained on"
    conventions = " ".join(str(evaluation.get("conventions", "")).split())
    return ["", heading, *table_lines(scores), conventions]


def model_lines() -> list[str]:
    """List the installed models, then the published ones that are not."""
    rows = [("NAME", "VERSION", "KIND", "CONTRASTS", "FOLDER")]
    found = installed_models()
    for model in found:
        try:
            card, _ = read_card(model.path)
            facts = (card.version, card.kind, str(card.part.outputs))
        except BundleError:
            facts = ("?", "damaged: see dtg-models verify", "?")
        hidden = f" (not used: {model.shadowed_by} comes first)" if model.shadowed_by else ""
        rows.append((model.name, *facts, f"{model.path}{hidden}"))
    for name in sorted(PUBLISHED.keys() - {model.name for model in found}):
        remedy = f"not here: dtg-models fetch {name}"
        rows.append((name, PUBLISHED[name].version, "published", "47", remedy))
    return table_lines(rows)


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns by spaces, for a terminal as for a pipe."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def score_table(evaluation: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """Return headings and rows, one a model; nothing where the card has no such scores.

    Parameters
    ----------
    evaluation
        As a card has it: nobody has checked what is in it.
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
