"""Tables of regional time series and of matrices between regions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Floats, Mask, Values
from bids_dtg.errors import ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import is_missing, plain_number, read_table, reading
from bids_dtg.files.names import FileKind, bids_uri, build_name
from bids_dtg.files.text import json_text, tsv_text
from bids_dtg.notices import one_line, without_formula

# Nine digits represent every float32 exactly.
_FORMAT = "%.9g"


def name_cell(name: str) -> str:
    """Return a name without tabs and double quotes, so that every reader finds one cell of text.

    Examples
    --------
    >>> name_cell('Area "V1"')
    "Area 'V1'"
    """
    return without_formula(one_line(name).replace('"', "'"))


def number_lines(rows: Floats) -> Iterable[str]:
    """Yield numbers (rows, columns) as tab-separated lines; NaN becomes ``n/a``.

    Examples
    --------
    >>> import numpy as np
    >>> list(number_lines(np.array([[1.0, np.nan], [0.5, -2.0]])))[1].split()
    ['0.5', '-2']
    """
    line = "\t".join([_FORMAT] * rows.shape[1])
    for row in rows:
        yield (line % tuple(row.tolist())).replace("nan", "n/a")


def read_numbers(rows: Sequence[Sequence[str]], path: Path) -> Float64:
    """Convert cells to numbers (rows, columns); ``n/a`` and empty cells become NaN.

    Parameters
    ----------
    rows
        Rows with the same number of cells.
    path
        File that the rows were read from, for errors.

    Raises
    ------
    ForeignFileError
        A cell is not a number, or rows have different lengths.

    Examples
    --------
    >>> read_numbers([["1", "n/a"], ["1e-3", "-2"]], Path("t.tsv")).tolist()
    [[1.0, nan], [0.001, -2.0]]
    """
    with reading(path, as_what=" as numbers"):
        numbers = [
            [math.nan if is_missing(cell) else float(cell) for cell in row]
            for row in rows
        ]
        return np.array(numbers, np.float64)


def is_number(cell: str) -> bool:
    """Return whether a cell is a number or a missing value.

    Examples
    --------
    >>> is_number("0.5"), is_number("n/a"), is_number("Node")
    (True, True, False)
    """
    return is_missing(cell) or plain_number(cell.strip()) is not None


SERIES = FileKind("timeseries", None, ".tsv")


@dataclass(frozen=True, eq=False)
class RegionTable:
    """Values of regions: their time series, or a matrix between them."""

    names: tuple[str, ...]  # names of the regions, without duplicates
    # (regions, frames) float32 or (regions, regions) float64, NaN where there is no value
    values: Values

    def __post_init__(self) -> None:
        """Check the names and the shape of the values."""
        distinct = {name.strip() for name in self.names} - {""}
        if len(distinct) < max(1, len(self.names)):
            raise ValueError("regions need names that differ")
        if self.values.ndim != 2 or len(self.values) != len(self.names):
            raise ValueError(
                f"{len(self.names)} regions have values {self.values.shape}"
            )

    @property
    def keep(self) -> Mask:
        """(frames,) whether any region has a value: the frames that were kept."""
        return np.asarray(np.isfinite(self.values).any(axis=0), bool)

    @property
    def present(self) -> Mask:
        """(regions,) whether a region has a value in any frame."""
        return np.asarray(np.isfinite(self.values).any(axis=1), bool)


def encode_series(series: RegionTable) -> bytes:
    r"""Return the bytes of a table of time series: names of regions, then one line per frame.

    Nine digits are written, so that `read_series` gives the same numbers; NaN becomes ``n/a``.

    Examples
    --------
    >>> values = np.array([[0.5, np.nan], [1.0, 2.0]], np.float32)
    >>> encode_series(RegionTable(("V1", "V2"), values))
    b'V1\tV2\n0.5\t1\nn/a\t2\n'
    """
    header = "\t".join(map(name_cell, series.names))
    lines = [header, *number_lines(series.values.T)]
    return ("\n".join(lines) + "\n").encode()


def read_series(path: Path) -> RegionTable:
    """Read a table that `encode_series` wrote.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is damaged, or not a table of time series.
    """
    table = read_table(path)
    if table.short or not table.rows:
        raise ForeignFileError(
            f"{path} is not a complete table of time series: it has {len(table.rows)} rows, "
            f"{table.short} of them cut off",
            expected="one column per region, one row per frame",
        )
    values = np.ascontiguousarray(read_numbers(table.rows, path).T, np.float32)
    with reading(path, as_what=" as a table of time series"):
        return RegionTable(table.header, values)


def series_sidecar(
    names: Sequence[str], tr_seconds: float, **facts: Any
) -> dict[str, Any]:
    """Return the content of the JSON sidecar of a table of time series.

    Parameters
    ----------
    names
        Names of the columns, in order.
    tr_seconds
        Time between frames, in seconds.
    facts
        Further entries of the sidecar.

    Examples
    --------
    >>> sidecar = series_sidecar(["V1"], 0.8, FramesKept=120)
    >>> sidecar["RepetitionTime"], sidecar["SamplingFrequency"], sidecar["FramesKept"]
    (0.8, 1.25, 120)
    """
    return {
        "Description": "Cleaned mean time series of the parcels of an atlas: one column per "
        "parcel, one row per frame of the run",
        "Units": "arbitrary: mean 0 and standard deviation 1 over the retained frames; n/a in "
        "censored frames, and for parcels without enough coverage",
        "RepetitionTime": tr_seconds,
        "SamplingFrequency": round(1.0 / tr_seconds, 9),
        "Parcels": len(names),
        **facts,
    }


RELMAT = FileKind("relmat", None, ".tsv")
ASYMMETRY = FileKind("statmap", "asymmetry", ".tsv")  # of left minus right of parcels
NODE = "Node"  # what XCP-D calls the column of names


def encode_relmat(matrix: RegionTable) -> bytes:
    r"""Return the bytes of a matrix as a table whose first column has the names, as XCP-D does.

    Nine digits are written; NaN becomes ``n/a``.

    Examples
    --------
    >>> encode_relmat(RegionTable(("V1", "V2"), np.array([[1, 0.25], [0.25, 1]])))
    b'Node\tV1\tV2\nV1\t1\t0.25\nV2\t0.25\t1\n'
    """
    names = [name_cell(name) for name in matrix.names]
    lines = ["\t".join([NODE, *names])]
    rows = number_lines(matrix.values)
    lines += [f"{name}\t{row}" for name, row in zip(names, rows, strict=True)]
    return ("\n".join(lines) + "\n").encode()


def read_relmat(path: Path) -> RegionTable:
    """Read a table that `encode_relmat` wrote.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is damaged, or not a matrix between the regions of its first row.
    """
    table = read_table(path)
    names = tuple(table.header[1:])
    if table.short or tuple(row[0] for row in table.rows) != names:
        raise ForeignFileError(
            f"{path} is not a matrix between regions: the names of its rows and columns differ",
            expected="names of the regions in the first line and in the first column",
        )
    values = read_numbers([row[1:] for row in table.rows], path)
    with reading(path, as_what=" as a matrix between regions"):
        return RegionTable(names, values)


@dataclass(frozen=True)
class NodeFile:
    """The table of the nodes (regions) of matrices.

    Examples
    --------
    >>> regions = NodeFile("MNI152NLin6Asym", "Schaefer2018", {1: "Vis_1", 2: "Vis_2"}, "Parcels")
    >>> str(regions.path)
    'tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_seg-Schaefer2018_dseg.tsv'
    """

    space: str  # space of the atlas image
    label: str  # value of seg-, letters and digits
    names: Mapping[int, str]  # by index in the image, in the order of the matrices
    description: str
    overlap: bool = False  # whether the nodes are overlapping maps instead of parcels

    @property
    def path(self) -> PurePosixPath:
        """Path of the table in the dataset."""
        named = {"tpl": self.space, "seg": self.label}
        suffix = "probseg" if self.overlap else "dseg"
        return PurePosixPath(f"tpl-{self.space}") / build_name(named, suffix, ".tsv")

    @property
    def facts(self) -> dict[str, Any]:
        """Entries of the matrices' sidecars that name this table."""
        return {"NodeFiles": [bids_uri("", self.path)]}

    def write(self, output: DerivativeDataset) -> None:
        """Write the table and its sidecar, unless they exist with this content.

        Raises
        ------
        OutputError
            They cannot be written.
        """
        sidecar = {
            "Description": self.description,
            "SpatialReference": f"https://templateflow.s3.amazonaws.com/tpl-{self.space}",
        }
        table = tsv_text(["index", "name"], [*self.names.items()])
        output.write_if_changed(self.path, table)
        output.write_if_changed(self.path.with_suffix(".json"), json_text(sidecar))


def segment_label(*words: str) -> str:
    """Join the letters and digits of words into a label of a BIDS entity.

    Examples
    --------
    >>> segment_label("Schaefer2018", "7n", "400"), segment_label("hcp-ya")
    ('Schaefer20187n400', 'hcpya')
    """
    return re.sub("[^0-9A-Za-z]", "", "".join(words)) or "nodes"


def relationship_facts(
    measure: str,
    description: str,
    *,
    directed: bool = False,
    non_negative: bool = False,
) -> dict[str, Any]:
    """Return the sidecar entries that BEP 017 (relationship matrices) requires.

    Parameters
    ----------
    measure
        Name of the measure.
    description
        How the measure is computed.
    directed
        Whether values are effects of columns on rows; otherwise the matrix is symmetric.
    non_negative
        Whether no value can be below 0.
    """
    return {
        "RelationshipMeasure": measure,
        "MeasureDescription": description,
        "Weighted": True,
        "Directed": directed,
        # In a directed matrix, the diagonal relates each region to its own past.
        "ValidDiagonal": directed,
        "StorageFormat": "Full",
        "NonNegative": non_negative,
    }
