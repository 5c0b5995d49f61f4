"""Results of one person, copied to others, and the table of their ages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path


def copied(out: Path, labels: Sequence[str]) -> Iterator[tuple[int, Path]]:
    """Copy the files of sub-01 to people, and list them; yield each copy with the person's row."""
    files = [path for path in out.rglob("*") if path.is_file() and "sub-01" in path.name]
    listed = out / "participants.tsv"
    header, own = listed.read_text().splitlines()
    lines = [own.replace("sub-01", f"sub-{label}") for label in labels]
    listed.write_text("\n".join([header, *lines]) + "\n")
    for row, label in enumerate(labels):
        for path in files:
            target = Path(str(path).replace("sub-01", f"sub-{label}"))
            target.parent.mkdir(parents=True, exist_ok=True)
            if target != path:
                shutil.copy(path, target)
            yield row, target


def write_ages(path: Path, labels: Sequence[str], ages: Sequence[float]) -> None:
    """Write a table of participants."""
    rows = [f"sub-{label}\t{age:.3f}" for label, age in zip(labels, ages, strict=True)]
    path.write_text("\n".join(["participant_id\tage", *rows]) + "\n")
