"""Which BOLD series are read: those asked for, and of each run the file that holds it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_dtg.errors import ForeignFileError, RunError, SettingsError
from bids_dtg.files.foreign import read_json
from bids_dtg.files.names import (
    ENTITY_ORDER,
    BidsName,
    parse_name,
    plain_index,
    plain_label,
    same_label,
)
from bids_dtg.files.sidecars import applies_to

# Storage, not measurement: what differs between files of one run.
STORAGE = frozenset(
    {"space", "cohort", "res", "den", "desc", "label", "seg", "atlas", "scale", "stat"}
)
# fMRIPrep makes one file of the echoes, and of magnitude and phase: its name may lack them.
COMBINED = frozenset({"echo", "part"})
# Parcels of CIFTI, and what names of series and maps of them end with.
PARCELS, PARCEL_SERIES, PARCEL_MAPS = "fsLR parcels", (".ptseries.nii",), (".pscalar.nii",)
IMAGES = (".nii.gz", ".nii")
# What differs between files made of one measurement in several ways; its names in filters.
_MADE = {"rec": "reconstruction", "hash": "hash", "part": "part"}
# Keys of filter files beside those of BIDS, as pybids calls them.
_LONG = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "direction": "dir",
    "resolution": "res",
    "density": "den",
    "description": "desc",
}
_KNOWN = {key: key for key in (*ENTITY_ORDER, "datatype", "suffix", "extension")} | _LONG
# The grid of the run itself: fMRIPrep names no space then, or one of these.
NATIVE = "boldref"
_OWN_GRID = frozenset({"boldref", "func", "run"})


@dataclass(frozen=True)
class NamedFile:
    """A file and its name taken apart."""

    path: Path  # absolute
    name: BidsName  # entities, suffix, extension


def named_files(paths: Sequence[Path]) -> list[NamedFile]:
    """Take the names of files apart; those that BIDS does not know are left out."""
    files = []
    for path in paths:
        try:
            files.append(NamedFile(path, parse_name(path.name)))
        except ValueError:
            continue  # notes, scripts and copies that people leave lying about
    return sorted(files, key=lambda file: str(file.path))


def combined_echoes(files: list[NamedFile], who: str, *, filtered: bool) -> list[NamedFile]:
    """Keep the combined series of multi-echo runs, or the one echo that a filter chose."""
    by_run = _grouped(files, lambda file: measured(file, "echo"))
    kept = []
    for members in by_run.values():
        combined = [file for file in members if file.name.get("echo") is None]
        echoes = sorted({e for file in members if (e := file.name.get("echo")) is not None})
        if not combined and not (filtered and len(echoes) == 1):
            raise RunError(
                f"{who} has single echoes only (echo {', '.join(echoes)}): {members[0].path.name}",
                expected="the optimally combined series, without echo-",
                remedy="run fMRIPrep at --level full, which combines them, or choose one echo with "
                '--bids-filter-file: {"bold": {"echo": 2}}',
            )
        kept += combined or members
    return kept


def versions_by_run(files: list[NamedFile]) -> list[list[NamedFile]]:
    """Group files by what was measured: the versions of each run."""
    return list(_grouped(files, measured).values())


def require_one_file_each(files: list[NamedFile], who: str) -> None:
    """Refuse two files of one name but for `.nii` and `.nii.gz`, zeros before a number or case.

    Raises
    ------
    RunError
        Naming both.
    """
    known: dict[tuple[tuple[str, str], ...], NamedFile] = {}
    for file in files:
        alike = tuple((key, plain_index(key, value)) for key, value in file.name.entities)
        other = known.setdefault(alike, file)
        if other is not file:
            first, second = sorted((other.path, file.path))
            raise RunError(
                f"{who} has two files of one run, {first} and {second.name}",
                expected="one: names that differ in .nii and .nii.gz, in zeros before a number, "
                "or in upper and lower case alone mean the same",
                remedy="remove one of them, or rename it if it is another run",
            )


def require_measured_once(runs: Sequence[Sequence[NamedFile]], who: str) -> None:
    """Refuse several reconstructions (rec-), configurations (hash-) or parts of one measurement.

    Parameters
    ----------
    runs
        The versions of each run, from `versions_by_run`.
    who
        The participant, for the message.

    Raises
    ------
    RunError
        Naming two of them, and the filter that chooses.
    """
    made: dict[tuple[tuple[str, str], ...], NamedFile] = {}
    for file, *_ in runs:
        other = made.setdefault(measured(file, *_MADE), file)
        if other is file:
            continue
        entity = next(key for key in _MADE if other.name.get(key) != file.name.get(key))
        one, another = (json.dumps(each.name.get(entity)) for each in (other, file))
        raise RunError(
            f"{who} has one measurement in two files, {other.path} and {file.path.name}, which "
            f"differ in {entity}-",
            expected="one of them, as each would count as a run",
            remedy=f'choose with --bids-filter-file: {{"bold": {{"{_MADE[entity]}": {one}}}}}, '
            f"or {another}",
        )


def belongs_to(name: BidsName, run: BidsName, but: Collection[str] = ()) -> bool:
    """Return whether a file is a run's own by its name, and not that of another run.

    It has all entities of the run but those of storage, echo and part, and no others.

    Parameters
    ----------
    name, run
        Names of the file and of the BOLD series.
    but
        Entities of the file that do not say which run it is of.

    Examples
    --------
    >>> run = parse_name("sub-01_task-rest_run-1_part-mag_desc-preproc_bold.nii.gz")
    >>> belongs_to(parse_name("sub-01_task-rest_run-01_desc-brain_mask.nii.gz"), run)
    True
    >>> belongs_to(parse_name("sub-01_task-rest_desc-brain_mask.nii.gz"), run)
    False
    """
    own, needed = _without(name, {*STORAGE, *but}), _without(run, STORAGE | COMBINED)
    return applies_to(own, run) and applies_to(needed, name)


def _without(name: BidsName, keys: Collection[str]) -> BidsName:
    return replace(name, entities=tuple(pair for pair in name.entities if pair[0] not in keys))


def space_of(name: BidsName) -> str:
    """Return the space that a file is in by its name; `NATIVE` for the run's own grid."""
    if name.extension in PARCEL_SERIES:
        return PARCELS
    space = name.get("space")
    return NATIVE if space in _OWN_GRID else space or NATIVE


