"""Which series are read: sessions and tasks that were asked for, and BIDS filters by pybids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_dtg.errors import ForeignFileError, RunError, SettingsError, did_you_mean
from bids_dtg.files.foreign import read_json, reading
from bids_dtg.files.names import ENTITY_ORDER, plain_label, same_label
from bids_dtg.inputs.run import NamedFile, is_rest

# The options that choose by an entity.
OPTIONS = {"ses": "--session-label", "task": "--task-id"}
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
_WHOLE_NUMBERS = frozenset({"run", "echo"})


@dataclass(frozen=True)
class Selection:
    """What was asked for; labels with or without `ses-`, `task-`."""

    sessions: Sequence[str] = ()  # all where empty
    tasks: Sequence[str] = ()  # those whose names begin with "rest" where empty
    filters: Mapping[str, Any] = field(default_factory=dict)  # from `read_filter_file`

    def takes(self, session: str | None) -> bool:
        """Return whether a session was asked for, by its plain label."""
        return not self.sessions or session in [plain_label(each, "ses") for each in self.sessions]

    def of(self, files: list[NamedFile], who: str) -> list[NamedFile]:
        """Keep the series of sessions and tasks that were asked for.

        Raises
        ------
        RunError
            If there is none: what there is.
        """
        kept = _narrow(files, "ses", self.sessions, who)
        if self.tasks:
            return _narrow(kept, "task", self.tasks, who)
        if "task" in self.filters:  # which decides on the task
            return kept
        if resting := [file for file in kept if is_rest(file.name)]:
            return resting
        raise RunError(
            f"{who} has no resting-state run; it has {_labels(kept, 'task') or 'no task-'}",
            expected="a task whose name begins with rest",
            remedy=f"name another with {OPTIONS['task']}",
        )

    def filtered(self, files: list[NamedFile], folder: Path) -> list[NamedFile]:
        """Keep the series that the filters leave of a participant's folder.

        Raises
        ------
        RunError
            They leave none, or pybids cannot read a name.
        """
        if not self.filters:
            return files
        names = _filtered_names(folder, self.filters)
        if kept := [file for file in files if file.path.name in names]:
            return kept
        raise RunError(
            f"{folder.name}: the BIDS filter file leaves no run of {len(files)}, as "
            f"{files[0].path.name}",
            expected="values as file names have them, without ses- and the like",
            remedy="correct or widen the filter",
        )


def _narrow(files: list[NamedFile], entity: str, asked: Sequence[str], who: str) -> list[NamedFile]:
    """Keep files with a requested label; all files if no label is requested."""
    if not asked:
        return files
    wanted = [plain_label(label, entity) for label in asked]
    kept = [
        file
        for file in files
        if (label := file.name.get(entity)) is not None
        and any(same_label(entity, label, one) for one in wanted)
    ]
    if not kept:
        option, there = OPTIONS[entity], _labels(files, entity)
        what = {"ses": "session", "task": "run of task"}[entity]
        raise RunError(
            f"{who} has no {what} {' or '.join(wanted)}; "
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
    option, example = f"--bids-filter-file {path}", 'e.g. {"bold": {"acquisition": "mb"}}'
    try:
        content = read_json(path)
    except ForeignFileError as err:
        raise err.as_kind(
            SettingsError, "--bids-filter-file ", expected=f"JSON, {example}"
        ) from err
    bold = content.get("bold", None if content else {}) if isinstance(content, dict) else None
    if not isinstance(bold, dict):
        raise SettingsError(f"{option} has no filters for 'bold'", expected=example)
    for key, value in bold.items():
        if key not in _KNOWN:
            raise SettingsError(
                f"{option}: 'bold.{key}' is not known",
                expected=f"one of {', '.join(sorted(_KNOWN))}",
                remedy=did_you_mean(key, _KNOWN),
            )
        values = value if isinstance(value, list) else [value]
        if not values or not all(one is None or type(one) in (str, int) for one in values):
            raise SettingsError(
                f"{option}: the value of {key} is no filter",
                expected='a text, a number, null, "*", or a list of these',
            )
    return {_KNOWN[key]: value for key, value in bold.items()}


def _filtered_names(folder: Path, filters: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of a participant's functional files that filters leave, by pybids."""
    from bids import BIDSLayout, BIDSLayoutIndexer

    with reading(folder, RunError, as_what=" by pybids"):
        indexer = BIDSLayoutIndexer(
            validate=False,
            index_metadata=False,
            config_filename="\n",  # a file of the usual name in the dataset is not meant for us
            ignore=[re.compile(r"^/(ses-[^/]+/)?(?!func(/|$)|ses-[^/]+(/|$))")],
        )
        # Only the participant's folder is walked: the root of a large dataset takes longer.
        layout = BIDSLayout(
            folder, validate=False, is_derivative=True, config=[_pybids_config()], indexer=indexer
        )
        wanted = {name: _query(value) for name, value in filters.items()}
        found = layout.get(return_type="file", invalid_filters="allow", **wanted)
    # Names, as pybids may have resolved a link on the way to a file.
    return frozenset(Path(path).name for path in found)


def _query(value: Any) -> Any:
    from bids.layout import Query

    if isinstance(value, list):
        return [_query(item) for item in value]
    words = {None: Query.NONE, "*": Query.ANY} | {str(query): query for query in Query}
    return words.get(value, value)


def _pybids_config() -> dict[str, Any]:
    """Return patterns that see the name of a file alone; those of pybids see the whole path."""
    patterns = {
        key: rf"(?:^|[_/\\]){key}-([0-9{'' if key in _WHOLE_NUMBERS else 'A-Za-z+'}]+)(?=[^/\\]*$)"
        for key in ENTITY_ORDER
    } | {
        "datatype": r"[/\\]([a-z]+)[/\\][^/\\]*$",
        "suffix": r"(?:^|[_/\\])([0-9A-Za-z+]+)\.[^/\\]+$",
        "extension": r"[^./\\](\.[^/\\]+)$",
    }
    entities = [
        {"name": name, "pattern": pattern, "dtype": "int" if name in _WHOLE_NUMBERS else "str"}
        for name, pattern in patterns.items()
    ]
    return {"name": "bids_dtg", "entities": entities}
