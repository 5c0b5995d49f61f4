"""The files of a participant in an output folder, from which a report is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_dtg.files.derivatives import (
    DerivativeDataset,
    files_of_participant,
    participants_in,
)
from bids_dtg.files.foreign import require_result
from bids_dtg.files.names import BidsName, FileKind, parse_name
from bids_dtg.files.provenance import completion_record
from bids_dtg.files.sidecars import read_inherited, sidecar_of
from bids_dtg.files.text import read_json
from bids_dtg.report import quality

SYNTHETIC = "synthetic"
# Key in sidecars of resampled maps, with the model's space. Pages show only maps in that space.
RESAMPLED = "ResampledFrom"
# Key in the sidecar that maps of all contrasts share: facts of single contrasts, by label.
DETAILS = "ContrastDetails"
_MAPS = FileKind("statmap", SYNTHETIC, ".nii.gz")
_MAPS_OF_PARCELS = FileKind("statmap", SYNTHETIC, ".pscalar.nii")
_SHARED = "_statmap.json"  # end of the name of the sidecar that an average's maps share
# Entities that describe a file's content, not its run or average.
_SPACE = ("space", "res", "den", "cohort")
CONTENT_ENTITIES = (
    *_SPACE,
    "hemi",
    "atlas",
    "seg",
    "scale",
    "contrast",
    "stat",
    "desc",
)
_Named = tuple[BidsName, Path]
# How the descriptions of predicted maps begin.
NOT_MEASURED = "Predicted from resting-state fMRI, not measured: "


@dataclass(frozen=True)
class MapFile:
    """One predicted map."""

    label: str  # value of contrast-
    path: Path  # of the image
    sidecar: Mapping[str, Any]  # its JSON file; empty where it cannot be read

    def text(self, key: str) -> str:
        """Return a text of the sidecar; empty where it has none."""
        return str(self.sidecar.get(key) or "")

    @property
    def task(self) -> str:
        """Task of the contrast; empty where the sidecar has none."""
        return self.text("Task")

    @property
    def has_parcels(self) -> bool:
        """Whether it is one of the maps in a CIFTI file, and not a volume."""
        return self.path.name.endswith(_MAPS_OF_PARCELS.extension)

    @property
    def name(self) -> str:
        """Name of the contrast, for display."""
        return self.text("Contrast") or self.label

    @property
    def description(self) -> str:
        """Description of the contrast in one sentence; empty where the sidecar has none."""
        return self.text("Description")

    def beside(self, kind: FileKind) -> Path:
        """Return the path of another kind of file of the same maps, which may not exist."""
        # The name as it is: what others put into the folder may break the rules for names.
        name = parse_name(self.path.name)
        entities = [pair for pair in name.entities if pair[0] != "desc"]
        if kind.desc is not None:
            entities.append(("desc", kind.desc))
        return self.path.with_name(
            str(BidsName(tuple(entities), kind.suffix, kind.extension))
        )

    @property
    def is_difference(self) -> bool:
        """Whether it is a difference of contrasts, as its name says."""
        return " VS " in self.name or "-" in self.name


@dataclass(frozen=True)
class RunFiles:
    """Files of one run, or of one average over runs whose results are not maps."""

    title: str  # e.g. sub-01_task-rest_run-1
    quality: Mapping[str, str]  # row of its quality table; empty for an average
    files: Mapping[FileKind, Path]  # existing files that panels are drawn from
    # What the sidecars of its maps, or of its other results, say about the run.
    facts: Mapping[str, Any] = field(default_factory=dict)

    def metric(self, name: str) -> float | None:
        """Return a number of its quality table; None if it is unknown."""
        return quality.number(self.quality.get(name))


@dataclass(frozen=True)
class AverageFiles:
    """One average of maps: its maps, and what they have in common."""

    title: str  # e.g. sub-01_ses-1_task-rest
    maps: tuple[MapFile, ...]  # in the model's order; empty where none were wanted
    runs: tuple[str, ...]  # titles of the runs behind them
    record: Mapping[str, Any]  # completion record; empty where there is none
    common: Mapping[str, Any]  # the sidecar that the maps share

    @property
    def participant(self) -> str:
        """Label of its participant, without sub-."""
        return self.title.partition("_")[0].removeprefix("sub-")


@dataclass(frozen=True)
class ParticipantFiles:
    """All files of a participant in the output folder."""

    label: str  # without sub-
    averages: tuple[AverageFiles, ...]  # of maps, in the order of their titles
    runs: tuple[RunFiles, ...]  # likewise
    # Averages of runs whose results are not maps, likewise.
    combined: tuple[RunFiles, ...] = ()


def find_participant(
    dataset: DerivativeDataset,
    label: str,
    run_kinds: Iterable[FileKind] = (),
    *,
    results: Sequence[FileKind] = (),
    average_kinds: Sequence[FileKind] = (),
) -> ParticipantFiles:
    """Find a participant's files in the output folder; damaged files are treated as absent.

    Parameters
    ----------
    dataset
        The output dataset.
    label
        Participant's label, without ``sub-``.
    run_kinds
        Kinds of run files to find, besides quality tables.
    results
        Kinds of run files whose sidecars say how the results were made, where no average does.
    average_kinds
        Kinds of files of averages that are not maps, with their sidecars.
    """
    folder = dataset.root / f"sub-{label}"
    by_title = _by_title(dataset, label)
    shared_sidecars = (
        *folder.glob(f"*{_SHARED}"),
        *folder.glob(f"ses-*/*{_SHARED}"),
    )
    shared = {path.name.removesuffix(_SHARED): path for path in shared_sidecars}
    averages = []
    for title in sorted({*by_title, *shared}):
        kinds = by_title.get(title, {})
        # A model of parcels may also have volumes, which are copies.
        maps = _maps(kinds.get(_MAPS, ()))
        maps = maps or _maps(kinds.get(_MAPS_OF_PARCELS, ())[-1:])
        if maps or title in shared:
            common = maps[0].sidecar if maps else read_json(shared[title])
            if title in shared and not common:
                require_result(shared[title], dataset.root)
            names = tuple(str(run["Run"]) for run in common.get("Runs", ()))
            record = completion_record(dataset, title)
            averages.append(AverageFiles(title, maps, names, record, common))
    facts_of_runs = {
        run["Run"]: run
        for average in averages
        for run in average.common.get("Runs", ())
    }
    single_run_kinds = {quality.FILE, *run_kinds, *results} - {*average_kinds}
    runs, combined = [], []
    for title, kinds in sorted(by_title.items()):
        last = {kind: named[-1][1] for kind, named in kinds.items()}
        run_files = {
            kind: path for kind, path in last.items() if kind in single_run_kinds
        }
        if run_files:
            table = run_files.pop(quality.FILE, None)
            row = quality.read_quality(table) if table else {}
            if table and not row:
                require_result(table, dataset.root)
            facts = _sidecars(run_files, results) | facts_of_runs.get(title, {})
            runs.append(RunFiles(title, row, run_files, facts))
        average_files = {
            kind: path for kind, path in last.items() if kind in average_kinds
        }
        if average_files:
            facts = _sidecars(average_files, average_kinds)
            combined.append(RunFiles(title, {}, average_files, facts))
    return ParticipantFiles(label, tuple(averages), tuple(runs), tuple(combined))


def values_of_runs(runs: Iterable[RunFiles], metric: str) -> list[float]:
    """Return a quality metric of runs, of those where it is known."""
    values = (run.metric(metric) for run in runs)
    return [value for value in values if value is not None]


def title_of(name: BidsName) -> str:
    """Return the title of the run or average that a file is of, from the file's name."""
    parts = (
        f"{key}-{label}" for key, label in name.entities if key not in CONTENT_ENTITIES
    )
    return "_".join(parts)


