"""The maps of an average: cards by task, what the viewer shows of them, and sections of a page."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32
from bids_dtg.contrasts.contrast import contrast_in_words, task_in_words, title_in_words
from bids_dtg.contrasts.half_width import HALF_WIDTH, LEVEL, half_width_path
from bids_dtg.contrasts.panels.drawn_maps import (
    BELOW,
    DEVIATION,
    MAP,
    SPREAD,
    STACKED,
    ParcelMaps,
    VoxelMaps,
    common_limit,
    read_spreads,
    read_values,
    relative_size,
    rounded_limit,
    slice_text,
    top_of,
    units_in_words,
)
from bids_dtg.contrasts.panels.regions import Regions, signed_text
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import parse_name
from bids_dtg.files.text import read_json, read_packaged
from bids_dtg.imaging.grid import Grid
from bids_dtg.report.contents import (
    NOT_MEASURED,
    SYNTHETIC,
    AverageFiles,
    MapFile,
    ParticipantFiles,
)
from bids_dtg.report.page import Section, link
from bids_dtg.report.pictures import join_pictures, standard_anatomy
from bids_dtg.report.viewer import (
    SCRIPT,
    pack,
    viewer_data,
    write_meshes,
    write_picture,
    write_script,
    write_shared_files,
)

# Maps drawn at a time; more threads would only wait for Python's interpreter lock.
_THREADS = 2
_SAME = (
    "The same for everybody, because the model predicts no differences in this contrast"
)
# A participant's page begins with these contrasts, or with another one of the same task.
_FIRST = {
    "motor": "motorAvg",
    "language": "languageMathVsStory",
    "wm": "wm2bkVs0bk",
    "emotion": "emotionFacesVsShapes",
    "social": "socialTomVsRandom",
}
# What the viewer shows of maps of parcels, and writes of one, of a person and of a group.
_SHOWN: Mapping[str, Any] = tomllib.loads(
    read_packaged(__package__, "viewer.toml").format(level=LEVEL)
)
# The overlay that the viewer offers with a person's maps.
HALF_WIDTHS = {
    "desc": HALF_WIDTH,
    "title": f"Half-width of the {LEVEL} % interval for a new scan",
    "factor": 1.0,  # the map differs from 0 where it exceeds this multiple of the overlay
    "rule": f"exceeds the half-width of its {LEVEL} % interval for a new scan",  # in words
}


@dataclass(frozen=True)
class Gallery:
    """The maps of an average, ready for a page."""

    title: str  # of the average
    tasks: tuple[Mapping[str, Any], ...]  # title, units and cards of each
    first: tuple[str, ...]  # labels of the maps that a page begins with
    scripts: Mapping[str, Any]  # title and addresses, as an average of `viewer_data`
    # What all averages of a page share, as further arguments of `viewer_data`.
    shared: Mapping[str, Any]
    sliced: bool = True  # whether slices of volumes are shown

    @property
    def cards(self) -> list[dict[str, Any]]:
        """The cards of all tasks."""
        return [card for task in self.tasks for card in task["cards"]]


def choose_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the contrasts that a page begins with: the fixed ones, then others in model order."""
    chosen = list[str]()
    for task, best in _FIRST.items():
        task_labels = [label for label in labels if label.startswith(task)]
        chosen += [best] if best in task_labels else task_labels[:1]
    chosen += [label for label in labels if label not in chosen]
    return tuple(chosen[: len(_FIRST)])


def first_cards(gallery: Gallery) -> list[dict[str, Any]]:
    """Return the cards that a page begins with, with their task in the name."""
    cards = {
        card["anchor"]: {**card, "name": card["viewer"]["title"]}
        for card in gallery.cards
    }
    return [cards[label] for label in gallery.first]


def data_of_viewer(galleries: Sequence[Gallery]) -> dict[str, Any] | None:
    """Return the data of a page's viewer, and number the cards of its maps; None without maps."""
    if not galleries:
        return None
    maps = list[dict[str, Any]]()
    for average, gallery in enumerate(galleries):
        for card in gallery.cards:
            card["number"] = len(maps)
            maps.append({"average": average, **card["viewer"]})
    scripts = [gallery.scripts for gallery in galleries]
    return viewer_data(scripts, maps, **galleries[0].shared)


