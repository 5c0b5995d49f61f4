"""The sections of a participant's maps: an average's first contrasts, and all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_dtg.contrasts.half_width import HALF_WIDTH, LEVEL, half_width_path
from bids_dtg.contrasts.panels.drawn_maps import BELOW, slice_text
from bids_dtg.contrasts.panels.gallery import (
    Gallery,
    data_of_viewer,
    draw_gallery,
    first_cards,
)
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import parse_name
from bids_dtg.files.text import read_json
from bids_dtg.report.contents import AverageFiles, MapFile, ParticipantFiles
from bids_dtg.report.page import Section

# The overlay that the viewer offers with a person's maps.
HALF_WIDTHS = {
    "desc": HALF_WIDTH,
    "title": f"Half-width of the {LEVEL} % interval for a new scan",
    "factor": 1.0,  # the map differs from 0 where it exceeds this multiple of the overlay
    "rule": f"exceeds the half-width of its {LEVEL} % interval for a new scan",  # in words
}


def draw_averages(
    dataset: DerivativeDataset, files: ParticipantFiles, folder: Path
) -> list[Section]:
    """Draw a participant's averages of maps, one section each; the first holds the viewer's data.

    Parameters
    ----------
    dataset
        Output folder that holds the participant's files.
    files
        Files of the participant in it.
    folder
        Folder for pictures and scripts.

    Raises
    ------
    RunError
        A map cannot be read.
    OutputError
        A file cannot be written.
    """
    averages = [average for average in files.averages if average.maps]
    galleries = [
        draw_gallery(
            dataset,
            folder,
            average.title,
            average.maps,
            overlay=HALF_WIDTHS,
            images=_half_widths(dataset, average.maps),
        )
        for average in averages
    ]
    viewer = data_of_viewer(galleries)
    first, every = list[Section](), list[Section]()
    pairs = zip(averages, galleries, strict=True)
    for position, (average, gallery) in enumerate(pairs, 1):
        title = gallery.title if len(galleries) > 1 else ""
        facts = _facts_of_first(average, gallery)
        card = facts["chosen"]["cards"][0]
        leading = Section(
            title="Contrasts",
            subtitle=title,
            template="contrasts/maps.html",
            leads=True,
            facts={**facts, "first": position == 1},
            anchor=f"maps-{position}",
            links=[("maps-1", "Contrasts")] if position == 1 else [],
            viewer=viewer if position == 1 else None,
            picture=(card["picture"], card["name"]) if position == 1 else None,
        )
        first.append(leading)
        all_contrasts = Section(
            title="",
            template="contrasts/maps_all.html",
            facts={"of": title, "tasks": gallery.tasks},
            anchor=f"all-{position}",
            links=[("all-1", "All contrasts")] if position == 1 else [],
        )
        every.append(all_contrasts)
    return [*first, *every]


def _facts_of_first(average: AverageFiles, gallery: Gallery) -> dict[str, Any]:
    """Return the variables of the template of an average's first maps."""
    return {
        "chosen": {"title": "", "cards": first_cards(gallery)},
        "units": gallery.tasks[0]["units"],
        "common": average.common,
        "of_parcels": average.maps[0].has_parcels,
        "sliced": gallery.sliced,
        "deviations": any(card["regions"] for card in gallery.cards),
        "beyond": any(card["deviation"] for card in gallery.cards),
        "half_widths": HALF_WIDTH in gallery.scripts,
        "slices": slice_text(),
        "below": slice_text(BELOW),
    }


def _half_widths(
    dataset: DerivativeDataset, maps: Sequence[MapFile]
) -> dict[str, Path]:
    """Return the images of the maps' half-widths, by contrast, if they are of the same model."""
    entities = dict(parse_name(maps[0].path.name).entities)
    if maps[0].has_parcels or "space" not in entities:
        return {}

    def path(contrast: str | None, extension: str) -> Path:
        return dataset.root / half_width_path(
            {**entities, "contrast": contrast}, extension
        )

    model_of_widths = read_json(path(None, ".json")).get("ModelSHA256")
    if model_of_widths is None or model_of_widths != maps[0].sidecar.get("ModelSHA256"):
        return {}
    images = {shown.label: path(shown.label, ".nii.gz") for shown in maps}
    return {label: image for label, image in images.items() if image.is_file()}
