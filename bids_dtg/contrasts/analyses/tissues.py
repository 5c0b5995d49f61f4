"""Which of a model's places are cortex, subcortex and cerebellum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import SettingsError
from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.inputs.templateflow import TemplateFlow

CORTEX, SUBCORTEX, CEREBELLUM = TISSUES = ("cortex", "subcortex", "cerebellum")
_CORTICAL, _STRUCTURES = "Schaefer400", "HCP"  # atlases that ship with the program
_LEAST_PLACES = 20  # of a tissue: an r over fewer says little


def tissues_of(places: Places) -> Mapping[str, NDArray[np.bool_]]:
    """Return which of a model's places are of each tissue, by the tissue's name.

    They are those of the shipped atlases (Schaefer400; structures of HCP). Parcels and listed
    places have no tissue, nor have voxels of another template.

    Returns
    -------
    Mapping
        (places,) of each of `TISSUES` that has 20 places or more. A voxel that no atlas names is in
        none of them.
    """
    names = _names(places)
    tissues = np.array([_tissue(name) for name in names])
    found = {tissue: tissues == tissue for tissue in TISSUES} if len(names) else {}
    return {tissue: here for tissue, here in found.items() if here.sum() >= _LEAST_PLACES}


def _names(places: Places) -> NDArray[np.str_]:
    """Return the structure that each place is of, (places,), empty: none; () without structures."""
    if not isinstance(places, VoxelPlaces):
        return np.array([], str)
    names = np.full(places.number, "", "<U40")
    for name in (_CORTICAL, _STRUCTURES):
        try:
            atlas = find_atlas(name, places, templateflow=TemplateFlow(None))
        except SettingsError:  # another template, or another part of the brain
            continue
        here, parcels = atlas.labels > 0, np.array([*atlas.parcels.values(), ""])
        names[here] = "CORTEX" if name == _CORTICAL else parcels[atlas.columns[here]]
    return names


def _tissue(structure: str) -> str:
    """Return a structure's tissue; empty for none.

    Examples
    --------
    >>> [_tissue(name) for name in ("CORTEX_LEFT", "CEREBELLUM_RIGHT", "PUTAMEN_LEFT", "")]
    ['cortex', 'cerebellum', 'subcortex', '']
    """
    if not structure:
        return ""
    if structure.startswith("CORTEX"):
        return CORTEX
    return CEREBELLUM if structure.startswith("CEREBELLUM") else SUBCORTEX
