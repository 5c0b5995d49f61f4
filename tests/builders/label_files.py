"""Label files of grayordinates: a few vertices of both sides, and voxels of a structure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np


def write_dlabel(path: Path, names: Sequence[str], each: int = 40) -> Path:
    """Write a ``.dlabel.nii`` of parcels: vertices of left and right, voxels of the last."""
    mesh = np.zeros(32492, bool)
    mesh[: each * len(names)] = True
    left = nib.cifti2.BrainModelAxis.from_mask(mesh, name="cortex_left")
    right = nib.cifti2.BrainModelAxis.from_mask(mesh, name="cortex_right")
    volume = np.zeros((91, 109, 91), bool)
    volume[40:42, 40, :each] = True
    affine = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    below = nib.cifti2.BrainModelAxis.from_mask(volume, name="amygdala_left", affine=affine)
    places = left + right + below
    labels = np.zeros((1, len(places)), np.float32)
    for number in range(len(names) - 1):  # half of each on either side
        for first in (0, each * len(names)):
            start = first + number * each
            labels[0, start : start + each // 2] = number + 7
    labels[0, -each:] = len(names) + 6
    keys = {0: ("???", (0, 0, 0, 0))} | {
        number + 7: (name, (1, 0, 0, 1)) for number, name in enumerate(names)
    }
    axis = nib.cifti2.LabelAxis(["parcels"], [keys])
    nib.save(nib.Cifti2Image(labels, (axis, places)), path)
    return path
