"""Selection of runs: requested sessions and tasks, and BIDS filters by pybids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_dtg.errors import RunError, SettingsError, did_you_mean
from bids_dtg.files.foreign import read_json_object, reading
from bids_dtg.files.names import ENTITY_ORDER, plain_label, same_label
from bids_dtg.inputs.run import NamedFile, is_rest

# Options that select by an entity.
OPTIONS = {"ses": "--session-label", "task": "--task-id"}
# pybids' long names of entities, which filter files may use.
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
_SHORT = (*ENTITY_ORDER, "datatype", "suffix", "extension")
# Short names by all names that a filter file may use.
_SHORT_NAMES = {key: key for key in _SHORT} | _LONG
# fMRIPrep's names of filters for other images.
_OTHER_IMAGES = frozenset({"t1w", "t2w", "flair", "sbref", "fmap", "roi", "asl", "dwi"})
_WHOLE_NUMBERS = frozenset({"run", "echo"})


@dataclass(frozen=True)
class Selection:
    """The requested sessions and tasks (labels with or without `ses-`, `task-`), and filters."""

    sessions: Sequence[str] = ()  # empty for all
    tasks: Sequence[str] = ()  # empty for tasks whose names begin with "rest"
    filters: Mapping[str, Any] = field(default_factory=dict)  # from `read_filter_file`

    def of(self, files: list[NamedFile], participant: str) -> list[NamedFile]:
        """Keep the series of the requested sessions and tasks.

        Raises
        ------
        RunError
            There is none; the message lists the labels that exist.
        """
        session_files = narrow(files, participant, "ses", self.sessions)
        if self.tasks:
            return narrow(session_files, participant, "task", self.tasks)
        if "task" in self.filters:  # the filter selects the task
            return session_files
        resting = [file for file in session_files if is_rest(file.name)]
        if resting:
            return resting
        tasks = _labels(session_files, "task") or "no task-"
        raise RunError(
            f"{participant} has no resting-state run; it has {tasks}",
            expected="a task whose name begins with rest",
            remedy=f"choose another task with {OPTIONS['task']}",
        )

    def filtered(self, files: list[NamedFile], folder: Path) -> list[NamedFile]:
        """Keep the series in a participant's folder that match the filters.

        Raises
        ------
        RunError
            No series matches, or pybids cannot read a name.
        """
        if not self.filters:
            return files
        names = _filtered_names(folder, self.filters)
        matching = [file for file in files if file.path.name in names]
        if matching:
            return matching
        raise RunError(
            f"{folder.name}: the BIDS filter file matches none of the {len(files)} series, such as "
            f"{files[0].path.name}",
            expected="values as in file names, without the entity (A, not ses-A)",
            remedy="correct or widen the filter",
        )


def narrow(
    files: list[NamedFile], participant: str, entity: str, labels: Sequence[str]
) -> list[NamedFile]:
    """Keep files with a requested label; all files if no label is requested.

    Raises
    ------
    RunError
        There is none; the message lists the labels that exist.
    SettingsError
        A label is invalid.
    """
    if not labels:
        return files
    requested = [plain_label(label, entity) for label in labels]
    matching = []
    for file in files:
        label = file.name.get(entity) or ""
        if any(same_label(entity, label, request) for request in requested):
            matching.append(file)
    if not matching:
        option = OPTIONS[entity]
        existing = _labels(files, entity)
        what = {"ses": "session", "task": "run of task"}[entity]
        content = f"its files have no {entity}-"
        remedy = f"leave {option} out"
        if existing:
            content = f"it has {existing}"
            remedy = f"choose another with {option}"
        raise RunError(
            f"{participant} has no {what} {' or '.join(requested)}; {content}",
            remedy=remedy,
        )
    return matching


def _labels(files: list[NamedFile], entity: str) -> str:
    labels = {file.name.get(entity) for file in files}
    return ", ".join(f"{entity}-{label}" for label in sorted(filter(None, labels)))


def read_filter_file(path: Path) -> dict[str, Any]:
    """Read the `bold` part of a BIDS filter file, by the short keys of file names.

    Values are returned unchanged: null (no such entity), "*" (any value), a value, or a list of
    these. Filters for other images, such as `t1w`, are ignored.

    Raises
    ------
    SettingsError
        The file cannot be read, is not `{"bold": {entity: value}}`, or has an unknown key, which
        would otherwise let unwanted runs in.
    """
    option = f"--bids-filter-file {path}"
    with reading(path, SettingsError):
        content = read_json_object(path)
    has_others = bool(content) and not set(content) <= _OTHER_IMAGES
    bold = content.get("bold", None if has_others else {})
    if not isinstance(bold, dict):
        raise SettingsError(
            f"{option} has no filters for 'bold'",
            expected='e.g. {"bold": {"acquisition": "mb"}}',
        )
    for key, value in bold.items():
        if key not in _SHORT_NAMES:
            raise SettingsError(
                f"{option}: 'bold.{key}' is not known",
                expected=f"one of {', '.join(sorted(_SHORT_NAMES))}",
                remedy=did_you_mean(key, _SHORT_NAMES),
            )
        if value == []:
            raise SettingsError(
                f"{option}: {key} is an empty list, which no file matches",
                expected="a value, a list of values, null or '*'",
                remedy=f"leave {key} out to allow all values",
            )
        for item in value if isinstance(value, list) else [value]:
            if item is not None and type(item) not in (str, int):
                raise SettingsError(
                    f"{option}: {key} is {item}", expected="texts or numbers"
                )
    return {_SHORT_NAMES[key]: value for key, value in bold.items()}


def _filtered_names(folder: Path, filters: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of a participant's functional files that match filters, by pybids."""
    from bids import BIDSLayout, BIDSLayoutIndexer

    with reading(folder, RunError, as_what=" by pybids"):
        indexer = BIDSLayoutIndexer(
            validate=False,
            index_metadata=False,
            config_filename="\n",  # ignore pybids configurations in the dataset
            ignore=[re.compile(r"^/(ses-[^/]+/)?(?!func(/|$)|ses-[^/]+(/|$))")],
        )
        # Index only the participant's folder, as a whole dataset takes long.
        layout = BIDSLayout(
            folder,
            validate=False,
            is_derivative=True,
            config=[_pybids_config()],
            indexer=indexer,
        )
        queries = {name: _query(value) for name, value in filters.items()}
        paths = layout.get(return_type="file", invalid_filters="allow", **queries)
    # Compare names, as pybids may have resolved links in paths.
    return frozenset(Path(path).name for path in paths)


