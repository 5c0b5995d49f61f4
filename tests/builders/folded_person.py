"""A simulated person whose cortex is the template's, moved by a smooth field, and their rest.

Voxels within 2 mm of the surface have the series of the nearest vertex's parcel, without noise.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from fmriprep_dataset import (
    confound_columns,
    describe_dataset,
    make_image,
    write_confounds,
)
from itk_files import affine_part, itk_text
from person_surfaces import TO_T1W, add_transform, in_t1w, template_mesh, write_surface
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import ConvexHull, cKDTree

from bids_dtg import load_bundle
from bids_dtg.imaging.surfaces.meshes import (
    SIDES,
    both_sides,
    fs_lr_on_fsaverage,
    fs_lr_sphere,
    sphere_weights,
)
from bids_dtg.imaging.surfaces.vertices import parcels_of_vertices

NATIVE, FRAMES = 163842, 40
CENTRE = np.array([3.0, -12.0, 18.0])  # C_RAS
STEM = "sub-01_task-rest"


def field(points: np.ndarray, mm: float = 6.0, length_mm: float = 20.0) -> np.ndarray:
    """Return displacements (n, 3) that vary smoothly, with an sd of so many mm along an axis."""
    rng, waves = np.random.default_rng(2), 100
    phase = points @ (rng.standard_normal((waves, 3)) / length_mm).T
    courses = np.cos(phase + rng.uniform(0, 2 * np.pi, waves))
    moved = courses @ rng.standard_normal((waves, 3))
    moved *= mm * np.sqrt(2 / waves)
    moved[:, 0] *= np.tanh(np.abs(points[:, 0]) / 15)  # hemispheres stay on their sides
    return moved


@cache
def native_mesh(side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a sphere of 163,842 vertices registered to fsLR, one to fsaverage, and triangles."""
    number = np.arange(NATIVE) + 0.5
    height, turn = 1 - 2 * number / NATIVE, np.pi * (1 + 5**0.5) * number
    radius = np.sqrt(1 - height**2)
    sphere = 100 * np.stack(
        [radius * np.cos(turn), radius * np.sin(turn), height], axis=1
    )
    faces = ConvexHull(sphere).simplices
    weights = sphere_weights(fs_lr_sphere(side), template_mesh(side)[1], sphere)
    on_fsaverage = weights @ fs_lr_on_fsaverage(side)
    on_fsaverage *= 100 / np.linalg.norm(on_fsaverage, axis=1, keepdims=True)
    return sphere, on_fsaverage, faces


def cortex(side: str, *, native: bool = False, mm: float = 6.0) -> np.ndarray:
    """Return the person's midthickness in T1w space: fsLR's vertices, or the native mesh's."""
    points, faces = template_mesh(side)
    if native:
        points = (
            sphere_weights(fs_lr_sphere(side), faces, native_mesh(side)[0]) @ points
        )
    return in_t1w(points + field(points, mm))


def write_run(root: Path, *, mm: float = 6.0, frames: int = FRAMES) -> np.ndarray:
    """Write a run in T1w space, a mask and transforms; return the true series (frames, parcels).

    The person's folds are the template's, moved by a field with an sd of so many mm.
    """
    places = load_bundle("hcp-glasser").places
    of_sides = parcels_of_vertices(places)
    points = np.concatenate([cortex(side, mm=mm) for side in SIDES])
    parcel = both_sides(of_sides)
    rng = np.random.default_rng(3)
    series = gaussian_filter1d(rng.standard_normal((frames, places.number)), 1, axis=0)
    shape, affine = (100, 120, 100), np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = points.mean(axis=0) - np.array(shape) + 1
    lattice = np.meshgrid(*map(np.arange, shape), indexing="ij")
    grid = np.stack(lattice, -1).reshape(-1, 3)
    centres = grid @ affine[:3, :3] + affine[:3, 3]
    distance, nearest = cKDTree(points).query(centres, distance_upper_bound=2.0)
    near = np.flatnonzero(np.isfinite(distance))
    near = near[parcel[nearest[near]] >= 0]
    bold = np.full((len(grid), frames), 1000, np.int16)
    bold[near] += (100 * series[:, parcel[nearest[near]]].T).astype(np.int16)
    describe_dataset(root)
    func, anat = root / "sub-01/func", root / "sub-01/anat"
    make_image(
        func / f"{STEM}_space-T1w_desc-preproc_bold.nii.gz",
        bold.reshape(*shape, -1),
        affine,
    )
    make_image(
        func / f"{STEM}_space-T1w_desc-brain_mask.nii.gz",
        np.ones(shape, np.uint8),
        affine,
    )
    sidecar = func / f"{STEM}_space-T1w_desc-preproc_bold.json"
    sidecar.write_text('{"RepetitionTime": 2.0}')
    write_confounds(
        func / f"{STEM}_desc-confounds_timeseries.tsv", confound_columns(frames)
    )
    anat.mkdir(parents=True)
    add_transform(anat, "01")
    back = anat / "sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt"
    back.write_text(itk_text([affine_part(TO_T1W)]))
    grey = np.zeros(len(grid), np.float32)
    grey[near] = 1
    make_image(anat / "sub-01_label-GM_probseg.nii.gz", grey.reshape(shape), affine)
    return series


