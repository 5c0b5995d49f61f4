"""Panel of left minus right: two contrasts on a left hemisphere, the group's beside, the index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.asymmetry import (
    ASYMMETRY,
    INDEX_PAIRS,
    INDEX_PREDICTED,
    MAP_PREDICTED,
    Homologues,
)
from bids_dtg.contrasts.contrast import title_in_words
from bids_dtg.contrasts.half_width import LEVEL
from bids_dtg.contrasts.panels.drawn_maps import draw_side_by_side
from bids_dtg.contrasts.panels.regions import read_regions, signed_text, strip_of
from bids_dtg.files.text import read_json
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.inputs.run import OF_PARCELS
from bids_dtg.report.contents import (
    DETAILS,
    AverageFiles,
    ParticipantFiles,
    sidecar_of,
)
from bids_dtg.report.flags import trained_on
from bids_dtg.report.numbers import significant_text
from bids_dtg.report.page import Section

_FIRST = "languageMathVsStory"  # what people ask about: on which side is language?
Array = NDArray[np.float32]


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
            facts=_facts(average, read_regions(table), predicted),
            links=None if not sections else [],
        )
        sections.append(section)
    return sections


def _facts(
    average: AverageFiles,
    sides: Mapping[str, Array],
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
    sides: Mapping[str, Array], predicted: Mapping[str, Mapping[str, bool]]
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
    >>> away = np.ones((3, 4), np.float32) * np.array([[[1]], [[3]], [[9]]], np.float32)
    >>> away[..., 3] = 1
    >>> known = {"a": {"AsymmetryPredicted": True}, "b": {"AsymmetryPredicted": True}}
    >>> choose_contrasts(dict(zip("abc", away)), known)
    ['b']
    """
    shares = {}
    for label, rows in sides.items():
        if label != _FIRST and predicted.get(label, {}).get(MAP_PREDICTED):
            _, _, difference, half_width = rows[:-1].T
            with np.errstate(divide="ignore", invalid="ignore"):
                shares[label] = np.nanmean(np.abs(difference) / half_width)
    farthest = sorted(shares, key=lambda label: -np.nan_to_num(shares[label]))[:1]
    return [label for label in (_FIRST, *farthest) if label in sides]


def _card(
    rows: Array, places: ParcelPlaces, title: str, predicted: Mapping[str, bool]
) -> dict[str, Any]:
    """Return pictures of a contrast, and its index on a strip."""
    homologues = Homologues.of(places)
    assert homologues is not None  # the table exists
    values, group, difference, half_width = rows[-1].tolist()
    pictures = {}
    if predicted.get(MAP_PREDICTED):
        pictures["Predicted"] = rows[:-1, 0]
    pictures["The group's"] = rows[:-1, 1]
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
    if predicted.get(INDEX_PREDICTED) and np.isfinite([values, half_width]).all():
        index = {
            "strip": strip_of(values, half_width, group),
            "difference": signed_text(difference, 2),
            "half_width": significant_text(half_width, 2),
        }
    return {
        "pictures": figure.parts,
        "limit": figure.scale[1].strip().removeprefix("+"),
        "map_predicted": bool(predicted.get(MAP_PREDICTED)),
        "index": index,
        "group_index": signed_text(group, 2),
    }
