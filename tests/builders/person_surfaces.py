"""A person's surfaces as fMRIPrep and HCP write them: the template's, tilted into a T1w space."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from itk_files import affine_part, itk_text

from bids_dtg.imaging.surfaces.meshes import SIDES, fs_lr_sphere, read_template

# MNI152NLin6Asym to the person's T1w, RAS+ mm: turned by 25 degrees, and moved.
ANGLE = np.deg2rad(25)
TO_T1W = np.array(
    [
        [1, 0, 0, 4],
        [0, np.cos(ANGLE), -np.sin(ANGLE), -9],
        [0, np.sin(ANGLE), np.cos(ANGLE), 12],
        [0, 0, 0, 1],
    ]
)


def write_surface(path: Path, points: np.ndarray, faces: np.ndarray) -> Path:
    """Write a .surf.gii file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [
        nib.gifti.GiftiDataArray(points.astype(np.float32), "NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(np.asarray(faces, np.int32), "NIFTI_INTENT_TRIANGLE"),
    ]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), path)
    return path


def template_mesh(side: str) -> tuple[np.ndarray, np.ndarray]:
    template = read_template("fsLR")
    return template.points[side], template.faces[side]


def in_t1w(points: np.ndarray) -> np.ndarray:
    return points @ TO_T1W[:3, :3].T + TO_T1W[:3, 3]


def add_fmriprep_surfaces(
    root: Path, participant: str, *, native: bool = False
) -> Path:
    """Add what fMRIPrep 25 (native: 24) writes to `anat`, and return that folder."""
    anat = root / f"sub-{participant}" / "anat"
    stem = f"sub-{participant}"
    for side in SIDES:
        points, faces = template_mesh(side)
        sphere = fs_lr_sphere(side)
        if native:  # FreeSurfer numbers vertices otherwise
            order = np.random.default_rng(1).permutation(len(points))
            back = np.argsort(order)
            points, sphere = points[order], sphere[order]
            faces = back[faces]
            for name, turned in (
                ("space-fsLR_desc-msmsulc", sphere),
                ("desc-reg", sphere[:, ::-1]),
            ):
                write_surface(
                    anat / f"{stem}_hemi-{side}_{name}_sphere.surf.gii", turned, faces
                )
        mesh = "" if native else "_space-fsLR_den-32k"
        path = anat / f"{stem}_hemi-{side}{mesh}_midthickness.surf.gii"
        write_surface(path, in_t1w(points), faces)
    add_transform(anat, participant)
    return anat


def add_transform(
    anat: Path, participant: str, template: str = "MNI152NLin6Asym"
) -> Path:
    """Write the transform that resamples images of a template to T1w: it maps T1w's points."""
    path = anat / f"sub-{participant}_from-{template}_to-T1w_mode-image_xfm.txt"
    path.write_text(itk_text([affine_part(np.linalg.inv(TO_T1W))]))
    return path


def add_hcp_surfaces(folder: Path, kind: str = "midthickness_MSMAll") -> Path:
    """Add what HCP's pipelines write to one person's folder; return that of the mesh."""
    mesh = folder / "MNINonLinear" / "fsaverage_LR32k"
    # A trap: the same names in another space.
    in_t1w_space = folder / "T1w" / "fsaverage_LR32k"
    for side in SIDES:
        points, faces = template_mesh(side)
        name = f"{folder.name}.{side}.{kind}.32k_fs_LR.surf.gii"
        write_surface(mesh / name, points, faces)
        write_surface(in_t1w_space / name, in_t1w(points), faces)
    return mesh
