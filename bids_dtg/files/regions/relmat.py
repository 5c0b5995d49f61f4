"""A matrix between regions as a table: a row and a column a region (``_relmat.tsv``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import read_table
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.cells import name_cell, number_lines, read_numbers
from bids_dtg.files.regions.series import require_names

RELMAT = FileKind("relmat", None, ".tsv")
NODE = "Node"  # what XCP-D calls the column of names


@dataclass(frozen=True, eq=False)
class RegionMatrix:
    """A value between each two regions."""

    names: tuple[str, ...]  # of the regions, each once
    values: NDArray[np.float64]  # (regions, regions), NaN where there is no value

    def __post_init__(self) -> None:
        require_names(self.names)
        if self.values.shape != (len(self.names),) * 2:
            raise ValueError(f"{len(self.names)} regions have values {self.values.shape}")


def encode_relmat(matrix: RegionMatrix) -> bytes:
    r"""Write a matrix as a table whose first column has the names, as XCP-D does.

    Nine digits are written; what is NaN is ``n/a``.

    Examples
    --------
    >>> encode_relmat(RegionMatrix(("V1", "V2"), np.array([[1, 0.25], [0.25, 1]])))
    b'Node\tV1\tV2\nV1\t1\t0.25\nV2\t0.25\t1\n'
    """
    names = [name_cell(name) for name in matrix.names]
    lines = ["\t".join([NODE, *names])]
    rows = number_lines(matrix.values)
    lines += [f"{name}\t{row}" for name, row in zip(names, rows, strict=True)]
    return ("\n".join(lines) + "\n").encode()


def read_relmat(path: Path) -> RegionMatrix:
    """Read a table as `encode_relmat` writes it.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is damaged, or no matrix between the regions of its first row.
    """
    table = read_table(path)
    names = tuple(table.header[1:])
    if table.short or tuple(row[0] for row in table.rows) != names:
        raise ForeignFileError(
            f"{path} is no matrix between regions: its rows are not those of its columns",
            expected="names of the regions in the first line and in the first column",
        )
    try:
        return RegionMatrix(names, read_numbers([row[1:] for row in table.rows], path))
    except ValueError as err:
        raise ForeignFileError(f"{path} is no matrix between regions: {err}") from err
