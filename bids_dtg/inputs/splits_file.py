"""Tables on participants' places: who is in which set of a split, and in which family."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.text import write_tsv

_FAMILY_COLUMNS = ("family_id", "family")


def read_families(roots: Sequence[Path]) -> dict[str, str]:
    """Read who belongs to which family, label -> family, from the first table that has families.

    Looked at are the columns family_id and family of `participants.tsv`; n/a is no family.
    """
    for root in roots:
        path = root / "participants.tsv"
        if not path.is_file():
            continue
        try:
            rows = _rows(path)
        except (OSError, ValueError) as err:
            raise DatasetError(f"{path} cannot be read: {err}") from err
        for column in _FAMILY_COLUMNS:
            families = {
                row["participant_id"].removeprefix("sub-"): row[column]
                for row in rows
                if row.get("participant_id") and row.get(column) not in (None, "", "n/a")
            }
            if families:
                return families
    return {}


def read_sets(path: Path, sets: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read a table of participant_id and set; the labels of each set.

    Raises
    ------
    SettingsError
        It cannot be read, has another set, or somebody in two.
    """
    try:
        rows = _rows(path)
        pairs = [(row["participant_id"].removeprefix("sub-"), row["set"]) for row in rows]
    except (OSError, ValueError, KeyError, AttributeError) as err:
        raise SettingsError(
            f"{path} cannot be read as a split: {err}",
            expected="tab-separated columns participant_id and set",
        ) from err
    if other := sorted({name for _, name in pairs} - set(sets)):
        raise SettingsError(f"{path} has the set {other[0]!r}", expected=f"{', '.join(sets)}")
    listed = Counter(label for label, _ in dict.fromkeys(pairs))
    if twice := sorted(label for label, count in listed.items() if count > 1):
        raise SettingsError(
            f"{path}: participants are on two sides of the split: {', '.join(twice)}"
        )
    return {
        name: tuple(label for label, chosen in dict.fromkeys(pairs) if chosen == name)
        for name in sets
    }


def write_sets(path: Path, sets: Mapping[str, Sequence[str]]) -> None:
    """Write a table of participant_id and set, as `read_sets` reads it."""
    rows = sorted((f"sub-{label}", name) for name, labels in sets.items() for label in labels)
    write_tsv(path, ["participant_id", "set"], rows)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))
