"""Event files of a raw dataset (BIDS ``*_events.tsv``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.derivatives import participants_in
from bids_dtg.files.foreign import read_table, reading, require_listable
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.run import NamedFile, named_files, natural_order
from bids_dtg.notices import named

# Folders of a participant (and session) that hold event files, with or without images.
_FOLDERS = ("func", "beh")


def find_events(
    root: Path, tasks: Sequence[str] = (), sessions: Sequence[str] = ()
) -> tuple[NamedFile, ...]:
    """Find the event files of a raw dataset, sorted by participant, session, task and run.

    The folders `func` and `beh` are searched. Files that have no BIDS names, or that are named
    after another participant, are ignored.

    Parameters
    ----------
    root
        Root folder of the dataset.
    tasks, sessions
        Requested labels, with or without their entity; empty for all.

    Raises
    ------
    DatasetError
        The folder cannot be listed, or has no such file.
    SettingsError
        A request is not a valid label.
    """
    task_labels = [plain_label(task, "task") for task in tasks]
    session_labels = [plain_label(session, "ses") for session in sessions]
    files: list[NamedFile] = []
    for participant in participants_in(root):
        for file in events_of(root / f"sub-{participant}", participant):
            is_wanted_task = not task_labels or file.task in task_labels
            is_wanted_session = not session_labels or file.session in session_labels
            if is_wanted_task and is_wanted_session:
                files.append(file)
    if not files:
        wanted_tasks = f" for the tasks {named(task_labels)}" if task_labels else ""
        raise DatasetError(
            f"{root} has no event files{wanted_tasks}",
            expected="sub-*/func/sub-*_task-*_events.tsv",
        )
    return tuple(files)


def read_events(path: Path) -> list[dict[str, str]]:
    """Read an event file: one row per event, all cells as text.

    Raises
    ------
    RunError
        It cannot be read, is not a table, has no columns or rows, or has two columns of the same
        name.
    """
    with reading(path, RunError):
        table = read_table(path)
    fault = f"two columns {named(table.twice())}" if table.twice() else ""
    if not table.header:
        fault = "no header"
    if fault:
        raise RunError(
            f"{path} has {fault}",
            expected="columns with different names, such as onset, duration and trial_type",
        )
    if not table.rows:
        raise RunError(
            f"{path} has a header and no rows", expected="a row for each event"
        )
    return table.dicts()


def events_of(folder: Path, participant: str) -> list[NamedFile]:
    """Return the event files in a participant's folder, sorted by session, task and run."""
    require_listable(folder)
    paths = (*folder.glob("*/*_events.tsv"), *folder.glob("ses-*/*/*_events.tsv"))
    files = named_files(path for path in paths if path.parent.name in _FOLDERS)
    participant_files = [
        file for file in files if file.participant == participant and file.task
    ]
    return sorted(
        participant_files,
        key=lambda file: (
            file.session or "",
            file.task,
            natural_order(file.path.name),
        ),
    )
