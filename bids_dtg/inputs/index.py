"""One participant's functional files, and what a BIDS filter file leaves of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.errors import ForeignFileError, RunError, SettingsError
from bids_dtg.files.foreign import read_json, reading
from bids_dtg.files.walk import OF_DRIVES, files_below

if TYPE_CHECKING:
    from bids import BIDSLayout

_WHOLE_NUMBERS = frozenset({"run", "echo"})
_FILE_NAME_END = r"(?=[^/\\]*$)"

# BIDS keys and the names that pybids gives them; both are taken.
PYBIDS_NAMES = {
    "sub": "subject",
    "ses": "session",
    "task": "task",
    "acq": "acquisition",
    "ce": "ceagent",
    "rec": "reconstruction",
    "dir": "direction",
    "run": "run",
    "echo": "echo",
    "part": "part",
    "hash": "hash",
    "space": "space",
    "cohort": "cohort",
    "res": "res",
    "den": "den",
    "desc": "desc",
    "datatype": "datatype",
    "suffix": "suffix",
    "extension": "extension",
}
_OTHER_NAMES = {"resolution": "res", "density": "den", "description": "desc"}
_KNOWN = {name: name for name in PYBIDS_NAMES.values()} | PYBIDS_NAMES | _OTHER_NAMES


def functional_files(folder: Path, sessions: Sequence[str] = ()) -> tuple[Path, ...]:
    """List the files in and below the `func` folders of one participant (and session).

    Parameters
    ----------
    folder
        Folder of the participant in the derivatives.
    sessions
        Labels without `ses-`; all where empty.
    """
    places = [folder / "func"]
    for place in folder.glob("ses-*"):
        if not sessions or place.name.removeprefix("ses-") in sessions:
            places.append(place / "func")
    return tuple(path for place in places for path in files_below(place, follow_links=False))


def filtered_names(
    root: Path,
    participant: str,
    filters: Mapping[str, Any],
    sessions: Sequence[str] = (),
) -> frozenset[str]:
    """Return the names of a participant's functional files that pybids' filters leave.

    Names, as pybids may have resolved a link on the way to a file.

    Parameters
    ----------
    root, participant, sessions
        Dataset, participant and sessions, as in `open_index`.
    filters
        By pybids' names of entities; None is "no such entity" and "*" any value.

    Raises
    ------
    RunError
        pybids cannot read a name.
    """
    wanted = {name: _query_value(value) for name, value in filters.items()}
    with reading(root / f"sub-{participant}", RunError, as_what=" by pybids"):
        index = open_index(root, participant, sessions)
        found = index.get(return_type="file", invalid_filters="allow", **wanted)
    return frozenset(Path(path).name for path in found)


def open_index(root: Path, participant: str, sessions: Sequence[str] = ()) -> BIDSLayout:
    """Index the `func` folders of one participant (and session) with pybids.

    pybids walks the folder `sub-<participant>` only: in a dataset of 100,000
    even listing its root would take longer than the rest. Entities are read
    from file names alone, by patterns of our own: those of pybids search the
    whole path, so a folder `/data/task-motor/` above the dataset would decide
    the task of every file.

    Parameters
    ----------
    root
        Root folder of the dataset of derivatives.
    participant
        Participant's label, without `sub-`.
    sessions
        Labels without `ses-`; all where empty.
    """
    from bids import BIDSLayout, BIDSLayoutIndexer

    folder = root / f"sub-{participant}"
    allowed = "|".join(map(re.escape, sessions)) if sessions else "[^/]+"
    indexer = BIDSLayoutIndexer(
        validate=False,
        index_metadata=False,
        # pybids would take a file of this name in the dataset for patterns.
        config_filename="\n",
        ignore=[
            re.compile(rf"^/(?!func(/|$)|ses-({allowed})(/|$))"),
            re.compile(r"^/ses-[^/]+/(?!func(/|$))"),
            re.compile(rf"/({OF_DRIVES.pattern})(/|$)"),
        ],
    )

    return BIDSLayout(
        folder,
        validate=False,
        is_derivative=True,
        config=[_config()],
        indexer=indexer,
    )


def _query_value(value: object) -> object:
    from bids.layout import Query

    if isinstance(value, list | tuple):
        return [_query_value(item) for item in value]
    words = {None: Query.NONE, "*": Query.ANY} | {str(query): query for query in Query}
    return words.get(value, value) if value is None or isinstance(value, str) else value


def _config() -> dict[str, Any]:
    """Write pybids' configuration with patterns that see the file name only."""
    entities = [
        {
            "name": name,
            "pattern": rf"(?:^|[_/\\]){key}-({r'[0-9]+' if number else r'[0-9A-Za-z+]+'})"
            + _FILE_NAME_END,
            "dtype": "int" if number else "str",
        }
        for key, name in PYBIDS_NAMES.items()
        if name not in {"datatype", "suffix", "extension"}
        for number in [name in _WHOLE_NUMBERS]
    ]
    return {
        "name": "bids_dtg",
        "entities": [
            *entities,
            {"name": "datatype", "pattern": r"[/\\]([a-z]+)[/\\][^/\\]*$"},
            {"name": "suffix", "pattern": r"(?:^|[_/\\])([0-9A-Za-z+]+)\.[^/\\]+$"},
            {"name": "extension", "pattern": r"[^./\\](\.[^/\\]+)$"},
        ],
    }


def read_filter_file(path: Path) -> dict[str, Any]:
    """Read the `bold` part of a BIDS filter file, with the entities' pybids names.

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
    if unknown := next((key for key in bold if key not in _KNOWN), None):
        near = difflib.get_close_matches(unknown.lower(), _KNOWN, n=1)
        raise SettingsError(
            f"--bids-filter-file {path}: 'bold.{unknown}' is not known",
            expected=f"'bold.{near[0]}'" if near else f"one of {', '.join(sorted(_KNOWN))}",
        )
    filters = {_KNOWN[key]: value for key, value in bold.items()}
    for key, value in filters.items():
        values = value if isinstance(value, list) else [value]
        if not values or not all(one is None or type(one) in (str, int) for one in values):
            raise SettingsError(
                f"--bids-filter-file {path}: the value of {key} is no filter",
                expected='a text, a number, null, "*", or a list of these',
            )
    return filters
