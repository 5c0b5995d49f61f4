"""The one atlas whose parcels are the regions of a call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import Atlas, find_atlas
from bids_dtg.imaging.grid import standard_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.regions.atlases import NONE, atlas_datasets
from bids_dtg.inputs.regions.known_atlases import DEFAULT, KNOWN, atlas_key
from bids_dtg.participants.request import templateflow_of
from bids_dtg.settings import Settings


def read_only_atlas(settings: Settings, workflow: str, own: str = "") -> Atlas:
    """Read the atlas of a call: that asked for, the model's, or the default.

    Parameters
    ----------
    settings
        All options of the call.
    workflow
        Name of the workflow, for the message.
    own
        Key of the model's atlas; empty: it has none, or there is no model.

    Returns
    -------
    Atlas
        Read at every voxel of `standard_grid`.

    Raises
    ------
    SettingsError
        There is none, or several were asked for.
    """
    asked: Sequence[str] = settings.outputs.atlases
    if len(asked) > 1 or NONE in asked:
        raise SettingsError(
            f"--atlases is {' '.join(asked)}",
            expected=f"one atlas with --workflow {workflow}, whose parcels are the regions",
        )
    grid = standard_grid()
    places = VoxelPlaces.within(grid, np.ones(grid.shape, bool))
    datasets = atlas_datasets(settings.inputs.derivatives)
    templateflow = templateflow_of(settings)
    if asked or not own:
        name = asked[0] if asked else DEFAULT
        return find_atlas(name, places, templateflow=templateflow, datasets=datasets)
    try:
        return find_atlas(_as_option(own), places, templateflow=templateflow, datasets=datasets)
    except SettingsError as err:
        raise SettingsError(
            f"the model's atlas {own} cannot be found by its name",
            expected="its label image",
            remedy="give the image with --atlases FILE, or the data set that has it with "
            "--derivatives atlas=PATH",
        ) from err


def _as_option(key: str) -> str:
    """Return a model's atlas as --atlases takes it."""
    return next((row.name for row in KNOWN.values() if atlas_key(row.entities) == key), key)
