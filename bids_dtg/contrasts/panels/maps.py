"""Maps panel: an average's maps as cards with figures, by task, and for the viewer."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.half_width import HALF_WIDTH, LEVEL, half_width_path
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
from bids_dtg.imaging.surfaces.cifti import CORTEX, ParcelPlaces, read_parcel_maps
from bids_dtg.imaging.surfaces.meshes import SIDES, Hemisphere, read_template
from bids_dtg.report.contents import NOT_MEASURED, SYNTHETIC, MapFile, ParticipantFiles
from bids_dtg.report.figures import Figure, Picture
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
    standard_anatomy,
    together,
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
# The colour scale ends at this quantile, because extremes would hide the rest of a task's maps.
_LIMIT_QUANTILE = 0.995
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
_MAP, _DEVIATION, _WIDTH, _SPREAD = "map", "deviation", "halfwidth", "sd"
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
    tasks: tuple[Mapping[str, Any], ...]  # title, units, limit_text and cards of each
    first: tuple[str, ...]  # labels of the maps that a page begins with
    # The next three are for the viewer.
    scripts: Mapping[str, str] = field(default_factory=dict)  # addresses by desc
    backdrop: str = ""  # address of the anatomy
    surface: Mapping[str, Any] | None = (
        None  # for maps of parcels: fields of `surface_data`
    )
    sliced: bool = True  # whether slices of volumes are shown


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
    sides = [
        [str(words.get(part, "")) for part in side.split("_")]
        for side in name.split("-")
    ]
    if not all(all(side) for side in sides):
        return name.replace("-", f" {_MINUS} ").replace("_", " ")
    text = " minus ".join(", ".join(side) for side in sides)
    return text[0].upper() + text[1:]


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
    averages = [made for made in files.averages if made.maps]
    galleries = [
        draw_gallery(
            *(dataset, folder, own.title, own.maps),
            overlay=_HALF_WIDTHS,
            images=_half_widths(dataset, own.maps),
        )
        for own in averages
    ]
    several, seen = len(galleries) > 1, data_of_viewer(galleries)
    first = [
        Section(
            title="Contrasts",
            subtitle=made.title if several else "",
            template="contrasts/maps.html",
            leads=True,
            facts={
                "chosen": {"title": "", "cards": first_cards(gallery)},
                "first": position == 1,
                "common": made.common,
                "of_parcels": made.maps[0].of_parcels,
                "sliced": gallery.sliced,
                "own": any(
                    card["own"] for task in gallery.tasks for card in task["cards"]
                ),
                "half_widths": HALF_WIDTH in gallery.scripts,
                "slices": slice_text(),
                "below": slice_text(BELOW),
            },
            anchor=f"maps-{position}",
            links=[("maps-1", "Contrasts")] if position == 1 else [],
            viewer=seen if position == 1 else None,
        )
        for position, (made, gallery) in enumerate(
            zip(averages, galleries, strict=True), 1
        )
    ]
    every = [
        Section(
            title="",
            template="contrasts/maps_all.html",
            facts={"of": gallery.title if several else "", "tasks": gallery.tasks},
            anchor=f"all-{position}",
            links=[("all-1", "All contrasts")] if position == 1 else [],
        )
        for position, gallery in enumerate(galleries, 1)
    ]
    return [*first, *every]


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


def _choose(maps: Sequence[MapFile]) -> tuple[str, ...]:
    """Return the contrasts that a page begins with: the fixed ones, then others in model order."""
    return choose_labels([shown.label for shown in maps])


def choose_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the contrasts that are shown first, as `_choose` does, from labels in model order."""
    fixed = list[str]()
    for task, best in _FIRST.items():
        of_task = [label for label in labels if label.startswith(task)]
        fixed += [best] if best in of_task else of_task[:1]
    return (*fixed, *(label for label in labels if label not in fixed))[: len(_FIRST)]


