"""Surfaces: meshes that ship with the package, participants' own meshes, and values at vertices.

The package's surfaces are group anatomy in MNI152NLin6Asym on two standard meshes. Their vertices
come from registration fusion: the positions in MNI152 of the vertices of fsaverage, averaged over
people. `templates/README.md` gives sources and licences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from nibabel import freesurfer, gifti
from numpy.typing import NDArray

from bids_dtg.array_types import Float64, Floats, Indices, Mask, Values
from bids_dtg.errors import RunError
from bids_dtg.imaging.grid import Points, Stored
from bids_dtg.imaging.nifti import reading_image
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.imaging.transforms import map_points, read_transforms
from bids_dtg.inputs.run import SurfaceFiles, SurfaceSide

Hemisphere = Literal["L", "R"]
_Number = TypeVar("_Number", bound=np.generic)
MeshName = Literal["fsLR", "fsaverage"]
# Positions (vertices, 3) of the vertices of each hemisphere, RAS+ mm.
Mesh = Mapping[Hemisphere, Points]

SIDES: tuple[Hemisphere, Hemisphere] = ("L", "R")
# Value of the BIDS entity den- of each mesh.
DENSITIES: Mapping[MeshName, str] = {"fsLR": "32k", "fsaverage": "10k"}
# The space of the vertices.
TEMPLATE_SPACE = "MNI152NLin6Asym"
# File that connects fsLR's mesh and fsaverage's, and file of vertices in fMRIPrep's default space.
REGISTERED = "fsLR_space-fsaverage_den-32k"
IN_DEFAULT_SPACE = "fsLR_space-MNI152NLin2009cAsym_den-32k"
# Order of corners that reverses a triangle's orientation, as mirroring does.
_MIRRORED = [0, 2, 1]
# Least fraction of a surface's vertices in the brain mask, if it is in the stated space. Surfaces
# in another space and inflated ones have at most 98 %.
_LEAST_IN_BRAIN = 0.99
# Least fraction of a surface's vertices on the side that its name says, and near the template's
# vertices of the same numbers; medial vertices may cross the midline, and people differ.
_LEAST_ON_SIDE = 0.95
_LEAST_NEAR = 0.95
_NEAR_MM = 30.0
# Radii of a sphere around 0 differ by rounding only; largest by so much.
_RADII_DIFFER = 1.05
# Spheres that differ by less, in mm, are copies.
_SAME_MM = 0.01
# Number of triangles with the nearest centres that are tried for a point; more for the few points
# that lie in none of these, where triangles are long.
_NEAR = 8
_FAR = 96
# How far outside a triangle a point may lie due to rounding, as a fraction of the triangle.
_ROUNDING = 1e-9
_REMEDY = (
    "use --sample-on template, or remove it from the dataset, so that a template's surface "
    "is used"
)
_GIFTI = ".gii"
# nibabel's spellings of the encoding of values that are in another file.
EXTERNAL = ("ExternalFileBinary", "GIFTI_ENCODING_EXTBIN", "External")
IN_ANOTHER_FILE = "it has its values in another file"
# Axes of FreeSurfer's image in its files, and those of an image in its usual orientation.
_AXES = ("xras", "yras", "zras")
_USUAL_AXES = ((-1.0, 0, 0), (0, 0, -1.0), (0, 1.0, 0))
_ROUGHLY = 1e-3  # rounding of the axes in files
# Centre of FreeSurfer's image, in GIFTI files.
_CENTRE = ("VolGeomC_R", "VolGeomC_A", "VolGeomC_S")
_STRUCTURES = {"L": "CortexLeft", "R": "CortexRight"}


@dataclass(frozen=True, eq=False)
class Template:
    """A standard mesh of both hemispheres, with group anatomy."""

    points: Mesh  # (vertices, 3), midthickness, RAS+ mm
    faces: Mapping[Hemisphere, Indices]  # (triangles, 3), indices of vertices
    # (vertices,), False on the medial wall.
    cortex: Mapping[Hemisphere, Mask]


@cache
def read_template(space: MeshName) -> Template:
    """Read a standard mesh that ships with the package.

    Parameters
    ----------
    space
        ``fsLR`` with 32,492 vertices per hemisphere, or ``fsaverage`` with 10,242 (fsaverage5).

    Returns
    -------
    Template
        The mesh; its vertices are in MNI152NLin6Asym.

    Notes
    -----
    Registration fusion: Wu et al. 2018, Hum. Brain Mapp. 39: 3793, doi 10.1002/hbm.24239. fsLR:
    Van Essen et al. 2012, Cereb. Cortex 22: 2241, doi 10.1093/cercor/bhr291. The medial wall of
    fsaverage5 is taken from fsLR, at the nearest vertices.

    Examples
    --------
    >>> template = read_template("fsLR")
    >>> template.points["L"].shape, int(template.cortex["L"].sum())
    ((32492, 3), 29696)
    """
    arrays = read_arrays(f"{space}_den-{DENSITIES[space]}")
    faces = arrays["faces_L"].astype(np.intp)
    return Template(
        points={
            side: _shared(arrays[f"points_{side}"].astype(np.float64)) for side in SIDES
        },
        # Hemispheres of fsLR are mirror images; those of fsaverage have the same triangles.
        faces={
            "L": _shared(faces),
            "R": _shared(faces[:, _MIRRORED] if space == "fsLR" else faces),
        },
        cortex={
            side: _shared(arrays[f"cortex_{side}"].astype(np.bool_)) for side in SIDES
        },
    )


@cache
def fs_lr_sphere(side: Hemisphere) -> Points:
    """Return the vertices (32492, 3) of the fsLR mesh on a sphere of radius 100 mm.

    Examples
    --------
    >>> bool(np.isclose(np.linalg.norm(fs_lr_sphere("R"), axis=1), 100).all())
    True
    """
    arrays = read_arrays(f"fsLR_den-{DENSITIES['fsLR']}")
    points = arrays["sphere_L"].astype(np.float64)
    return _shared(points if side == "L" else points * [-1.0, 1.0, 1.0])


@cache
def fs_lr_on_fsaverage(side: Hemisphere) -> Points:
    """Return the vertices (32492, 3) of the fsLR mesh on fsaverage's sphere, of 100 mm.

    Examples
    --------
    >>> fs_lr_on_fsaverage("L").shape
    (32492, 3)
    """
    return _shared(read_arrays(REGISTERED)[f"sphere_{side}"].astype(np.float64))


@cache
def read_arrays(name: str) -> Mapping[str, Stored]:
    """Read the arrays of a file in the package's ``templates``, by its name without ``.npz``."""
    file = resources.files(__package__) / "templates" / f"{name}.npz"
    with file.open("rb") as opened, np.load(opened) as arrays:
        return {key: _shared(arrays[key]) for key in arrays.files}


