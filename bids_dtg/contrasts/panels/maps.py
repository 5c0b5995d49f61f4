"""Maps panel: an average's maps as cards with figures, by task, and for the viewer."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.half_width import HALF_WIDTH, LEVEL, half_width_path
from bids_dtg.contrasts.panels.regions import Regions, facts_of_regions
from bids_dtg.errors import RunError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import read_table
from bids_dtg.files.names import parse_name
from bids_dtg.files.regions import read_numbers
from bids_dtg.files.text import read_json, read_packaged
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.imaging.sampling import voxel_positions
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps
from bids_dtg.imaging.surfaces.meshes import SIDES, Hemisphere, read_template
from bids_dtg.imaging.surfaces.vertices import parcels_of_vertices
from bids_dtg.report.areas import area_in_words
from bids_dtg.report.contents import (
    NOT_MEASURED,
    SYNTHETIC,
    AverageFiles,
    MapFile,
    ParticipantFiles,
)
from bids_dtg.report.figures import Figure, Picture
from bids_dtg.report.numbers import significant_text
from bids_dtg.report.page import Section, link
from bids_dtg.report.pictures import (
    AXIAL,
    MAP_COLOURS,
    MAP_VIEWS,
    Backdrop,
    View,
    Volume,
    box_around,
    draw_surfaces,
    encode,
    inline,
    join_pictures,
    standard_anatomy,
)
from bids_dtg.report.viewer import (
    SCRIPT,
    pack,
    surface_data,
    viewer_data,
    write_meshes,
    write_picture,
    write_script,
    write_shared_files,
)

Array = NDArray[np.float32]
# Colour scales end at these quantiles of a map of voxels and of one of parcels, because extremes
# would hide the rest.
_LIMIT_QUANTILE, _LIMIT_OF_PARCELS = 0.995, 0.98
_MINUS = "\N{MINUS SIGN}"
# Maps drawn at a time; more threads would only wait for Python's interpreter lock.
_THREADS = 2
_NAMES = tomllib.loads(read_packaged(__package__, "names.toml"))
_UNITS = {"arbitrary": "arbitrary units of the training scans"}  # as pages show them
_SAME = (
    "The same for everybody, because the model predicts no differences in this contrast"
)
# Slices through subcortical structures.
BELOW = tuple((AXIAL, mm) for mm in (-24, -8, 2, 12))
_STACKED = (0, 0, 8)  # pictures below each other, with 8 rows of pixels after each
# A participant's page begins with these contrasts, or with another one of the same task.
_FIRST = {
    "motor": "motorAvg",
    "language": "languageMathVsStory",
    "wm": "wm2bkVs0bk",
    "emotion": "emotionFacesVsShapes",
    "social": "socialTomVsRandom",
}
# The overlay that the viewer offers with a person's maps.
_HALF_WIDTHS = {
    "desc": HALF_WIDTH,
    "title": f"Half-width of the {LEVEL} % interval for a new scan",
    "factor": 1.0,  # the map differs from 0 where it exceeds this multiple of the overlay
    "rule": f"exceeds the half-width of its {LEVEL} % interval for a new scan",  # in words
}


# Keys of the values of parcels in the viewer's script, and what the viewer shows of them.
_MAP, _DEVIATION = "map", "deviation"
_WIDTH, _SPREAD = "halfwidth", "sd"
_LAYERS = (
    {
        "key": _MAP,
        "title": "Map",
        "words": "Weak values fade.",
        "opacity": "",
        "amount": False,
    },
    {
        "key": _DEVIATION,
        "title": "Deviation from the group",
        "words": "The map minus the model's mean prediction. A parcel is the fainter the smaller "
        f"its deviation is relative to the half-width of its {LEVEL} % prediction interval.",
        "opacity": _WIDTH,
        "amount": False,
    },
)
_POINTED = (
    {"key": _MAP, "title": f"Predicted [{LEVEL} % interval]", "interval": _WIDTH},
    {"key": _DEVIATION, "title": "Deviation", "interval": ""},
)
# The same of a group.
_GROUP_LAYERS = (
    {
        "key": _MAP,
        "title": "Mean",
        "words": "Weak values fade.",
        "opacity": "",
        "amount": False,
    },
    {
        "key": _SPREAD,
        "title": "Standard deviation",
        "words": "Standard deviation over participants.",
        "opacity": "",
        "amount": True,
    },
)
_GROUP_POINTED = (
    {"key": _MAP, "title": "Mean", "interval": ""},
    {"key": _SPREAD, "title": "Standard deviation", "interval": ""},
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
    # For maps of parcels: fields of `surface_data`.
    surface: Mapping[str, Any] | None = None
    sliced: bool = True  # whether slices of volumes are shown

    @property
    def cards(self) -> list[dict[str, Any]]:
        """The cards of all tasks."""
        return [card for task in self.tasks for card in task["cards"]]


def task_in_words(task: str) -> str:
    """Return a task's name for a page."""
    return str(_NAMES["tasks"].get(task, task))


