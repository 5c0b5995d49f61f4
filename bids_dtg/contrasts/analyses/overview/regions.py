"""All participants' means over the parcels of an atlas, in one table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

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
    by_name: dict[str, list[tuple[str, Path]]] = {}
    for title, folder in averages:
        for source in region_tables(title, folder):
            by_name.setdefault(_common_name(source), []).append((title, source))
    written = []
    for name, sources in by_name.items():
        path = PurePosixPath("group") / f"{name}.tsv.gz"
        damaged: list[Path] = []
        whole: list[Path] = []
        with LongTable(output.path(path), (*_OWN, *COLUMNS)) as table:
            for title, source in sources:
                rows = _rows(source, title)
                (damaged if rows is None else whole).append(source)
                table.add(rows or b"")
        if damaged:
            names = named([source.name for source in damaged])
            say(f"{path}: left out {counted(len(damaged), 'damaged table')}: {names}")
        facts = read_json(whole[0].with_suffix(".json")) if whole else {}
        words = f"Of all participants, a row an average more: {facts.get('Description')}"
        own = {column: {"Description": meaning} for column, meaning in _OWN.items()}
        sidecar = path.with_name(f"{name}.json")
        facts = {**facts, "Description": words, **own, "NumberOfSets": len(whole)}
        write_json(output.path(sidecar), facts)
        written += [path, sidecar]
    return tuple(written)


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
