"""Write the Boutiques descriptor of ``bids_dtg`` from its parser.

    python scripts/boutiques_descriptor.py

writes examples/boutiques/bids_dtg.json; a test fails if it differs from the parser.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from bids_dtg.cli.parser import build_parser
from bids_dtg.settings import OPTIONS
from bids_dtg.version import AUTHORS, __version__

_IMAGE = "bids_dtg"  # written by scripts/release.py
DESCRIPTOR = Path(__file__).parent.parent / "examples" / "boutiques" / "bids_dtg.json"
# Values that are input files or folders; other paths are outputs, or can be names, too.
_READ = {"BIDS_DIR", "FILE", "FOLDER"}
_NOT_FOR_PLATFORMS = {"help", "help_all", "version"}


def descriptor() -> dict[str, Any]:
    """Return the descriptor, with an input for each argument of the parser, in its order."""
    parser = build_parser()
    actions = [
        action for action in parser._actions if action.dest not in _NOT_FOR_PLATFORMS
    ]
    inputs = [_input(action) for action in actions]
    return {
        "name": "bids_dtg",
        "description": " ".join((parser.description or "").split()),
        "author": ", ".join(AUTHORS),
        "tool-version": __version__,
        "schema-version": "0.5",
        "command-line": " ".join(["bids_dtg", *(item["value-key"] for item in inputs)]),
        "container-image": {
            "type": "docker",
            "image": f"{_IMAGE}:{__version__}",
            "entrypoint": True,
        },
        "inputs": inputs,
        "output-files": [
            {
                "id": "maps",
                "name": "BIDS derivatives",
                "description": "The derivative dataset with the maps.",
                "path-template": "[OUTPUT_DIR]",
            }
        ],
        "error-codes": [
            {"code": 1, "description": "At least one participant failed."},
            {
                "code": 2,
                "description": "Wrong arguments, dataset or model: nothing was started.",
            },
            {"code": 70, "description": "An internal error."},
        ],
        "tags": {"domain": ["neuroinformatics", "fmri", "bids-app"]},
    }


def text() -> str:
    """Return the file's text."""
    return json.dumps(descriptor(), indent=2, ensure_ascii=False) + "\n"


def _input(action: argparse.Action) -> dict[str, Any]:
    help_text = (action.help or "").replace("%%", "%")
    described: dict[str, Any] = {
        "id": action.dest,
        "name": action.dest.replace("_", " "),
        "description": help_text,
        "type": _type(action),
        "value-key": f"[{action.dest.upper()}]",
        "optional": not action.required,
    }
    if action.option_strings:
        described["command-line-flag"] = max(action.option_strings, key=_preference)
    if action.nargs == "+":
        described |= {"list": True, "min-list-entries": 1}
    if action.choices is not None:
        described["value-choices"] = list(action.choices)
    if int in _kinds(action):
        described["integer"] = True
    return described


def _preference(flag: str) -> tuple[bool, bool, bool]:
    """Prefer flags that switch a default off, then long flags, then flags with hyphens."""
    return flag.startswith("--no-"), flag.startswith("--"), "_" not in flag


def _type(action: argparse.Action) -> str:
    if action.nargs == 0:
        return "Flag"
    if _kinds(action) & {int, float}:
        return "Number"
    return "File" if action.metavar in _READ else "String"


def _kinds(action: argparse.Action) -> set[Any]:
    """Return the types of a field of `Settings`; a flag that takes no value has none."""
    if action.nargs == 0:
        return set()
    option = OPTIONS.get(action.dest)
    hint = option.hint if option else None
    return {hint, *get_args(hint)}


if __name__ == "__main__":
    DESCRIPTOR.parent.mkdir(parents=True, exist_ok=True)
    DESCRIPTOR.write_text(text(), encoding="utf-8")
