"""Which of a participant's BOLD series were asked for: session, task, run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bids_dtg.errors import RunError
from bids_dtg.files.names import plain_label, same_label
from bids_dtg.inputs.named_files import NamedFile

_OPTIONS = {"ses": "--session-label", "task": "--task-id", "run": "--run"}


@dataclass(frozen=True)
class Selection:
    """What was asked for; labels with or without `ses-`, `task-`, `run-`."""

    sessions: Sequence[str] = ()  # all where empty
    tasks: Sequence[str] = ()  # those whose names begin with "rest" where empty
    runs: Sequence[str] = ()  # all where empty

    @property
    def session_labels(self) -> list[str]:
        """Return plain labels of sessions."""
        return [plain_label(label, "ses") for label in self.sessions]

    def of(self, files: list[NamedFile], who: str, *, any_task: bool = False) -> list[NamedFile]:
        """Keep the series that were asked for; with `any_task`, a filter decides on the task.

        Raises
        ------
        RunError
            If there is none: what there is.
        """
        files = _narrow(files, "ses", self.session_labels, who)
        if self.tasks:
            tasks = [plain_label(label, "task") for label in self.tasks]
            files = _narrow(files, "task", tasks, who)
        elif not any_task:
            files = _resting(files, who)
        return _narrow(files, "run", [plain_label(label, "run") for label in self.runs], who)


# All runs of rest.
EVERY_REST = Selection()


def absent_session(who: str, asked: Sequence[str], present: Sequence[str]) -> RunError:
    """Say that a participant has no such session, and which there are."""
    return RunError(
        f"{who} has no session {', '.join(asked)}",
        expected=f"one of {', '.join(present)}" if present else None,
        remedy=None if present else f"leave {_OPTIONS['ses']} out: it has no sessions",
    )


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