def draw_gallery(
    dataset: DerivativeDataset,
    folder: Path,
    title: str,
    maps: Sequence[MapFile],
    *,
    overlay: Mapping[str, Any],
    images: Mapping[str, Path],
) -> Gallery:
    """Draw maps, pack them for the viewer, and write both.

    Parameters
    ----------
    dataset
        The output folder; the page is at its root.
    folder
        Folder for pictures and scripts.
    title
        Title of the average; file names begin with it.
    maps
        In any order; pages show them by task, and within it simple contrasts before differences.
    overlay, images
        What the viewer offers to show of the maps' uncertainty, as `HALF_WIDTHS`, and its images by
        contrast.

    Raises
    ------
    RunError
        A map cannot be read.
    """
    maps = sorted(
        maps, key=lambda shown: (shown.task, shown.is_difference, shown.label)
    )
    first = choose_labels([shown.label for shown in maps])
    source: ParcelMaps | VoxelMaps
    if maps[0].has_parcels:
        source = ParcelMaps(maps[0], standard_anatomy(), read_spreads(images))
    else:
        source = VoxelMaps(maps[0], standard_anatomy())
    page = _Page(dataset, folder, title, first, overlay, images)
    tasks, packed = _draw_tasks(page, source, maps)
    # The name that the viewer always gives its first image.
    script = folder / f"{title}_desc-{SYNTHETIC}{SCRIPT}"
    address = write_script(dataset, script, packed)
    if isinstance(source, ParcelMaps):
        scripts = {"title": title, "script": address}
        surface = _surface(page, source, packed)
        return Gallery(title, tasks, first, scripts, surface, source.has_voxels)
    addresses = {SYNTHETIC: address}
    if images:
        model = maps[0].text("ModelSHA256")
        overlays = _write_overlays(page, source.grid, model)
        addresses[overlay["desc"]] = link(overlays, dataset)
    backdrop = {"backdrop": write_shared_files(dataset, source.grid)}
    return Gallery(
        title, tasks, first, {"title": title, "scripts": addresses}, backdrop
    )


@dataclass(frozen=True)
class _Page:
    """Where the pictures of an average's maps go, and what the viewer offers with them."""

    dataset: DerivativeDataset  # the page is at its root
    folder: Path  # of pictures and scripts
    title: str  # of the average; file names begin with it
    first: tuple[str, ...]  # labels of the maps that it begins with
    overlay: Mapping[str, Any]  # as of `draw_gallery`
    images: Mapping[str, Path]  # of the overlay, by contrast

    def write(self, name: str, picture: bytes) -> str:
        """Write a picture; return its address."""
        return write_picture(self.dataset, self.folder, self.title, name, picture)


def _draw_tasks(
    page: _Page, source: ParcelMaps | VoxelMaps, maps: Sequence[MapFile]
) -> tuple[tuple[dict[str, Any], ...], dict[str, bytes]]:
    """Draw maps task by task; return the tasks for the page, and the maps for the viewer."""
    tasks = list[dict[str, Any]]()
    packed = dict[str, bytes]()
    by_task = groupby(maps, key=lambda shown: (shown.task, shown.is_difference))
    with ThreadPoolExecutor(_THREADS) as threads:
        for (task, differences), group in by_task:
            members = list(group)
            values = list(threads.map(source.read, members))
            tops = [top_of(values_of_map, source.quantile) for values_of_map in values]
            deviations = map(source.deviation_of, members)
            measured = [deviation[0] for deviation in deviations if deviation]
            # The viewer's, so that the maps of a task can be compared in it.
            limits = rounded_limit(max(tops)), common_limit(measured)
            draw = partial(_card, page, source, limits)
            cards = list(threads.map(draw, members, values, tops))
            for copies in threads.map(source.pack, members, values):
                packed |= copies
            # The legend has no room for text in brackets.
            units = members[0].text("Units").partition(" (")[0]
            heading = (task_in_words(task) or "Maps") + ": differences" * differences
            task_cards = {
                "title": heading,
                "units": units_in_words(units),
                "cards": cards,
            }
            tasks.append(task_cards)
    return tuple(tasks), packed


