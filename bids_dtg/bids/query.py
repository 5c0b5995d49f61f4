"""Finding the resting-state runs of a participant."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_dtg.bids.annex import require_content
from bids_dtg.bids.index import find_paths, open_index
from bids_dtg.bids.names import BidsName, plain_label, same_label
from bids_dtg.bids.series import (
    STORAGE,
    NamedFile,
    combined_echoes,
    measured,
    named_files,
    one_a_run,
)
from bids_dtg.bids.sidecars import applies_to, repetition_time
from bids_dtg.errors import RunError

SPACE = "MNI152NLin6Asym"
_IMAGES = (".nii.gz", ".nii")
_OPTIONS = {"ses": "--session-label", "task": "--task-id", "run": "--run"}
_REMEDY_SPACE = f"fmriprep --output-spaces {SPACE}:res-2"


@dataclass(frozen=True)
class RestRun:
    """One resting-state run, as files; no image has been opened."""

    bold: Path  # absolute path of the BOLD series
    mask: Path | None  # its brain mask, None where there is none
    confounds: Path | None  # its table of confounds, None where there is none
    entities: tuple[tuple[str, str], ...]  # of the BOLD file's name, in its order
    participant: str  # label without sub-
    session: str | None  # label without ses-
    task: str  # label without task-
    space: str  # template that the BOLD series is in
    tr_seconds: float | None  # RepetitionTime of the sidecars; None: only the header knows
    sidecars: tuple[Path, ...]  # JSON files read for it, nearest first
    root: Path  # the dataset of derivatives

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that the run's results depend on."""
        return tuple(p for p in (self.bold, self.mask, self.confounds, *self.sidecars) if p)

    @property
    def title(self) -> str:
        """Name for messages, e.g. `sub-01_task-rest_run-1`."""
        return "_".join(f"{k}-{v}" for k, v in self.entities if k not in STORAGE)


def find_runs(
    root: Path,
    participant: str,
    *,
    space: str = SPACE,
    sessions: Sequence[str] = (),
    tasks: Sequence[str] = (),
    runs: Sequence[str] = (),
    bids_filter: Mapping[str, Any] | None = None,
    database_dir: Path | None = None,
) -> tuple[RestRun, ...]:
    """Find the runs of one participant, sorted by name.

    Parameters
    ----------
    root
        The dataset of derivatives.
    participant
        Label without `sub-`.
    space
        Template that the BOLD series must be in.
    sessions, tasks, runs
        Labels, with or without `ses-`, `task-`, `run-`; all where empty, but of
        the tasks those whose names begin with "rest".
    bids_filter
        Further pybids filters, from `filters.read_filter_file`.
    database_dir
        Folder for pybids' database; none is kept where None.

    Raises
    ------
    RunError
        If there is no such run, or its files are not there.
    """
    root, bids_filter = root.absolute(), dict(bids_filter or {})
    sessions = [plain_label(label, "ses") for label in sessions]
    who = f"sub-{participant}"
    if not (root / who).is_dir():
        raise RunError(f"{who} is not in {root}", remedy="check --participant-label")
    index = open_index(root, participant, sessions, database_dir)
    func = named_files(find_paths(index, {}))
    bold = [f for f in func if f.name.suffix == "bold" and not f.name.extension.endswith(".json")]
    if not bold:
        raise _no_bold(root / who, sessions, find_paths(index, {}))
    bold = _narrow(bold, "ses", sessions, who)
    if tasks:
        bold = _narrow(bold, "task", [plain_label(label, "task") for label in tasks], who)
    elif "task" not in bids_filter:
        bold = _resting(bold, who)
    bold = _narrow(bold, "run", [plain_label(label, "run") for label in runs], who)
    if bids_filter:
        # pybids may have resolved a link on the way: names are what both sides share.
        allowed = {path.name for path in find_paths(index, bids_filter)}
        bold = [f for f in bold if f.path.name in allowed]
        if not bold:
            raise RunError(f"{who}: the BIDS filter file leaves no run", remedy="widen the filter")
    series = _in_space(_preprocessed(bold, who), space, who)
    chosen = one_a_run(combined_echoes(series, who, filtered="echo" in bids_filter))
    found = (_rest_run(file, func, root, participant, space) for file in chosen)
    return tuple(sorted(found, key=lambda run: _natural(run.title)))


def _no_bold(folder: Path, sessions: Sequence[str], files: Sequence[Path]) -> RunError:
    present = sorted(path.name for path in folder.glob("ses-*"))
    if sessions and not any(f"ses-{label}" in present for label in sessions):
        return RunError(
            f"{folder.name} has no session {', '.join(sessions)}",
            expected=f"one of {', '.join(present)}" if present else None,
            remedy=None if present else f"leave {_OPTIONS['ses']} out: it has no sessions",
        )
    known = {file.path for file in named_files(files)}
    odd = sorted(path.name for path in files if path not in known and path.name.endswith(_IMAGES))
    if odd:
        return RunError(
            f"{folder.name} has no BOLD series in {folder}: there are image files there, but "
            f"their names are not BIDS, e.g. {odd[0]}",
            expected=f"e.g. sub-LABEL_task-rest_space-{SPACE}_desc-preproc_bold.nii.gz, "
            "labels of letters and digits only",
            remedy="rename the files and their folders",
        )
    return RunError(f"{folder.name} has no BOLD series in {folder}", remedy="run fMRIPrep on it")


