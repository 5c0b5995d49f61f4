"""All participants' means over the parcels of an atlas, in one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.cohort.frames import region_tables
from bids_dtg.contrasts.participant.outputs.maps import COLUMNS
from bids_dtg.errors import ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import read_bytes
from bids_dtg.files.long_table import LongTable
from bids_dtg.files.names import build_name, parse_name
from bids_dtg.files.text import read_json, write_json
from bids_dtg.notices import counted, named, say

_OWN = {
    "participant_id": "Participant, as in participants.tsv",
    "session_id": "Session; n/a where maps are averaged over sessions, or there are none",
    "average": "The session average that the maps belong to, as in the names of its files",
}
# Entities of an atlas' tables, not of one average.
_OF_ATLAS = ("space", "atlas", "seg", "scale", "stat", "desc")


def write_region_tables(
    output: DerivativeDataset, averages: Iterable[tuple[str, Path]]
) -> tuple[PurePosixPath, ...]:
    """Concatenate the averages' tables of regions, those of each atlas.

    Only one average's table is in memory at a time.

    Returns
    -------
    Paths of the tables, relative to the output folder.

    Raises
    ------
    OutputError
        A table cannot be written.
    """
    averages = tuple(averages)
    names: dict[str, None] = {}
    for title, folder in averages:
        names.update(dict.fromkeys(_common_name(path) for path in region_tables(title, folder)))
    return tuple(path for name in names for path in _write(output, name, averages))


def _write(
    output: DerivativeDataset, name: str, averages: Sequence[tuple[str, Path]]
) -> Iterator[PurePosixPath]:
    path = PurePosixPath("group") / f"{name}.tsv.gz"
    damaged, sidecar, number = [], None, 0
    with LongTable(output.path(path), (*_OWN, *COLUMNS)) as table:
        for title, source in _of_name(averages, name):
            if (rows := _rows(source, title)) is None:
                damaged.append(source.name)
                continue
            table.add(rows)
            number += 1
            sidecar = sidecar or source.with_suffix(".json")
    if damaged:
        say(f"{path}: left out {counted(len(damaged), 'damaged table')}: {named(damaged)}")
    write_json(output.path(path.with_name(f"{name}.json")), _facts(sidecar, number))
    yield path
    yield path.with_name(f"{name}.json")


def _of_name(averages: Sequence[tuple[str, Path]], name: str) -> Iterator[tuple[str, Path]]:
    """Yield the title of each average, and its table whose name has this common part."""
    for title, folder in averages:
        for source in region_tables(title, folder):
            if _common_name(source) == name:
                yield title, source


def _common_name(path: Path) -> str:
    """Return the common name of an atlas' tables, without an extension."""
    name = parse_name(path.name)
    return build_name({key: name.get(key) for key in _OF_ATLAS}, name.suffix, "")


def _rows(path: Path, title: str) -> bytes | None:
    """Return the rows of a table, with participant, session and set before them."""
    try:
        content = read_bytes(path)
    except ForeignFileError:
        return None
    body = content.removeprefix("\t".join(COLUMNS).encode() + b"\n")
    whole = body.endswith(b"\n") and body.count(b"\t") == (len(COLUMNS) - 1) * body.count(b"\n")
    if len(body) == len(content) or not whole:
        return None
    entities = dict(parse_name(f"{title}_x").entities)
    session = f"ses-{entities['ses']}" if "ses" in entities else "n/a"
    first = f"sub-{entities['sub']}\t{session}\t{title}\t".encode()
    return first + body[:-1].replace(b"\n", b"\n" + first) + b"\n"


def _facts(sidecar: Path | None, number: int) -> dict[str, Any]:
    facts = read_json(sidecar) if sidecar is not None else {}
    return {
        **facts,
        "Description": f"Of all participants, a row an average more: {facts.get('Description')}",
        **{column: {"Description": words} for column, words in _OWN.items()},
        "NumberOfSets": number,
    }
