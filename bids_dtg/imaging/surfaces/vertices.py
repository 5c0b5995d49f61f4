"""Vertices of the cortex in the space of a run's volumes, and means of parcels over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Indices, Mask
from bids_dtg.errors import RunError
from bids_dtg.files.foreign import file_state
from bids_dtg.imaging.grid import Points
from bids_dtg.imaging.nifti import read_single
from bids_dtg.imaging.sampling import LinearSampling
from bids_dtg.imaging.surfaces.cifti import CORTEX, ParcelPlaces, mesh_size
from bids_dtg.imaging.surfaces.meshes import (
    IN_DEFAULT_SPACE,
    REGISTERED,
    SIDES,
    TEMPLATE_SPACE,
    Hemisphere,
    Mesh,
    both_sides,
    points_on_fs_lr,
    read_arrays,
    read_template,
    require_position,
)
from bids_dtg.imaging.transforms import map_points, read_transforms
from bids_dtg.inputs.run import SurfaceFiles, SurfaceSide, TransformFile

LEAST_SHARE = 0.5  # of a parcel's vertices with data, below which it has no value
# Stretch, degrees and mm by which a person's surfaces differ from the template's at most if they
# were moved to it, and at least in one of these if they were not. One person has 2 %, .8 degrees
# and .6 mm in the template, 9 %, 13 degrees and 15 mm before.
_NEAR = (0.03, 3.0, 4.0)
_FAR = (0.06, 6.0, 8.0)
_SHIFT_MM = 3.0  # shift of a surface that its position must exclude
_EVERY = 4  # vertices at which grey matter is sampled are every fourth
_REMEDY = "use --sample-on template, or remove these surfaces from the dataset"


@dataclass(frozen=True, eq=False)
class ParcelVertices:
    """Vertices, of which most are in parcels, and means of parcels over them."""

    parcel: Indices  # (vertices,), position of the parcel of each; -1: none
    sizes: Indices  # (parcels,), number of vertices of each, those of a file or not

    @property
    def parcels(self) -> int:
        """Number of parcels."""
        return len(self.sizes)

    def means(self, usable: Mask) -> tuple[Any, Float64]:
        """Return the weights of the mean of each parcel over usable vertices.

        Parameters
        ----------
        usable
            (vertices,), whether each has data.

        Returns
        -------
        weights
            Sparse (parcels, vertices) with rows of sum 1, or of 0 for a parcel with fewer than
            half of its vertices.
        share
            (parcels,), usable share of the vertices of each.
        """
        from scipy.sparse import csr_array

        averaged = np.flatnonzero(usable & (self.parcel >= 0))
        usable_sizes = np.bincount(self.parcel[averaged], minlength=self.parcels)
        share = usable_sizes / np.maximum(self.sizes, 1)
        has_value = share >= LEAST_SHARE
        averaged = averaged[has_value[self.parcel[averaged]]]
        parcels = self.parcel[averaged]
        values = (1.0 / usable_sizes[parcels]).astype(np.float32)
        shape = (self.parcels, len(self.parcel))
        return csr_array((values, (parcels, averaged)), shape=shape), share


def parcels_of_vertices(places: ParcelPlaces) -> Mapping[Hemisphere, Indices]:
    """Return the parcel (32492,) of each of fsLR's vertices of a hemisphere; -1: none."""
    parcels: dict[Hemisphere, Indices] = {
        side: np.full(mesh_size(), -1, np.intp) for side in SIDES
    }
    for number, vertices_by_structure in enumerate(places.axis.vertices):
        for structure, indices in vertices_by_structure.items():
            parcels[SIDES[CORTEX.index(structure)]][indices] = number
    return parcels


def vertex_counts(parcel: Indices, places: ParcelPlaces) -> Indices:
    """Return the number of vertices of each parcel, from the parcel of each vertex (-1: none)."""
    return np.bincount(parcel[parcel >= 0], minlength=places.number)


def require_cortex(places: ParcelPlaces) -> None:
    """Refuse parcels of which one has voxels, which are not on a surface.

    Raises
    ------
    RunError
        There is one.
    """
    for name, voxels in zip(places.names, places.axis.voxels, strict=True):
        if len(voxels):
            raise RunError(
                f"the parcel {name} has voxels",
                expected="parcels of the cortex, for runs that are read at vertices",
                remedy="give series of the parcels (CIFTI)",
            )


