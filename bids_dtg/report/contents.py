"""The files of a participant in an output folder, from which a report is made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.files.derivatives import DerivativeDataset, participants_in
from bids_dtg.files.names import BidsName, FileKind, build_name, parse_name
from bids_dtg.files.provenance import completion_record
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.files.text import read_json
from bids_dtg.report import quality

SYNTHETIC = "synthetic"
LEVEL = 90  # nominal coverage of intervals, in percent of voxels
HALF_WIDTH = "halfwidth"  # desc- of maps of half-widths of intervals
# Key in sidecars of resampled maps, with the model's space. Pages show only maps in that space.
RESAMPLED = "ResampledFrom"
# Key in the sidecar that maps of all contrasts share: facts of single contrasts, by label.
DETAILS = "ContrastDetails"
_MAPS = FileKind("statmap", SYNTHETIC, ".nii.gz")
_MAPS_OF_PARCELS = FileKind("statmap", SYNTHETIC, ".pscalar.nii")
# Entities that describe a file's content, not its run or average.
_SPACE = ("space", "res", "den", "cohort")
_OF_FILES = (*_SPACE, "hemi", "atlas", "seg", "scale", "contrast", "stat", "desc")
# Types of the values that pages compute with; all others are shown as text.
_KINDS: Mapping[str, type] = {
    "Runs": list,
    "ExcludedRuns": dict,
    "NSegments": int,
    "ModelSHA256": str,
    "Resolution": str,
    "DenoiseStrategy": str,
}
# How the descriptions of predicted maps begin.
NOT_MEASURED = "Predicted from resting-state fMRI, not measured: "


# Overlays of uncertainty that the viewer offers with a map, by the desc- of their files.
OVERLAYS: Mapping[str, Mapping[str, Any]] = {
    HALF_WIDTH: {
        "title": f"Half-width of the {LEVEL} % interval for a new scan",
        "factor": 1.0,  # the map differs from 0 where it exceeds this multiple of the overlay
        "rule": f"exceeds the half-width of its {LEVEL} % interval for a new scan",  # in words
    }
}


def half_width_path(entities: Mapping[str, str | None], extension: str) -> PurePosixPath:
    """Return the path of a map of half-widths, in the template's folder of the output.

    Parameters
    ----------
    entities
        Entities of the map that it belongs to; those of the person are ignored.
    extension
        Extension of the file, with its dot.

    Examples
    --------
    >>> entities = {"space": "MNI152NLin6Asym", "res": "2", "contrast": "languageMath"}
    >>> half_width_path(entities, ".nii.gz").name
    'tpl-MNI152NLin6Asym_res-2_contrast-languageMath_desc-halfwidth_statmap.nii.gz'
    """
    template = entities["space"]
    named = {key: value for key, value in entities.items() if key in _OF_FILES and key != "space"}
    name = build_name({**named, "tpl": template, "desc": HALF_WIDTH}, "statmap", extension)
    return PurePosixPath(f"tpl-{template}") / name


@dataclass(frozen=True)
class MapFile:
    """One predicted map."""

    label: str  # value of contrast-
    path: Path  # of the image
    sidecar: Mapping[str, Any]  # its JSON file; empty where it cannot be read
    overlays: Mapping[str, Path]  # images of its uncertainty, by desc-

    @property
    def task(self) -> str:
        """Task of the contrast; empty where the sidecar has none."""
        return str(self.sidecar.get("Task") or "")

    @property
    def of_parcels(self) -> bool:
        """Whether it is one of the maps in a CIFTI file, and not a volume."""
        return self.path.name.endswith(_MAPS_OF_PARCELS.extension)

    @property
    def name(self) -> str:
        """Name of the contrast, for display."""
        return str(self.sidecar.get("Contrast") or self.label)

    @property
    def description(self) -> str:
        """Description of the contrast in one sentence; empty where the sidecar has none."""
        return str(self.sidecar.get("Description") or "")


@dataclass(frozen=True)
class RunFiles:
    """Files of one run, or of one average over runs whose results are not maps."""

    title: str  # e.g. sub-01_task-rest_run-1
    quality: Mapping[str, str]  # row of its quality table; empty for an average
    files: Mapping[FileKind, Path]  # existing files that panels are drawn from
    # What the sidecars of its maps, or of its other results, say about the run.
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AverageFiles:
    """One average of maps: its maps, and what they have in common."""

    title: str  # e.g. sub-01_ses-1_task-rest
    maps: tuple[MapFile, ...]  # by task, in the model's order; empty where none were wanted
    runs: tuple[str, ...]  # titles of the runs behind them
    record: Mapping[str, Any]  # completion record; empty where there is none
    common: Mapping[str, Any]  # the sidecar that the maps share


@dataclass(frozen=True)
class ParticipantFiles:
    """All files of a participant in the output folder."""

    label: str  # without sub-
    averages: tuple[AverageFiles, ...]  # in the order of their titles
    runs: tuple[RunFiles, ...]  # likewise
    combined: tuple[RunFiles, ...] = ()  # averages of runs whose results are not maps, likewise
    without_maps: tuple[AverageFiles, ...] = ()  # averages whose maps were not wanted, likewise

    @property
    def every_average(self) -> tuple[AverageFiles, ...]:
        """Averages with maps, and those whose maps were not wanted (``--write``)."""
        return (*self.averages, *self.without_maps)


def find_participant(
    dataset: DerivativeDataset,
    label: str,
    of_runs: Iterable[FileKind] = (),
    *,
    results: Iterable[FileKind] = (),
    of_averages: Iterable[FileKind] = (),
) -> ParticipantFiles:
    """Find a participant's files in the output folder; damaged files are treated as absent.

    Parameters
    ----------
    dataset
        The output dataset.
    label
        Participant's label, without ``sub-``.
    of_runs
        Kinds of run files to find, besides quality tables.
    results
        Kinds of run files whose sidecars say how the results were made, where no average does.
    of_averages
        Kinds of files of averages that are not maps, with their sidecars.
    """
    folder, results, of_averages = dataset.root / f"sub-{label}", tuple(results), tuple(of_averages)
    of_runs = {quality.FILE, *of_runs, *results} - {*of_averages}
    by_title: dict[str, dict[FileKind, list[tuple[BidsName, Path]]]] = {}
    for path, name in sorted(_named(folder), key=lambda item: item[0].name):
        kinds = by_title.setdefault(_title(name), {})
        kinds.setdefault(FileKind.of(name), []).append((name, path))
    by_title = dict(sorted(by_title.items()))
    found = (
        # A model of volumes may also have parcel maps, which are copies.
        _average(dataset, title, kinds.get(_MAPS) or kinds.get(_MAPS_OF_PARCELS, [])[-1:])
        for title, kinds in by_title.items()
    )
    averages = tuple(made for made in found if made is not None)
    without = tuple(_without_maps(dataset, folder, {made.title for made in averages}))

    def files_of(wanted: Collection[FileKind]) -> dict[str, dict[FileKind, Path]]:
        """Return files of some kinds by title; the last by name if there are several."""
        files = {
            title: {kind: named[-1][1] for kind, named in kinds.items() if kind in wanted}
            for title, kinds in by_title.items()
        }
        return {title: own for title, own in files.items() if own}

    facts: dict[str, Mapping[str, Any]] = {
        str(own.get("Run")): own
        for made in (*averages, *without)
        for own in made.common.get("Runs", ())
    }
    return ParticipantFiles(
        label=label,
        averages=averages,
        runs=tuple(
            RunFiles(
                title=title,
                quality=quality.read_quality(own[quality.FILE]) if quality.FILE in own else {},
                files={kind: path for kind, path in own.items() if kind != quality.FILE},
                facts={**_own_facts(own, results), **facts.get(title, {})},
            )
            for title, own in files_of(of_runs).items()
        ),
        combined=tuple(
            RunFiles(title, {}, own, _own_facts(own, of_averages))
            for title, own in files_of(of_averages).items()
        ),
        without_maps=without,
    )


def sidecar_of(image: Path) -> Path:
    """Return the path of an image's JSON file."""
    stem = image.name.removesuffix(".nii.gz").removesuffix(".pscalar.nii")
    return image.with_name(f"{stem}.json")


