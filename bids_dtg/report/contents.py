"""What an output folder holds of a participant: the files that a report is made from."""

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
LEVEL = 90  # percent of places that an interval is meant to hold
HALF_WIDTH = "halfwidth"  # of maps of half-widths of intervals
# In sidecars of maps in another space than the model's: that of the model. Pages show its own.
RESAMPLED = "ResampledFrom"
# In the sidecar that maps of all contrasts share: what each contrast's own would hold, by label.
DETAILS = "ContrastDetails"
_MAPS = FileKind("statmap", SYNTHETIC, ".nii.gz")
_MAPS_OF_PARCELS = FileKind("statmap", SYNTHETIC, ".pscalar.nii")
# Entities that say what a file holds, not which run or set it is of.
_SPACE = ("space", "res", "den", "cohort")
_OF_FILES = (*_SPACE, "hemi", "atlas", "seg", "scale", "contrast", "stat", "desc")
# Kinds of what pages compare, count or go through; all else is shown as text.
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


# What the viewer offers beside a map, by the desc- of its files: how sure the map is.
OVERLAYS: Mapping[str, Mapping[str, Any]] = {
    HALF_WIDTH: {
        "title": f"Half-width of the {LEVEL} % interval for a new scan",
        "factor": 1.0,  # the map differs from 0 where it exceeds so many times the overlay
        "rule": f"exceeds the half-width of its {LEVEL} % interval for a new scan",  # in words
    }
}


def half_width_path(entities: Mapping[str, str | None], extension: str) -> PurePosixPath:
    """Return the path of a map of half-widths, below the template's folder in the output.

    Parameters
    ----------
    entities
        Of the map that it belongs to: space, contrast and further ones that are no person's.
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
        """Whether it is one of the maps of a CIFTI file; else it is a volume."""
        return self.path.name.endswith(_MAPS_OF_PARCELS.extension)

    @property
    def name(self) -> str:
        """Name of the contrast, for people."""
        return str(self.sidecar.get("Contrast") or self.label)

    @property
    def description(self) -> str:
        """What the contrast is, in one sentence; empty where the sidecar has none."""
        return str(self.sidecar.get("Description") or "")


@dataclass(frozen=True)
class RunFiles:
    """Files of one run, or of one average over runs whose results are no maps."""

    title: str  # as sub-01_task-rest_run-1
    quality: Mapping[str, str]  # row of its quality table; of an average: none
    files: Mapping[FileKind, Path]  # what panels are drawn from; those that are there
    # What the sidecars of its maps, or of its own results, say of it.
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AverageFiles:
    """One average of maps: what the maps of its contrasts have in common."""

    title: str  # as sub-01_ses-1_task-rest
    maps: tuple[MapFile, ...]  # by task, in the model's order; none where none were wanted
    runs: tuple[str, ...]  # titles of the runs behind them
    record: Mapping[str, Any]  # completion record; empty where there is none
    common: Mapping[str, Any]  # the sidecar that the maps share


@dataclass(frozen=True)
class ParticipantFiles:
    """All that the output folder holds of a participant."""

    label: str  # without sub-
    averages: tuple[AverageFiles, ...]  # in the order of their titles
    runs: tuple[RunFiles, ...]  # likewise
    combined: tuple[RunFiles, ...] = ()  # averages of runs whose results are no maps, likewise
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
    """Find a participant's files below the output folder; damaged ones are as if absent.

    Parameters
    ----------
    dataset
        The output dataset.
    label
        Participant's label, without ``sub-``.
    of_runs
        The files of runs that are looked for, beside their quality tables.
    results
        Those of them whose sidecars say how results of the run were made, where no average does.
    of_averages
        The files of averages of runs that are no maps, with their sidecars.
    """
    folder, results, of_averages = dataset.root / f"sub-{label}", tuple(results), tuple(of_averages)
    of_runs = {quality.FILE, *of_runs, *results} - {*of_averages}
    by_title: dict[str, dict[FileKind, list[tuple[BidsName, Path]]]] = {}
    for path, name in sorted(_named(folder), key=lambda item: item[0].name):
        kinds = by_title.setdefault(_title(name), {})
        kinds.setdefault(FileKind.of(name), []).append((name, path))
    by_title = dict(sorted(by_title.items()))
    found = (
        # Of a model of volumes those of parcels are copies of its maps.
        _average(dataset, title, kinds.get(_MAPS) or kinds.get(_MAPS_OF_PARCELS, [])[-1:])
        for title, kinds in by_title.items()
    )
    averages = tuple(made for made in found if made is not None)
    without = tuple(_without_maps(dataset, folder, {made.title for made in averages}))

    def files_of(wanted: Collection[FileKind]) -> dict[str, dict[FileKind, Path]]:
        """Return files of some kinds by their titles; of several the last name's."""
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
        with suppress(ValueError):  # of another name
            yield path, parse_name(path.name)


def _title(name: BidsName) -> str:
    """Return what names of files of one run, or of one average of maps, have in common."""
    return "_".join(f"{key}-{value}" for key, value in name.entities if key not in _OF_FILES)


def _average(
    dataset: DerivativeDataset, title: str, named: Sequence[tuple[BidsName, Path]]
) -> AverageFiles | None:
    """Return an average of maps; None where all that is left of it are maps in other spaces."""
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
        details = details if isinstance(details, dict) else {}  # else it is damaged
        details = {label: own for label, own in details.items() if isinstance(own, dict)}
        paths = {own.get("contrast") or "": path for own, path in files}
        if name.get("contrast") is None:  # one file of all
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
    """Yield averages of which only what all their files share is here, and no map."""
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
    """Return a sidecar without values of other kinds than the program writes."""
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
    """Return images of the half-widths of maps, by label and desc-, where they are of the model."""
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