def cortex_in_run(
    places: ParcelPlaces,
    mesh: Mesh,
    transforms: Sequence[TransformFile],
) -> tuple[Points, ParcelVertices]:
    """Return the vertices in parcels (vertices, 3) in a run's space, RAS+ mm, and their parcels.

    Parameters
    ----------
    places
        The model's parcels.
    mesh
        Positions (32492, 3) of fsLR's vertices of each hemisphere.
    transforms
        From the space of the mesh to that of the run, in order of application to a point.

    Raises
    ------
    RunError
        A parcel has voxels, or a transform cannot be read.
    """
    require_cortex(places)
    parcel = both_sides(parcels_of_vertices(places))
    points = both_sides(mesh)[parcel >= 0]
    mapped = map_points(points, read_transforms(transforms))
    parcel = parcel[parcel >= 0]
    return mapped, ParcelVertices(parcel, vertex_counts(parcel, places))


# Places are compared by id.
@lru_cache(maxsize=2)
def template_vertices(
    places: ParcelPlaces, space: str
) -> tuple[Points, ParcelVertices]:
    """Return `cortex_in_run` of a template's surface, in one of `SURFACE_TEMPLATES`."""
    return cortex_in_run(places, template_mesh(space), ())


def parcels_on_fsaverage(places: ParcelPlaces, vertices: int) -> Indices:
    """Return the parcel of each vertex of both hemispheres of a mesh of fsaverage; -1: none.

    A vertex has the parcel of the nearest of fsLR's vertices on fsaverage's sphere. Smaller meshes
    are the first vertices of the largest.

    Parameters
    ----------
    places
        The model's parcels.
    vertices
        Number of vertices of a hemisphere: 10,242, 40,962 or 163,842.
    """
    arrays: Mapping[str, Any] = read_arrays(REGISTERED)
    parcels_by_side = parcels_of_vertices(places)
    return np.concatenate(
        [parcels_by_side[side][arrays[f"nearest_{side}"][:vertices]] for side in SIDES]
    )


def template_mesh(space: str) -> Mesh:
    """Return the template's vertices (32492, 3) of each hemisphere in one of two templates."""
    if space == TEMPLATE_SPACE:
        return read_template("fsLR").points
    arrays: Mapping[str, Any] = read_arrays(IN_DEFAULT_SPACE)
    return {side: arrays[f"points_{side}"].astype(np.float64) for side in SIDES}


@dataclass(frozen=True)
class GreyMatter:
    """Mean probability of grey matter at a surface's vertices: there, and after shifts."""

    at_vertices: float
    shifted: float  # the highest after a shift of 3 mm along an axis
    # The higher after a shift by plus or minus C_RAS; None: not known.
    by_centre: float | None

    @property
    def is_displaced(self) -> bool:
        """Whether the surface is not where the person's cortex is."""
        return self.at_vertices <= max(self.shifted, self.by_centre or 0.0)


def read_own_cortex(files: SurfaceFiles) -> tuple[Mesh, GreyMatter | None]:
    """Read a person's surfaces, and check them.

    Returns
    -------
    mesh
        Positions of the vertices, in the space of the files.
    grey_matter
        Its probability at the vertices; None without an image of it.

    Raises
    ------
    RunError
        A file is damaged, or vertices are not where the template's lie, after alignment.
    """
    left, right = (files.sides[side] for side in SIDES)
    paths = [*left.files, *right.files]
    paths += [transform.path for transform in files.to_t1w]
    paths += [files.grey_matter] if files.grey_matter else []
    states = tuple(file_state(path.stat()) for path in paths)
    return _read_own_cortex(left, right, files.to_t1w, files.grey_matter, states)


def placed_surfaces(files: SurfaceFiles) -> SurfaceFiles:
    """Return surfaces in the space where their meshes show that they lie: the template's or T1w.

    XCP-D names them alike in both. A person's surfaces have the template's size and position only
    after a normalisation to it; where a fit leaves it open, the program's version decides.

    Returns
    -------
    SurfaceFiles
        The same ones where the space is known. Without sides, but with the reason, for surfaces in
        T1w space without a transform.

    Raises
    ------
    RunError
        A file is damaged, or vertices are not where the template's lie, after alignment.
    """
    if files.in_t1w is None:
        return files
    mesh, _ = read_own_cortex(files)
    fit = Fit.of(mesh)
    is_near, is_far = fit.within(_NEAR), not fit.within(_FAR)
    by_version = "" if is_near or is_far else f", and by {files.maker}"
    in_t1w = is_far or (not is_near and files.stays_in_t1w)
    where = "the T1w image" if in_t1w else TEMPLATE_SPACE
    reason = (
        f"in the coordinates of {where} by a fit to the template{by_version}: {fit}"
    )
    if not in_t1w:
        return replace(files, reason=f"{files.reason}, {reason}", in_t1w=None)
    instead = files.instead
    return replace(
        files.in_t1w, reason=f"{files.in_t1w.reason}, {reason}", instead=instead
    )


