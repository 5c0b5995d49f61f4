"""Smooth random fields: white noise on an 8 mm lattice, spread by a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.grid import Grid
from bids_dtg.phantom.anatomy import model_grid

_LATTICE_BLOCK = 4  # 8 mm
FWHM_PER_SD = 2.0 * np.sqrt(2.0 * np.log(2.0))


@dataclass(frozen=True, eq=False)
class SmoothField:
    """Gaussian fields of mean 0 and variance 1 at each voxel.

    The noise lives on a lattice that is the same whatever the voxel size, so a person's
    field is one field, seen at finer or coarser voxels. Kernel and lattice are products
    over axes: three small matrices make a field.
    """

    # i, j and k: (voxels, lattice nodes), rows of length 1
    weights: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

    @classmethod
    def on(cls, grid: Grid, fwhm_mm: float) -> SmoothField:
        """Make fields on a grid without rotations; `fwhm_mm` is the kernel's."""
        sd_mm = fwhm_mm / FWHM_PER_SD
        nodes = axis_positions_mm(model_grid(_LATTICE_BLOCK))
        i, j, k = (
            _axis_weights((x[:, None] - x_node[None, :]) / sd_mm)
            for x, x_node in zip(axis_positions_mm(grid), nodes, strict=True)
        )
        return cls((i, j, k))

    @property
    def lattice(self) -> tuple[int, int, int]:
        """Nodes along i, j, k."""
        a, b, c = (w.shape[1] for w in self.weights)
        return (a, b, c)

    def noise(self, rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        """Draw white noise for n fields, (n, *lattice)."""
        return rng.standard_normal((n, *self.lattice), dtype=np.float32)

    def spread(self, noise: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn noise (n, *lattice) into fields (n, i, j, k)."""
        wi, wj, wk = self.weights
        # Shortest intermediate arrays first; the last product makes the voxels.
        along_i = np.tensordot(noise, wi, axes=(1, 1))  # n, b, c, i
        along_ij = np.tensordot(along_i, wj, axes=(1, 1))  # n, c, i, j
        fields: NDArray[np.float32] = np.matmul(along_ij.transpose(0, 2, 3, 1), wk.T)
        return fields  # n, i, j, k

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        """Draw n fields, (n, i, j, k)."""
        return self.spread(self.noise(rng, n))


def axis_positions_mm(grid: Grid) -> list[NDArray[np.float64]]:
    """Return the mm positions of the voxels along each axis of a grid without rotations.

    Examples
    --------
    >>> from bids_dtg.phantom.anatomy import model_grid
    >>> [len(axis) for axis in axis_positions_mm(model_grid(block=4))]
    [19, 24, 20]
    """
    affine = np.asarray(grid.affine)
    if np.count_nonzero(affine[:3, :3]) != 3 or not np.diagonal(affine)[:3].all():
        raise ValueError(f"the phantom's grid has no rotations, found {affine.tolist()}")
    return [affine[a, 3] + affine[a, a] * np.arange(grid.shape[a]) for a in range(3)]


def _axis_weights(distance: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return weights (voxels, nodes) for distances in standard deviations of the kernel."""
    weights = np.exp(-0.5 * distance**2)
    # Unit rows make the variance 1 everywhere, at the grid's edges too.
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return weights.astype(np.float32)
