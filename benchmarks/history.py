"""Benchmark results by commit, and their ratios to the last ones on the same kind of machine.

`make bench` writes to `benchmarks/history.tsv`, which is in git. Each row is one result, with the
commit, the date, the processor's model, its cores, the benchmark with its size, and the name and
the value of the result. Absolute times differ between machines. Results are therefore ratios to the
plain implementation wherever there is one, and only rows of the same kind of machine are compared.
"""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
HISTORY = ROOT / "benchmarks" / "history.tsv"
# Files on which results depend; changes elsewhere, and in the table itself, do not matter.
SOURCES = (
    "bids_dtg",
    "benchmarks",
    "pyproject.toml",
    "constraints.txt",
    ":!benchmarks/history.tsv",
)
DIRTY = "+"  # after a commit: the tree had uncommitted changes
UNKNOWN = "unknown"
OUR_CPU = "cpu_s"  # ending of the names of results that are our processor time
MOST_GROWTH = 1.15


@dataclass(frozen=True)
class Row:
    """A result with its origin."""

    commit: str  # short; `DIRTY` at its end, or `UNKNOWN` without git
    date: str  # UTC, YYYY-MM-DD
    processor: str  # model of the processor
    cores: int  # cores that the benchmark could use
    benchmark: str  # with its size, such as "participant, 490 volumes"
    figure: str
    value: float

    def comparable(self, second: Row) -> bool:
        """Return whether both are the same result on the same kind of machine."""
        same = ("processor", "cores", "benchmark", "figure")
        return all(getattr(self, name) == getattr(second, name) for name in same)


COLUMNS = [field.name for field in fields(Row)]


def read_history(path: Path = HISTORY) -> list[Row]:
    """Read the table, oldest rows first; a missing file has no rows."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file, delimiter="\t")
        if table.fieldnames != COLUMNS:
            raise ValueError(
                f"{path.name} has columns {table.fieldnames}, not {COLUMNS}"
            )
        return [
            Row(**row | {"cores": int(row["cores"]), "value": float(row["value"])})
            for row in table
        ]


def append_history(rows: Sequence[Row], path: Path = HISTORY) -> None:
    """Append rows to the table; values have four digits."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        if new:
            table.writerow(COLUMNS)
        table.writerows([*astuple(row)[:-1], f"{row.value:.4g}"] for row in rows)


def rows_now(benchmark: str, figures: Mapping[str, float]) -> list[Row]:
    """Make rows of results that were just measured here."""
    cores = os.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    origin = (commit_of(ROOT), day, processor_model(), cores or 1, benchmark)
    return [Row(*origin, name, value) for name, value in figures.items()]


def commit_of(folder: Path) -> str:
    """Return the commit of a working tree, marked if its sources have uncommitted changes."""
    try:
        commit = _git(folder, "rev-parse", "--short=7", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", *SOURCES)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return commit + (DIRTY if changed else "")


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def processor_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's model, with family and number, as clouds hide its product name."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine() or UNKNOWN
    facts = {
        name.strip(): value.strip()
        for name, _, value in (x.partition(":") for x in lines)
    }
    if "model name" not in facts:
        return platform.machine() or UNKNOWN
    number = f"family {facts.get('cpu family', '?')}, model {facts.get('model', '?')}"
    return f"{facts['model name']} ({number})"


def last_before(row: Row, history: Sequence[Row]) -> Row | None:
    """Return the last comparable row of another commit, or None.

    Rows without a commit or with uncommitted changes are ignored, as nobody can repeat them. Rows
    of the same commit are ignored, too, so that measuring again gives the same comparison.
    """
    unfit = (row.commit, UNKNOWN)
    fit = [
        old
        for old in history
        if old.commit not in unfit and not old.commit.endswith(DIRTY)
    ]
    return next((old for old in reversed(fit) if row.comparable(old)), None)


def compared(rows: Sequence[Row], history: Sequence[Row]) -> list[str]:
    """Return each result's ratio to the last one, and warnings where our processor time grew."""
    lines, grown = [], []
    for row in rows:
        old = last_before(row, history)
        line = f"{row.figure}: {row.value:.4g}"
        if old is None:
            lines.append(f"{line}, the first on this kind of machine")
            continue
        ratio = row.value / old.value if old.value else float("nan")
        lines.append(
            f"{line}, {ratio:.2f} of {old.value:.4g} at {old.commit} ({old.date})"
        )
        if row.figure.endswith(OUR_CPU) and ratio > MOST_GROWTH:
            grown.append(
                f"WARNING: {row.benchmark}: {row.figure} grew by {ratio - 1:.0%} since "
                f"{old.commit}, more than {MOST_GROWTH - 1:.0%}. To do: measure again on a quiet "
                "machine, and look for additional work in the program"
            )
    return lines + grown


def record(benchmark: str, figures: Mapping[str, float], path: Path = HISTORY) -> None:
    """Print results with their ratios to the last ones, then add them to the table."""
    rows = rows_now(benchmark, figures)
    print(f"{benchmark}, against the last rows of {path.name}:")
    print("\n".join(f"  {line}" for line in compared(rows, read_history(path))))
    append_history(rows, path)
