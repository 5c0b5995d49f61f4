"""The phantom's tissue masks, and smooth random fields at its voxels.

The tissues are those of the ICBM 2009a symmetric template, which comes with nilearn (BSD licence),
on the model grid. It is not MNI152NLin6Asym, so the geometry is approximate, which is good enough
for a simulation but not for a real brain.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Indices, Mask
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_nilearn_template
from bids_dtg.imaging.places import VoxelPlaces

# The block [7:83, 9:102, 0:78] of FSL's 2 mm grid.
MODEL_SHAPE = (76, 93, 78)
MODEL_ORIGIN_MM = (76.0, -108.0, -72.0)

# Chosen so that the masks have about the size of FSL's brain mask (235,375 voxels of 2 mm)
# and of the published model's grey-matter mask (158,680).
_BRAIN_INTENSITY = 0.2
_GREY_SHARE = 0.35
_WHITE_SHARE = 0.95
_FLUID_SHARE = 0.25  # highest share of grey and white matter
_SMOOTHING = np.array([0.25, 0.5, 0.25], np.float32)  # 1 mm voxels to 2 mm ones


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Tissue masks on a grid; voxel vectors are in C order of (i, j, k)."""

    grid: Grid  # the model grid or blocks of it
    brain: Mask  # (i, j, k), within which ROI series are computed
    # (i, j, k), grey matter within the brain, which has neural signal
    grey: Mask
    white: Mask  # (i, j, k), deep white matter
    fluid: Mask  # (i, j, k), cerebrospinal fluid
    intensity: Float32  # (i, j, k), T1-weighted, 0 to 1

    @property
    def places(self) -> VoxelPlaces:
        """The grey-matter voxels, at which a model predicts."""
        return VoxelPlaces.within(self.grid, self.grey)

    @property
    def grey_in_brain(self) -> Indices:
        """Positions of the grey-matter voxels in the vector of brain voxels."""
        return np.flatnonzero(self.grey[self.brain])