def both_sides(arrays: Mapping[Hemisphere, NDArray[_Number]]) -> NDArray[_Number]:
    """Return the arrays of both hemispheres as one, that of the left side first."""
    return np.concatenate([arrays[side] for side in SIDES])


def _shared(values: Values) -> Values:
    """Make a cached array read-only, as nilearn would move vertices in place."""
    values.setflags(write=False)
    return values


class _Parser(gifti.parse_gifti_fast.GiftiImageParser):  # type: ignore[misc]
    """Refuses values in another file, which nibabel would read from anywhere on the machine."""

    def StartElementHandler(self, name: str, attrs: Mapping[str, str]) -> None:
        if attrs.get("Encoding") in EXTERNAL:
            raise ValueError(IN_ANOTHER_FILE)
        super().StartElementHandler(name, attrs)


def read_gifti(path: Path) -> Any:
    """Return nibabel's image of a GIFTI file, if its values lie in the file itself.

    Raises
    ------
    RunError
        It is missing, damaged or not GIFTI, or has its values in another file.
    """
    parser = _Parser()
    with reading_image(path, expected="a GIFTI file"), path.open("rb") as file:
        parser.parse(fptr=file)
        if parser.img is None:
            raise RunError(f"{path} has no GIFTI element")
        return parser.img


def read_surface(path: Path) -> tuple[Points, Indices, Points]:
    """Read a surface of GIFTI.

    Returns
    -------
    points
        (vertices, 3), RAS+ mm.
    faces
        (triangles, 3), indices of vertices.
    centre
        (3,), centre of FreeSurfer's image (C_RAS); 0 if not stated.

    Raises
    ------
    RunError
        It is missing, damaged or not a surface, or has vertices that are not finite.
    """
    image = read_gifti(path)
    with reading_image(path, expected="a GIFTI file"):
        points, faces = image.agg_data(("pointset", "triangle"))
        centre = np.zeros(3)
        for array in image.darrays:
            if _CENTRE[0] in array.meta:
                centre[:] = [float(array.meta.get(key, 0)) for key in _CENTRE]
                break
    if np.shape(points)[1:] != (3,) or np.shape(faces)[1:] != (3,):
        raise RunError(
            f"{path} has no points and triangles", expected="a .surf.gii file"
        )
    _require_finite(points, path)
    return np.asarray(points, np.float64), np.asarray(faces, np.intp), centre


