"""The measured run that panels of contrast maps read."""

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
    mean_frame: MeanFrame | None  # mean of its first kept frames, if they are volumes
    bundle: ModelBundle  # the model
    measured: RunConnectomes  # connectomes that the maps are predicted from

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
    """Encode an image on the model's grid as a file."""
    grid = data.bundle.grid
    return Kept(
        kind,
        encode_integers(values, grid, slope=slope, description=f"bids_dtg {kind.desc or ''}"),
        sidecar={
            "Description": description,
            "Sources": [data.bold_uri],
            **grid.brain_metadata,
            **(more or {}),
        },
        entities=grid.entities,
    )
