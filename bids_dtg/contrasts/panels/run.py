"""The measured run that panels of contrast maps read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.carpet import Carpet
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.files.names import FileKind
from bids_dtg.imaging.mean_frame import MeanFrame
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.inputs.run import RestRun
from bids_dtg.participants.origin import source_uri
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
    carpet: Carpet  # values of some of its voxels over its frames
    carpet_rows: Mapping[str, int]  # how many voxels it has of each kind, in order

    @property
    def bold_uri(self) -> str:
        """BIDS URI of the run's series."""
        return source_uri(self.run.bold, self.run.root, self.source)


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