def find_participant_labels(dataset: DerivativeDataset) -> tuple[str, ...]:
    """List the participants with a folder in the output."""
    return participants_in(dataset.root) if dataset.root.is_dir() else ()


def _named(folder: Path) -> Iterator[tuple[Path, BidsName]]:
    for path in (*folder.glob("func/*"), *folder.glob("ses-*/func/*")):
        with suppress(ValueError):  # not a BIDS name
            yield path, parse_name(path.name)


def _title(name: BidsName) -> str:
    """Return the part that the names of all files of a run or an average share."""
    return "_".join(f"{key}-{value}" for key, value in name.entities if key not in _OF_FILES)


def _average(
    dataset: DerivativeDataset, title: str, named: Sequence[tuple[BidsName, Path]]
) -> AverageFiles | None:
    """Return an average of maps; None if only resampled maps are left."""
    by_space: dict[tuple[str | None, ...], list[tuple[BidsName, Path]]] = {}
    for name, path in named:
        by_space.setdefault(tuple(map(name.get, _SPACE)), []).append((name, path))
    for files in by_space.values():
        name, first = files[0]
        sidecar = read_inherited(first)
        if RESAMPLED in sidecar:
            continue
        details = sidecar.pop(DETAILS, None)
        shared = _sound(sidecar)
        details = details if isinstance(details, dict) else {}  # the sidecar may be damaged
        details = {label: own for label, own in details.items() if isinstance(own, dict)}
        paths = {own.get("contrast") or "": path for own, path in files}
        if name.get("contrast") is None:  # one file for all contrasts
            paths = dict.fromkeys(details, first)
        overlays = _overlays(dataset, name, shared, paths)
        maps = [
            MapFile(label, path, {**shared, **details.get(label, {})}, overlays.get(label, {}))
            for label, path in paths.items()
        ]
        # By task, and within it simple contrasts before differences.
        maps.sort(key=lambda one: (one.task, " VS " in one.name or "-" in one.name, one.label))
        if maps:
            return _of_sidecar(dataset, title, maps[0].sidecar, tuple(maps))
    return None


