"""Series of regions as a table: a column a region, a row a frame (``_timeseries.tsv``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import read_table
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.cells import name_cell, number_lines, read_numbers

SERIES = FileKind("timeseries", None, ".tsv")


@dataclass(frozen=True, eq=False)
class RegionSeries:
    """Series of regions, as a table has them."""

    names: tuple[str, ...]  # of the regions, each once
    values: NDArray[np.float32]  # (regions, frames), NaN where there is no value

    def __post_init__(self) -> None:
        require_names(self.names)
        if self.values.ndim != 2 or len(self.values) != len(self.names):
            raise ValueError(f"{len(self.names)} regions have values {self.values.shape}")

    @property
    def keep(self) -> NDArray[np.bool_]:
        """(frames,), where a region has a value: the frames that were kept."""
        return np.asarray(np.isfinite(self.values).any(axis=0), bool)

    @property
    def present(self) -> NDArray[np.bool_]:
        """(regions,), which have a value in a frame."""
        return np.asarray(np.isfinite(self.values).any(axis=1), bool)


def encode_series(series: RegionSeries) -> bytes:
    r"""Write series as a table: names of regions, then a line a frame.

    Nine digits are written, so that `read_series` gives the same numbers; what is NaN is ``n/a``.

    Examples
    --------
    >>> values = np.array([[0.5, np.nan], [1.0, 2.0]], np.float32)
    >>> encode_series(RegionSeries(("V1", "V2"), values))
    b'V1\tV2\n0.5\t1\nn/a\t2\n'
    """
    lines = ["\t".join(map(name_cell, series.names)), *number_lines(series.values.T)]
    return ("\n".join(lines) + "\n").encode()


def read_series(path: Path) -> RegionSeries:
    """Read a table as `encode_series` writes it.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is damaged, or no table of series.
    """
    table = read_table(path)
    if table.short or not table.rows:
        raise ForeignFileError(
            f"{path} is no whole table of series: it has {len(table.rows)} rows, {table.short} of "
            "them cut off",
            expected="a column a region, a row a frame",
        )
    values = read_numbers(table.rows, path).T
    try:
        return RegionSeries(table.header, np.ascontiguousarray(values, np.float32))
    except ValueError as err:
        raise ForeignFileError(f"{path} is no table of series: {err}") from err


def series_sidecar(names: Sequence[str], tr_seconds: float, **facts: Any) -> dict[str, Any]:
    """Return the content of the JSON file beside a table of series.

    Parameters
    ----------
    names
        A name for each column of the series, in its order.
    tr_seconds
        Time between frames, in seconds.
    facts
        More about it, by their keys.

    Examples
    --------
    >>> found = series_sidecar(["V1"], 0.8, FramesKept=120)
    >>> found["RepetitionTime"], found["SamplingFrequency"], found["FramesKept"]
    (0.8, 1.25, 120)
    """
    return {
        "Description": "Cleaned mean series of the parcels of an atlas: a column a parcel, a row a "
        "frame of the run",
        "Units": "arbitrary: mean 0 and standard deviation 1 over the frames kept; n/a in frames "
        "that are not kept, and for parcels without enough coverage",
        "RepetitionTime": tr_seconds,
        "SamplingFrequency": round(1.0 / tr_seconds, 9),
        "Parcels": len(names),
        **facts,
    }


def require_names(names: Sequence[str]) -> None:
    """Refuse names that a table cannot be read by.

    Raises
    ------
    ValueError
        There is none, one is empty or begins or ends with a space, or two are the same.
    """
    if not names or not all(name and name == name.strip() for name in names):
        raise ValueError("regions have names, without spaces around them")
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ValueError(f"two regions are called {twice}")
