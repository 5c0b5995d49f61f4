"""Values of parcels painted at voxels or vertices, for other programs, and read over parcels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Mask
from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import TEMPLATE_GRIDS, Affine, Grid, apply_affine
from bids_dtg.imaging.places import VoxelPlaces, read_statmap_volume, sample_statmap
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import (
    TEMPLATE_SPACE,
    Mesh,
    MeshName,
    both_sides,
    read_arrays,
    read_template,
)
from bids_dtg.imaging.surfaces.vertices import (
    LEAST_SHARE,
    parcels_of_vertices,
    parcels_on_fsaverage,
    template_vertices,
)

# Largest distance of a painted voxel from a vertex. A template's surface is smoother than a
# person's, so that it needs more to cover as many voxels of a published atlas.
TEMPLATE_MM, OWN_MM = 4.0, 2.5
# File of the number of the vertex nearest to each voxel (i, j, k), counted from 1; 0: none is near.
NEAREST = "fsLR_space-{space}_res-2"
_NONE = -1
_SAME = 1e-3  # of a voxel, within which indices are whole


@dataclass(frozen=True, eq=False)
class Painting:
    """The parcel of each of some points, whose value it gets.

    Examples
    --------
    >>> import numpy as np
    >>> Painting(np.array([1, 1, -1, 0])).apply(np.array([[0.5, 2.0]]))
    array([[2. , 2. , nan, 0.5]], dtype=float32)
    """

    parcel: Indices  # (points,), position of the parcel of each; -1: none

    @property
    def whole(self) -> Mask:
        """(points,), whether a point is in a parcel."""
        return self.parcel != _NONE

    @property
    def partial(self) -> Mask:
        """(points,), whether a point is partly in a parcel, which none is."""
        return np.zeros(len(self.parcel), bool)

    def apply(self, maps: Floats) -> Float32:
        """Return values of parcels, (maps, parcels), at the points, (maps, points)."""
        values = maps[:, self.parcel].astype(np.float32)
        values[:, ~self.whole] = np.nan
        return values


def voxels_near(mesh: Mesh, grid: Grid, most_mm: float) -> tuple[VoxelPlaces, Indices]:
    """Return the voxels near a surface, and the nearest of its vertices to each.

    Parameters
    ----------
    mesh
        Positions (32492, 3) of fsLR's vertices of each hemisphere, in the grid's space.
    grid
        The grid.
    most_mm
        Largest distance to a vertex.

    Returns
    -------
    The voxels, and indices of vertices, those of the left side first.
    """
    from scipy.spatial import cKDTree

    vertices = both_sides(mesh)
    points = VoxelPlaces.all_of(grid).points
    low, high = vertices.min(axis=0) - most_mm, vertices.max(axis=0) + most_mm
    in_box = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    tree = cKDTree(vertices)
    distance, nearest = tree.query(points[in_box], distance_upper_bound=most_mm)
    is_near = np.isfinite(distance)
    return VoxelPlaces(grid, in_box[is_near]), nearest[is_near]


def voxels_near_template(grid: Grid) -> tuple[VoxelPlaces, Indices]:
    """Return the same for a template's surface within `TEMPLATE_MM`, from a file of the package.

    The search and the import of its library would take half a second.

    Parameters
    ----------
    grid
        The 2-mm grid of one of `SURFACE_TEMPLATES`.
    """
    numbers = read_arrays(NEAREST.format(space=grid.space))["nearest"].ravel()
    positions = np.flatnonzero(numbers)
    return VoxelPlaces(grid, positions), numbers[positions].astype(np.intp) - 1


def paint_voxels(
    places: ParcelPlaces, near: VoxelPlaces, nearest: Indices
) -> tuple[VoxelPlaces, Painting]:
    """Give each voxel near a surface the parcel of the nearest vertex.

    Vertices of no parcel take part, so that parcels do not grow over the medial wall. Parcels of
    voxels are painted as these voxels.

    Parameters
    ----------
    places
        The parcels.
    near, nearest
        From `voxels_near` or `voxels_near_template`.

    Returns
    -------
    The voxels in parcels, and the parcel of each.

    Raises
    ------
    RunError
        A parcel has voxels of another grid.
    """
    grid = near.grid
    vertex_parcels = both_sides(parcels_of_vertices(places))
    parcel = np.full(np.prod(grid.shape), _NONE, np.intp)
    parcel[near.positions] = vertex_parcels[nearest]
    for number, voxels in enumerate(places.axis.voxels):
        if len(voxels):
            parcel[_positions(places, number, grid)] = number
    in_parcels = np.flatnonzero(parcel != _NONE)
    return VoxelPlaces(grid, in_parcels), Painting(parcel[in_parcels])


# Shared by all participants; places are compared by id.
@lru_cache(maxsize=4)
def painted(places: ParcelPlaces, space: str) -> tuple[VoxelPlaces, Painting]:
    """Return the voxels near a template's cortex on its grid of 2 mm, and the parcel of each.

    Raises
    ------
    RunError
        A parcel has voxels of another space.
    """
    return paint_voxels(places, *voxels_near_template(TEMPLATE_GRIDS[space]))


def read_over_parcels(places: ParcelPlaces, space: str, path: Path) -> Float32:
    """Read a map of volumes over parcels.

    It is read at a template's vertices and averaged over parcels, but for a map painted as by
    `painted`, whose values are those of its parcels.

    Parameters
    ----------
    places
        The parcels.
    space
        The template, one of `SURFACE_TEMPLATES`.
    path
        The map, as for `read_statmap`.

    Returns
    -------
    (parcels,); NaN for a parcel of which less than half of the vertices have a value.

    Raises
    ------
    RunError
        A parcel has voxels, or the map cannot be read.
    UnusableMapError
        It has no value at any vertex.
    """
    points, vertices = template_vertices(places, space)
    volume, affine = read_statmap_volume(path)
    # Before the next step, as it refuses a map without values.
    values = sample_statmap(path, volume, affine, points, space)
    painted_values = _painted_values(places, space, volume, affine)
    if painted_values is not None:
        return painted_values
    weights, share = vertices.means(np.isfinite(values))
    means = np.asarray(weights @ np.nan_to_num(values), np.float32)
    means[share < LEAST_SHARE] = np.nan
    return means


def _painted_values(
    places: ParcelPlaces, space: str, volume: Float64, affine: Affine
) -> Float32 | None:
    """Return the values of parcels in a painted map, (parcels,); None: it is not painted.

    At vertices, voxels of neighbouring parcels would be mixed.
    """
    voxels, painting = painted(places, space)
    grid = voxels.grid
    if volume.shape != grid.shape or not np.allclose(affine, grid.affine):
        return None
    voxel_values = volume[tuple(voxels.index.T)].astype(np.float32)
    values = np.full(places.number, np.nan, np.float32)
    values[painting.parcel] = voxel_values  # that of any voxel of a parcel
    if not np.array_equal(values[painting.parcel], voxel_values, equal_nan=True):
        return None
    return np.where(values == 0, np.float32("nan"), values)


def _positions(places: ParcelPlaces, number: int, grid: Grid) -> Indices:
    """Return the flat positions in a grid of a parcel's voxels."""
    axis = places.axis
    points = apply_affine(axis.affine, np.reshape(axis.voxels[number], (-1, 3)))
    index = apply_affine(np.linalg.inv(grid.affine).astype(np.float64), points)
    whole = np.rint(index)
    is_same = grid.space == TEMPLATE_SPACE and np.abs(index - whole).max() <= _SAME
    if not (is_same and (whole >= 0).all() and (whole < grid.shape).all()):
        raise RunError(
            f"the parcel {places.names[number]} has voxels, which are not those of a grid in "
            f"{grid.space}",
            expected=f"parcels of the cortex, for maps in {grid.space}",
            remedy=f"--output-spaces {TEMPLATE_SPACE}",
        )
    return np.ravel_multi_index(tuple(whole.astype(np.intp).T), grid.shape)


def paint_mesh(places: ParcelPlaces, name: MeshName) -> Painting:
    """Return the parcel of each vertex of a mesh, those of the left side first.

    On fsaverage's mesh, it is that of the nearest of fsLR's vertices on the sphere.
    """
    if name == "fsaverage":
        vertices = len(read_template(name).cortex["L"])
        return Painting(parcels_on_fsaverage(places, vertices))
    return Painting(both_sides(parcels_of_vertices(places)))
