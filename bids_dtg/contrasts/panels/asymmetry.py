"""Panel of left minus right: two contrasts on a left hemisphere, the group's beside, the index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from bids_dtg.array_types import Float32
from bids_dtg.contrasts.asymmetry import (
    INDEX_PAIRS,
    INDEX_PREDICTED,
    MAP_PREDICTED,
    Homologues,
)
from bids_dtg.contrasts.contrast import title_in_words
from bids_dtg.contrasts.half_width import LEVEL
from bids_dtg.contrasts.panels.drawn_maps import draw_side_by_side
from bids_dtg.contrasts.panels.regions import read_regions, signed_text, strip_of
from bids_dtg.files.regions import ASYMMETRY
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.files.text import read_json
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.inputs.run import OF_PARCELS
from bids_dtg.report.contents import (
    DETAILS,
    AverageFiles,
    ParticipantFiles,
)
from bids_dtg.report.flags import trained_on
from bids_dtg.report.page import Section
from bids_dtg.report.tables import significant_text

_FIRST = "languageMathVsStory"  # what people ask about: on which side is language?
Columns: TypeAlias = Mapping[str, Float32]  # of a table of regions, by name


def draw_sides(files: ParticipantFiles) -> list[Section]:
    """Draw left minus right of a participant's averages, one section each.

    There is none where a model's parcels are no pairs, or nothing was predicted in held-out people.

    Raises
    ------
    RunError
        A file is damaged.
    """
    shown = [average for average in files.averages if average.maps]
    sections = list[Section]()
    for average in shown:
        table = average.maps[0].beside(ASYMMETRY)
        predicted = read_json(sidecar_of(table)).get(DETAILS) or {}
        if not any(facts[MAP_PREDICTED] for facts in predicted.values()):
            continue
        title = average.title if len(shown) > 1 else ""
        section = Section(
            "Left and right",
            subtitle=title,
            template="contrasts/asymmetry.html",
            leads=True,
            facts=_facts(average, read_regions(ASYMMETRY, table), predicted),
            links=None if not sections else [],
        )
        sections.append(section)
    return sections


def _facts(
    average: AverageFiles,
    sides: Mapping[str, Columns],
    predicted: Mapping[str, Mapping[str, bool]],
) -> dict[str, Any]:
    """Return the variables of the template."""
    places, _, _ = read_parcel_maps(average.maps[0].path)
    titles = {
        shown.label: title_in_words(shown.task, shown.name) for shown in average.maps
    }
    cards = []
    for label in choose_contrasts(sides, predicted):
        facts = predicted.get(label, {})
        card = _card(sides[label], places, titles[label], facts)
        cards.append({**card, "name": titles[label]})
    indices = [label for label, facts in predicted.items() if facts[INDEX_PREDICTED]]
    return {
        "cards": cards,
        "contrasts": len(predicted),
        "predicted": sum(facts[MAP_PREDICTED] for facts in predicted.values()),
        "indices": [titles[label] for label in indices if label in titles],
        "people": trained_on(average.common),
        "recipe_of_same": average.common.get("ModelName") == OF_PARCELS,
        "level": LEVEL,
        "pairs": INDEX_PAIRS,
    }


def choose_contrasts(
    sides: Mapping[str, Columns], predicted: Mapping[str, Mapping[str, bool]]
) -> list[str]:
    """Return maths minus story, and the predicted contrast that is farthest from the group's.

    Parameters
    ----------
    sides
        Pairs and the index of each contrast, as from `read_regions`.
    predicted
        What was predicted in held-out people, by contrast.

    Examples
    --------
    >>> import numpy as np
    >>> error = np.ones(3, np.float32)
    >>> sides = {label: {"difference": size * error, "half_width": error} for label, size in
    ...     {"a": 1, "b": 3, "c": 9}.items()}
    >>> known = {"a": {"AsymmetryPredicted": True}, "b": {"AsymmetryPredicted": True}}
    >>> choose_contrasts(sides, known)
    ['b']
    """
    shares = {}
    for label, columns in sides.items():
        if label != _FIRST and predicted.get(label, {}).get(MAP_PREDICTED):
            with np.errstate(divide="ignore", invalid="ignore"):
                size = np.abs(columns["difference"]) / columns["half_width"]
            shares[label] = np.nanmean(size[:-1])  # of the pairs, without the index
    farthest = sorted(shares, key=lambda label: -np.nan_to_num(shares[label]))[:1]
    return [label for label in (_FIRST, *farthest) if label in sides]


def _card(
    columns: Columns, places: ParcelPlaces, title: str, predicted: Mapping[str, bool]
) -> dict[str, Any]:
    """Return pictures of a contrast, and its index on a strip."""
    homologues = Homologues.of(places)
    assert homologues is not None  # the table exists
    # Of the index, which is the last row.
    index_of = {name: float(values[-1]) for name, values in columns.items()}
    group = index_of["group"]
    pictures = {}
    if predicted.get(MAP_PREDICTED):
        pictures["Predicted"] = columns["predicted"][:-1]
    pictures["The group's"] = columns["group"][:-1]
    at_parcels = {}
    for name, asymmetry in pictures.items():
        at_parcels[name] = np.full(places.number, np.nan, np.float32)
        at_parcels[name][homologues.left] = asymmetry
    figure = draw_side_by_side(
        at_parcels, places, title=title, units="", hemispheres=["L"]
    )
    assert figure is not None
    assert figure.scale is not None
    index = None
    value, half_width = index_of["predicted"], index_of["half_width"]
    if predicted.get(INDEX_PREDICTED) and np.isfinite([value, half_width]).all():
        index = {
            "strip": strip_of(value, half_width, group),
            "difference": signed_text(index_of["difference"], 2),
            "half_width": significant_text(half_width, 2),
        }
    return {
        "pictures": figure.parts,
        "limit": figure.scale[1].strip().removeprefix("+"),
        "map_predicted": bool(predicted.get(MAP_PREDICTED)),
        "index": index,
        "group_index": signed_text(group, 2),
    }
