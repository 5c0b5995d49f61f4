"""What panels of contrast maps keep something of: a run that has just been measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.files.names import FileKind, bids_uri
from bids_dtg.imaging.mean_frame import MeanFrame
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.inputs.run import RestRun
from bids_dtg.report.panels.panel import Kept, RunFrames
from bids_dtg.settings import Interpolation


@dataclass(frozen=True, eq=False)
class RunData(RunFrames):
    """One run that has just been measured."""

    run: RestRun  # its files
    source: str  # name of its dataset in BIDS URIs
    interpolation: Interpolation  # how voxels are taken out of the file
    mean_frame: MeanFrame  # of its first kept frames
    bundle: ModelBundle  # the model that reads it
    measured: RunConnectomes  # by the model: its maps are made of them

    @property
    def bold_uri(self) -> str:
        """BIDS URI of the run's series."""
        return bids_uri(self.source, self.run.bold.relative_to(self.run.root).as_posix())


def keep_volume(
    kind: FileKind,
    values: NDArray[np.integer],
    data: RunData,
    *,
    description: str,
    slope: float = 1.0,
    more: Mapping[str, Any] | None = None,
) -> Kept:
    """Make an image on the model's grid ready to be written.

    Parameters
    ----------
    kind
        Of the file.
    values
        (i, j, k), stored as they are.
    data
        The run.
    description
        Of the sidecar.
    slope
        What a stored value of 1 stands for.
    more
        Further content of the sidecar.
    """
    grid = data.bundle.grid
    return Kept(
        kind,
        encode_integers(values, grid, slope=slope, description=f"bids_dtg {kind.desc or ''}"),
        sidecar={
            "Description": description,
            "Sources": [data.bold_uri],
            **grid.metadata,
            **(more or {}),
        },
        entities=grid.entities,
    )
