"""The atlas whose parcels are the regions of a call, and a second one where it may have one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import Atlas, choose_atlases, find_atlas
from bids_dtg.imaging.grid import standard_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.regions.atlases import NONE, atlas_datasets
from bids_dtg.inputs.regions.known_atlases import DEFAULT, KNOWN, atlas_key
from bids_dtg.participants.request import templateflow_of
from bids_dtg.settings import Settings


def read_only_atlas(settings: Settings, workflow: str, own: str = "") -> Atlas:
    """Read the one atlas of a call, as `read_atlases` does."""
    (atlas,) = read_atlases(settings, workflow, own)
    return atlas


def read_atlases(
    settings: Settings, workflow: str, own: str = "", *, second: str = ""
) -> tuple[Atlas, ...]:
    """Read the atlases of a call: those asked for, the model's, or the default.

    Parameters
    ----------
    settings
        All options of the call.
    workflow
        Name of the workflow, for the message.
    own
        Key of the model's atlas; empty: it has none, or there is no model.
    second
        What the parcels of a second atlas are for; empty: there may be none.

    Returns
    -------
    tuple of Atlas
        One or two, read at every voxel of `standard_grid`.

    Raises
    ------
    SettingsError
        There is none, too many were asked for, or one of them twice.
    """
    asked: Sequence[str] = settings.outputs.atlases
    if len(asked) > 1 + bool(second) or NONE in asked:
        raise SettingsError(
            f"--atlases is {' '.join(asked)}",
            expected=f"one atlas with --workflow {workflow}, whose parcels are the regions"
            + (f", or a second one for {second}" if second else ""),
        )
    grid = standard_grid()
    places = VoxelPlaces.within(grid, np.ones(grid.shape, bool))
    datasets = atlas_datasets(settings.inputs.derivatives)
    templateflow = templateflow_of(settings)
    if asked or not own:
        wanted = asked or (DEFAULT,)
        return choose_atlases(wanted, places, templateflow=templateflow, datasets=datasets)
    try:
        return (find_atlas(_as_option(own), places, templateflow=templateflow, datasets=datasets),)
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