def add_surfaces(
    root: Path,
    source: str,
    *,
    shift: tuple[float, ...] = (0, 0, 0),
    mm: float = 6.0,
) -> None:
    """Add the surfaces in the form of fMRIPrep 25, of 23.2 or 23.1.0, or of FreeSurfer."""
    anat = root / "sub-01/anat"
    for side in SIDES:
        stem = str(anat / f"sub-01_hemi-{side}")
        if source == "fsLR":
            points = cortex(side, mm=mm) + shift
            path = Path(f"{stem}_space-fsLR_den-32k_midthickness.surf.gii")
            write_surface(path, points, template_mesh(side)[1])
            continue
        points = cortex(side, native=True) + shift
        sphere, on_fsaverage, faces = native_mesh(side)
        if source == "FreeSurfer":
            folder = root / f"sourcedata/freesurfer/sub-01/surf/{side.lower()}h"
            folder.parent.mkdir(parents=True, exist_ok=True)
            volume = {"head": [2, 0, 20], "valid": "1", "filename": "T1.mgz"}
            volume |= {"volume": [256] * 3, "voxelsize": [1.0] * 3, "cras": CENTRE}
            volume |= {"xras": [-1.0, 0, 0], "yras": [0, 0, -1.0], "zras": [0, 1.0, 0]}
            apart = np.random.default_rng(0).standard_normal(points.shape)
            for name, mesh in (
                ("white", points - CENTRE - apart),
                ("pial", points - CENTRE + apart),
                ("sphere.reg", on_fsaverage),
            ):
                path = f"{folder}.{name}"
                nib.freesurfer.write_geometry(path, mesh, faces, volume_info=volume)
            continue
        write_surface(Path(f"{stem}_midthickness.surf.gii"), points, faces)
        if source == "fsLR's sphere":
            path = Path(f"{stem}_space-fsLR_desc-msmsulc_sphere.surf.gii")
            write_surface(path, sphere, faces)
        write_surface(Path(f"{stem}_desc-reg_sphere.surf.gii"), on_fsaverage, faces)
    if source == "FreeSurfer":
        path = anat / "sub-01_from-fsnative_to-T1w_mode-image_xfm.txt"
        path.write_text(itk_text([affine_part(np.eye(4))]))


def add_fsaverage(
    root: Path, series: np.ndarray, nearest: dict[str, np.ndarray]
) -> None:
    """Add series on fsaverage5: of each vertex the true one of its parcel; medial wall NaN."""
    places = load_bundle("hcp-glasser").places
    of_sides = parcels_of_vertices(places)
    for side in SIDES:
        parcel = of_sides[side][nearest[side][:10242]]
        values = np.where(parcel >= 0, series[:, parcel], np.nan).astype(np.float32)
        arrays = [
            nib.gifti.GiftiDataArray(
                row, "NIFTI_INTENT_TIME_SERIES", "NIFTI_TYPE_FLOAT32"
            )
            for row in 1000 + values
        ]
        stem = root / f"sub-01/func/{STEM}_hemi-{side}_space-fsaverage5_bold"
        nib.save(nib.gifti.GiftiImage(darrays=arrays), f"{stem}.func.gii")
        Path(f"{stem}.json").write_text(json.dumps({"RepetitionTime": 2.0}))
