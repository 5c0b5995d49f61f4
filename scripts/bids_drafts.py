"""Extend the schema of BIDS by rules of its drafts, for files that BIDS does not cover yet.

``python scripts/bids_drafts.py SCHEMA.json > EXTENDED.json`` makes the schema with which the
BIDS validator checks every file of an output. ``bids_drafts.json`` has the rules, and the drafts
that they come from with their dates.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import read_json_object
from bids_dtg.notices import say

# Files that need no rule: pages, and the logs of runs.
NOT_DATA = ("*.html", "logs", "figures")
_EXIT_USAGE = 2
_LAST_ENTITY = "description"  # stays the last entity of a name
_WANTED = "the schema of BIDS: https://bids-specification.readthedocs.io/en/v1.11.1/schema.json"


def extended_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of BIDS with the rules of the drafts.

    Parameters
    ----------
    schema
        The schema, as BIDS publishes it.

    Raises
    ------
    ValueError
        It is not a schema of BIDS.

    Examples
    --------
    >>> schema = {"objects": {}, "meta": {}, "rules": {"entities": ["subject", "description"]}}
    >>> extended_schema(schema)["rules"]["entities"]
    ['subject', 'contrast', 'statistic', 'description']
    """
    rules = schema.get("rules")
    entities = rules.get("entities") if isinstance(rules, Mapping) else None
    if not isinstance(entities, list) or _LAST_ENTITY not in entities:
        raise ValueError("it has no rules of entities")
    drafts = json.loads(Path(__file__).with_suffix(".json").read_text())["schema"]
    extended = _with(schema, drafts)
    last = entities.index(_LAST_ENTITY)
    new = [name for name in drafts["rules"]["entities"] if name not in entities]
    extended["rules"]["entities"] = [*entities[:last], *new, *entities[last:]]
    return extended


def _with(schema: Mapping[str, Any], additional: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with additional entries; those that the schema has already stay."""
    merged = dict(additional)
    for key, value in schema.items():
        merged[key] = value
        if isinstance(value, Mapping) and isinstance(additional.get(key), Mapping):
            merged[key] = _with(value, additional[key])
    return merged


def main() -> int:
    """Print the extended schema, and return the exit code."""
    if len(sys.argv) != 2:
        say("usage: python scripts/bids_drafts.py SCHEMA.json > EXTENDED.json")
        return _EXIT_USAGE
    path = Path(sys.argv[1])
    try:
        extended = extended_schema(read_json_object(path))
    except (ForeignFileError, ValueError) as err:
        say(f"bids_dtg: {path} is not a schema of BIDS ({err}). Expected: {_WANTED}")
        return _EXIT_USAGE
    print(json.dumps(extended))
    return 0


if __name__ == "__main__":
    sys.exit(main())
