"""Maps panel: the maps of an average as cards with pictures, by task, and for the viewer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.panels.background import of_group, of_participant
from bids_dtg.contrasts.panels.parcels import (
    ParcelMaps,
    ParcelPictures,
    view_text,
)
from bids_dtg.contrasts.panels.predictability import lead as predictability_lead
from bids_dtg.contrasts.panels.predictability import not_predicted, read_predictability
from bids_dtg.contrasts.panels.surfaces import (
    mesh_of,
    pack_vertices,
    read_vertices,
    surface_files,
    write_mesh,
)
from bids_dtg.errors import RunError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.imaging.gifti import Hemisphere
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.colours import AMOUNT
from bids_dtg.report.contents import (
    HALF_WIDTH,
    NOT_MEASURED,
    OVERLAYS,
    SYNTHETIC,
    AverageFiles,
    MapFile,
    Overlay,
    ParticipantFiles,
)
from bids_dtg.report.pages.page import link
from bids_dtg.report.panels.panel import Section
from bids_dtg.report.pictures import MAP_VIEWS, PICTURE, Backdrop, encode
from bids_dtg.report.quality import number
from bids_dtg.report.slices import Background, Box, Volume
from bids_dtg.report.viewer import (
    SCRIPT,
    ViewerAverage,
    ViewerMap,
    pack,
    viewer_data,
    write_script,
    write_shared_files,
)

# A quantile, as extremes would hide the rest of a task's maps.
_LIMIT_QUANTILE = 0.995
_MINUS = "\N{MINUS SIGN}"
# Maps that are drawn at a time; of more, Python's own part would wait for itself.
_THREADS = 2
# What the gallery of a participant switches between: its name on the page, and its title there.
_MAP, _HALF_WIDTH = "map", "half-width"
_TITLES = {_MAP: "Map", _HALF_WIDTH: "Half-width: a new scan"}
_SCALES, _OPENS = "Maps of a task share a colour scale.", "Each opens in the viewer."
# Alternative text of pictures.
_ALTERNATIVES = {
    _MAP: "predicted map",
    _HALF_WIDTH: "half-width of its interval for a new scan",
}
_DIGITS = 8  # of a digest, in names of files


@dataclass(frozen=True)
class Card:
    """One map on a page."""

    number: int | None  # in the page's list of maps; None: the viewer does not show it
    anchor: str
    name: str
    about: str  # one line
    peak: str  # largest value and where it is
    picture: str  # address of the file
    width: int  # pixels
    height: int
    alt: str
    layer: str = ""  # that the viewer shows first; empty: the map
    verdict: str = ""  # the model's evaluation of the contrast
    faded: bool = False  # whether it cannot be predicted


@dataclass(frozen=True)
class TaskCards:
    """The maps of one task, on one scale."""

    title: str
    units: str
    limit_text: str  # value of the brightest colour
    cards: tuple[Card, ...]
    view: str = _MAP  # what the cards show


@dataclass(frozen=True)
class Gallery:
    """The maps of an average, ready for a page."""

    groups: tuple[TaskCards, ...]
    viewer_average: ViewerAverage | None  # None: the viewer has no copies of these maps
    viewer_maps: tuple[ViewerMap, ...]
    backdrop: str  # address of the anatomy; empty: the viewer has no copies
    files: tuple[Path, ...]  # written
    first: int = 0  # number of the first map on the page

    @property
    def numbered(self) -> Iterable[tuple[int, ViewerMap]]:
        """The set's maps in the viewer, with their numbers on the page."""
        return enumerate(self.viewer_maps, self.first)


def slice_text() -> str:
    """Say where the slices of the pictures are."""
    places = ", ".join(f"{view.mm:g}".replace("-", _MINUS) for view in MAP_VIEWS)
    return f"Axial slices at z = {places} mm; the person's left is on the left."


@dataclass(frozen=True)
class ViewOnPage:
    """What the gallery of an average can be switched to."""

    name: str  # as in `TaskCards.view`
    title: str
    lead: str


@dataclass(frozen=True)
class AverageOnPage:
    """An average of maps on a participant's page."""

    title: str
    anchor: str
    views: tuple[ViewOnPage, ...]  # the first is shown until another is chosen
    tasks: tuple[tuple[TaskCards, ...], ...]  # those of a task: one of each view that it has


