"""Runs in folders of participants without BIDS names; they get such names here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.annex import require_content
from bids_dtg.files.sidecars import told_repetition_time
from bids_dtg.inputs.named_files import NamedFile
from bids_dtg.inputs.run import RestRun, TransformFile
from bids_dtg.inputs.runs import natural_order
from bids_dtg.inputs.selection import Selection, absent_session
from bids_dtg.inputs.space_choice import SPACE, SpaceRule


@dataclass(frozen=True)
class PersonFolder:
    """A folder of one participant, or of one session of one."""

    path: Path  # absolute
    participant: str  # label of the entity sub
    session: str | None  # label of the entity ses


@dataclass(frozen=True)
class FolderSeries:
    """A BOLD series in such a folder, cleaned, and the way to MNI152NLin6Asym."""

    file: NamedFile  # the image, with the BIDS name that it would have
    mask: Path | None  # its brain mask, None where there is none
    sidecar: Path | None  # JSON with its repetition time, None where there is none
    reason: str  # one clause: why this file of the run
    space: str = SPACE  # that the image is in
    transforms: tuple[TransformFile, ...] = ()  # from MNI152NLin6Asym to that space


@dataclass(frozen=True)
class Study:
    """How a study lays out its folders."""

    title: str  # for messages
    sign: str  # what a participant's folder holds
    labels: Callable[[str], tuple[str, str | None] | None]  # name -> participant and session
    series: Callable[
        [PersonFolder], Sequence[FolderSeries]
    ]  # its runs; RunError where there are none


def person_folders(study: Study, root: Path, participant: str | None = None) -> list[PersonFolder]:
    """List the folders of a study's participants, or of one of them, sorted by name.

    Raises
    ------
    DatasetError
        If the folder cannot be listed.
    """
    return sorted(_folders(study, root, participant), key=lambda folder: folder.path.name)


def holds_study(study: Study, root: Path, limit: int = 50) -> bool:
    """Tell whether one of the first `limit` folders with a participant's name is laid out so."""
    first = islice(_folders(study, root, None), limit)
    return any((folder.path / study.sign).is_dir() for folder in first)


def find_folder_runs(
    study: Study, root: Path, participant: str, selection: Selection, rule: SpaceRule
) -> tuple[RestRun, ...]:
    """Find the runs of one participant, sorted by name.

    Raises
    ------
    RunError
        If there is no such run, its files are not there, or they are in another space.
    """
    root, who = root.absolute(), f"sub-{participant}"
    if (rule.asked or SPACE).partition(":")[0] != SPACE or rule.model != SPACE:
        raise RunError(
            f"{study.title} is read in {SPACE}, not in {rule.asked or rule.model}",
            remedy="leave --space out" if rule.asked else f"choose a model in {SPACE}",
        )
    folders = person_folders(study, root, participant)
    if not folders:
        raise RunError(f"{who} is not in {root}", remedy="check --participant-label")
    asked = selection.session_labels
    if asked and not any(folder.session in asked for folder in folders):
        raise absent_session(who, asked, [folder.session for folder in folders if folder.session])
    _refuse_twins(folders, who)
    wanted = [folder for folder in folders if not asked or folder.session in asked]
    found = {
        series.file.path: series for folder in wanted for series in _series(study, folder, wanted)
    }
    chosen = selection.of([series.file for series in found.values()], who)
    runs = [_rest_run(found[file.path], participant, root) for file in chosen]
    return tuple(sorted(runs, key=lambda run: natural_order(run.title)))


def _folders(study: Study, root: Path, participant: str | None) -> Iterator[PersonFolder]:
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                labels = study.labels(entry.name)
                if labels and participant in (None, labels[0]) and entry.is_dir():
                    yield PersonFolder(root / entry.name, *labels)
    except OSError as err:
        raise DatasetError(f"{root} cannot be listed: {err.strerror or err}") from err


def _refuse_twins(folders: Sequence[PersonFolder], who: str) -> None:
    by_session: dict[str | None, Path] = {}
    for folder in folders:
        other = by_session.setdefault(folder.session, folder.path)
        if other != folder.path:
            raise RunError(
                f"{other} and {folder.path.name} are both of {who}"
                + (f", ses-{folder.session}" if folder.session else ""),
                remedy="take one of them away, or name them by session",
            )


def _series(
    study: Study, folder: PersonFolder, wanted: Sequence[PersonFolder]
) -> Sequence[FolderSeries]:
    try:
        return study.series(folder)
    except RunError:
        if len(wanted) == 1:
            raise
        return ()  # a session without rest; the others go on


def _rest_run(one: FolderSeries, participant: str, root: Path) -> RestRun:
    file = one.file
    sidecars = (one.sidecar,) if one.sidecar else ()
    for path in (file.path, one.mask, one.sidecar, *(step.path for step in one.transforms)):
        if path is not None:
            require_content(path, participant)
    return RestRun(
        bold=file.path,
        mask=one.mask,
        confounds=None,
        entities=file.name.entities,
        participant=participant,
        session=file.name.get("ses"),
        task=file.name.get("task") or "",
        space=one.space,
        tr_seconds=told_repetition_time(one.sidecar) if one.sidecar else None,
        sidecars=sidecars,
        root=root,
        transforms=one.transforms,
        space_reason=one.reason,
    )
