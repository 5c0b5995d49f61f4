"""Event files of a raw dataset (BIDS ``*_events.tsv``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import DatasetError, ForeignFileError, RunError
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.foreign import read_table
from bids_dtg.files.names import parse_name, plain_label, same_label
from bids_dtg.notices import named

# Folders of a participant (and session) with event files: with and without images.
_FOLDERS = ("func", "beh")


@dataclass(frozen=True)
class EventsFile:
    """The event file of one run of a task."""

    path: Path
    participant: str  # label without `sub-`
    session: str | None  # label without `ses-`; None: the dataset has no sessions
    task: str
    run: str | None
    entities: tuple[tuple[str, str], ...]  # all of its name, in order


def find_events(
    root: Path,
    tasks: Sequence[str] = (),
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
) -> tuple[EventsFile, ...]:
    """Find the event files of a raw dataset: people in order, then sessions, tasks and runs.

    Folders `func` and `beh` are looked at. Files whose names are no BIDS names, or are another
    participant's, are left out.

    Parameters
    ----------
    root
        Root folder of the dataset.
    tasks, participants, sessions
        Labels that are wanted, with or without the entity before them; all where empty.

    Raises
    ------
    DatasetError
        The folder cannot be listed, lacks a participant asked for, or has no such file.
    SettingsError
        What was asked for is no label.
    """
    people = participants_in(root)
    asked = [plain_label(label, "sub") for label in participants]
    if absent := [label for label in asked if label not in people]:
        raise DatasetError(
            f"{root} has no folder of {named([f'sub-{label}' for label in absent])}",
            expected=f"one of {named([f'sub-{label}' for label in people])}",
        )
    wanted = [plain_label(task, "task") for task in tasks]
    visits = [plain_label(session, "ses") for session in sessions]
    files = tuple(
        file
        for person in people
        if not asked or person in asked
        for file in events_of(root / f"sub-{person}", person)
        if (not wanted or file.task in wanted) and (not visits or file.session in visits)
    )
    if not files:
        raise DatasetError(
            f"{root} has no event files{f' of the tasks {named(wanted)}' if wanted else ''}",
            expected="sub-*/func/sub-*_task-*_events.tsv",
        )
    return files


def read_events(path: Path) -> list[dict[str, str]]:
    """Read an event file: a row an event, all cells as text.

    Raises
    ------
    RunError
        It cannot be read, is no table, or has no columns or two of one name.
    """
    try:
        table = read_table(path)
    except ForeignFileError as err:
        raise err.as_kind(RunError) from err
    if not table.header or table.twice():
        raise RunError(
            f"{path} has {'two columns ' + named(table.twice()) if table.header else 'no header'}",
            expected="columns of different names, such as onset, duration and trial_type",
        )
    return table.dicts()


def events_of(folder: Path, person: str) -> list[EventsFile]:
    """Return the event files in a participant's folder, in order of sessions, tasks and runs."""
    files = []
    for path in (*folder.glob("*/*_events.tsv"), *folder.glob("ses-*/*/*_events.tsv")):
        try:
            name = parse_name(path.name)
        except ValueError:
            continue
        task, own = name.get("task"), same_label("sub", name.get("sub") or "", person)
        if task is not None and own and path.parent.name in _FOLDERS:
            found = path, person, name.get("ses"), task, name.get("run"), name.entities
            files.append(EventsFile(*found))
    # run-10 comes after run-2.
    return sorted(
        files, key=lambda f: (f.session or "", f.task, (f.run or "").zfill(12), f.path.name)
    )