def contrast_in_words(task: str, name: str) -> str:
    """Return a contrast's name for a page: HCP's in words, others nearly as they are.

    Examples
    --------
    >>> contrast_in_words("LANGUAGE", "MATH-STORY"), contrast_in_words("WM", "2BK_FACE")
    ('Maths minus stories', '2-back, faces')
    >>> contrast_in_words("NBACK", "2BK_1BK")
    '2BK 1BK'
    """
    words = _NAMES.get(task, {}) if task in _NAMES["tasks"] else {}
    sides = []
    for side in name.split("-"):
        parts = [str(words.get(part, "")) for part in side.split("_")]
        if not all(parts):
            return name.replace("-", f" {_MINUS} ").replace("_", " ")
        sides.append(", ".join(parts))
    text = " minus ".join(sides)
    return text[0].upper() + text[1:]


def title_in_words(task: str, name: str) -> str:
    """Return the names of a task and its contrast as a title.

    Examples
    --------
    >>> title_in_words("MOTOR", "AVG"), title_in_words("EMOTION", "XYZ"), title_in_words("", "a")
    ('Movement: mean of all movements', 'Emotion: XYZ', 'a')
    """
    words = contrast_in_words(task, name)
    if not task:
        return words
    if words[1:2].islower():  # no abbreviation
        words = words[0].lower() + words[1:]
    return f"{task_in_words(task)}: {words}"


def slice_text(views: Sequence[View] = MAP_VIEWS) -> str:
    """Return the positions of axial slices, in mm."""
    return ", ".join(f"{mm:g}".replace("-", _MINUS) for _, mm in views)


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
            overlay=_HALF_WIDTHS,
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
        leading = Section(
            title="Contrasts",
            subtitle=title,
            template="contrasts/maps.html",
            leads=True,
            facts={**facts, "first": position == 1},
            anchor=f"maps-{position}",
            links=[("maps-1", "Contrasts")] if position == 1 else [],
            viewer=viewer if position == 1 else None,
            picture=_picture_of(first_cards(gallery)[0]) if position == 1 else None,
        )
        first.append(leading)
        of_all = Section(
            title="",
            template="contrasts/maps_all.html",
            facts={"of": title, "tasks": gallery.tasks},
            anchor=f"all-{position}",
            links=[("all-1", "All contrasts")] if position == 1 else [],
        )
        every.append(of_all)
    return [*first, *every]


def _picture_of(card: Mapping[str, Any]) -> tuple[str, str]:
    return card["picture"], card["name"]