@dataclass(frozen=True)
class Fit:
    """The affine transform that fits the template's vertices to a person's best, in figures."""

    least: float  # least and most stretch, as factors
    most: float
    degrees: float
    mm: float  # between the means of the vertices

    @classmethod
    def of(cls, mesh: Mesh) -> Fit:
        """Fit both hemispheres (32492, 3) together, by least squares."""
        template = both_sides(read_template("fsLR").points)
        points = both_sides(mesh)
        middle, template_middle = points.mean(axis=0), template.mean(axis=0)
        affine, *_ = np.linalg.lstsq(
            template - template_middle, points - middle, rcond=None
        )
        u, stretch, vt = np.linalg.svd(affine)
        cosine = (np.trace(u @ vt) - 1) / 2
        return cls(
            float(stretch.min()),
            float(stretch.max()),
            float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
            float(np.linalg.norm(middle - template_middle)),
        )

    def within(self, limits: tuple[float, float, float]) -> bool:
        """Return whether stretch differs from 1, and turn and shift from 0, by no more."""
        stretch, degrees, mm = limits
        is_near = 1 - stretch <= self.least and self.most <= 1 + stretch
        return is_near and self.degrees <= degrees and self.mm <= mm

    def __str__(self) -> str:
        return (
            f"{self.least:.2f} to {self.most:.2f} of its size, turned by {self.degrees:.1f} "
            f"degrees, {self.mm:.1f} mm away"
        )


@lru_cache(maxsize=2)  # before and after the space is decided
def _read_own_cortex(
    left: SurfaceSide,
    right: SurfaceSide,
    to_t1w: tuple[TransformFile, ...],
    grey_matter: Path | None,
    states: tuple[tuple[int, ...], ...],
) -> tuple[Mesh, GreyMatter | None]:
    """Read surfaces once for all runs of a person; a change of the files' `states` is noticed."""
    mesh: dict[Hemisphere, Points] = {}
    centre = np.zeros(3)
    for side, files in zip(SIDES, (left, right), strict=True):
        points, centre = points_on_fs_lr(files, side)
        mesh[side] = map_points(points, read_transforms(to_t1w))
    aligned = _aligned(mesh)
    for side, files in zip(SIDES, (left, right), strict=True):
        # Vertices of either side move both.
        file = f"{files.midthickness[0]}, aligned together with its other side,"
        require_position(aligned[side], side, file, remedy=_REMEDY)
    if grey_matter is None:
        return mesh, None
    return mesh, _grey_matter_at(grey_matter, mesh, centre)


def _aligned(mesh: Mesh) -> Mesh:
    """Turn, move and scale vertices to the template's of the same numbers (Procrustes)."""
    template = read_template("fsLR").points
    points = both_sides(mesh)
    targets = both_sides(template)
    middle = points.mean(axis=0)
    target_middle = targets.mean(axis=0)
    centred = points - middle
    u, singular, vt = np.linalg.svd((targets - target_middle).T @ centred)
    # A reflection would exchange the hemispheres.
    handedness = np.linalg.det(u @ vt)
    singular[2] *= handedness
    u[:, 2] *= handedness
    size = np.maximum(np.square(centred).sum(), 1e-9)
    turn = u @ vt * singular.sum() / size
    return {side: (mesh[side] - middle) @ turn.T + target_middle for side in SIDES}


def _grey_matter_at(path: Path, mesh: Mesh, centre: Points) -> GreyMatter:
    """Sample the probability of grey matter at some cortical vertices, and beside them."""
    values, affine = read_single(path)
    cortex = read_template("fsLR").cortex
    cortical = [mesh[side][cortex[side]] for side in SIDES]
    points = np.concatenate([vertices[::_EVERY] for vertices in cortical])

    def mean(shift: Points) -> float:
        sampling = LinearSampling(values.shape, affine, points + shift)
        return float(sampling.sample(values).mean())

    shifts = _SHIFT_MM * np.vstack([np.eye(3), -np.eye(3)])
    return GreyMatter(
        at_vertices=mean(np.zeros(3)),
        shifted=max(map(mean, shifts)),
        by_centre=max(mean(centre), mean(-centre)) if centre.any() else None,
    )


def inside_mask(path: Path, points: Points) -> Mask:
    """Return whether points (n, 3) lie in a mask: above 0.5, after linear interpolation.

    Raises
    ------
    RunError
        The file is damaged, or has more than one volume.
    """
    values, affine = read_single(path)
    sampling = LinearSampling(values.shape, affine, points)
    return sampling.sample(values) > 0.5
