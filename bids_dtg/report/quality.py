"""The quality table of a run, written and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_rows, write_json, write_tsv

FILE = FileKind("qc", None, ".tsv")


def write_quality(
    metrics: Mapping[str, object],
    columns: Sequence[QualityMetric],
    entities: Mapping[str, str],
    output: DerivativeDataset,
) -> Iterator[PurePosixPath]:
    """Write the table of a run and its data dictionary; yield their paths.

    Parameters
    ----------
    metrics
        Quality metrics of the run, by column.
    columns
        Columns of the workflow, in the order of the table.
    entities
        Entities of the run in names of files.
    output
        Output dataset for the files.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    path = FILE.path(entities)
    row = [metrics[column.name] for column in columns]
    write_tsv(output.path(path), [column.name for column in columns], [row])
    yield path
    path = FILE.path(entities, ".json")
    write_json(output.path(path), dictionary(columns))
    yield path


def read_quality(path: Path) -> Mapping[str, str]:
    """Read the quality metrics of a run, by column; empty if they cannot be read."""
    rows = read_rows(path)
    return rows[0] if rows else {}


def dictionary(columns: Sequence[QualityMetric]) -> dict[str, dict[str, str]]:
    """Return the data dictionary (BIDS JSON) of a quality table."""
    return {column.name: {"Description": column.meaning} for column in columns}


def number(text: str | None) -> float | None:
    """Read a number from a cell of a table; None for n/a and other text.

    Examples
    --------
    >>> number("0.25"), number("n/a")
    (0.25, None)
    """
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value else None
