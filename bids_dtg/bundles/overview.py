"""Models in words: the lines, tables and scores that `dtg-models` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bids_dtg.bundles.card import read_card
from bids_dtg.bundles.people import UNCERTAIN, SeenPeople
from bids_dtg.bundles.store import installed_models
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.contrasts.bundle.bundle import Bundle, ModelBundle
from bids_dtg.contrasts.bundle.published_people import people_of
from bids_dtg.contrasts.bundle.registry import PUBLISHED
from bids_dtg.dynamics.bundle.bundle import NetworkBundle
from bids_dtg.errors import BundleError
from bids_dtg.notices import counted
from bids_dtg.stats.splits import SETS
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.tasks import Task

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


def bundle_lines(bundle: Bundle[Any]) -> list[str]:
    """Describe a bundle, a line a fact."""
    facts = _facts(bundle)
    if isinstance(bundle, ModelBundle):
        facts += _maps_facts(bundle)
    elif isinstance(bundle, NetworkBundle):
        facts += _network_facts(bundle)
    elif isinstance(bundle, TwinBundle):
        facts += _twin_facts(bundle)
    return [f"{name:<12}{' '.join(text.split())}" for name, text in facts if text]


def _fact(bundle: Bundle[Any], field: str, text: str) -> str:
    """Return what a card says, and whether its makers stated it where the card knows that."""
    sources = bundle.card.sources
    return f"{text} ({sources[field]})" if text and field in sources else text


def _facts(bundle: Bundle[Any]) -> list[tuple[str, str]]:
    """Return what is known of a model of any kind: names of facts, and texts."""
    card, training = bundle.card, bundle.card.training
    fact = partial(_fact, bundle)
    participants = counted(training.participants, "participant") if training.participants else ""
    trained = (fact("training.data", training.data), fact("training.participants", participants))
    frame = f"{training.repetition_time_s:g} s" if training.repetition_time_s else ""
    return [
        ("model", f"{card.name}, version {card.version} ({card.kind})"),
        ("folder", str(bundle.path)),
        ("SHA-256", bundle.identity),
        ("description", fact("description", card.description)),
        ("licence", fact("licence", card.licence)),
        ("citation", fact("citation", card.citation)),
        ("notice", card.notice if card.for_science else f"NOT FOR SCIENCE: {card.notice}"),
        ("trained on", ", ".join(filter(None, trained))),
        ("cleaning", fact("training.cleaning", training.cleaning)),
        ("frame", fact("training.repetition_time_s", frame)),
    ]


def _maps_facts(bundle: ModelBundle) -> list[tuple[str, str]]:
    part, fact = bundle.card.part, partial(_fact, bundle)
    same = ", ".join(part.not_individual)
    whole = part.segment_seconds >= SECONDS_PER_RUN
    segment = "none: each run is read whole" if whole else f"{part.segment_seconds:g} s"
    return [
        ("people", _people_words(people_of(bundle))),
        ("segment", fact("segment_seconds", segment)),
        *_places_facts(bundle),
        ("ROIs", f"{len(bundle.roi_maps)}, series by {part.roi_series}"),
        ("connectome", part.connectome.title),
        ("contrasts", fact("contrasts", f"{len(bundle.contrasts)} ({part.statistic} maps)")),
        ("same map", f"for everybody in {same}" if same else ""),
    ]


def _places_facts(bundle: ModelBundle) -> list[tuple[str, str]]:
    grid, number = bundle.card.part.grid, bundle.places.number
    if grid is None:
        words = "none: places have names, and arrays are read (--input-arrays)"
        return [("grid", _fact(bundle, "grid", words)), ("places", f"{number} places")]
    sizes = " x ".join(str(size) for size in grid.shape)
    words = f"{sizes} voxels, {grid.space}, res-{grid.resolution or 'none'}"
    return [
        ("grid", _fact(bundle, "grid", words)),
        ("brain mask", f"{bundle.brain.number} voxels"),
        ("mask", f"{number} voxels"),
    ]


def _network_facts(bundle: NetworkBundle) -> list[tuple[str, str]]:
    part, recipe = bundle.part, bundle.part.recipe
    parameters = (
        f"{recipe.states} states, {recipe.region_parameters} parameters of a region, "
        f"{recipe.person_parameters} of a person, "
        f"{counted(recipe.external_inputs, 'external input')}"
    )
    held_out = bundle.trained.size - int(bundle.trained.sum())
    return [
        ("people", f"{part.people} in its tables, as hashes"),
        ("regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"),
        ("series", f"{part.frames} frames{f', session {part.session}' if part.session else ''}"),
        ("structural", f"connectomes scaled: {part.structural}"),
        ("dynamics", parameters),
        ("recipe", f"{part.recipe_name}, {counted(recipe.epochs, 'epoch')}"),
        ("held out", f"{held_out} of {bundle.trained.size} series"),
        *((f"restart {n}", text) for n, text in enumerate(_restarts(bundle), start=1)),
    ]


def _restarts(bundle: NetworkBundle) -> list[str]:
    """Describe each training that the model was chosen from, as its card records it."""
    record = bundle.card.record or {}
    found = record.get("restarts")
    rows = found if isinstance(found, list) else []
    return [
        f"ELBO {_rounded(row.get('elbo'))}, held out {_rounded(row.get('held_out_elbo'))}, "
        f"{row.get('epochs')} epochs, {row.get('hours')} h"
        + (" (chosen)" if number == record.get("chosen") else "")
        for number, row in enumerate(rows)
        if isinstance(row, Mapping)  # nobody has checked a record
    ]


def _twin_facts(bundle: TwinBundle) -> list[tuple[str, str]]:
    part, recipe = bundle.part, bundle.part.recipe
    pairs = f", the pairs of {counted(part.regions, 'region')}" if part.regions else ""
    codes = f", {part.codes} codes of a person" if part.codes else ""
    targets = "held until the response window's end" if part.held else "pulses of a step"
    return [
        ("people", f"{part.people} whom it was fitted to, as hashes"),
        *(("task", _task_words(task)) for task in part.tasks),
        ("connectome", f"{counted(part.edges, 'edge')}{pairs}: {part.connectome}"),
        ("BOLD", _bold_words(bundle)),
        ("twin", f"{part.architecture}, {counted(recipe.units, 'unit')}{codes}"),
        ("recipe", f"{part.recipe_name}, seed {part.seed}"),
        ("targets", f"presses {targets}"),
        *_stages(bundle),
    ]


def _task_words(task: Task) -> str:
    return (
        f"{task.name}: {', '.join(task.buttons)} within {task.window_seconds:g} s, "
        f"{' and '.join(task.conditions)} trials of task-{', task-'.join(task.bids_tasks)}"
    )


def _bold_words(bundle: TwinBundle) -> str:
    if not bundle.part.bold:
        return "none"
    names = bundle.bold_regions
    span = f", {names[0]} to {names[-1]}" if names else ""
    return f"{counted(bundle.part.bold, 'region')}{span}"


def _stages(bundle: TwinBundle) -> list[tuple[str, str]]:
    """Describe each stage of the fit, as the card records it."""
    history = (bundle.card.record or {}).get("history")
    stages = history if isinstance(history, Mapping) else {}
    return [
        (str(stage), f"trained for {counted(len(epochs), 'epoch')}")
        for stage, epochs in stages.items()
        if isinstance(epochs, list)  # nobody has checked a record
    ]


def _rounded(figure: object) -> str:
    return f"{figure:,.1f}" if isinstance(figure, float | int) else "n/a"


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
    rows = [("NAME", "VERSION", "KIND", "PREDICTS", "FOLDER")]
    found = installed_models()
    for model in found:
        try:
            card, _ = read_card(model.path)
            facts = (card.version, card.kind, card.part.outputs)
        except BundleError:
            facts = ("?", "damaged: see dtg-models verify", "?")
        hidden = f" (not used: {model.shadowed_by} comes first)" if model.shadowed_by else ""
        rows.append((model.name, *facts, f"{model.path}{hidden}"))
    for name in sorted(PUBLISHED.keys() - {model.name for model in found}):
        remedy = f"not here: dtg-models fetch {name}"
        rows.append((name, PUBLISHED[name].version, "published", "47 contrasts", remedy))
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
