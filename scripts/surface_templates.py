"""Make the template surfaces that ship with the package, from their source files.

``python scripts/surface_templates.py FOLDER`` reads these files in FOLDER, with the names that
TemplateFlow and HCPpipelines give them:

- ``tpl-fsLR/tpl-fsLR_desc-regfusion_hemi-{L,R}_den-32k_midthickness.surf.gii``: the coordinates of
  registration fusion (Wu 2018; regfusion 0.1.0), moved from fsaverage's mesh to fsLR's with
  ``wb_command -metric-resample``
- ``tpl-fsLR/tpl-fsLR_hemi-L_den-32k_sphere.surf.gii``,
  ``tpl-fsLR/tpl-fsLR_space-fsaverage_hemi-{L,R}_den-32k_sphere.surf.gii``,
  ``tpl-fsLR/{L,R}.atlasroi.32k_fs_LR.shape.gii``,
  ``tpl-fsaverage/tpl-fsaverage_hemi-{L,R}_den-10k_sphere.surf.gii``: HCPpipelines
- ``tpl-fsaverage/tpl-fsaverage_desc-regfusion_hemi-{L,R}_den-10k_midthickness.surf.gii``: the first
  10,242 points of registration fusion
- ``grayordinates/grayordinates_91k.npz``: the brain models of 91282_Greyordinates.dscalar.nii

and writes the ``.npz`` files of ``bids_dtg/imaging/surfaces/templates``. Its README has sources and
licences.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial import cKDTree

from bids_dtg.imaging.surfaces.meshes import read_surface

TEMPLATES = Path(__file__).parent.parent / "bids_dtg/imaging/surfaces/templates"
SIDES = ("L", "R")


def make_fs_lr(folder: Path) -> dict[str, np.ndarray]:
    """Return fsLR's arrays."""
    read = {
        side: read_surface(
            folder / f"tpl-fsLR_desc-regfusion_hemi-{side}_den-32k_midthickness.surf.gii"
        )
        for side in SIDES
    }
    sphere = {
        side: read_surface(folder / f"tpl-fsLR_hemi-{side}_den-32k_sphere.surf.gii")[0]
        for side in SIDES
    }
    assert np.array_equal(sphere["R"], sphere["L"] * [-1, 1, 1])
    # Both sides have the same triangles in opposite orientation, with another first corner.
    assert np.array_equal(np.sort(read["R"][1], axis=1), np.sort(read["L"][1], axis=1))
    return {
        "points_L": read["L"][0].astype(np.float32),
        "points_R": read["R"][0].astype(np.float32),
        "sphere_L": sphere["L"].astype(np.float32),
        "faces_L": read["L"][1].astype(np.uint16),
        "cortex_L": nib.load(folder / "L.atlasroi.32k_fs_LR.shape.gii").darrays[0].data > 0,
        "cortex_R": nib.load(folder / "R.atlasroi.32k_fs_LR.shape.gii").darrays[0].data > 0,
    }


def make_fsaverage(
    folder: Path, fs_lr: Path, cortex: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return fsaverage5's arrays, with the medial wall of fsLR."""
    made: dict[str, np.ndarray] = {}
    for side in SIDES:
        points, faces = read_surface(
            folder / f"tpl-fsaverage_desc-regfusion_hemi-{side}_den-10k_midthickness.surf.gii"
        )
        own, _ = read_surface(folder / f"tpl-fsaverage_hemi-{side}_den-10k_sphere.surf.gii")
        other, _ = read_surface(
            fs_lr / f"tpl-fsLR_space-fsaverage_hemi-{side}_den-32k_sphere.surf.gii"
        )
        # A vertex is in the medial wall if the nearest fsLR vertex on fsaverage's sphere is.
        nearest = cKDTree(other).query(own)[1]
        made[f"points_{side}"] = points.astype(np.float32)
        made[f"cortex_{side}"] = cortex[f"cortex_{side}"][nearest]
        made["faces_L"] = faces.astype(np.uint16)  # the right hemisphere has the same
    return made


def main(folder: Path) -> None:
    """Write the files."""
    fs_lr = make_fs_lr(folder / "tpl-fsLR")
    np.savez_compressed(TEMPLATES / "fsLR_den-32k.npz", **fs_lr)
    fsaverage = make_fsaverage(folder / "tpl-fsaverage", folder / "tpl-fsLR", fs_lr)
    np.savez_compressed(TEMPLATES / "fsaverage_den-10k.npz", **fsaverage)
    with np.load(folder / "grayordinates/grayordinates_91k.npz") as grayordinates:
        np.savez_compressed(TEMPLATES / "grayordinates_den-91k.npz", **grayordinates)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