def _require_finite(points: Values, path: Path) -> None:
    number = np.count_nonzero(~np.isfinite(points).all(axis=1))
    if number:
        raise RunError(
            f"{path} has {number} vertices that are not finite", expected="none"
        )


def encode_metrics(
    maps: Floats, hemisphere: Hemisphere, *, names: Sequence[str]
) -> bytes:
    """Return the bytes of a .func.gii file of maps (n, vertices); equal input gives equal bytes.

    The file names each map, and the structure, which Connectome Workbench requires.
    """
    image = gifti.GiftiImage(
        meta=gifti.GiftiMetaData(
            {"AnatomicalStructurePrimary": _STRUCTURES[hemisphere]}
        ),
        darrays=[
            gifti.GiftiDataArray(
                np.asarray(row, np.float32),
                intent="NIFTI_INTENT_NONE",
                datatype="NIFTI_TYPE_FLOAT32",
                encoding="GIFTI_ENCODING_B64BIN",  # compression is slow and saves little
                meta=gifti.GiftiMetaData({"Name": name}),
            )
            for name, row in zip(names, maps, strict=True)
        ],
    )
    return image.to_bytes()


def read_midthickness(files: SurfaceFiles, brain: VoxelPlaces) -> Mesh:
    """Read a participant's surfaces, and bring them to the fsLR mesh and the model's space.

    Parameters
    ----------
    files
        GIFTI files of both hemispheres.
    brain
        Brain mask of the model, to check the space.

    Returns
    -------
    (32492, 3) for each hemisphere, RAS+ mm.

    Raises
    ------
    RunError
        A file is damaged or has a wrong number of vertices; fewer than 99 % of the vertices lie in
        the brain mask, so that the surface is in another space than its name says; they lie on the
        other side, or far from the template's; or a sphere is none.
    """
    transforms = read_transforms(files.transforms)
    points_of_side: dict[Hemisphere, Points] = {}
    for side in SIDES:
        path = files.sides[side].midthickness[0]
        points, _ = points_on_fs_lr(files.sides[side], side)
        points = map_points(points, transforms)
        inside = share_inside(points, brain)
        if inside < _LEAST_IN_BRAIN:
            raise RunError(
                f"{path} has {inside:.1%} of its vertices in the brain mask of {brain.grid.space}",
                expected=f"at least {_LEAST_IN_BRAIN:.0%}; it may be in another space than its "
                "name says, or inflated",
                remedy=_REMEDY,
            )
        require_position(points, side, path)
        points_of_side[side] = points
    return points_of_side


def require_position(
    points: Points, side: Hemisphere, file: Path | str, *, remedy: str = _REMEDY
) -> None:
    """Refuse fsLR's vertices, in the template's space, that are not where the template has them.

    Parameters
    ----------
    points, side
        The vertices (32492, 3) of a hemisphere in MNI152NLin6Asym, or aligned with the template's.
    file, remedy
        Their file or words for it, and what the user can do, for the error.

    Raises
    ------
    RunError
        Fewer than 95 % of them are on their side, or within 30 mm of the template's.
    """
    sign = -1 if side == "L" else 1
    on_side = np.mean(sign * points[:, 0] > 0)
    if on_side < _LEAST_ON_SIDE:
        raise RunError(
            f"{file} has {on_side:.1%} of its vertices on the side that its name says",
            expected=f"at least {_LEAST_ON_SIDE:.0%}; the hemispheres may be exchanged",
            remedy=remedy,
        )
    distances = np.linalg.norm(points - read_template("fsLR").points[side], axis=1)
    near = np.mean(distances <= _NEAR_MM)
    if near < _LEAST_NEAR:
        raise RunError(
            f"{file} has {near:.1%} of its vertices within {_NEAR_MM:.0f} mm of the template's",
            expected=f"at least {_LEAST_NEAR:.0%}; they may be in another order than fsLR's, or "
            "the sphere registered to another mesh",
            remedy=remedy,
        )


