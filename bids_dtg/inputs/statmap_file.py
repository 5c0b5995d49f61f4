"""A file of a measured contrast map, with what is known of it before it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Quantity = Literal["z", "t", "effect", "variance"]
Level = Literal["run", "session", "subject"]

QUANTITIES: tuple[Quantity, ...] = ("z", "t", "effect", "variance")
# Levels of an analysis, the lower first.
LEVELS: tuple[Level, ...] = ("run", "session", "subject")


@dataclass(frozen=True)
class StatFile:
    """One file of a measured map, with what its name states."""

    path: Path
    participant: str  # label, without sub-
    session: str | None  # label, without ses-
    task: str | None
    run: str | None  # label of the run, with the direction of HCP-like runs; None: not named
    contrast: str  # label, as the data name it
    quantity: Quantity  # what the values are
    space: str | None  # template by name or sidecar; None where neither has one
    level: Level  # of the analysis
    pattern: str  # how such files are named, with * for what differs
    others: tuple[tuple[str, str], ...] = ()  # further entities