def find_titles(dataset: DerivativeDataset, label: str) -> tuple[str, ...]:
    """Return the titles of a participant's runs and averages, by the names of files only."""
    return tuple(sorted(_by_title(dataset, label)))


def combination(record: Mapping[str, Any]) -> str | None:
    """Return the ``--combine`` of a completion record; None where it states none."""
    options = record.get("Options")
    value = options.get("combine") if isinstance(options, Mapping) else None
    return value if isinstance(value, str) else None


def _by_title(
    dataset: DerivativeDataset, label: str
) -> dict[str, dict[FileKind, list[_Named]]]:
    """Return a participant's files by title of the run or average, and by kind."""
    by_title: dict[str, dict[FileKind, list[_Named]]] = {}
    for path in files_of_participant(dataset.root, label, "*"):
        with suppress(ValueError):  # not a BIDS name
            name = parse_name(path.name)
            kinds = by_title.setdefault(title_of(name), {})
            kinds.setdefault(FileKind.of(name), []).append((name, path))
    return by_title


def find_participant_labels(dataset: DerivativeDataset) -> tuple[str, ...]:
    """List the participants with a folder in the output."""
    return participants_in(dataset.root) if dataset.root.is_dir() else ()


def _maps(named: Iterable[_Named]) -> tuple[MapFile, ...]:
    """Return the maps in the model's space, in the model's order of contrasts."""
    by_space: dict[tuple[str | None, ...], list[_Named]] = {}
    for name, path in named:
        by_space.setdefault(tuple(map(name.get, _SPACE)), []).append((name, path))
    for members in by_space.values():
        first = members[0][1]
        shared = read_inherited(first)
        details = shared.pop(DETAILS, {})
        if RESAMPLED in shared:
            continue
        files = {name.get("contrast"): path for name, path in members}
        if None in files:  # one file for all contrasts
            files = dict.fromkeys(details, first)
        maps = [
            MapFile(str(label), path, {**shared, **details.get(label, {})})
            for label, path in files.items()
        ]
        # The sidecar lists contrasts in this order. Those of a damaged one follow by name.
        order = {label: number for number, label in enumerate(details)}
        maps.sort(key=lambda shown: (order.get(shown.label, len(order)), shown.label))
        if maps:
            return tuple(maps)
    return ()


def _sidecars(
    files: Mapping[FileKind, Path], results: Iterable[FileKind]
) -> dict[str, Any]:
    """Return the content of the sidecars of a run's or an average's results."""
    facts: dict[str, Any] = {}
    for kind in results:
        if path := files.get(kind):
            facts |= read_json(sidecar_of(path))
    return facts
