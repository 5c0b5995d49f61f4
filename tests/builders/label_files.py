"""Label files of grayordinates (.dlabel.nii), of the parcels that ship, by nibabel alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_dtg import load_bundle
from bids_dtg.imaging.surfaces.cifti import CORTEX, standard_grayordinates

_MESH = 32492


@cache
def parcels() -> list[tuple[str, str, np.ndarray]]:
    """Return the name, structure and vertices of each shipped parcel."""
    parser = nib.cifti2.parse_cifti2.Cifti2Parser()
    parser.parse(string=(load_bundle("hcp-glasser").path / "parcels.xml").read_bytes())
    return [
        (name, structure, vertices)
        for name, _, sides in parser.header.get_axis(1)
        for structure, vertices in sides.items()
    ]


def write_labels(
    path: Path,
    *,
    size: int = _MESH,
    maps: int = 1,
    voxels: bool = False,
    cortex: bool = True,
    named: bool = True,
    name: str | None = None,
    first: float | None = None,
) -> Path:
    """Write the shipped parcels as labels from 1.

    Parameters
    ----------
    path
        The file.
    size
        Number of vertices of a hemisphere.
    maps
        Number of maps of labels.
    voxels
        Whether voxels have a label, too.
    cortex
        Whether it has vertices of the cortex.
    named
        Whether it has label tables; else its maps are values.
    name
        The name of all parcels; None: their own.
    first
        Value of the first vertex; None: its label.
    """
    axis = standard_grayordinates()
    below = np.flatnonzero(axis.volume_mask)[:50]
    axis = axis[np.concatenate([np.flatnonzero(axis.surface_mask), below])]
    of_sides = {structure: np.zeros(_MESH) for structure in CORTEX}
    table = {0: ("???", (0, 0, 0, 0))}
    for label, (parcel, structure, vertices) in enumerate(parcels(), 1):
        of_sides[structure][vertices] = label
        table[label] = (name or parcel, (1, 1, 1, 1))
    labels = [of_sides[side][axis.vertex[axis.name == side]] for side in CORTEX]
    values = np.concatenate([*labels, np.zeros(len(below))]).astype(np.float32)
    if first is not None:
        values[0] = first
    if voxels:
        values[-len(below) :] = 361
        table[361] = ("AMYGDALA_LEFT", (1, 1, 1, 1))
    if size != _MESH:
        near = np.flatnonzero(axis.surface_mask & (axis.vertex < size))
        axis, values = axis[near], values[near]
        axis.nvertices = dict.fromkeys(CORTEX, size)
    if not cortex:
        axis, values = axis[-len(below) :], values[-len(below) :]
    titles = [f"map {number}" for number in range(maps)]
    rows = nib.cifti2.ScalarAxis(titles)
    if named:
        rows = nib.cifti2.LabelAxis(titles, [table] * maps)
    image = nib.cifti2.Cifti2Image(np.tile(values, (maps, 1)), (rows, axis))
    nib.save(image, path)
    return path
