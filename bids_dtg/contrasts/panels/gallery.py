"""The maps of an average as cards by task, and for the viewer."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32
from bids_dtg.contrasts.contrast import contrast_in_words, task_in_words, title_in_words
from bids_dtg.contrasts.half_width import LEVEL
from bids_dtg.contrasts.panels.drawn_maps import (
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
    top_of,
    units_in_words,
)
from bids_dtg.contrasts.panels.regions import Regions, signed_text
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import parse_name
from bids_dtg.files.text import read_packaged
from bids_dtg.imaging.grid import Grid
from bids_dtg.report.contents import NOT_MEASURED, SYNTHETIC, MapFile
from bids_dtg.report.page import link
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


@dataclass(frozen=True)
class Gallery:
    """The maps of an average, ready for a page."""

    title: str  # of the average
    tasks: tuple[Mapping[str, Any], ...]  # title, units and cards of each
    first: tuple[str, ...]  # labels of the maps that a page begins with
    # The next three are for the viewer.
    scripts: Mapping[str, str] = field(default_factory=dict)  # addresses by desc
    backdrop: str = ""  # address of the anatomy
    # For maps of parcels: what `viewer_data` has of the cortex.
    surface: Mapping[str, Any] | None = None
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
    shown = [gallery for gallery in galleries if gallery.scripts]
    if not shown:
        return None
    maps = list[dict[str, Any]]()
    for average, gallery in enumerate(shown):
        for card in gallery.cards:
            card["number"] = len(maps)
            maps.append({"average": average, **card["viewer"]})
    surface = shown[0].surface
    if surface:
        scripts = [
            {"title": gallery.title, "script": gallery.scripts[SYNTHETIC]}
            for gallery in shown
        ]
        return viewer_data(scripts, maps, **surface)
    averages = [
        {"title": gallery.title, "scripts": gallery.scripts} for gallery in shown
    ]
    return viewer_data(averages, maps, backdrop=shown[0].backdrop)


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
        What the viewer offers to show of the maps' uncertainty, as in
        `bids_dtg.contrasts.panels.maps.HALF_WIDTHS`, and its images by contrast.

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
    scripts = {SYNTHETIC: write_script(dataset, script, packed)}
    if isinstance(source, ParcelMaps):
        surface = _surface(page, source, packed)
        return Gallery(
            title, tasks, first, scripts, surface=surface, sliced=source.has_voxels
        )
    if images:
        overlays = _write_overlays(page, source.grid)
        scripts[overlay["desc"]] = link(overlays, dataset)
    backdrop = write_shared_files(dataset, source.grid)
    return Gallery(title, tasks, first, scripts, backdrop)


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
            units = str(members[0].sidecar.get("Units") or "").partition(" (")[0]
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
    note = str(shown.sidecar.get("IndividualNote") or "")
    same = _SAME if shown.sidecar.get("Individual") is False else ""
    units = str(shown.sidecar.get("Units") or "")
    map_limit, deviation_limit = limits
    in_viewer = {  # in the form of `viewer_data`
        "label": shown.label,
        "title": title_in_words(shown.task, shown.name),
        "about": ". ".join(filter(None, (about, same or note))),
        "units": units_in_words(units),
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


def _write_overlays(page: _Page, grid: Grid) -> Path:
    """Write copies of overlays; those shared by all participants are written once."""
    dataset, images = page.dataset, page.images
    first = next(iter(images.values()))
    top_folder = first.relative_to(dataset.root).parts[0]
    desc = parse_name(first.name).get("desc")
    script = page.folder / f"{page.title}_desc-{desc}{SCRIPT}"
    if top_folder.startswith("tpl-"):
        script = dataset.root / f"figures/{top_folder}_desc-{desc}{SCRIPT}"
        newest = max(path.stat().st_mtime for path in images.values())
        if script.is_file() and script.stat().st_mtime >= newest:
            return script
    copies = {label: pack(read_values(path), grid) for label, path in images.items()}
    write_script(dataset, script, copies)
    return script
