"""Glasser's parcels painted by Connectome Workbench near the template's midthickness.

    python tests/oracles/workbench_painting.py     (needs wb_command)

writes ``workbench_painting.npz`` beside this file: for each hemisphere, where
`wb_command -label-to-volume-mapping -nearest-vertex 4` puts labels on the grid of 2 mm, and which.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

HERE = Path(__file__).parent
STORED = HERE / "workbench_painting.npz"
SIDES = {"L": "Left", "R": "Right"}
SHAPE = (91, 109, 91)  # TemplateFlow's grid of MNI152NLin6Asym
AFFINE = np.array([[2.0, 0, 0, -90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])


def painted(labels: np.ndarray, side: str, points, faces, folder: Path) -> np.ndarray:
    """Return the label at each voxel, (i, j, k); 0: none."""
    from person_surfaces import write_surface

    surface = write_surface(folder / f"{side}.surf.gii", points, faces)
    structure = f"CORTEX_{SIDES[side].upper()}"
    words = ["wb_command", "-set-structure", surface, structure]
    subprocess.run([*map(str, words)], check=True)
    table = nib.gifti.GiftiLabelTable()
    for key in range(361):
        label = nib.gifti.GiftiLabel(key, 0.5, 0.5, 0.5, float(key > 0))
        label.label = str(key)
        table.labels.append(label)
    array = nib.gifti.GiftiDataArray(labels.astype(np.int32), "NIFTI_INTENT_LABEL")
    meta = nib.gifti.GiftiMetaData(
        {"AnatomicalStructurePrimary": f"Cortex{SIDES[side]}"}
    )
    image = nib.gifti.GiftiImage(meta=meta, labeltable=table, darrays=[array])
    metric, grid = folder / f"{side}.label.gii", folder / "grid.nii.gz"
    nib.save(image, metric)
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), grid)
    out = folder / f"{side}.nii.gz"
    words = ["wb_command", "-label-to-volume-mapping", metric, surface, grid, out]
    subprocess.run([*map(str, words), "-nearest-vertex", "4"], check=True)
    return np.asarray(nib.load(out).dataobj).astype(np.int16)


def stored_labels(side: str) -> np.ndarray:
    """Return what Workbench painted of a hemisphere, (i, j, k); 0: nothing."""
    with np.load(STORED) as file:
        volume = np.zeros(SHAPE, int)
        volume.ravel()[np.cumsum(file[f"steps_{side}"])] = file[f"labels_{side}"]
    return volume


def main() -> None:
    """Paint both hemispheres, and store labels and their positions."""
    sys.path[:0] = [str(HERE.parent / "builders")]
    from person_surfaces import template_mesh

    from bids_dtg.contrasts.bundle.bundle import load_bundle
    from bids_dtg.imaging.surfaces.cifti import CORTEX

    places, stored = load_bundle("hcp-glasser").places, {}
    for side, structure in zip("LR", CORTEX, strict=True):
        points, faces = template_mesh(side)
        labels = np.zeros(len(points), int)
        for number, vertices in enumerate(places.axis.vertices, 1):
            labels[vertices.get(structure, [])] = number
        with tempfile.TemporaryDirectory() as folder:
            volume = painted(labels, side, points, faces, Path(folder))
        positions = np.flatnonzero(volume)
        # Steps between positions take less space.
        stored[f"steps_{side}"] = np.diff(positions, prepend=0).astype(np.uint32)
        stored[f"labels_{side}"] = volume.ravel()[positions].astype(np.uint16)
    np.savez_compressed(STORED, **stored)


if __name__ == "__main__":
    main()
