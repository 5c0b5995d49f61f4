"""Files of parcels as pages read them: absent and damaged ones are as if there were none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.foreign import Table, read_table
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions.relmat import RegionMatrix, read_relmat
from bids_dtg.files.regions.series import SERIES, RegionSeries, read_series
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels.panel import Kept, RunFrames

Floats = NDArray[np.float64]


def no_file(data: RunFrames) -> Kept | None:
    """Keep nothing: what such a panel shows is a result, which lies in the output anyway."""
    return None


def series_of(run: RunFiles) -> RegionSeries | None:
    """Read the series of a run; None where none can be read."""
    try:
        return read_series(path) if (path := run.files.get(SERIES)) else None
    except ForeignFileError:
        return None


def matrix_of(run: RunFiles, kind: FileKind) -> RegionMatrix | None:
    """Read a matrix of a run; None where none can be read."""
    try:
        return read_relmat(path) if (path := run.files.get(kind)) else None
    except ForeignFileError:
        return None


def read_cells(path: Path | None) -> Table | None:
    """Read a table as text; None where none can be read."""
    try:
        return None if path is None else read_table(path)
    except ForeignFileError:
        return None