def _query(value: Any) -> Any:
    from bids.layout import Query

    if isinstance(value, list):
        return [_query(item) for item in value]
    words: dict[Any, Any] = {None: Query.NONE, "*": Query.ANY}
    # Of the members, as ANY is another name of REQUIRED.
    words |= {f"Query.{name}": query for name, query in Query.__members__.items()}
    return words.get(value, value)


def _pybids_config() -> dict[str, Any]:
    """Return entity patterns that match the file's name alone; those of pybids match the path."""
    patterns = {}
    for key in ENTITY_ORDER:
        characters = "0-9" if key in _WHOLE_NUMBERS else "0-9A-Za-z+"
        patterns[key] = rf"(?:^|[_/\\]){key}-([{characters}]+)(?=[^/\\]*$)"
    patterns |= {
        "datatype": r"[/\\]([a-z]+)[/\\][^/\\]*$",
        "suffix": r"(?:^|[_/\\])([0-9A-Za-z+]+)\.[^/\\]+$",
        "extension": r"[^./\\](\.[^/\\]+)$",
    }
    entities = [
        {
            "name": name,
            "pattern": pattern,
            "dtype": "int" if name in _WHOLE_NUMBERS else "str",
        }
        for name, pattern in patterns.items()
    ]
    return {"name": "bids_dtg", "entities": entities}
