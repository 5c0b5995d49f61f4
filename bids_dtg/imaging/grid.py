"""The model grid: shape, affine and template space of the arrays that a model reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float64, Floats, Values

Affine = Float64  # (4, 4), voxel indices to RAS+ mm
Points = Float64  # (points, 3), RAS+ mm, or indices between voxels


Stored = NDArray[np.generic]  # of any numeric type, as in a file
Shape = tuple[int, ...]

# NIfTI codes of spaces.
SCANNER_FORM = 1
TEMPLATE_FORM = 4  # MNI152


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxels in a template's space."""

    shape: tuple[int, int, int]  # voxels along i, j, k
    affine: Affine  # (4, 4), voxel indices to RAS+ mm
    space: str = "MNI152NLin6Asym"  # TemplateFlow name of the template
    resolution: str | None = "2"  # label of the BIDS entity res-
    form_code: int = TEMPLATE_FORM  # NIfTI code of the space

    def __post_init__(self) -> None:
        affine_shape = np.shape(self.affine)
        if len(self.shape) != 3 or min(self.shape) < 1 or affine_shape != (4, 4):
            raise ValueError(
                f"a grid has 3 sizes and an affine (4, 4), not {self.shape}, {affine_shape}"
            )

    @property
    def voxel_sizes_mm(self) -> tuple[float, float, float]:
        """Voxel size along i, j, k."""
        i, j, k = voxel_sizes_mm(self.affine).tolist()
        return i, j, k

    @property
    def entities(self) -> dict[str, str | None]:
        """BIDS entities of images on this grid."""
        return {"space": self.space, "res": self.resolution}

    @property
    def metadata(self) -> dict[str, Any]:
        """Sidecar entries that BIDS requires of images on this grid with 0 outside the brain."""
        sizes = " x ".join(f"{size:g}" for size in self.voxel_sizes_mm)
        shape = " x ".join(map(str, self.shape))
        return {
            "SpatialReference": f"https://templateflow.s3.amazonaws.com/tpl-{self.space}",
            "Resolution": f"{sizes} mm, the model's grid of {shape} voxels on the template's "
            "lattice",
            "SkullStripped": True,
        }


@cache
def standard_grid() -> Grid:
    """Return the grid that is used without a model: FSL's 2 mm grid of MNI152NLin6Asym.

    It covers the whole template, 91 x 109 x 91 voxels, as res-2 images of TemplateFlow and
    fMRIPrep do; the first axis runs from right to left. Grids of contrast models are parts of it.

    Examples
    --------
    >>> grid = standard_grid()
    >>> grid.shape, grid.affine[:3, 3].tolist(), grid.entities
    ((91, 109, 91), [90.0, -126.0, -72.0], {'space': 'MNI152NLin6Asym', 'res': '2'})
    """
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (90.0, -126.0, -72.0)
    return Grid((91, 109, 91), affine)


def _grid_2mm(
    space: str, shape: tuple[int, int, int], origin_mm: tuple[float, float, float]
) -> Grid:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = origin_mm
    return Grid(shape, affine, space)


# TemplateFlow's grids of 2 mm.
TEMPLATE_GRIDS = {
    grid.space: grid
    for grid in (
        _grid_2mm("MNI152NLin2009cAsym", (97, 115, 97), (-96.5, -132.5, -78.5)),
        _grid_2mm("MNI152NLin6Asym", (91, 109, 91), (-90.0, -126.0, -72.0)),
    )
}


def grid_over(
    shape: Shape,
    affine: Affine,
    edge_mm: float,
    *,
    space: str,
) -> Grid:
    """Return a grid with cubic voxels over an image's field of view, along the image's axes.

    It is centred on the image and covers it, with up to one voxel more along each axis.

    Parameters
    ----------
    shape, affine
        First three sizes and the affine (voxel indices to RAS+ mm) of the image.
    edge_mm
        Edge of the grid's voxels.
    space
        Label of the image's space, which is not that of a template.

    Examples
    --------
    >>> grid = grid_over((5, 4, 4), np.diag([1.0, 1.0, 1.0, 1.0]), 2.0, space="T1w")
    >>> grid.shape, grid.affine[:3, 3].tolist()
    ((3, 2, 2), [0.0, 0.5, 0.5])
    """
    steps = np.asarray(affine, np.float64)[:3, :3]  # from voxel to voxel of the image
    sizes = np.asarray(shape[:3])
    edges = voxel_sizes_mm(affine)
    # The tolerance prevents an extra voxel due to rounding of the header's 32-bit numbers.
    count = np.maximum(np.ceil(sizes * edges / edge_mm - 1e-3), 1).astype(int)
    grid_affine = np.array(affine, np.float64)
    grid_steps = steps / edges * edge_mm
    grid_affine[:3, :3] = grid_steps
    to_centre = steps @ (sizes - 1) / 2
    grid_to_centre = grid_steps @ (count - 1) / 2
    grid_affine[:3, 3] += to_centre - grid_to_centre
    i, j, k = count.tolist()
    return Grid((i, j, k), grid_affine, space, None, SCANNER_FORM)


def voxel_sizes_mm(affine: Floats) -> Float64:
    """Return the voxel size along i, j, k, (3,), of an affine (4, 4)."""
    steps = np.asarray(affine, np.float64)[:3, :3]
    return np.sqrt((steps**2).sum(axis=0))


def voxel_edge_mm(affine: Floats) -> float:
    """Return the edge length of a cube with the voxel volume of an affine (4, 4).

    Examples
    --------
    >>> round(voxel_edge_mm(np.diag([2.0, 2.0, 4.0, 1.0])), 3)
    2.52
    """
    steps = np.asarray(affine, np.float64)[:3, :3]
    volume_mm3 = abs(np.linalg.det(steps))
    return float(volume_mm3 ** (1 / 3))


def is_invertible(affine: Floats) -> bool:
    """Return whether an affine (4, 4) is finite and puts voxels at different positions."""
    return bool(
        np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) >= 1e-9
    )


def apply_affine(affine: Affine, points: Values) -> Points:
    """Map points or indices (n, 3) by an affine (4, 4).

    Examples
    --------
    >>> apply_affine(np.diag([2.0, 2.0, 2.0, 1.0]), np.array([[1, 0, 3]]))
    array([[2., 0., 6.]])
    """
    return points @ affine[:3, :3].T + affine[:3, 3]
