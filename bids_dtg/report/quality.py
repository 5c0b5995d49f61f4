"""The quality table of a run: its columns, writing and reading."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.parcels import fc_strength
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_packaged, read_rows, write_json, write_tsv

FILE = FileKind("qc", None, ".tsv")


@dataclass(frozen=True)
class QualityColumn:
    """A column: its meaning, and how pages show it."""

    name: str  # in the table
    meaning: str  # for the data dictionary
    title: str = (
        ""  # on the group page and in a participant's summary; empty: not shown
    )
    unit: str = ""
    decimals: int = 2  # on the group page
    summary: str = (
        ""  # format of the worst run's value in the summary; empty: not shown
    )
    flag: str = ""  # text on a {value} beyond its limit (`LIMITS`); empty: no flag


def packaged_columns(words: Mapping[str, Any], name: str) -> tuple[QualityColumn, ...]:
    """Return a named list of columns from a TOML file of texts."""
    return tuple(QualityColumn(**column) for column in words[name])


_WORDS = tomllib.loads(read_packaged(__package__, "columns.toml"))
# The columns of every workflow, before and after its own; those of workflows on parcels.
FIRST, LAST, PARCELS = (
    packaged_columns(_WORDS, name) for name in ("first", "last", "parcels")
)


def write_quality(
    figures: Mapping[str, object],
    columns: Sequence[QualityColumn],
    entities: Mapping[str, str],
    output: DerivativeDataset,
) -> Iterator[PurePosixPath]:
    """Write the table of a run and its data dictionary; yield their paths.

    Parameters
    ----------
    figures
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
    row = [figures[column.name] for column in columns]
    write_tsv(output.path(path), [column.name for column in columns], [row])
    yield path
    path = FILE.path(entities, ".json")
    write_json(output.path(path), dictionary(columns))
    yield path


def read_quality(path: Path) -> Mapping[str, str]:
    """Read the quality metrics of a run, by column; empty if they cannot be read."""
    rows = read_rows(path)
    return rows[0] if rows else {}


def dictionary(columns: Sequence[QualityColumn]) -> dict[str, dict[str, str]]:
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


def parcel_figures(
    coverage: NDArray[np.floating[Any]],
    connectivity: NDArray[np.floating[Any]],
    std_dvars: NDArray[np.floating[Any]] | None,
) -> dict[str, object]:
    """Return the quality metrics of a run's parcels, by column of the quality table (`PARCELS`).

    Parameters
    ----------
    coverage
        Share of each parcel's voxels with signal, (parcels,).
    connectivity
        Functional connectivity, (parcels, parcels); NaN where a parcel has no series.
    std_dvars
        (frames,), NaN where n/a; None where unknown.

    Examples
    --------
    >>> figures = parcel_figures(np.array([1.0, 0.5]), np.array([[1, 0.25], [0.25, 1]]), None)
    >>> figures["coverage"], figures["fc_mean"], figures["std_dvars_mean"]
    (0.75, 0.25, None)
    """
    dvars = np.empty(0) if std_dvars is None else std_dvars[np.isfinite(std_dvars)]
    values = {
        "coverage": coverage.mean(),
        "parcel_coverage_min": coverage.min(),
        "std_dvars_mean": dvars.mean() if dvars.size else np.nan,
        "fc_mean": fc_strength(connectivity),
    }
    return {
        "parcels": len(coverage),
        "parcels_kept": int(np.isfinite(connectivity.diagonal()).sum()),
        **{
            name: round(float(v), 4) if np.isfinite(v) else None
            for name, v in values.items()
        },
    }
