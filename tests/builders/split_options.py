"""Options that name files: who is in which set, and the width of a network."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_dtg.inputs.participants import write_sets
from bids_dtg.stats.splits import split_people

NARROW = ("--config-file", str(Path(__file__).with_name("narrow.toml")))
_FOLDER = tempfile.TemporaryDirectory(prefix="bids_dtg-tests-")


def split(training: Sequence[str], test: Sequence[str]) -> tuple[str, str]:
    """Return the words that give these sets."""
    path = Path(_FOLDER.name) / f"{'-'.join(test)}.tsv"
    write_sets(path, {"training": training, "test": test})
    return "--split-file", str(path)


def sets(
    labels: Sequence[str],
    validation: float,
    test: float,
    *,
    seed: int = 0,
    families: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Draw validation and test people by their shares; return the words that give them."""
    split = split_people(
        labels, validation=validation, test=test, seed=seed, families=families
    )
    name = f"{len(labels)}-{min(labels)}-{validation:g}-{test:g}-{seed}.tsv"
    path = Path(_FOLDER.name) / name
    write_sets(path, dataclasses.asdict(split))
    return "--split-file", str(path)