def share_inside(points: Points, places: VoxelPlaces) -> float:
    """Return the share of points (n, 3) that lie in one of the voxels.

    Examples
    --------
    >>> from bids_dtg.imaging.grid import Grid
    >>> places = VoxelPlaces(Grid((2, 1, 1), np.eye(4)), np.array([0]))
    >>> share_inside(np.array([[0.0, 0.0, 0.4], [1.0, 0.0, 0.0]]), places)
    0.5
    """
    sampling = LatticeSampling.nearest(places.grid.shape, places.grid.affine, points)
    return float(sampling.sample(places.mask).mean())


def points_on_fs_lr(files: SurfaceSide, side: Hemisphere) -> tuple[Points, Points]:
    """Find fsLR's vertices on a hemisphere, in its files' space.

    fMRIPrep 23.1.0 and 23.1.1 wrote fsaverage's sphere under the name of fsLR's; it is then used as
    what it is.

    Returns
    -------
    points
        (32492, 3), RAS+ mm.
    centre
        (3,), centre of FreeSurfer's image (C_RAS), by which programs may have moved the surface
        wrongly; 0 where the file does not state it.

    Raises
    ------
    RunError
        A file is damaged, or has a wrong number of vertices or triangles; or a sphere is none.
    """
    path = files.midthickness[0]
    surfaces = [_read_mesh(path) for path in files.midthickness]
    points, faces, centre = surfaces[0]
    if len(surfaces) > 1:  # white matter and pia
        alike = [
            _require_size(vertices, len(points), path) for vertices, _, _ in surfaces
        ]
        points = np.mean(alike, axis=0)
    if files.fs_lr_sphere is None and files.fsaverage_sphere is None:
        return _require_size(points, len(fs_lr_sphere(side)), path), centre
    if not len(faces) or len(faces) != 2 * len(points) - 4:
        raise RunError(
            f"{path} has {len(faces)} triangles",
            expected=f"{2 * len(points) - 4}, which close a surface of {len(points)} vertices",
            remedy=_REMEDY,
        )
    if not 0 <= faces.min() <= faces.max() < len(points):
        raise RunError(
            f"{path} has triangles of vertices {faces.min()} to {faces.max()}",
            expected=f"vertices 0 to {len(points) - 1}",
            remedy=_REMEDY,
        )
    by_fs_lr = by_fsaverage = None
    if files.fs_lr_sphere:
        by_fs_lr = _read_sphere(files.fs_lr_sphere, len(points))
    if files.fsaverage_sphere:
        by_fsaverage = _read_sphere(files.fsaverage_sphere, len(points))
    if by_fsaverage is not None and (
        by_fs_lr is None or np.allclose(by_fs_lr, by_fsaverage, atol=_SAME_MM)
    ):
        weights = sphere_weights(by_fsaverage, faces, fs_lr_on_fsaverage(side))
    else:
        assert by_fs_lr is not None  # one of them is given
        weights = sphere_weights(by_fs_lr, faces, fs_lr_sphere(side))
    return weights @ points, centre


def _read_mesh(path: Path) -> tuple[Points, Indices, Points]:
    """Return points and triangles of a file of GIFTI or FreeSurfer, and its image's centre."""
    if path.name.endswith(_GIFTI):
        return read_surface(path)
    with reading_image(path, expected="a surface of FreeSurfer"):
        points, faces, facts = freesurfer.read_geometry(path, read_metadata=True)
        if "cras" not in facts and "sphere" not in path.name:
            raise RunError(f"{path} does not state the centre of its image (cras)")
    _require_finite(points, path)
    points, faces = np.asarray(points, np.float64), np.asarray(faces, np.intp)
    if "sphere" in path.name:
        return points, faces, np.zeros(3)
    centre = np.asarray(facts["cras"], np.float64)
    return points @ _axes_of_image(facts, path) + centre, faces, centre


def _axes_of_image(facts: Mapping[str, Any], path: Path) -> Float64:
    """Return the turn (3, 3) of vertices, as rows, from FreeSurfer's coordinates to the scanner's.

    Vertices are relative to the centre of its image and to axes that are those of a usual
    (coronal) image, left, down and forward, wherever the image's own axes point.
    """
    # Rows are directions in the scanner's space.
    own_axes = np.array([facts[key] for key in _AXES])
    turn: Float64 = np.transpose(_USUAL_AXES) @ own_axes
    if not np.allclose(turn @ turn.T, np.eye(3), atol=_ROUGHLY):
        raise RunError(
            f"{path} states axes of its image that are not perpendicular (xras, yras, zras)",
            expected="the geometry of FreeSurfer's image",
            remedy=_REMEDY,
        )
    return turn