def draw_side_by_side(
    rows: Mapping[str, Array], places: Places, *, title: str, units: str
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

    Returns
    -------
    None for places without positions.
    """
    limit = _limit([np.nan_to_num(values) for values in rows.values()])
    parts = list[Picture]()
    for what, values in rows.items():
        filled = np.nan_to_num(values)
        if isinstance(places, VoxelPlaces):
            sides = _sample_surfaces(places.volume(filled), places.grid.affine)
        elif isinstance(places, ParcelPlaces):
            sides = {
                side: np.where(of_vertex >= 0, filled[of_vertex], np.float32(np.nan))
                for side, of_vertex in parcels_of_vertices(places).items()
            }
        else:
            return None
        picture = inline(encode(draw_surfaces(sides, limit), small=True))
        parts.append(Picture(picture, f"{title}, {what.lower()}, on the cortex", what))
    ends = f"{_MINUS}{limit:g}", f"+{limit:g} {_UNITS.get(units, units)}"
    return Figure(caption="", title=title, parts=parts, scale=(*ends, MAP_COLOURS.css))


def first_cards(gallery: Gallery) -> list[dict[str, Any]]:
    """Return the cards that a page begins with, with their task and the limits of the colours."""
    cards = {
        card["anchor"]: {
            **card,
            "name": card["viewer"]["title"],
            "scale": {
                key: task[key] for key in ("limit_text", "own_limit_text", "units")
            },
        }
        for task in gallery.tasks
        for card in task["cards"]
    }
    return [cards[label] for label in gallery.first]


def data_of_viewer(galleries: Sequence[Gallery]) -> dict[str, Any] | None:
    """Return the data of a page's viewer, and number the cards of its maps; None without maps."""
    shown = [gallery for gallery in galleries if gallery.scripts]
    if not shown:
        return None
    maps = list[dict[str, Any]]()
    for average, gallery in enumerate(shown):
        for card in (card for task in gallery.tasks for card in task["cards"]):
            card["number"] = len(maps)
            maps.append({"average": average, **card["viewer"]})
    if surface := shown[0].surface:
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
        Ordered by task.
    overlay, images
        What the viewer offers to show of the maps' uncertainty, as in `_HALF_WIDTHS`, and its
        images by contrast.

    Raises
    ------
    RunError
        A map cannot be read.
    """
    first = _choose(maps)
    source = (ParcelMaps if maps[0].of_parcels else _Volumes)(
        maps[0], standard_anatomy()
    )

    packed = dict[str, bytes]()  # for the viewer
    of_parcels = isinstance(source, ParcelMaps)
    spreads = _read_spreads(images) if of_parcels else {}
    spread_limit = _limit([*spreads.values()])

    def card(
        limits: tuple[float, float], shown: MapFile, values: Array
    ) -> dict[str, Any]:
        """Draw a map; return its card for the page and the viewer."""
        limit, own_limit = limits
        pixels = source.draw(values, limit)
        if isinstance(source, _Volumes) and shown.label in first:
            pixels = together([source.draw_surfaces(values, limit), pixels], *_STACKED)
        units = str(shown.sidecar.get("Units") or "")
        what = f"contrast-{shown.label}"
        value, place, where = source.peak(values)
        peak = f"{value:+.2f}".replace("-", _MINUS) + place
        name = contrast_in_words(shown.task, shown.name)
        about = shown.description.removeprefix(NOT_MEASURED)
        note = str(shown.sidecar.get("IndividualNote") or "")
        same = _SAME if shown.sidecar.get("Individual") is False else ""
        own = None
        if isinstance(source, ParcelMaps):
            packed[f"{shown.label} {_MAP}"] = values.astype("<f4").tobytes()
            if shown.label in spreads:
                packed[f"{shown.label} {_SPREAD}"] = (
                    spreads[shown.label].astype("<f4").tobytes()
                )
        if isinstance(source, ParcelMaps) and (part := source.own_part(shown)):
            difference, half_widths = part
            packed[f"{shown.label} {_DEVIATION}"] = difference.astype("<f4").tobytes()
            packed[f"{shown.label} {_WIDTH}"] = half_widths.astype("<f4").tobytes()
            if shown.label in first:  # the viewer shows that of all maps
                drawn = source.encode(
                    source.draw(difference, own_limit, relative_size(*part))
                )
                own = {
                    "picture": write_picture(
                        dataset, folder, title, f"{what}_own", drawn
                    ),
                    "half_width": f"{np.nanmean(half_widths):.3g}",
                }
        return {
            "number": None,
            "anchor": shown.label,
            "name": name,
            "about": about,
            "peak": peak,
            "alt": f"{shown.name}: predicted map, largest value {peak}",
            "same": same,
            "note": "" if same else note,
            "own": own,
            "picture": write_picture(
                dataset, folder, title, what, source.encode(pixels)
            ),
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "viewer": {  # in the form of `viewer_data`
                "label": shown.label,
                "title": f"{task_in_words(shown.task)}: {name}".removeprefix(": "),
                "about": ". ".join(filter(None, (about, same or note))),
                "units": _UNITS.get(units, units),
                "limit": limit,
                "limits": {_MAP: limit, _DEVIATION: own_limit, _SPREAD: spread_limit},
                "scale": f"{shown.task} {shown.is_difference}",
                "peak": where,
                "file": link(shown.path, dataset),
                "overlays": [overlay] if shown.label in images else [],
            },
        }

    tasks: list[dict[str, Any]] = []
    with ThreadPoolExecutor(_THREADS) as threads:
        for (task, differences), group in groupby(
            maps, key=lambda m: (m.task, m.is_difference)
        ):
            members = list(group)
            values = list(threads.map(source.read, members))
            limit, units = _limit(values), str(members[0].sidecar.get("Units") or "")
            own = [
                source.own_part(one)
                for one in members
                if isinstance(source, ParcelMaps)
            ]
            own_limit = _limit([part[0] for part in own if part])
            cards = list(
                threads.map(partial(card, (limit, own_limit)), members, values)
            )
            # On a phone, the legend has no room for text in brackets.
            units = units.partition(" (")[0]
            heading = (task_in_words(task) or "Maps") + ": differences" * differences
            head = {"title": heading, "units": _UNITS.get(units, units)}
            ends = {
                "limit_text": f"{limit:g}",
                "own_limit_text": f"{own_limit:g}" if any(own) else "",
            }
            tasks.append({**head, **ends, "cards": cards})
            if isinstance(source, _Volumes):
                copies = threads.map(partial(pack, grid=source.grid), values)
                packed |= zip((member.label for member in members), copies, strict=True)
    if not isinstance(source, _Volumes):
        script = folder / f"{title}_desc-{SYNTHETIC}{SCRIPT}"
        keys = {key.partition(" ")[2] for key in packed}
        layers, pointed = (
            (_GROUP_LAYERS, _GROUP_POINTED) if spreads else (_LAYERS, _POINTED)
        )
        surface = {
            "meshes": write_meshes(dataset, source.of_vertex),
            "names": source.names,
            "layers": [layer for layer in layers if layer["key"] in keys],
            "values": [value for value in pointed if value["key"] in keys],
        }
        return Gallery(
            title,
            tuple(tasks),
            first,
            scripts={SYNTHETIC: write_script(dataset, script, packed)},
            surface=surface,
            sliced=source.has_voxels,
        )
    # The name that the viewer always gives its first image.
    scripts = {SYNTHETIC: folder / f"{title}_desc-{SYNTHETIC}{SCRIPT}"}
    write_script(dataset, scripts[SYNTHETIC], packed)
    if images:
        script = _write_overlays(dataset, folder, title, images, source.grid)
        scripts[overlay["desc"]] = script
    return Gallery(
        title,
        tuple(tasks),
        first,
        scripts={desc: link(path, dataset) for desc, path in scripts.items()},
        backdrop=write_shared_files(dataset, source.grid),
    )


class _Volumes:
    """Reads and draws maps on a voxel grid; `ParcelMaps` does the same for parcels."""

    encode = staticmethod(encode)

    def __init__(self, first: MapFile, anatomy: Volume) -> None:
        values, affine = read_volume(first.path)
        i, j, k = values.shape
        self.grid = Grid((i, j, k), affine)
        self._backdrop = Backdrop(anatomy, box_around(self.grid), MAP_VIEWS)

    def read(self, shown: MapFile) -> Array:
        return np.nan_to_num(_volume(shown.path), copy=False)

    def draw(self, values: Array, limit: float) -> NDArray[np.uint8]:
        return self._backdrop.draw_map(Volume(values, self.grid.affine), limit)

    def draw_surfaces(self, values: Array, limit: float) -> NDArray[np.uint8]:
        """Draw the map on the template's surface, each vertex with the value of its voxel."""
        return draw_surfaces(_sample_surfaces(values, self.grid.affine), limit)

    def peak(self, values: Array) -> tuple[float, str, list[float] | None]:
        """Return the value furthest from 0, and its position in words and in mm."""
        index = np.unravel_index(int(np.argmax(np.abs(values))), values.shape)
        where = (
            self.grid.affine[:3, :3] @ np.array(index) + self.grid.affine[:3, 3]
        ).tolist()
        place = ", ".join(f"{mm:.0f}" for mm in where).replace("-", _MINUS)
        return float(values[index]), f" at {place}", where


def _sample_surfaces(
    values: Array, affine: NDArray[np.float64]
) -> dict[Hemisphere, Array]:
    """Return the value of the voxel at each vertex of the template's surface."""
    sides = dict[Hemisphere, Array]()
    for side, points in read_template("fsLR").points.items():
        at = np.rint(voxel_positions(points, affine)).astype(int)
        at = np.clip(at, 0, np.array(values.shape) - 1)
        sides[side] = values[tuple(at.T)]
    return sides


def parcels_of_vertices(places: ParcelPlaces) -> dict[Hemisphere, NDArray[np.intp]]:
    """Return the number of each vertex's parcel on fsLR's mesh, for each side; -1: none."""
    mesh_size = len(read_template("fsLR").cortex["L"])
    numbers: dict[Hemisphere, NDArray[np.intp]] = {
        side: np.full(mesh_size, -1, np.intp) for side in SIDES
    }
    of_side = dict(zip(CORTEX, SIDES, strict=True))
    for number, of_sides in enumerate(places.axis.vertices):
        for name, vertices in of_sides.items():
            numbers[of_side[name]][vertices] = number
    return numbers


class ParcelMaps:
    """Reads and draws maps of parcels, all from one file.

    Parameters
    ----------
    first
        Any map of the file.
    anatomy
        Background of slices.

    Raises
    ------
    RunError
        The file is missing or damaged.
    """

    def __init__(self, first: MapFile, anatomy: Volume) -> None:
        self._parcels, names, values = read_parcel_maps(first.path)
        self._values = dict(zip(names, np.nan_to_num(values), strict=True))
        table = first.path.with_name(first.path.name.replace(SYNTHETIC, "parcels"))
        table = table.with_name(table.name.replace(".pscalar.nii", ".tsv"))
        # For each contrast, the person's deviation and the half-width, parcel by parcel.
        self._own = defaultdict[str, list[list[str]]](list)
        for row in read_table(table).dicts() if table.is_file() else ():
            self._own[row["contrast"]].append([row["difference"], row["half_width"]])
        axis = self._parcels.axis
        # Parcel number of each vertex of a side (-1: none), and of each subcortical voxel.
        self.of_vertex = parcels_of_vertices(self._parcels)
        sizes = [len(voxels) for voxels in axis.voxels]
        self._of_voxel = np.repeat(np.arange(len(sizes)), sizes)
        if not self.has_voxels:
            return
        self._voxels = np.concatenate([np.reshape(own, (-1, 3)) for own in axis.voxels])
        self._grid = Grid(tuple(axis.volume_shape), np.asarray(axis.affine, np.float64))
        self._backdrop = Backdrop(anatomy, box_around(self._grid), BELOW)

    encode = staticmethod(partial(encode, small=True))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parcels."""
        return tuple(self._parcels.names)

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
        own: Array = self._values[shown.label]
        return own

    def own_part(self, shown: MapFile) -> tuple[Array, Array] | None:
        """Return the person's deviation and the half-widths, (parcels,); None: not known."""
        if len(rows := self._own[shown.label]) != self._parcels.number:
            return None
        difference, half_widths = read_numbers(rows, shown.path).astype(np.float32).T
        if np.isnan(difference).all() or np.isnan(half_widths).all():
            return None
        return np.nan_to_num(difference), half_widths

    def peak(self, values: Array) -> tuple[float, str, list[float] | None]:
        """Return the value furthest from 0, and its parcel in words."""
        largest = int(np.argmax(np.abs(values)))
        return float(values[largest]), f" in {self._parcels.names[largest]}", None

    def draw(
        self, values: Array, limit: float, opacity: Array | None = None
    ) -> NDArray[np.uint8]:
        """Draw both hemispheres and subcortical slices; (rows, columns, 4).

        `opacity` is (parcels,), from 0 to 1; None: weak values fade.
        """
        opacities = None if opacity is None else self._at_vertices(opacity)
        above = draw_surfaces(self._at_vertices(values), limit, opacities)
        if not self.has_voxels:
            return above
        shown = None if opacity is None else self._volume(opacity)
        below = self._backdrop.draw_map(self._volume(values), limit, shown)
        return together([above, below], *_STACKED)

    def _at_vertices(self, values: Array) -> dict[Hemisphere, Array]:
        """Return the value of each vertex's parcel, for each side; NaN: there is none."""
        return {
            side: np.where(rows >= 0, values[rows], np.float32(np.nan))
            for side, rows in self.of_vertex.items()
        }

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
    place, desc = (
        first.relative_to(dataset.root).parts[0],
        parse_name(first.name).get("desc"),
    )
    script = folder / f"{title}_desc-{desc}{SCRIPT}"
    if place.startswith("tpl-"):
        script = dataset.root / f"figures/{place}_desc-{desc}{SCRIPT}"
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
        spreads |= {
            name: np.nan_to_num(own) for name, own in zip(names, values, strict=True)
        }
    return spreads


def _limit(maps: Sequence[Array]) -> float:
    """Return the upper limit of the colour scale of a task's maps."""
    tops = []
    for values in maps:
        amounts = np.abs(values.ravel(order="K"))  # in memory order, which is fastest
        if (inside := amounts[amounts > 0]).size:
            tops.append(float(np.quantile(inside, _LIMIT_QUANTILE)))
    return float(f"{max(tops, default=1.0):.2g}") or 1.0
