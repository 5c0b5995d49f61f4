"""A participant's own midthickness: fsLR's vertices in the model's space, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.gifti import Hemisphere, read_surface
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import in_view, voxel_positions
from bids_dtg.imaging.surfaces.resampling import sphere_weights
from bids_dtg.imaging.surfaces.templates import SIDES, fs_lr_sphere, read_template
from bids_dtg.imaging.transforms.chain import map_points
from bids_dtg.imaging.transforms.itk import read_transforms
from bids_dtg.inputs.surfaces import SurfaceFiles, SurfaceSide

Points = NDArray[np.float64]

# Of the vertices of a surface that lies where it is said to lie. Surfaces in another space, and
# inflated ones, have 98 % at most in the brain mask.
LEAST_IN_BRAIN = 0.99
# Medial vertices may lie a little beyond the middle of the template.
_LEAST_ON_SIDE = 0.95
# Spheres that differ by less, in mm, are copies.
_SAME_MM = 0.01
# Radii of a sphere differ by rounding alone; its vertices surround its centre.
_RADII_DIFFER, _OFF_CENTRE = 0.05, 0.5
# Between a vertex and the template's of the same number; other templates lie within 8 mm.
_FAR_MM, _LEAST_NEAR = 30.0, 0.95


def read_midthickness(files: SurfaceFiles, brain: VoxelPlaces) -> Mapping[Hemisphere, Points]:
    """Read a participant's surfaces and bring them to fsLR's mesh and the model's space.

    Parameters
    ----------
    files
        GIFTI files of both hemispheres.
    brain
        Brain mask of the model, to check the space.

    Returns
    -------
    (32492, 3) a side, RAS+ mm.

    Raises
    ------
    RunError
        A file is damaged; another number of vertices; fewer than 99 % of the vertices in the brain
        mask, or left and right exchanged: points in another space than the files' names say;
        vertices far from the template's of the same number: another order than fsLR's; triangles
        that do not close a surface, or a sphere that is none; a sphere registered to fsLR that is
        fsaverage's, as fMRIPrep 23.1.0 and 23.1.1 wrote.
    """
    transforms = read_transforms(files.transforms)
    found: dict[Hemisphere, Points] = {}
    for side in SIDES:
        own = files.sides[side]
        found[side] = map_points(_on_fs_lr(own, side), transforms)
        _check(found[side], side, brain, own.midthickness)
    return found


def share_inside(points: Points, places: VoxelPlaces) -> float:
    """Return the share of points (n, 3) that lie in one of the voxels.

    Examples
    --------
    >>> from bids_dtg.imaging.grid import Grid
    >>> places = VoxelPlaces(Grid((2, 1, 1), np.eye(4)), np.array([0]))
    >>> share_inside(np.array([[0.0, 0.0, 0.4], [1.0, 0.0, 0.0]]), places)
    0.5
    """
    positions = voxel_positions(points, places.grid.affine)
    seen = positions[in_view(positions, places.grid.shape)]
    voxels = np.floor(seen + 0.5).astype(np.intp)
    return float(np.count_nonzero(places.mask[tuple(voxels.T)]) / len(points))


def _on_fs_lr(own: SurfaceSide, side: Hemisphere) -> Points:
    """Return the points of fsLR's vertices in the space of the files."""
    wanted = fs_lr_sphere(side)
    points, faces = read_surface(own.midthickness)
    if own.sphere is None:
        if len(points) != len(wanted):
            raise RunError(
                f"{own.midthickness} has {len(points)} vertices", expected=f"{len(wanted)}"
            )
        return points
    _require_closed(faces, len(points), own.midthickness)
    sphere = _read_sphere(own.sphere, len(points))
    if own.fsaverage_sphere is not None:
        other = _read_sphere(own.fsaverage_sphere, len(points))
        if np.abs(sphere - other).max() < _SAME_MM:
            raise RunError(
                f"{own.sphere} is a copy of {own.fsaverage_sphere.name}, which is registered to "
                "fsaverage, not to fsLR",
                remedy="run fMRIPrep 23.1.2 or later, or ask for --surfaces fsaverage alone",
            )
    moved: Points = sphere_weights(sphere, faces, wanted) @ points
    return moved


def _read_sphere(path: Path, vertices: int) -> Points:
    points, _ = read_surface(path)
    if len(points) != vertices:
        raise RunError(
            f"{path} has {len(points)} vertices", expected=f"{vertices}, as the midthickness"
        )
    radii = np.linalg.norm(points, axis=1)
    least, most = radii.min(), radii.max()
    if not 0 < most <= least * (1 + _RADII_DIFFER):
        raise RunError(
            f"{path} has vertices {least:.3g} to {most:.3g} mm from its centre",
            expected="a sphere around 0",
        )
    if np.linalg.norm((points / radii[:, None]).mean(axis=0)) > _OFF_CENTRE:
        raise RunError(f"{path} has its vertices on one side", expected="a sphere around 0")
    return points


def _require_closed(faces: NDArray[np.intp], vertices: int, path: Path) -> None:
    """Refuse triangles that do not close a surface like a sphere's: points lie in none of them."""
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    triangles_of_edge = np.unique(sides[:, 0] * vertices + sides[:, 1], return_counts=True)[1]
    if len(faces) != 2 * vertices - 4 or (triangles_of_edge != 2).any():
        raise RunError(
            f"{path} has {len(faces)} triangles of {vertices} vertices that do not close a surface",
            expected=f"{max(0, 2 * vertices - 4)} triangles, two at each edge",
        )


def _check(points: Points, side: Hemisphere, brain: VoxelPlaces, path: Path) -> None:
    inside = share_inside(points, brain)
    if inside < LEAST_IN_BRAIN:
        raise RunError(
            f"{path} has {inside:.1%} of its vertices in the brain mask of {brain.grid.space}",
            expected=f"at least {LEAST_IN_BRAIN:.0%}: its points are in another space than its "
            "name says, or it is inflated",
            remedy="leave it out of the dataset, so that a template's surface is used, or ask for "
            "--surfaces fsaverage alone",
        )
    on_side = np.mean(points[:, 0] < 0 if side == "L" else points[:, 0] > 0)
    if on_side < _LEAST_ON_SIDE:
        raise RunError(
            f"{path} has {on_side:.1%} of its vertices on the side that it names",
            expected="left vertices left of the middle",
        )
    away = np.linalg.norm(points - read_template("fsLR").points[side], axis=1)
    near = np.mean(away <= _FAR_MM)
    if near < _LEAST_NEAR:
        raise RunError(
            f"{path} has {near:.1%} of its vertices within {_FAR_MM:.0f} mm of the template's",
            expected=f"at least {_LEAST_NEAR:.0%}: its vertices are in another order than fsLR's, "
            "or its sphere is registered to another mesh",
            remedy="leave it out of the dataset, so that a template's surface is used, or ask for "
            "--surfaces fsaverage alone",
        )