def _without_maps(
    dataset: DerivativeDataset, folder: Path, known: Collection[str]
) -> Iterator[AverageFiles]:
    """Yield averages that have only their shared sidecar, and no map."""
    ending = f"_{_MAPS.suffix}.json"
    for path in sorted((*folder.glob(f"*{ending}"), *folder.glob(f"ses-*/*{ending}"))):
        title = path.name.removesuffix(ending)
        if title not in known:
            yield _of_sidecar(dataset, title, _sound(read_json(path)))


def _of_sidecar(
    dataset: DerivativeDataset,
    title: str,
    sidecar: Mapping[str, Any],
    maps: tuple[MapFile, ...] = (),
) -> AverageFiles:
    runs = tuple(str(run.get("Run")) for run in sidecar.get("Runs", ()))
    return AverageFiles(title, maps, runs, completion_record(dataset, title), sidecar)


def _sound(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sidecar without values of types that the program does not write."""
    kept: dict[str, Any] = {
        key: own for key, own in sidecar.items() if isinstance(own, _KINDS.get(key, object))
    }
    if "Runs" in kept:
        kept["Runs"] = [run for run in kept["Runs"] if isinstance(run, dict)]
    return kept


def _overlays(
    dataset: DerivativeDataset,
    name: BidsName,
    shared: Mapping[str, Any],
    maps: Mapping[str, Path],
) -> dict[str, dict[str, Path]]:
    """Return images of the maps' half-widths, by label and desc-, if they are of the same model."""
    entities, identity = {**dict(name.entities), "contrast": None}, shared.get("ModelSHA256")
    if not entities.get("space") or not identity:
        return {}
    sidecar = read_json(dataset.root / half_width_path(entities, ".json"))
    if sidecar.get("ModelSHA256") != identity:
        return {}
    paths: dict[str, dict[str, Path]] = {}
    for label in maps:
        own = {**entities, "contrast": label if name.get("contrast") else None}
        path = dataset.root / half_width_path(own, name.extension)
        paths |= {label: {HALF_WIDTH: path}} if path.is_file() else {}
    return paths


def _own_facts(files: Mapping[FileKind, Path], results: Iterable[FileKind]) -> dict[str, Any]:
    """Return the content of the sidecars of a run's or an average's results."""
    found: dict[str, Any] = {}
    for kind in results:
        if path := files.get(kind):
            sidecar = path.with_name(path.name.removesuffix(kind.extension) + ".json")
            found |= _sound(read_json(sidecar))
    return found
