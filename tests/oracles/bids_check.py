"""What the BIDS validator finds in a copy of an output, with its schema and ours beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from bids_drafts import NOT_DATA, extended_schema

PROGRAM = "bids-validator-deno"


@dataclass(frozen=True)
class Found:
    """What the validator says of a dataset."""

    seen: int  # files
    errors: list[tuple[str, str, str]]  # code, key or words, place
    warnings: list[tuple[str, str, str]]


def validate(dataset: Path, schema: Path | None = None) -> Found:
    """Run the validator on a dataset, as it is; `schema`: another than its own."""
    if not shutil.which(PROGRAM):
        pytest.skip(f"no {PROGRAM} here")
    words = [PROGRAM, "--format", "json", str(dataset)]
    words += [] if schema is None else ["--schema", schema.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    content = json.loads(done.stdout)
    issues = {"error": [], "warning": []}
    for issue in content["issues"]["issues"]:
        words = issue.get("subCode") or issue.get("issueMessage", "")
        row = issue["code"], words, issue.get("location", "")
        issues.setdefault(issue["severity"], []).append(row)
    return Found(content["summary"]["totalFiles"], issues["error"], issues["warning"])


def require_every_file_seen(output: Path, folder: Path) -> int:
    """Require that the extended schema knows every file of an output; return how many.

    In a copy, `.bidsignore` names pages and logs alone. A folder that describes itself as a
    dataset is looked at as one, apart from the dataset that it lies in.
    """
    schema = folder / "schema.json"
    official = files("bidsschematools") / "data" / "schema.json"
    schema.write_text(json.dumps(extended_schema(json.loads(official.read_text()))))
    copy = folder / "copy"
    shutil.copytree(output, copy, copy_function=os.link)
    datasets = sorted(
        (path.parent for path in copy.rglob("dataset_description.json")), key=_depth
    )
    total = 0
    for number, dataset in enumerate(reversed(datasets)):
        alone = folder / f"dataset-{number}"
        dataset.rename(alone)
        (alone / ".bidsignore").unlink(missing_ok=True)
        (alone / ".bidsignore").write_text("\n".join(NOT_DATA) + "\n")
        found = validate(alone, schema)
        where = dataset.relative_to(copy)
        assert found.errors == [], (where, found.errors)
        assert found.seen == len(data_files(alone)), where
        total += found.seen
    return total


def data_files(dataset: Path) -> list[str]:
    """Return the files that are neither pages nor logs, relative to the dataset."""
    names = [path.relative_to(dataset) for path in dataset.rglob("*") if path.is_file()]
    return [
        str(name)
        for name in names
        if not any(
            fnmatch(part, pattern) for part in name.parts for pattern in NOT_DATA
        )
        and not name.name.startswith(".")
    ]


def _depth(path: Path) -> int:
    return len(path.parts)