def _natural(title: str) -> list[str]:
    """Sort run-10 after run-9."""
    return [part.zfill(12) if part.isdecimal() else part for part in re.split(r"(\d+)", title)]


def _resting(files: list[NamedFile], who: str) -> list[NamedFile]:
    """Keep files of tasks whose names begin with rest."""
    kept = [file for file in files if (file.name.get("task") or "").lower().startswith("rest")]
    if not kept:
        raise RunError(
            f"{who} has no resting-state run; it has {_labels(files, 'task') or 'no task-'}",
            expected="a task whose name begins with rest",
            remedy=f"name another with {_OPTIONS['task']}",
        )
    return kept


def _narrow(files: list[NamedFile], entity: str, asked: Sequence[str], who: str) -> list[NamedFile]:
    """Keep files whose label is one of those asked for; all where none is."""
    if not asked:
        return files
    kept = [
        file
        for file in files
        if (label := file.name.get(entity)) is not None
        and any(same_label(entity, label, wanted) for wanted in asked)
    ]
    if not kept:
        option, there = _OPTIONS[entity], _labels(files, entity)
        what = {"ses": "session", "task": "run of task", "run": "run"}[entity]
        raise RunError(
            f"{who} has no {what} {' or '.join(asked)}; "
            + (f"it has {there}" if there else f"its files have no {entity}-"),
            remedy=f"name another with {option}" if there else f"leave {option} out",
        )
    return kept


def _labels(files: list[NamedFile], entity: str) -> str:
    labels = {value for file in files if (value := file.name.get(entity)) is not None}
    return ", ".join(f"{entity}-{label}" for label in sorted(labels))


def _preprocessed(files: list[NamedFile], who: str) -> list[NamedFile]:
    # Phase and complex parts are no BOLD signal.
    images = [
        file
        for file in files
        if file.name.extension in _IMAGES
        and file.name.get("desc") == "preproc"
        and file.name.get("part") in {None, "mag"}
    ]
    if images:
        return images
    kinds = sorted({file.name.extension for file in files})
    if any(kind.startswith(".dtseries") for kind in kinds):
        found = f"{who} has CIFTI files only ({', '.join(kinds)}): they hold no volume of the brain"
    else:
        found = f"{who} has no desc-preproc_bold image, but {files[0].path.name}"
    raise RunError(found, expected=f"NIfTI volumes in {SPACE}", remedy=_REMEDY_SPACE)


def _in_space(files: list[NamedFile], space: str, who: str) -> list[NamedFile]:
    kept = [file for file in files if file.name.get("space") == space]
    if not kept:
        spaces = sorted({file.name.get("space") or "native (no space-)" for file in files})
        raise RunError(
            f"{who} has its resting-state BOLD series in other spaces only: {', '.join(spaces)}",
            expected=f"space-{space}",
            remedy=_REMEDY_SPACE,
        )
    lost = {measured(file, but="echo") for file in files}
    lost -= {measured(file, but="echo") for file in kept}
    for entities in sorted(lost):
        name = "_".join(f"{key}-{value}" for key, value in entities)
        warnings.warn(f"{name} is left out: it is not in space-{space}", stacklevel=3)
    return kept


def _rest_run(
    file: NamedFile, func: list[NamedFile], root: Path, participant: str, space: str
) -> RestRun:
    mask = _companion(file, func, desc="brain", suffixes={"mask"}, extensions=_IMAGES)
    table = _companion(
        file, func, desc="confounds", suffixes={"timeseries", "regressors"}, extensions=(".tsv",)
    )
    for path in (file.path, mask, table):
        if path is not None:
            require_content(path, participant)
    tr_seconds, sidecars = repetition_time(file.path, root)
    return RestRun(
        bold=file.path,
        mask=mask,
        confounds=table,
        entities=file.name.entities,
        participant=participant,
        session=file.name.get("ses"),
        task=file.name.get("task") or "",
        space=space,
        tr_seconds=tr_seconds,
        sidecars=sidecars,
        root=root,
    )


def _companion(
    bold: NamedFile,
    func: list[NamedFile],
    *,
    desc: str,
    suffixes: set[str],
    extensions: tuple[str, ...],
) -> Path | None:
    """Find the file beside a BOLD series that shares most entities with it.

    A mask is in the space and resolution of the series; confounds are in none.
    """
    grid = ("space", "cohort", "res") if "mask" in suffixes else ()
    found = [
        file
        for file in func
        if file.path.parent == bold.path.parent
        and file.name.suffix in suffixes
        and file.name.extension in extensions
        and file.name.get("desc") == desc
        and all(file.name.get(key) == bold.name.get(key) for key in grid)
        and (grid or file.name.get("space") is None)
        and applies_to(_without_desc(file.name), bold.name)
    ]
    if not found:
        return None
    # Newer names win over older ones that somebody kept beside them.
    return max(found, key=lambda f: (len(f.name.entities), f.name.suffix == "timeseries")).path


def _without_desc(name: BidsName) -> BidsName:
    return replace(name, entities=tuple(pair for pair in name.entities if pair[0] != "desc"))
