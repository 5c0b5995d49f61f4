"""Networks of the phantom: Gaussian foci, their maps, and which of them overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.phantom import parameters as p
from bids_dtg.imaging.grid import Grid
from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.fields import axis_positions_mm


@dataclass(frozen=True, eq=False)
class Foci:
    """The Gaussian foci of the group's networks, in mm."""

    network: NDArray[np.intp]  # (foci,), network of each focus
    centre_mm: NDArray[np.float64]  # (foci, 3)
    height: NDArray[np.float64]  # (foci,)
    width_mm: NDArray[np.float64]  # (networks,), standard deviation


def draw_foci(rng: np.random.Generator) -> Foci:
    """Draw foci in grey matter of 2 mm: in mm, they are the same for voxels of any size."""
    anatomy = load_anatomy(1)
    affine = anatomy.grid.affine
    grey_mm = np.argwhere(anatomy.grey) @ affine[:3, :3].T + affine[:3, 3]
    first = _spaced(rng.permutation(grey_mm), p.NETWORKS, p.FOCUS_DISTANCE_MM)
    mirrored = np.sort(rng.permutation(p.NETWORKS)[: round(p.MIRRORED_SHARE * p.NETWORKS)])
    distant = np.sort(rng.permutation(p.NETWORKS)[: round(p.DISTANT_SHARE * p.NETWORKS)])
    across = first[mirrored] * np.array([-1.0, 1.0, 1.0])
    elsewhere = grey_mm[rng.integers(len(grey_mm), size=len(distant))]
    heights = (
        np.ones(p.NETWORKS),
        np.full(len(mirrored), p.MIRRORED_WEIGHT),
        rng.uniform(*p.DISTANT_WEIGHT, size=len(distant)),
    )
    return Foci(
        network=np.concatenate([np.arange(p.NETWORKS), mirrored, distant]),
        centre_mm=np.concatenate([first, across, elsewhere]),
        height=np.concatenate(heights),
        width_mm=rng.uniform(*p.WIDTH_MM, size=p.NETWORKS),
    )


def network_maps(
    foci: Foci,
    grid: Grid,
    mask: NDArray[np.bool_],
    *,
    shift_mm: NDArray[np.float64] | float = 0.0,
    log_extent: NDArray[np.float64] | float = 0.0,
    log_strength: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float32]:
    """Evaluate the networks' maps, of the group or of one person.

    Parameters
    ----------
    foci
        Foci of the group's networks.
    grid, mask
        Grid, and mask (i, j, k) of the voxels to evaluate.
    shift_mm
        (foci, 3), a person's.
    log_extent, log_strength
        (networks,), a person's.

    Returns
    -------
    (networks, voxels of the mask)
    """
    centres = foci.centre_mm + shift_mm
    widths = foci.width_mm * np.exp(log_extent)
    heights = np.exp(np.zeros(len(widths)) + log_strength)
    axes = axis_positions_mm(grid)
    maps = np.empty((len(widths), np.count_nonzero(mask)), np.float32)
    for k, width in enumerate(widths):
        volume = np.zeros(grid.shape, np.float32)
        for f in np.flatnonzero(foci.network == k):
            # A Gaussian is a product of its profiles along i, j and k.
            gi, gj, gk = (
                np.exp(-0.5 * ((axes[a] - centres[f, a]) / width) ** 2).astype(np.float32)
                for a in range(3)
            )
            gi *= np.float32(heights[k] * foci.height[f])
            volume += (gi[:, None] * gj[None, :])[:, :, None] * gk
        maps[k] = volume[mask]
    return maps


def overlapping_pairs(foci: Foci) -> NDArray[np.intp]:
    """Return the pairs of networks with the largest overlap, (pairs, 2)."""
    width = foci.width_mm[foci.network]
    squared = width[:, None] ** 2 + width[None, :] ** 2
    apart = np.linalg.norm(foci.centre_mm[:, None] - foci.centre_mm[None, :], axis=2)
    # The integral of the product of two Gaussians, up to a factor.
    product = np.outer(width**3, width**3) / squared**1.5 * np.exp(-0.5 * apart**2 / squared)
    product *= np.outer(foci.height, foci.height)
    member = np.equal.outer(np.arange(len(foci.width_mm)), foci.network).astype(float)
    overlap = member @ product @ member.T
    norm = np.sqrt(np.diagonal(overlap))
    first, second = np.triu_indices(len(norm), k=1)
    share = (overlap / np.outer(norm, norm))[first, second]
    order = np.argsort(-share, kind="stable")[: p.PAIRS]
    return np.stack([first[order], second[order]], axis=1)


def _spaced(points: NDArray[np.float64], n: int, distance: float) -> NDArray[np.float64]:
    """Take the first n points that keep a distance from each other."""
    taken: list[NDArray[np.float64]] = []
    free = np.ones(len(points), bool)
    while len(taken) < n and free.any():
        point = points[np.argmax(free)]
        taken.append(point)
        free &= np.linalg.norm(points - point, axis=1) >= distance
    if len(taken) < n:
        raise ValueError(f"only {len(taken)} of {n} foci fit at {distance:g} mm from each other")
    return np.array(taken)