def measured(file: NamedFile, *but: str) -> tuple[tuple[str, str], ...]:
    """Return the entities that say what was measured: the same for all files of a run."""
    return tuple(
        (key, value) for key, value in file.name.entities if key not in STORAGE and key not in but
    )


def _grouped(
    files: list[NamedFile], key: Callable[[NamedFile], tuple[tuple[str, str], ...]]
) -> dict[tuple[tuple[str, str], ...], list[NamedFile]]:
    groups: dict[tuple[tuple[str, str], ...], list[NamedFile]] = {}
    for file in files:
        groups.setdefault(key(file), []).append(file)
    return groups


# The options that choose by an entity.
OPTIONS = {"ses": "--session-label", "task": "--task-id"}


@dataclass(frozen=True)
class Selection:
    """What was asked for; labels with or without `ses-`, `task-`."""

    sessions: Sequence[str] = ()  # all where empty
    tasks: Sequence[str] = ()  # those whose names begin with "rest" where empty

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
            return _narrow(files, "task", tasks, who)
        return files if any_task else _resting(files, who)


# All runs of rest.
EVERY_REST = Selection()


def absent_session(who: str, asked: Sequence[str], present: Sequence[str]) -> RunError:
    """Say that a participant has no such session, and list those it has."""
    return RunError(
        f"{who} has no session {', '.join(asked)}",
        expected=f"one of {', '.join(present)}" if present else None,
        remedy=None if present else f"leave {OPTIONS['ses']} out: it has no sessions",
    )


def is_rest(name: BidsName) -> bool:
    """Return whether a file is of a task whose name begins with rest."""
    return (name.get("task") or "").lower().startswith("rest")


def _resting(files: list[NamedFile], who: str) -> list[NamedFile]:
    """Keep files of tasks whose names begin with rest."""
    kept = [file for file in files if is_rest(file.name)]
    if not kept:
        raise RunError(
            f"{who} has no resting-state run; it has {_labels(files, 'task') or 'no task-'}",
            expected="a task whose name begins with rest",
            remedy=f"name another with {OPTIONS['task']}",
        )
    return kept


def _narrow(files: list[NamedFile], entity: str, asked: Sequence[str], who: str) -> list[NamedFile]:
    """Keep files with a requested label; all files if no label is requested."""
    if not asked:
        return files
    kept = [
        file
        for file in files
        if (label := file.name.get(entity)) is not None
        and any(same_label(entity, label, wanted) for wanted in asked)
    ]
    if not kept:
        option, there = OPTIONS[entity], _labels(files, entity)
        what = {"ses": "session", "task": "run of task"}[entity]
        raise RunError(
            f"{who} has no {what} {' or '.join(asked)}; "
            + (f"it has {there}" if there else f"its files have no {entity}-"),
            remedy=f"name another with {option}" if there else f"leave {option} out",
        )
    return kept


def _labels(files: list[NamedFile], entity: str) -> str:
    labels = {value for file in files if (value := file.name.get(entity)) is not None}
    return ", ".join(f"{entity}-{label}" for label in sorted(labels))


def read_filter_file(path: Path) -> dict[str, Any]:
    """Read the `bold` part of a BIDS filter file, by the keys that names of files have.

    Values stay as they are: null (no such entity), "*" (any value), a value or
    a list of these. What such files say of other images, as `t1w`, is not needed here.

    Raises
    ------
    SettingsError
        If the file cannot be read, is not `{"bold": {entity: value}}`, or has a key that is
        no entity: a filter that is not applied would let other runs in.
    """
    example = 'e.g. {"bold": {"acquisition": "mb"}}'
    try:
        content = read_json(path)
    except ForeignFileError as err:
        raise err.as_kind(
            SettingsError, "--bids-filter-file ", expected=f"JSON, {example}"
        ) from err
    bold = content.get("bold", None if content else {}) if isinstance(content, dict) else None
    if not isinstance(bold, dict):
        raise SettingsError(
            f"--bids-filter-file {path} has no filters for 'bold'", expected=example
        )
    for key, value in bold.items():
        if key not in _KNOWN:
            near = difflib.get_close_matches(key.lower(), _KNOWN, n=1)
            raise SettingsError(
                f"--bids-filter-file {path}: 'bold.{key}' is not known",
                expected=f"'bold.{near[0]}'" if near else f"one of {', '.join(sorted(_KNOWN))}",
            )
        values = value if isinstance(value, list) else [value]
        if not values or not all(one is None or type(one) in (str, int) for one in values):
            raise SettingsError(
                f"--bids-filter-file {path}: the value of {key} is no filter",
                expected='a text, a number, null, "*", or a list of these',
            )
    return {_KNOWN[key]: value for key, value in bold.items()}