def _read_sphere(path: Path, vertices: int) -> Points:
    points, _, _ = _read_mesh(path)
    points = _require_size(points, vertices, path)
    radii = np.linalg.norm(points, axis=1)
    if not 0 < radii.max() <= radii.min() * _RADII_DIFFER:
        raise RunError(
            f"{path} has vertices {radii.min():.4g} to {radii.max():.4g} mm from 0",
            expected="a sphere around 0",
            remedy=_REMEDY,
        )
    return points


def _require_size(points: Points, vertices: int, path: Path) -> Points:
    if len(points) != vertices:
        raise RunError(f"{path} has {len(points)} vertices", expected=f"{vertices}")
    return points


def sphere_weights(sphere: Points, faces: Indices, wanted: Points) -> Any:
    """Return the weights that resample values or coordinates from one mesh to another.

    The line from the centre of the sphere to a point meets a triangle of the first mesh. The
    point's weights are the barycentric coordinates of that intersection.

    Parameters
    ----------
    sphere
        (vertices, 3), the first mesh, which has values, on a sphere around 0 of any radius.
    faces
        (triangles, 3), indices of its vertices; they form a closed surface around 0.
    wanted
        (points, 3), vertices of the other mesh on its sphere, registered to the first.

    Returns
    -------
    Sparse (points, vertices) float64; each row has up to three weights that add up to one.

    Notes
    -----
    This is the method BARYCENTRIC of Connectome Workbench (Marcus et al. 2011, Front. Neuroinform.
    5: 4, doi 10.3389/fninf.2011.00004); resampled coordinates differ by less than 0.001 mm.

    Examples
    --------
    >>> import numpy as np
    >>> sphere = np.vstack([np.eye(3), -np.eye(3)])
    >>> faces = np.array([[0, 1, 2], [0, 2, 4], [3, 2, 1], [3, 4, 2], [0, 5, 1], [3, 1, 5]])
    >>> sphere_weights(sphere, faces, np.array([[1.0, 1.0, 2.0]])).toarray().round(2)
    array([[0.25, 0.25, 0.5 , 0.  , 0.  , 0.  ]])
    """
    from scipy.sparse import csr_array

    corners = _on_unit_sphere(sphere)[faces]
    points = _on_unit_sphere(wanted)
    triangles, weights = _in_triangles(corners, points, _NEAR)
    outside = np.flatnonzero(weights.min(axis=1) < -_ROUNDING)
    if len(outside):
        retried = _in_triangles(corners, points[outside], _FAR)
        triangles[outside], weights[outside] = retried
    weights = np.maximum(weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    starts = np.arange(0, 3 * len(points) + 1, 3)
    vertices = faces[triangles].ravel()
    shape = (len(points), len(sphere))
    matrix = csr_array((weights.ravel(), vertices, starts), shape=shape)
    matrix.sum_duplicates()
    return matrix


def _on_unit_sphere(points: Points) -> Points:
    radii = np.linalg.norm(points, axis=1, keepdims=True)
    return points / radii


def _in_triangles(
    corners: Float64, points: Points, near: int
) -> tuple[Indices, Float64]:
    """Find the triangle that contains each point, and the point's barycentric coordinates.

    Parameters
    ----------
    corners
        (triangles, 3 corners, 3), coordinates of the corners.
    points
        (points, 3), coordinates on the sphere.
    near
        Number of nearest triangles to try for each point.

    Returns
    -------
    Triangle (points,), and weights of its corners (points, 3), which add up to one. If none of the
    tried triangles contains the point, the best one is returned, with a negative weight.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(_on_unit_sphere(corners.mean(axis=1)))
    _, nearest = tree.query(points, k=min(near, len(corners)))
    tried = nearest.reshape(len(points), -1)  # (points, tried), triangles
    first, second, third = np.moveaxis(corners, 1, 0)
    # Volumes of the tetrahedra spanned by the point, the centre and two of the corners.
    pairs = ((second, third), (third, first), (first, second))
    normals = np.stack([np.cross(*pair) for pair in pairs], axis=1)
    # (points, tried, corners); the sum is negative for triangles on the opposite side.
    volumes = np.einsum("ptca,pa->ptc", normals[tried], points)
    # Triangles may have either orientation.
    orientations = np.sign(np.einsum("ta,ta->t", normals[:, 0], first))
    volumes *= orientations[tried][:, :, None]
    sums = volumes.sum(axis=2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(sums > 0, volumes / sums, -np.inf)
    best = weights.min(axis=2).argmax(axis=1)
    rows = np.arange(len(points))
    return tried[rows, best], weights[rows, best]
