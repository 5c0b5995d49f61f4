"""Which of the files of a run holds the series to use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.names import BidsName, parse_name

# Storage, not measurement: what differs between files of one run.
STORAGE = frozenset({"space", "cohort", "res", "den", "desc", "label"})
IMAGES = (".nii.gz", ".nii")
# The grid of the run itself: fMRIPrep names no space then, or one of these.
NATIVE = "boldref"
_OWN_GRID = frozenset({"boldref", "func", "run"})


@dataclass(frozen=True)
class NamedFile:
    """A file and its name taken apart."""

    path: Path  # absolute
    name: BidsName  # entities, suffix, extension


def named_files(paths: Sequence[Path]) -> list[NamedFile]:
    """Take the names of files apart; those that BIDS does not know are left out."""
    files = []
    for path in paths:
        try:
            files.append(NamedFile(path, parse_name(path.name)))
        except ValueError:
            continue  # notes, scripts and copies that people leave lying about
    return sorted(files, key=lambda file: str(file.path))


def combined_echoes(files: list[NamedFile], who: str, *, filtered: bool) -> list[NamedFile]:
    """Keep the combined series of multi-echo runs, or the one echo that a filter chose."""
    by_run = _grouped(files, lambda file: measured(file, but="echo"))
    kept = []
    for members in by_run.values():
        combined = [file for file in members if file.name.get("echo") is None]
        echoes = sorted({e for file in members if (e := file.name.get("echo")) is not None})
        if not combined and not (filtered and len(echoes) == 1):
            raise RunError(
                f"{who} has single echoes only (echo {', '.join(echoes)}): {members[0].path.name}",
                expected="the optimally combined series, without echo-",
                remedy="rerun fMRIPrep without --me-output-echos alone, or choose one echo with "
                '--bids-filter-file: {"bold": {"echo": 2}}',
            )
        kept += combined or members
    return kept


def versions_by_run(files: list[NamedFile]) -> list[list[NamedFile]]:
    """Group files by what was measured: the versions of each run."""
    return list(_grouped(files, measured).values())


def space_of(name: BidsName) -> str:
    """Return the space that a file is in by its name; `NATIVE` for the run's own grid."""
    space = name.get("space")
    return NATIVE if space in _OWN_GRID else space or NATIVE


def measured(file: NamedFile, but: str = "") -> tuple[tuple[str, str], ...]:
    """Return the entities that say what was measured: the same for all files of a run."""
    return tuple(
        (key, value) for key, value in file.name.entities if key not in STORAGE and key != but
    )


def _grouped(
    files: list[NamedFile], key: Callable[[NamedFile], tuple[tuple[str, str], ...]]
) -> dict[tuple[tuple[str, str], ...], list[NamedFile]]:
    groups: dict[tuple[tuple[str, str], ...], list[NamedFile]] = {}
    for file in files:
        groups.setdefault(key(file), []).append(file)
    return groups
