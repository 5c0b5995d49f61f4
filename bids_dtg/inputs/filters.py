"""The BIDS filter file: which BOLD files count, in pybids' words."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from bids_dtg.errors import SettingsError

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


def read_filter_file(path: Path) -> dict[str, Any]:
    """Read the `bold` part of a BIDS filter file, with the entities' pybids names.

    Values stay as they are: null (no such entity), "*" (any value), a value or
    a list of these. What is not known is left out with a warning.

    Raises
    ------
    SettingsError
        If the file cannot be read or is not `{"bold": {entity: value}}`.
    """
    example = 'e.g. {"bold": {"acquisition": "mb"}}'
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as err:
        reason = (err.strerror if isinstance(err, OSError) else None) or err
        raise SettingsError(
            f"--bids-filter-file {path} cannot be read: {reason}", expected=f"JSON, {example}"
        ) from err
    bold = content.get("bold", {}) if isinstance(content, dict) else None
    if not isinstance(bold, dict):
        raise SettingsError(f"--bids-filter-file {path} has no filters", expected=example)
    _warn_ignored(path, [key for key in content if key != "bold"])
    _warn_ignored(path, [f"bold.{key}" for key in bold if key not in _KNOWN])
    filters = {_KNOWN[key]: value for key, value in bold.items() if key in _KNOWN}
    wrong = [key for key, value in filters.items() if not _is_filter_value(value)]
    if wrong:
        raise SettingsError(
            f"--bids-filter-file {path}: the value of {', '.join(wrong)} is no filter",
            expected='a text, a number, null, "*", or a list of these',
        )
    return filters


def _is_filter_value(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_filter_value(v) and not isinstance(v, list) for v in value)
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _warn_ignored(path: Path, keys: list[str]) -> None:
    if keys:
        warnings.warn(f"--bids-filter-file {path}: ignored {', '.join(keys)}", stacklevel=3)