def draw_sets(dataset: DerivativeDataset, files: ParticipantFiles, folder: Path) -> Section | None:
    """Draw a participant's averages of maps; None where there are none.

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
    if not files.averages:
        return None
    galleries: list[Gallery] = []
    background = of_participant(dataset, files)

    def draw(made: AverageFiles, maps: Sequence[MapFile], look: Look) -> tuple[TaskCards, ...]:
        if maps[0].of_parcels:
            galleries.append(ParcelDrawer(dataset, folder, made.title, look).draw(maps))
            return galleries[-1].groups
        drawer = GalleryDrawer(
            dataset,
            folder,
            made.title,
            first=sum(len(gallery.viewer_maps) for gallery in galleries),
            number_of_average=sum(gallery.viewer_average is not None for gallery in galleries),
            look=look,
        )
        galleries.append(drawer.draw(maps))
        return galleries[-1].groups

    averages = []
    for position, made in enumerate(files.averages, 1):
        groups = draw(
            *(made, made.maps, Look(background, surfaces=surface_files(made, SYNTHETIC))),
        )
        opens = {shown.label: number for number, shown in galleries[-1].numbered}
        if wide := _half_widths(made):
            # The same for all participants, and so is what is behind them.
            look = Look(of_group(dataset), HALF_WIDTH, opens=opens, view=_HALF_WIDTH)
            groups += draw(made, wide, look)
        averages.append(_on_page(made, f"maps-{position}", groups))
    in_viewer = [gallery.backdrop for gallery in galleries if gallery.backdrop]
    return Section(
        template="maps.html",
        links=((averages[0].anchor, "Contrasts"),),
        facts={"averages": averages, "background": background.words},
        files=tuple(path for gallery in galleries for path in gallery.files),
        viewer_data=viewer_data(
            [gallery.viewer_average for gallery in galleries if gallery.viewer_average],
            [shown for gallery in galleries for shown in gallery.viewer_maps],
            in_viewer[0],
        )
        if in_viewer
        else None,
    )


def _on_page(made: AverageFiles, anchor: str, groups: Sequence[TaskCards]) -> AverageOnPage:
    """Order what was drawn of an average by task."""
    leads = {_MAP: _lead(made), _HALF_WIDTH: _half_width_lead(made)}
    there = {group.view for group in groups}
    tasks = dict.fromkeys(group.title for group in groups)
    return AverageOnPage(
        title=made.title,
        anchor=anchor,
        views=tuple(
            ViewOnPage(name, _TITLES[name], lead) for name, lead in leads.items() if name in there
        ),
        tasks=tuple(tuple(group for group in groups if group.title == title) for title in tasks),
    )


def _half_widths(made: AverageFiles) -> list[MapFile]:
    """Return the maps of half-widths of a set; each keeps what it is an overlay of."""
    return [
        replace(shown, path=path, overlays={HALF_WIDTH: path})
        for shown in made.maps
        if (path := shown.overlays.get(HALF_WIDTH))
    ]


def _half_width_lead(made: AverageFiles) -> str:
    """Say what half-widths mean, for somebody who reads one map at one place."""
    return (
        "A new scan of this person would lie within \N{PLUS-MINUS SIGN} this much of the predicted "
        "map in 9 of 10 places. This holds on average over people like those whose errors the "
        "half-widths come from, not for each person. They are the same for all participants. "
        f"{_SCALES} {_shown_text(made)}"
    )


def _lead(made: AverageFiles) -> str:
    seconds = number(str(made.common.get("SecondsOfRest")))
    segments = made.common.get("NSegments")
    parts = f" in {segments} segment{'s' * (segments != 1)}" if isinstance(segments, int) else ""
    rest = f"From {seconds / 60:.1f} minutes of rest{parts}. " if seconds else ""
    able = predictability_lead(made.maps)
    return f"{rest}{able}{_SCALES} {_shown_text(made)}"


def _shown_text(made: AverageFiles) -> str:
    """Say what the pictures show, and what a click on one opens."""
    if made.maps[0].of_parcels:
        return view_text()
    return f"{slice_text()} {_OPENS}"


@dataclass(frozen=True)
class Look:
    """How the maps of a gallery are shown."""

    background: Background  # behind them
    desc: str = SYNTHETIC  # value of desc- of their files
    limit: float | None = None  # value of the brightest colour; None: each task has its own
    step: float = 0.0  # smallest step of the viewer's copies
    # Files of the maps on both sides of a mesh; empty: maps are shown only in the volume.
    surfaces: Mapping[Hemisphere, Path] = field(default_factory=dict)
    # Numbers of the maps that cards open in the viewer, by label; empty: each card opens its own
    # map. Copies for the viewer are large.
    opens: Mapping[str, int] = field(default_factory=dict)
    view: str = _MAP  # what the maps are


class ParcelDrawer:
    """Draws the maps of parcels of an average, and writes the pictures.

    Parameters
    ----------
    dataset
        The output folder; the page is at its root.
    folder
        Folder for pictures.
    title
        Title of the average; file names begin with it.
    look
        How the maps are shown.
    """

    def __init__(self, dataset: DerivativeDataset, folder: Path, title: str, look: Look) -> None:
        self._dataset, self._folder, self._title, self._look = dataset, folder, title, look

    def draw(self, maps: Sequence[MapFile]) -> Gallery:
        """Draw maps, ordered by task.

        Raises
        ------
        RunError
            The file of the maps cannot be read, or lacks one.
        """
        held = ParcelMaps.read(maps[0].path)
        pictures = ParcelPictures(held.places, self._look.background)
        groups, files = [], []
        for task, group in groupby(maps, key=lambda map_file: map_file.task):
            members = list(group)
            values = [held.of(shown.label) for shown in members]
            limit = self._look.limit or _limit(values)
            cards = []
            for shown, own in zip(members, values, strict=True):
                amount = AMOUNT if self._look.view == _HALF_WIDTH else None
                pixels = pictures.draw(own, limit, amount=amount)
                where = (self._dataset, self._folder, self._title)
                path = _picture(*where, shown, self._look, f"{limit}")
                inside = path.relative_to(self._dataset.root).as_posix()
                write_atomic(self._dataset.path(inside), encode(pixels))
                files.append(path)
                largest = int(np.argmax(np.abs(own)))
                x, y, z = held.places.points[largest].tolist()
                cards.append(
                    _card(
                        shown,
                        own,
                        look=self._look,
                        number=None,
                        peak=(float(own[largest]), (x, y, z)),
                        picture=link(path, self._dataset),
                        sizes=(pixels.shape[0], pixels.shape[1]),
                    )
                )
            units = str(members[0].sidecar.get("Units") or "").partition(" (")[0]
            groups.append(
                TaskCards(task or "Maps", units, f"{limit:g}", tuple(cards), self._look.view)
            )
        return Gallery(tuple(groups), None, (), "", tuple(files))


class GalleryDrawer:
    """Draws the maps of an average, packs them for the viewer, and writes both.

    Parameters
    ----------
    dataset
        The output folder; the page is at its root.
    folder
        Folder for pictures and scripts.
    title
        Title of the average; file names begin with it.
    first
        Number of the first map on the page.
    number_of_average
        Number of the average on the page.
    look
        How the maps are shown.
    """

    def __init__(
        self,
        dataset: DerivativeDataset,
        folder: Path,
        title: str,
        *,
        first: int,
        number_of_average: int,
        look: Look,
    ) -> None:
        self._dataset, self._folder, self._title = dataset, folder, title
        self._first, self._number_of_average = first, number_of_average
        self._look = look
        self._shown: list[ViewerMap] = []
        self._files: list[Path] = []
        self._packed: dict[str, bytes] = {}

    def draw(self, maps: Sequence[MapFile], uncertainty: Sequence[Overlay] = OVERLAYS) -> Gallery:
        """Draw maps, ordered by task.

        Raises
        ------
        RunError
            A map cannot be read.
        """
        values, affine = read_volume(maps[0].path)
        grid = Grid(_sizes(values), affine)
        backdrop = Backdrop(self._look.background, Box.around(grid), MAP_VIEWS)
        groups = tuple(
            self._draw_task(
                task, list(members), grid=grid, backdrop=backdrop, uncertainty=uncertainty
            )
            for task, members in groupby(maps, key=lambda map_file: map_file.task)
        )
        viewer_average = None if self._look.opens else self._write_copies(maps, uncertainty, grid)
        return Gallery(
            groups=groups,
            viewer_average=viewer_average,
            viewer_maps=tuple(self._shown),
            backdrop=write_shared_files(self._dataset, grid, self._look.background),
            files=tuple(self._files),
            first=self._first,
        )

    def _write_copies(
        self, maps: Sequence[MapFile], uncertainty: Sequence[Overlay], grid: Grid
    ) -> ViewerAverage:
        # The viewer always gives its first image this name.
        scripts = {SYNTHETIC: self._write_script(self._script(self._look.desc), self._packed)}
        for overlay in uncertainty:
            there = {shown.label: shown.overlays.get(overlay.desc) for shown in maps}
            if paths := {label: path for label, path in there.items() if path}:
                identity = str(maps[0].sidecar.get("ModelSHA256"))
                scripts[overlay.desc] = self._write_overlay(overlay.desc, paths, grid, identity)
        return ViewerAverage(self._title, scripts, self._write_surface())

    def _draw_task(
        self,
        task: str,
        members: Sequence[MapFile],
        *,
        grid: Grid,
        backdrop: Backdrop,
        uncertainty: Sequence[Overlay],
    ) -> TaskCards:
        with ThreadPoolExecutor(_THREADS) as threads:
            volumes = list(threads.map(lambda shown: _read(shown.path, grid), members))
            limit = self._look.limit or _limit(volumes)
            pictures = threads.map(
                lambda shown, volume: self._write_picture(
                    shown, Volume(volume, grid.affine), backdrop, limit
                ),
                *(members, volumes),
            )
            packed = threads.map(
                lambda volume: pack(volume, grid, least_step=self._look.step),
                [] if self._look.opens else volumes,
            )
            self._files += (drawn := list(pictures))
            self._packed |= zip((shown.label for shown in members), packed, strict=False)
        cards = []
        for shown, volume, picture in zip(members, volumes, drawn, strict=True):
            peak, where = _peak(volume, grid.affine)
            number = self._look.opens.get(shown.label, self._first + len(self._shown))
            cards.append(
                _card(
                    shown,
                    volume,
                    look=self._look,
                    number=number,
                    peak=(peak, where),
                    picture=link(picture, self._dataset),
                    sizes=backdrop.sizes,
                )
            )
            if self._look.opens:
                continue
            self._shown.append(
                ViewerMap(
                    average=self._number_of_average,
                    label=shown.label,
                    title=f"{shown.task} {_name(shown)}".strip(),
                    about=". ".join(filter(None, (_about(shown), _verdict(shown)))),
                    units=str(shown.sidecar.get("Units") or ""),
                    limit=limit,
                    scale=shown.task if self._look.limit is None else self._look.desc,
                    peak=where,
                    file=link(shown.path, self._dataset),
                    overlays=[vars(o) for o in uncertainty if o.desc in shown.overlays],
                )
            )
        # A legend on a phone has no room for text in brackets.
        units = str(members[0].sidecar.get("Units") or "").partition(" (")[0]
        return TaskCards(task or "Maps", units, f"{limit:g}", tuple(cards), self._look.view)

    def _write_picture(
        self, shown: MapFile, volume: Volume, backdrop: Backdrop, limit: float
    ) -> Path:
        """Draw a map; a picture that all participants share is written once."""
        drawn = f"{backdrop.digest} {limit}"
        path = _picture(*(self._dataset, self._folder, self._title), shown, self._look, drawn)
        if not (path.parent != self._folder and path.is_file()):
            write_atomic(self._inside(path), encode(self._draw(backdrop, volume, limit)))
        return path

    def _draw(self, backdrop: Backdrop, volume: Volume, limit: float) -> NDArray[np.uint8]:
        if self._look.view == _MAP:
            return backdrop.draw_map(volume, limit)
        known = Volume((volume.values > 0).astype(np.float32), volume.affine)
        return backdrop.draw_amount(volume, known, low=0.0, high=limit, scale=AMOUNT)

    def _write_overlay(
        self, desc: str, paths: Mapping[str, Path], grid: Grid, identity: str
    ) -> str:
        """Write copies of overlays; those that all participants share are written once."""
        path = self._script(desc)
        first = next(iter(paths.values())).relative_to(self._dataset.root)
        if first.parts[0].startswith("tpl-"):
            name = f"{first.parts[0]}_desc-{desc}_{identity[:_DIGITS]}{SCRIPT}"
            path = self._dataset.root / "figures" / name
            if path.is_file():
                return link(path, self._dataset)
        packed = {label: pack(_read(own, grid, gaps=True), grid) for label, own in paths.items()}
        return self._write_script(path, packed)

    def _write_surface(self) -> Mapping[str, str] | None:
        """Pack the maps on surfaces, if there are any; return addresses of mesh and values."""
        if not self._look.surfaces:
            return None
        maps = read_vertices(self._look.surfaces)
        packed = {label: pack_vertices(values) for label, values in maps.items()}
        path = self._folder / f"{self._title}_hemi-LR_desc-{self._look.desc}{SCRIPT}"
        mesh = write_mesh(self._dataset, mesh_of(self._look.surfaces))
        return {"mesh": mesh, "values": self._write_script(path, packed)}

    def _script(self, desc: str) -> Path:
        return self._folder / f"{self._title}_desc-{desc}{SCRIPT}"

    def _write_script(self, path: Path, volumes: Mapping[str, bytes]) -> str:
        address = link(path, self._dataset)
        write_script(self._inside(path), address, volumes)
        self._files.append(path)
        return address

    def _inside(self, path: Path) -> Path:
        return self._dataset.path(path.relative_to(self._dataset.root).as_posix())


def _picture(
    dataset: DerivativeDataset, folder: Path, title: str, shown: MapFile, look: Look, drawn: str
) -> Path:
    """Return the path of a map's picture: of half-widths, which are everybody's, one for all.

    `drawn` is what the picture depends on beside the map.
    """
    if look.desc == SYNTHETIC:
        return folder / f"{title}_contrast-{shown.label}{PICTURE}"
    of_all = shown.path.relative_to(dataset.root).parts[0]
    depends = f"{shown.path.name} {shown.sidecar.get('ModelSHA256')} {drawn}"
    digest = hashlib.sha256(depends.encode()).hexdigest()[:_DIGITS]
    name = f"{of_all}_contrast-{shown.label}_desc-{look.desc}_{digest}{PICTURE}"
    return dataset.root / "figures" / name


def _card(
    shown: MapFile,
    volume: NDArray[np.float32],
    *,
    look: Look,
    number: int | None,
    peak: tuple[float, tuple[float, float, float]],
    picture: str,
    sizes: tuple[int, int],
) -> Card:
    value, where = peak
    text = f"{value:+.2f} at {', '.join(f'{mm:.0f}' for mm in where)}".replace("-", _MINUS)
    alternative = f"{shown.name}: {_ALTERNATIVES[look.view]}, largest value {text}"
    if look.view == _HALF_WIDTH:
        values = _in_memory(volume)
        text = f"median {float(np.median(values[values > 0])):.2f}" if values.any() else "none"
        alternative = f"{shown.name}: {_ALTERNATIVES[look.view]}, {text}"
    return Card(
        number=number,
        anchor=shown.label if look.view == _MAP else f"{look.view}-{shown.label}",
        name=_name(shown),
        about=_about(shown) if look.view == _MAP else "",
        peak=text,
        picture=picture,
        width=sizes[1],
        height=sizes[0],
        alt=alternative,
        layer=look.desc if look.view == _HALF_WIDTH else "",
        verdict=_verdict(shown) if look.view == _MAP else "",
        faded=bool(not_predicted(shown)),
    )


def _name(shown: MapFile) -> str:
    return shown.name.replace("-", f" {_MINUS} ").replace("_", " ")


def _about(shown: MapFile) -> str:
    return shown.description.removeprefix(NOT_MEASURED)


def _verdict(shown: MapFile) -> str:
    found = read_predictability(shown.sidecar)
    return not_predicted(shown) or (found.words if found else "")


def _read(path: Path, grid: Grid, *, gaps: bool = False) -> NDArray[np.float32]:
    """Read a map; NaN becomes 0, or stays if gaps are allowed."""
    values = np.asarray(read_volume(path)[0], np.float32)
    if values.shape != grid.shape:
        raise RunError(f"{path} has sizes {values.shape}", expected=f"{grid.shape}, as the others")
    return values if gaps or np.isfinite(values).all() else np.nan_to_num(values)


def _limit(volumes: Sequence[NDArray[np.float32]]) -> float:
    tops = []
    for volume in volumes:
        amounts = np.abs(_in_memory(volume))
        if (inside := amounts[amounts > 0]).size:
            tops.append(float(np.quantile(inside, _LIMIT_QUANTILE)))
    return float(f"{max(tops, default=1.0):.2g}") or 1.0


def _peak(
    volume: NDArray[np.float32], affine: NDArray[np.float64]
) -> tuple[float, tuple[float, float, float]]:
    index = np.unravel_index(int(np.argmax(np.abs(volume))), volume.shape)
    x, y, z = affine[:3, :3] @ np.array(index) + affine[:3, 3]
    return float(volume[index]), (float(x), float(y), float(z))


def _in_memory(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values as they lie in memory: to choose some of them across it is slow."""
    return volume.ravel(order="K")


def _sizes(values: NDArray[np.generic]) -> tuple[int, int, int]:
    i, j, k = values.shape
    return i, j, k