# Long because a card has many fields, each with one line.
def _card(
    page: _Page,
    source: ParcelMaps | VoxelMaps,
    limits: tuple[float, float],
    shown: MapFile,
    values: Float32,
    top: float,
) -> dict[str, Any]:
    """Draw a map on a scale of its own, up to `top`; return its card for the page and the viewer.

    `limits` are those of the viewer's colours of maps and of deviations.
    """
    limit = rounded_limit(top)
    pixels = source.draw(values, limit)
    if isinstance(source, VoxelMaps) and shown.label in page.first:
        pixels = join_pictures([source.draw_surfaces(values, limit), pixels], *STACKED)
    regions = source.facts_of(shown, values)
    value, place, position = source.peak(values)
    peak = f"{signed_text(value)} {place}"
    name = contrast_in_words(shown.task, shown.name)
    about = shown.description.removeprefix(NOT_MEASURED)
    note = shown.text("IndividualNote")
    same = _SAME if shown.sidecar.get("Individual") is False else ""
    map_limit, deviation_limit = limits
    in_viewer = {  # in the form of `viewer_data`
        "label": shown.label,
        "title": title_in_words(shown.task, shown.name),
        "about": ". ".join(filter(None, (about, same or note))),
        "units": units_in_words(shown.text("Units")),
        "limit": map_limit,
        "limits": {
            MAP: map_limit,
            DEVIATION: deviation_limit,
            SPREAD: source.spread_limit,
        },
        "scale": f"{shown.task} {shown.is_difference}",
        "peak": position,
        "file": link(shown.path, page.dataset),
        "overlays": [page.overlay] if shown.label in page.images else [],
    }
    return {
        "number": None,
        "anchor": shown.label,
        "name": name,
        "about": _beyond_name(about, name),
        "peak": peak,
        "alt": f"{shown.name}: predicted map, largest value {peak}",
        "same": same,
        "note": "" if same else note,
        "limit": f"{limit:g}",
        # Whether colours end before values.
        "beyond": bool(np.abs(values).max() > limit),
        "regions": regions,
        "spread": source.spread_of(shown, values),
        "deviation": _draw_deviation(page, source, shown, regions),
        "picture": page.write(f"contrast-{shown.label}", source.encode(pixels)),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "viewer": in_viewer,
    }


def _draw_deviation(
    page: _Page,
    source: ParcelMaps | VoxelMaps,
    shown: MapFile,
    regions: Regions | None,
) -> dict[str, str] | None:
    """Draw a person's deviation where it exceeds its interval in some region, for its card."""
    deviation = source.deviation_of(shown)
    if isinstance(source, VoxelMaps) or not (deviation and regions and regions.beyond):
        return None
    difference, half_widths = deviation
    shares = relative_size(difference, half_widths)
    difference = np.nan_to_num(difference)
    limit = common_limit([difference], source.quantile)
    drawn = source.encode(source.draw(difference, limit, shares))
    name = f"contrast-{shown.label}_own"
    return {"picture": page.write(name, drawn), "limit": f"{limit:g}"}


def _beyond_name(about: str, name: str) -> str:
    """Return what a description says that the name above it does not.

    Examples
    --------
    >>> _beyond_name("Mean of all movements, against baseline", "Mean of all movements")
    'Against baseline'
    """
    rest = about.removeprefix(name).lstrip(" ,")
    return rest[:1].upper() + rest[1:]


def _surface(
    page: _Page, source: ParcelMaps, packed: Mapping[str, bytes]
) -> dict[str, Any]:
    """Return what `viewer_data` has of the cortex, and write the meshes of parcels."""
    keys = {key.partition(" ")[2] for key in packed}
    shown = _SHOWN["group" if source.spreads else "person"]
    return {
        "meshes": write_meshes(page.dataset, source.parcel_of_vertex),
        "names": source.names,
        **{
            name: [row for row in rows if row["key"] in keys]
            for name, rows in shown.items()
        },
    }


def _write_overlays(page: _Page, grid: Grid, model: str) -> Path:
    """Write copies of overlays; those shared by all participants of a model are written once.

    Pages of participants whose maps are of another model keep that model's.
    """
    dataset, images = page.dataset, page.images
    first = next(iter(images.values()))
    top_folder = first.relative_to(dataset.root).parts[0]
    desc = parse_name(first.name).get("desc")
    script = page.folder / f"{page.title}_desc-{desc}{SCRIPT}"
    if top_folder.startswith("tpl-"):
        script = dataset.root / f"figures/{top_folder}_{model[:8]}_desc-{desc}{SCRIPT}"
        newest = max(path.stat().st_mtime for path in images.values())
        if script.is_file() and script.stat().st_mtime >= newest:
            return script
    copies = {label: pack(read_values(path), grid) for label, path in images.items()}
    write_script(dataset, script, copies)
    return script


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
        is_first = position == 1
        title = gallery.title if len(galleries) > 1 else ""
        facts = _facts_of_first(average, gallery)
        card = facts["chosen"]["cards"][0]
        leading = Section(
            title="Contrasts",
            subtitle=title,
            template="contrasts/maps.html",
            leads=True,
            facts={**facts, "first": is_first},
            anchor=f"maps-{position}",
            links=[("maps-1", "Contrasts")] if is_first else [],
            viewer=viewer if is_first else None,
            picture=(card["picture"], card["name"]) if is_first else None,
        )
        first.append(leading)
        all_contrasts = Section(
            title="",
            template="contrasts/maps_all.html",
            facts={"of": title, "tasks": gallery.tasks},
            anchor=f"all-{position}",
            links=[("all-1", "All contrasts")] if is_first else [],
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
        "half_widths": any(card["viewer"]["overlays"] for card in gallery.cards),
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
