"""What the BIDS validator finds in a copy of an output, with its schema and ours beside it."""

from __future__ import annotations

import json
import os
import re
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
# What the validator reports of each kind of output that has no `.bidsignore`.
OUTSIDE_BIDS = Path(__file__).with_name("outside_bids.tsv")
_LABELS = re.compile(r"(?<![A-Za-z])(sub|ses|run|contrast|fold|restart)-[A-Za-z0-9]+")


@dataclass(frozen=True)
class ValidatorReport:
    """What the validator says of a dataset."""

    seen: int  # files
    errors: list[tuple[str, str, str]]  # code, key or words, place
    warnings: list[tuple[str, str, str]]


def validate(dataset: Path, schema: Path | None = None) -> ValidatorReport:
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
    return ValidatorReport(
        content["summary"]["totalFiles"], issues["error"], issues["warning"]
    )


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
        report = validate(alone, schema)
        where = dataset.relative_to(copy)
        assert report.errors == [], (where, report.errors)
        assert report.seen == len(data_files(alone)), where
        total += report.seen
    return total


def require_listed_names(output: Path, kind: str, folder: Path) -> None:
    """Require that a copy without `.bidsignore` differs from BIDS by the listed names alone.

    So a new kind of name is seen before a pattern of `.bidsignore` hides it.
    """
    copy = folder / "all-names"
    shutil.copytree(output, copy, copy_function=os.link)
    (copy / ".bidsignore").unlink()
    reported = validate(copy)
    issues = [*reported.errors, *reported.warnings]
    names = {(code, name_pattern(place)) for code, _, place in issues}
    reported_lines = {f"{kind}\t{code}\t{name}" for code, name in names}
    listed = OUTSIDE_BIDS.read_text().splitlines()[1:]
    differing = reported_lines ^ {
        line for line in listed if line.startswith(f"{kind}\t")
    }
    lines = "\n".join(sorted(differing))
    assert not differing, f"add to {OUTSIDE_BIDS.name}, or remove there:\n{lines}"


def name_pattern(place: str) -> str:
    """Return the pattern of a file's names, e.g. the same for all participants.

    Examples
    --------
    >>> name_pattern("/sub-01/func/sub-01_contrast-motor_statmap.nii.gz")
    'sub-*/func/sub-*_contrast-*_statmap.nii.gz'
    >>> name_pattern("/sub-01/figures/sub-01_carpet.webp")
    'figures'
    """
    path = Path(place.lstrip("/"))
    for pattern in NOT_DATA:
        if any(fnmatch(part, pattern) for part in path.parts):
            return pattern
    return _LABELS.sub(r"\1-*", str(path))


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
