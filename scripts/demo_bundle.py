"""Write the demo bundle: the trained network with the phantom's masks and ROI maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from demo_table import SEGMENTS, Table, phantom_people
from torch import Tensor

from bids_dtg.bundles.card import ModelCard, TrainingData
from bids_dtg.contrasts.bundle.bundle import BundleArrays, ModelBundle, write_bundle
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
from bids_dtg.contrasts.bundle.part import MapsPart, Recentring
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.phantom.streams import Cohort

VERSION = "2"
# ROI maps are rounded to multiples of this, which is far below the noise and compresses well.
_MAP_STEP = 2.0**-8
_NOTICE = (
    "Demo model, trained on simulated people: its maps show that the software runs. "
    "They say nothing about a real brain and are not for science."
)


def write_demo_bundle(
    folder: Path,
    phantom: Phantom,
    state: Mapping[str, Tensor],
    record: Mapping[str, Any],
    table: Table,
) -> ModelBundle:
    """Write the bundle; see `bids_dtg.contrasts.bundle.bundle.write_bundle`."""
    anatomy = phantom.anatomy
    roi_maps = np.zeros((len(phantom.roi_maps), int(anatomy.brain.sum())), np.float32)
    roi_maps[:, anatomy.grey_in_brain] = (
        np.rint(phantom.roi_maps / _MAP_STEP) * _MAP_STEP
    )
    card = ModelCard(
        name="demo",
        version=VERSION,
        kind=ATTENTION_UNET.name,
        part=MapsPart(
            hcp_contrasts(),
            anatomy.grid,
            recentring=Recentring(table.validation_people, SEGMENTS),
        ),
        licence="Apache-2.0",
        description="A small attention U-Net trained on a simulated cohort with a known truth. "
        "Masks are those of the ICBM 2009a symmetric template: approximate geometry.",
        training=TrainingData(
            data=f"SIMULATED: phantom 2, seed {phantom.seed}",
            repetition_time_s=None,
            cleaning="none needed: connectomes were simulated directly",
            participants=table.training_people,
        ),
        for_science=False,
        notice=_NOTICE,
        record=record,
        evaluation=table.evaluation,
    )
    tensors = {name: tensor.numpy() for name, tensor in state.items()}
    arrays = BundleArrays(
        tensors,
        roi_maps,
        VoxelPlaces.within(anatomy.grid, anatomy.brain),
        anatomy.places,
        table.correction,
    )
    counts = {
        Cohort.TRAINING: table.training_people,
        Cohort.VALIDATION: table.validation_people,
        Cohort.TEST: int(table.evaluation["participants"]),
    }
    return write_bundle(folder, card, arrays, phantom_people(phantom, counts))
