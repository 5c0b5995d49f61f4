"""The model grid: shape, affine and template space of the arrays that a model reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# NIfTI's codes of spaces: a scanner's, and MNI 152.
SCANNER_FORM, TEMPLATE_FORM = 1, 4


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxels in a template's space."""

    shape: tuple[int, int, int]  # voxels along i, j, k
    affine: NDArray[np.float64]  # (4, 4), voxel indices to RAS+ mm
    space: str = "MNI152NLin6Asym"  # TemplateFlow name of the template
    resolution: str | None = "2"  # label of the BIDS entity res-
    form_code: int = TEMPLATE_FORM  # NIfTI's code of the space, of images on the grid

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"a grid has three positive sizes, not {self.shape}")
        if np.shape(self.affine) != (4, 4):
            raise ValueError(f"an affine is (4, 4), not {np.shape(self.affine)}")

    @property
    def voxel_sizes_mm(self) -> tuple[float, float, float]:
        """Edges of a voxel along i, j, k."""
        sizes = np.sqrt((np.asarray(self.affine)[:3, :3] ** 2).sum(axis=0))
        return (float(sizes[0]), float(sizes[1]), float(sizes[2]))

    @property
    def entities(self) -> dict[str, str | None]:
        """Entities in the names of images that lie on it."""
        return {"space": self.space, "res": self.resolution}

    @property
    def metadata(self) -> dict[str, Any]:
        """What BIDS wants in the sidecars of images on it that are 0 outside the brain."""
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
    """Return the grid of what needs no model: FSL's 2 mm lattice of MNI152NLin6Asym.

    The whole template, 91 x 109 x 91 voxels, as TemplateFlow's and fMRIPrep's res-2 images have
    it, the first axis from right to left. Bundles of contrasts are cut out of the same lattice.

    Examples
    --------
    >>> grid = standard_grid()
    >>> grid.shape, grid.affine[:3, 3].tolist(), grid.entities
    ((91, 109, 91), [90.0, -126.0, -72.0], {'space': 'MNI152NLin6Asym', 'res': '2'})
    """
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (90.0, -126.0, -72.0)
    return Grid((91, 109, 91), affine)


def grid_over(
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    edge_mm: float,
    *,
    space: str,
) -> Grid:
    """Return a grid over an image's field of view, along its axes, with cubes as voxels.

    It is centred on the image and covers it: up to a voxel more along an axis.

    Parameters
    ----------
    shape, affine
        First three sizes and the affine (voxel indices to RAS+ mm) of the image.
    edge_mm
        Edge of the grid's voxels.
    space
        Label of the image's own space, which is no template's.

    Examples
    --------
    >>> grid = grid_over((5, 4, 4), np.diag([1.0, 1.0, 1.0, 1.0]), 2.0, space="T1w")
    >>> grid.shape, grid.affine[:3, 3].tolist()
    ((3, 2, 2), [0.0, 0.5, 0.5])
    """
    rotation, sizes = np.asarray(affine, np.float64)[:3, :3], np.asarray(shape[:3])
    edges = np.sqrt((rotation**2).sum(axis=0))
    # Rounding of a header's 32 bits is no reason for another voxel.
    count = np.maximum(np.ceil(sizes * edges / edge_mm - 1e-3), 1).astype(int)
    placed = np.array(affine, np.float64)
    placed[:3, :3] = rotation / edges * edge_mm
    placed[:3, 3] += rotation @ (sizes - 1) / 2 - placed[:3, :3] @ (count - 1) / 2
    i, j, k = count.tolist()
    return Grid((i, j, k), placed, space, None, SCANNER_FORM)


def voxel_edge_mm(affine: NDArray[np.floating]) -> float:
    """Return the edge of a cube that has the volume of a voxel of an affine (4, 4).

    Examples
    --------
    >>> round(voxel_edge_mm(np.diag([2.0, 2.0, 4.0, 1.0])), 3)
    2.52
    """
    return float(abs(np.linalg.det(np.asarray(affine, np.float64)[:3, :3])) ** (1 / 3))


def apply_affine(affine: NDArray[np.float64], points: NDArray[Any]) -> NDArray[np.float64]:
    """Map points, or indices, (n, 3) by an affine (4, 4).

    Examples
    --------
    >>> apply_affine(np.diag([2.0, 2.0, 2.0, 1.0]), np.array([[1, 0, 3]]))
    array([[2., 0., 6.]])
    """
    mapped: NDArray[np.float64] = points @ affine[:3, :3].T + affine[:3, 3]
    return mapped