def model_grid(block: int = 1) -> Grid:
    """Return the model grid in blocks of `block` voxels; the last blocks may be incomplete.

    Examples
    --------
    >>> model_grid(block=4).shape
    (19, 24, 20)
    """
    size = 2.0 * block
    affine = np.diag([-size, size, size, 1.0])
    centre = block - 1.0  # mm from the first voxel's centre to the block's
    affine[:3, 3] = np.array(MODEL_ORIGIN_MM) + np.array([-centre, centre, centre])
    i, j, k = (-(-voxels // block) for voxels in MODEL_SHAPE)
    return Grid((i, j, k), affine, resolution=f"{size:g}")


def load_anatomy(block: int = 1) -> Anatomy:
    """Build the masks; a block belongs to a tissue if at least half of its voxels do."""
    grey = _template("gm")
    white = _template("wm")
    intensity = _template("t1")
    brain = intensity > _BRAIN_INTENSITY
    masks = {
        "brain": brain,
        "grey": brain & (grey > _GREY_SHARE),
        "white": brain & (white > _WHITE_SHARE),
        "fluid": brain & (grey + white < _FLUID_SHARE),
    }
    block_masks = {
        tissue: _block_means(mask, block) >= 0.5 for tissue, mask in masks.items()
    }
    block_masks["grey"] &= block_masks["brain"]
    block_intensity = _block_means(intensity, block)
    return Anatomy(model_grid(block), intensity=block_intensity, **block_masks)


def _block_means(volume: NDArray[np.generic], block: int) -> Float32:
    """Average over blocks; missing voxels of an incomplete block count as 0."""
    padding = [(0, -voxels % block) for voxels in volume.shape]
    padded = np.pad(volume.astype(np.float32), padding)
    i, j, k = (voxels // block for voxels in padded.shape)
    blocks = padded.reshape(i, block, j, block, k, block)
    return blocks.mean(axis=(1, 3, 5))


@functools.cache
def _template(tissue: str) -> Float32:
    """Read a 1 mm template, 0 to 1, and resample it to the model grid."""
    values, affine = read_nilearn_template(tissue)
    for axis in range(3):
        values = _smooth(values, axis)
    # The template's voxels are at whole mm, so each model voxel coincides with one of them.
    grid = model_grid()
    to_template = np.linalg.inv(affine) @ grid.affine
    step = np.diagonal(to_template)[:3]
    start = to_template[:3, 3]
    template_voxels = []  # along each axis
    for axis, voxels in enumerate(grid.shape):
        positions = start[axis] + step[axis] * np.arange(voxels)
        template_voxels.append(np.rint(positions).astype(int))
    return values[np.ix_(*template_voxels)]


def _smooth(values: Float32, axis: int) -> Float32:
    padding = [(0, 0)] * 3
    padding[axis] = (1, 1)
    padded = np.pad(values, padding, mode="edge")
    voxels = values.shape[axis]
    weighted = []
    for shift, weight in enumerate(_SMOOTHING):
        along_axis = slice(shift, shift + voxels)
        weighted.append(weight * padded[(slice(None),) * axis + (along_axis,)])
    return weighted[0] + weighted[1] + weighted[2]


_LATTICE_BLOCK = 4  # 8 mm
FWHM_PER_SD = 2.0 * np.sqrt(2.0 * np.log(2.0))


@dataclass(frozen=True, eq=False)
class SmoothField:
    """Gaussian fields of mean 0 and variance 1 at each voxel.

    The noise is drawn on a lattice that does not depend on the voxel size, so a person's
    field is the same at finer and coarser voxels. Kernel and lattice are separable over the
    axes, so three small matrices make a field.
    """

    # i, j and k: (voxels, lattice nodes), rows of length 1
    weights: tuple[Float32, Float32, Float32]

    @classmethod
    def on(cls, grid: Grid, fwhm_mm: float) -> SmoothField:
        """Make fields on a grid without rotations, with a kernel of `fwhm_mm`."""
        sd_mm = fwhm_mm / FWHM_PER_SD
        axes = zip(
            axis_positions_mm(grid),
            axis_positions_mm(model_grid(_LATTICE_BLOCK)),
            strict=True,
        )
        i, j, k = (
            _axis_weights((voxels[:, None] - nodes[None, :]) / sd_mm)
            for voxels, nodes in axes
        )
        return cls((i, j, k))

    def noise(self, rng: np.random.Generator, n: int) -> Float32:
        """Draw white noise for n fields, (n, *lattice), the nodes along i, j and k."""
        lattice = (weights.shape[1] for weights in self.weights)
        return rng.standard_normal((n, *lattice), dtype=np.float32)

    def spread(self, noise: Float32) -> Float32:
        """Turn noise (n, *lattice) into fields (n, i, j, k)."""
        weights_i, weights_j, weights_k = self.weights
        # The smallest intermediate arrays come first; the last product makes the voxels.
        along_i = np.tensordot(noise, weights_i, axes=(1, 1))  # n, nodes, nodes, i
        along_ij = np.tensordot(along_i, weights_j, axes=(1, 1))  # n, nodes, i, j
        nodes_last = along_ij.transpose(0, 2, 3, 1)
        return np.matmul(nodes_last, weights_k.T)  # n, i, j, k

    def draw(self, rng: np.random.Generator, n: int) -> Float32:
        """Draw n fields, (n, i, j, k)."""
        return self.spread(self.noise(rng, n))


def axis_positions_mm(grid: Grid) -> list[Float64]:
    """Return the mm positions of the voxels along each axis of a grid without rotations.

    Examples
    --------
    >>> [len(axis) for axis in axis_positions_mm(model_grid(block=4))]
    [19, 24, 20]
    """
    affine = grid.affine
    return [
        affine[axis, 3] + affine[axis, axis] * np.arange(voxels)
        for axis, voxels in enumerate(grid.shape)
    ]


def _axis_weights(distance: Float64) -> Float32:
    """Return weights (voxels, nodes) for distances in standard deviations of the kernel."""
    weights = np.exp(-0.5 * distance**2)
    # Rows of unit length make the variance 1 everywhere, even at the grid's edges.
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return weights.astype(np.float32)
