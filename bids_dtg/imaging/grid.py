"""The model grid: shape, affine and template space of the arrays that a model reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxels in a template's space."""

    shape: tuple[int, int, int]  # voxels along i, j, k
    affine: NDArray[np.float64]  # (4, 4), voxel indices to RAS+ mm
    space: str = "MNI152NLin6Asym"  # TemplateFlow name of the template
    resolution: str | None = "2"  # label of the BIDS entity res-

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
    def voxel_edge_mm(self) -> float:
        """Edge of a cube of a voxel's volume."""
        return voxel_edge_mm(self.affine)

    @property
    def entities(self) -> dict[str, str | None]:
        """Entities in the names of images that lie on it."""
        return {"space": self.space, "res": self.resolution}

    @property
    def metadata(self) -> dict[str, str]:
        """What BIDS wants in the sidecars of images that lie on it."""
        sizes = " x ".join(f"{size:g}" for size in self.voxel_sizes_mm)
        shape = " x ".join(map(str, self.shape))
        return {
            "SpatialReference": f"https://templateflow.s3.amazonaws.com/tpl-{self.space}",
            "Resolution": f"{sizes} mm, the model's grid of {shape} voxels on the template's "
            "lattice",
        }


def voxel_edge_mm(affine: NDArray[np.floating]) -> float:
    """Return the edge of a cube that has the volume of a voxel of an affine (4, 4).

    Examples
    --------
    >>> round(voxel_edge_mm(np.diag([2.0, 2.0, 4.0, 1.0])), 3)
    2.52
    """
    return float(abs(np.linalg.det(np.asarray(affine, np.float64)[:3, :3])) ** (1 / 3))