def _facts_of_first(average: AverageFiles, gallery: Gallery) -> dict[str, Any]:
    """Return the variables of the template of an average's first maps."""
    return {
        "chosen": {"title": "", "cards": first_cards(gallery)},
        "units": gallery.tasks[0]["units"],
        "common": average.common,
        "of_parcels": average.maps[0].of_parcels,
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
    if maps[0].of_parcels or "space" not in entities:
        return {}

    def path(contrast: str | None, extension: str) -> Path:
        return dataset.root / half_width_path(
            {**entities, "contrast": contrast}, extension
        )

    of_model = read_json(path(None, ".json")).get("ModelSHA256")
    if of_model is None or of_model != maps[0].sidecar.get("ModelSHA256"):
        return {}
    images = {shown.label: path(shown.label, ".nii.gz") for shown in maps}
    return {label: image for label, image in images.items() if image.is_file()}


def choose_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the contrasts that a page begins with: the fixed ones, then others in model order."""
    chosen = list[str]()
    for task, best in _FIRST.items():
        of_task = [label for label in labels if label.startswith(task)]
        chosen += [best] if best in of_task else of_task[:1]
    chosen += [label for label in labels if label not in chosen]
    return tuple(chosen[: len(_FIRST)])


def draw_side_by_side(
    rows: Mapping[str, Array],
    places: Places,
    *,
    title: str,
    units: str,
    hemispheres: Collection[Hemisphere] = SIDES,
) -> Figure | None:
    """Draw maps of voxels or parcels on the template's surface, on one colour scale.

    Parameters
    ----------
    rows
        Title of each map and its values, (places,).
    places
        Where they are.
    title, units
        Title of the figure, and units of the maps.
    hemispheres
        Those to draw.

    Returns
    -------
    None for places without positions.
    """
    filled = {name: np.nan_to_num(values) for name, values in rows.items()}
    limit = _limit([*filled.values()])
    parts = list[Picture]()
    for name, values in filled.items():
        if isinstance(places, VoxelPlaces):
            sides = _sample_surfaces(places.volume(values), places.grid.affine)
        elif isinstance(places, ParcelPlaces):
            sides = _at_vertices(values, parcels_of_vertices(places))
        else:
            return None
        drawn = {side: sides[side] for side in hemispheres}
        picture = inline(encode(draw_surfaces(drawn, limit), small=True))
        words = f"{title}, {name.lower()}, on the cortex"
        parts.append(Picture(picture, words, name))
    ends = f"{_MINUS}{limit:g}", f"+{limit:g} {_UNITS.get(units, units)}"
    return Figure(caption="", title=title, parts=parts, scale=(*ends, MAP_COLOURS.css))


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
        return surface_data(scripts, maps, **surface)
    averages = [
        {"title": gallery.title, "scripts": gallery.scripts} for gallery in shown
    ]
    return viewer_data(averages, maps, shown[0].backdrop)


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
        What the viewer offers to show of the maps' uncertainty, as in `_HALF_WIDTHS`, and its
        images by contrast.

    Raises
    ------
    RunError
        A map cannot be read.
    """
    maps = sorted(
        maps, key=lambda shown: (shown.task, shown.is_difference, shown.label)
    )
    first = choose_labels([shown.label for shown in maps])
    source: ParcelMaps | _Volumes
    if maps[0].of_parcels:
        source = ParcelMaps(maps[0], standard_anatomy(), _read_spreads(images))
    else:
        source = _Volumes(maps[0], standard_anatomy())
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
        overlays = _write_overlays(dataset, folder, title, images, source.grid)
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
    overlay: Mapping[str, Any]  # as in `_HALF_WIDTHS`
    images: Mapping[str, Path]  # of the overlay, by contrast

    def write(self, name: str, picture: bytes) -> str:
        """Write a picture; return its address."""
        return write_picture(self.dataset, self.folder, self.title, name, picture)


# A person's deviation, NaN without data, and the half-widths, (parcels,); None: not known.
_Deviation = tuple[Array, Array] | None


def _draw_tasks(
    page: _Page, source: ParcelMaps | _Volumes, maps: Sequence[MapFile]
) -> tuple[tuple[dict[str, Any], ...], dict[str, bytes]]:
    """Draw maps task by task; return the tasks for the page, and the maps for the viewer."""
    tasks = list[dict[str, Any]]()
    packed = dict[str, bytes]()
    by_task = groupby(maps, key=lambda shown: (shown.task, shown.is_difference))
    with ThreadPoolExecutor(_THREADS) as threads:
        for (task, differences), group in by_task:
            members = list(group)
            values = list(threads.map(source.read, members))
            tops = [_top(of_map, source.quantile) for of_map in values]
            deviations = [source.deviation_of(shown) for shown in members]
            measured = [deviation[0] for deviation in deviations if deviation]
            # The viewer's, so that the maps of a task can be compared in it.
            limits = _rounded(max(tops)), _limit(measured)
            draw = partial(_card, page, source, limits)
            cards = list(threads.map(draw, members, values, tops, deviations))
            for copies in threads.map(source.pack, members, values, deviations):
                packed |= copies
            # The legend has no room for text in brackets.
            units = str(members[0].sidecar.get("Units") or "").partition(" (")[0]
            heading = (task_in_words(task) or "Maps") + ": differences" * differences
            of_task = {
                "title": heading,
                "units": _UNITS.get(units, units),
                "cards": cards,
            }
            tasks.append(of_task)
    return tuple(tasks), packed


# Long because a card has many fields, each with one line.
def _card(
    page: _Page,
    source: ParcelMaps | _Volumes,
    limits: tuple[float, float],
    shown: MapFile,
    values: Array,
    top: float,
    deviation: _Deviation,
) -> dict[str, Any]:
    """Draw a map on a scale of its own, up to `top`; return its card for the page and the viewer.

    `limits` are those of the viewer's colours of maps and of deviations.
    """
    limit = _rounded(top)
    pixels = source.draw(values, limit)
    if isinstance(source, _Volumes) and shown.label in page.first:
        pixels = join_pictures([source.draw_surfaces(values, limit), pixels], *_STACKED)
    regions = source.facts_of(shown, values, deviation)
    value, place, position = source.peak(values)
    peak = f"{'+' * (value > 0)}{significant_text(value, 3)} {place}"
    name = contrast_in_words(shown.task, shown.name)
    about = shown.description.removeprefix(NOT_MEASURED)
    note = str(shown.sidecar.get("IndividualNote") or "")
    same = _SAME if shown.sidecar.get("Individual") is False else ""
    units = str(shown.sidecar.get("Units") or "")
    of_task, of_deviations = limits
    in_viewer = {  # in the form of `viewer_data`
        "label": shown.label,
        "title": title_in_words(shown.task, shown.name),
        "about": ". ".join(filter(None, (about, same or note))),
        "units": _UNITS.get(units, units),
        "limit": of_task,
        "limits": {
            _MAP: of_task,
            _DEVIATION: of_deviations,
            _SPREAD: source.spread_limit,
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
        "beyond": bool(
            np.abs(values).max() > limit
        ),  # whether colours end before values
        "regions": regions,
        "spread": source.spread_of(shown, values),
        "deviation": _draw_deviation(page, source, shown, regions, deviation),
        "picture": page.write(f"contrast-{shown.label}", source.encode(pixels)),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "viewer": in_viewer,
    }


def _draw_deviation(
    page: _Page,
    source: ParcelMaps | _Volumes,
    shown: MapFile,
    regions: Regions | None,
    deviation: _Deviation,
) -> dict[str, str] | None:
    """Draw a person's deviation where it exceeds its interval in some region, for its card."""
    if (
        isinstance(source, _Volumes)
        or not deviation
        or not (regions and regions.beyond)
    ):
        return None
    difference, half_widths = deviation
    shares = relative_size(difference, half_widths)
    difference = np.nan_to_num(difference)
    limit = _limit([difference], source.quantile)
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
    """Return the fields of `surface_data` on parcels, and write their meshes."""
    keys = {key.partition(" ")[2] for key in packed}
    layers, pointed = _LAYERS, _POINTED
    if source.spreads:
        layers, pointed = _GROUP_LAYERS, _GROUP_POINTED
    return {
        "meshes": write_meshes(page.dataset, source.of_vertex),
        "names": source.names,
        "layers": [layer for layer in layers if layer["key"] in keys],
        "values": [value for value in pointed if value["key"] in keys],
    }


class _Volumes:
    """Reads and draws maps on a voxel grid; `ParcelMaps` does the same for parcels."""

    encode = staticmethod(encode)
    quantile = _LIMIT_QUANTILE  # of a map, at which its colours end
    spread_limit = 1.0  # volumes have no spread over people

    def __init__(self, first: MapFile, anatomy: Volume) -> None:
        values, affine = read_volume(first.path)
        i, j, k = values.shape
        self.grid = Grid((i, j, k), affine)
        self._backdrop = Backdrop(anatomy, box_around(self.grid), MAP_VIEWS)

    def read(self, shown: MapFile) -> Array:
        return np.nan_to_num(_volume(shown.path), copy=False)

    def deviation_of(self, shown: MapFile) -> None:
        return None

    def facts_of(self, shown: MapFile, values: Array, deviation: _Deviation) -> None:
        return None

    def spread_of(self, shown: MapFile, values: Array) -> str:
        return ""

    def pack(
        self, shown: MapFile, values: Array, deviation: _Deviation
    ) -> dict[str, bytes]:
        """Return a copy of a map for the viewer, by its key."""
        return {shown.label: pack(values, self.grid)}

    def draw(self, values: Array, limit: float) -> NDArray[np.uint8]:
        return self._backdrop.draw_map(Volume(values, self.grid.affine), limit)

    def draw_surfaces(self, values: Array, limit: float) -> NDArray[np.uint8]:
        """Draw the map on the template's surface, each vertex with the value of its voxel."""
        return draw_surfaces(_sample_surfaces(values, self.grid.affine), limit)

    def peak(self, values: Array) -> tuple[float, str, list[float] | None]:
        """Return the value furthest from 0, and its position in words and in mm."""
        index = np.unravel_index(int(np.argmax(np.abs(values))), values.shape)
        affine = self.grid.affine
        position = (affine[:3, :3] @ np.array(index) + affine[:3, 3]).tolist()
        place = ", ".join(f"{mm:.0f}" for mm in position).replace("-", _MINUS)
        return float(values[index]), f"at {place} mm", position


def _sample_surfaces(
    values: Array, affine: NDArray[np.float64]
) -> dict[Hemisphere, Array]:
    """Return the value of the voxel at each vertex of the template's surface."""
    sides = dict[Hemisphere, Array]()
    for side, points in read_template("fsLR").points.items():
        voxels = np.rint(voxel_positions(points, affine)).astype(int)
        voxels = np.clip(voxels, 0, np.array(values.shape) - 1)
        sides[side] = values[tuple(voxels.T)]
    return sides


def _at_vertices(
    values: Array, of_vertex: Mapping[Hemisphere, NDArray[np.intp]]
) -> dict[Hemisphere, Array]:
    """Return the value of each vertex's parcel, for each side; NaN: there is none."""
    return {
        side: np.where(numbers >= 0, values[numbers], np.float32(np.nan))
        for side, numbers in of_vertex.items()
    }


class ParcelMaps:
    """Reads and draws maps of parcels, all from one file.

    Parameters
    ----------
    first
        Any map of the file.
    anatomy
        Background of slices.
    spreads
        Their spread over people, (parcels,), by contrast; empty for a person's maps.

    Raises
    ------
    RunError
        The file is missing or damaged.
    """

    def __init__(
        self,
        first: MapFile,
        anatomy: Volume,
        spreads: Mapping[str, Array] = MappingProxyType({}),
    ) -> None:
        self._parcels, names, values = read_parcel_maps(first.path)
        self._values = dict(zip(names, np.nan_to_num(values), strict=True))
        self.spreads = spreads
        self.spread_limit = _limit([*spreads.values()])
        table = first.path.with_name(first.path.name.replace(SYNTHETIC, "parcels"))
        table = table.with_name(table.name.replace(".pscalar.nii", ".tsv"))
        # For each contrast, the person's deviation and the half-width, parcel by parcel.
        self._deviations = defaultdict[str, list[list[str]]](list)
        for row in read_table(table).dicts() if table.is_file() else ():
            cells = [row["difference"], row["half_width"]]
            self._deviations[row["contrast"]].append(cells)
        axis = self._parcels.axis
        # Parcel number of each vertex of a side (-1: none), and of each subcortical voxel.
        self.of_vertex = parcels_of_vertices(self._parcels)
        sizes = [len(voxels) for voxels in axis.voxels]
        self._of_voxel = np.repeat(np.arange(len(sizes)), sizes)
        if not self.has_voxels:
            return
        voxels = [np.reshape(of_parcel, (-1, 3)) for of_parcel in axis.voxels]
        self._voxels = np.concatenate(voxels)
        self._grid = Grid(tuple(axis.volume_shape), np.asarray(axis.affine, np.float64))
        self._backdrop = Backdrop(anatomy, box_around(self._grid), BELOW)

    encode = staticmethod(partial(encode, small=True))
    quantile = _LIMIT_OF_PARCELS

    @property
    def names(self) -> tuple[str, ...]:
        """Full names of the parcels."""
        return tuple(map(area_in_words, self._parcels.names))

    @property
    def has_voxels(self) -> bool:
        """Whether some parcels consist of voxels, which are shown in slices."""
        return len(self._of_voxel) > 0

    def read(self, shown: MapFile) -> Array:
        """Return a map (parcels,).

        Raises
        ------
        RunError
            The file does not have it.
        """
        if shown.label not in self._values:
            what = f"{shown.path} has no map {shown.label}"
            raise RunError(what, expected="the maps of its sidecar")
        return np.asarray(self._values[shown.label])

    def deviation_of(self, shown: MapFile) -> _Deviation:
        """Return the person's deviation and the half-widths, (parcels,); None: not known."""
        rows = self._deviations[shown.label]
        if len(rows) != self._parcels.number:
            return None
        difference, half_widths = read_numbers(rows, shown.path).astype(np.float32).T
        if np.isnan(difference).all() or np.isnan(half_widths).all():
            return None
        return difference, half_widths

    def facts_of(
        self, shown: MapFile, values: Array, deviation: _Deviation
    ) -> Regions | None:
        """Return what a card says of the regions of a map; None: nothing is known of its error."""
        if not deviation:
            return None
        return facts_of_regions(values, *deviation, self._parcels.names)

    def spread_of(self, shown: MapFile, values: Array) -> str:
        """Return the spread over people of the value furthest from 0; "": not known."""
        spread = self.spreads.get(shown.label)
        if spread is None:
            return ""
        return significant_text(float(spread[np.argmax(np.abs(values))]), 2)

    def pack(
        self, shown: MapFile, values: Array, deviation: _Deviation
    ) -> dict[str, bytes]:
        """Return what the viewer shows of a map, by key."""
        arrays = {_MAP: values}
        if shown.label in self.spreads:
            arrays[_SPREAD] = self.spreads[shown.label]
        if deviation:
            difference, arrays[_WIDTH] = deviation
            arrays[_DEVIATION] = np.nan_to_num(difference)
        return {
            f"{shown.label} {key}": array.astype("<f4").tobytes()
            for key, array in arrays.items()
        }

    def peak(self, values: Array) -> tuple[float, str, list[float] | None]:
        """Return the value furthest from 0, and its parcel in words."""
        largest = int(np.argmax(np.abs(values)))
        return float(values[largest]), f"in {self.names[largest]}", None

    def draw(
        self, values: Array, limit: float, opacity: Array | None = None
    ) -> NDArray[np.uint8]:
        """Draw both hemispheres and subcortical slices; (rows, columns, 4).

        `opacity` is (parcels,), from 0 to 1; None: weak values fade.
        """
        opacities = None if opacity is None else _at_vertices(opacity, self.of_vertex)
        at_vertices = _at_vertices(values, self.of_vertex)
        above = draw_surfaces(at_vertices, limit, opacities)
        if not self.has_voxels:
            return above
        opacity_volume = None if opacity is None else self._volume(opacity)
        below = self._backdrop.draw_map(self._volume(values), limit, opacity_volume)
        return join_pictures([above, below], *_STACKED)

    def _volume(self, values: Array) -> Volume:
        volume = np.zeros(self._grid.shape, np.float32)
        volume[tuple(self._voxels.T)] = values[self._of_voxel]
        return Volume(volume, self._grid.affine)


def relative_size(difference: Array, half_widths: Array) -> Array:
    """Return opacities of a person's deviation: its size relative to the half-width, at most 1.

    This is transparent thresholding (Taylor et al. 2023, NeuroImage 270: 119908; Allen et al. 2012,
    Neuron 74: 603), so that what may well be noise is faint. 0: there is no half-width.

    Examples
    --------
    >>> import numpy as np
    >>> relative_size(np.array([-5.0, 30.0, 1.0]), np.array([20.0, 20.0, np.nan])).tolist()
    [0.25, 1.0, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.abs(difference) / half_widths
    return np.clip(np.nan_to_num(share, nan=0.0), 0.0, 1.0)


def _volume(path: Path) -> Array:
    return np.asarray(read_volume(path)[0], np.float32)


def _write_overlays(
    dataset: DerivativeDataset,
    folder: Path,
    title: str,
    images: Mapping[str, Path],
    grid: Grid,
) -> Path:
    """Write copies of overlays; those shared by all participants are written once."""
    first = next(iter(images.values()))
    top_folder = first.relative_to(dataset.root).parts[0]
    desc = parse_name(first.name).get("desc")
    script = folder / f"{title}_desc-{desc}{SCRIPT}"
    if top_folder.startswith("tpl-"):
        script = dataset.root / f"figures/{top_folder}_desc-{desc}{SCRIPT}"
        newest = max(path.stat().st_mtime for path in images.values())
        if script.is_file() and script.stat().st_mtime >= newest:
            return script
    copies = {label: pack(_volume(path), grid) for label, path in images.items()}
    write_script(dataset, script, copies)
    return script


def _read_spreads(images: Mapping[str, Path]) -> dict[str, Array]:
    """Read the spread of maps of parcels over people, (parcels,), by contrast."""
    spreads = dict[str, Array]()
    for path in set(images.values()):
        _, names, values = read_parcel_maps(path)
        spreads |= zip(names, np.nan_to_num(values), strict=True)
    return spreads


def _limit(maps: Sequence[Array], quantile: float = _LIMIT_QUANTILE) -> float:
    """Return the upper limit of a colour scale that several maps share."""
    return _rounded(max((_top(values, quantile) for values in maps), default=0.0))


def _top(values: Array, quantile: float) -> float:
    """Return a quantile of the absolute values of a map that are not 0; 0: there are none."""
    amounts = np.abs(values.ravel(order="K"))  # in memory order, which is fastest
    inside = amounts[amounts > 0]
    return float(np.quantile(inside, quantile)) if inside.size else 0.0


def _rounded(top: float) -> float:
    return float(f"{top:.2g}") or 1.0
