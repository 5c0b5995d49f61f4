"""The group structure of a phantom: networks, couplings and responses to tasks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.phantom.tasks import CONDITIONS, condition_list
from bids_dtg.imaging.grid import Grid
from bids_dtg.phantom.anatomy import Anatomy
from bids_dtg.phantom.fields import SmoothField, axis_positions_mm
from bids_dtg.phantom.streams import Purpose, stream

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Foci:
    """The Gaussian foci of the group's networks, in mm."""

    network: NDArray[np.intp]  # (foci,), network of each focus
    centre_mm: NDArray[np.float64]  # (foci, 3)
    height: NDArray[np.float64]  # (foci,)
    width_mm: NDArray[np.float64]  # (networks,), standard deviation


@dataclass(frozen=True, eq=False)
class Structure:
    """The fixed part of a phantom; all drawn numbers are Gaussian unless said otherwise."""

    foci: Foci
    shift_traits: NDArray[np.float64]  # (foci, 3, traits), variance 1 for a random person
    extent_traits: NDArray[np.float64]  # (networks, traits), likewise
    strength_traits: NDArray[np.float64]  # (networks, traits), likewise
    loadings: NDArray[np.float64]  # (networks, modes) of the series' common modes
    trait_loadings: NDArray[np.float64]  # (networks, trait modes, traits)
    weights: NDArray[np.float64]  # (conditions, networks), sums of sparse parts
    trait_gains: NDArray[np.float64]  # (conditions, networks, traits), variance 1 for a person
    pairs: NDArray[np.intp]  # (pairs, 2), overlapping networks
    pair_weights: NDArray[np.float64]  # (conditions, pairs)
    fixed_noise: Array  # (conditions, *lattice), noise that the fixed maps are interpolated from


def draw_structure(
    parameters: PhantomParameters, seed: int, anatomy: Anatomy, field: SmoothField
) -> Structure:
    """Draw the fixed part of a phantom.

    Parameters
    ----------
    parameters, seed
        Sizes and strengths of its parts; the number from which all is drawn.
    anatomy
        The 2 mm anatomy, also for a phantom of larger voxels: foci are the same in mm.
    field
        Smoothness of the fixed maps; only its lattice is used.
    """
    p, conditions = parameters, len(condition_list())
    parts, density = condition_parts(p)
    unit_parts = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    foci = _draw_foci(p, stream(seed, Purpose.FOCI), anatomy)
    coupling = stream(seed, Purpose.COUPLING)
    responses = stream(seed, Purpose.RESPONSES)
    # A sum over traits has variance 1.
    of_traits = 1.0 / np.sqrt(p.traits)
    return Structure(
        foci=foci,
        shift_traits=of_traits * coupling.standard_normal((len(foci.network), 3, p.traits)),
        extent_traits=of_traits * coupling.standard_normal((p.networks, p.traits)),
        strength_traits=of_traits * coupling.standard_normal((p.networks, p.traits)),
        loadings=p.mode_strength * coupling.standard_normal((p.networks, p.modes)),
        trait_loadings=of_traits * coupling.standard_normal((p.networks, p.trait_modes, p.traits)),
        weights=parts @ _sparse(responses, density, p.networks),
        trait_gains=of_traits * responses.standard_normal((conditions, p.networks, p.traits)),
        pairs=_overlapping_pairs(foci, p.pairs),
        pair_weights=p.pair_strength
        * (unit_parts @ responses.standard_normal((len(density), p.pairs))),
        fixed_noise=np.tensordot(
            unit_parts.astype(np.float32),
            field.noise(stream(seed, Purpose.FIXED_MAPS), len(density)),
            axes=1,
        ),
    )


def network_maps(
    foci: Foci,
    grid: Grid,
    mask: NDArray[np.bool_],
    *,
    shift_mm: NDArray[np.float64] | None = None,
    log_extent: NDArray[np.float64] | None = None,
    log_strength: NDArray[np.float64] | None = None,
) -> Array:
    """Evaluate the networks' maps, of the group or of one person.

    Parameters
    ----------
    foci
        Foci of the group's networks.
    grid, mask
        Grid, and mask (i, j, k) of the voxels to evaluate.
    shift_mm
        (foci, 3), a person's; None: none.
    log_extent, log_strength
        (networks,), a person's; None: 0.

    Returns
    -------
    (networks, voxels of the mask)
    """
    centres = foci.centre_mm if shift_mm is None else foci.centre_mm + shift_mm
    widths = foci.width_mm * np.exp(0.0 if log_extent is None else log_extent)
    heights = np.exp(np.zeros(len(widths)) if log_strength is None else log_strength)
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


def _draw_foci(p: PhantomParameters, rng: np.random.Generator, anatomy: Anatomy) -> Foci:
    affine = anatomy.grid.affine
    grey_mm = np.argwhere(anatomy.grey) @ affine[:3, :3].T + affine[:3, 3]
    first = _spaced(rng.permutation(grey_mm), p.networks, p.focus_distance_mm)
    mirrored = np.sort(rng.permutation(p.networks)[: round(p.mirrored_share * p.networks)])
    distant = np.sort(rng.permutation(p.networks)[: round(p.distant_share * p.networks)])
    return Foci(
        network=np.concatenate([np.arange(p.networks), mirrored, distant]),
        centre_mm=np.concatenate(
            [
                first,
                first[mirrored] * np.array([-1.0, 1.0, 1.0]),
                grey_mm[rng.integers(len(grey_mm), size=len(distant))],
            ]
        ),
        height=np.concatenate(
            [
                np.ones(p.networks),
                np.full(len(mirrored), p.mirrored_weight),
                rng.uniform(*p.distant_weight, size=len(distant)),
            ]
        ),
        width_mm=rng.uniform(*p.width_mm, size=p.networks),
    )


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


def condition_parts(p: PhantomParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return networks' weights that conditions have in common.

    Returns
    -------
    parts
        (conditions, parts): weights of independent parts in each condition.
        One part is common to all; others belong to a task, or to a condition.
    density
        (parts,), the share of networks in each part.
    """
    names = [("", "common"), *((task, "task") for task in CONDITIONS)]
    own = {key: _own_parts(p, *key) for key in condition_list()}
    names += sorted({(task, name) for (task, _), parts in own.items() for name in parts})
    column = {name: n for n, name in enumerate(names)}
    parts = np.zeros((len(own), len(names)))
    for row, ((task, _), weights) in zip(parts, own.items(), strict=True):
        row[column["", "common"]] = p.common_weight * (p.motor_common if task == "MOTOR" else 1.0)
        row[column[task, "task"]] = p.task_weight
        for name, weight in weights.items():
            row[column[task, name]] = p.condition_weight * weight
    common, task_density, condition = p.densities
    density = np.full(len(names), condition)
    density[: 1 + len(CONDITIONS)] = [common, *[task_density] * len(CONDITIONS)]
    return parts, density


def _own_parts(p: PhantomParameters, task: str, condition: str) -> dict[str, float]:
    """Return a condition's specific parts, besides the common one and the task's, of length 1."""
    if task == "WM":  # a load ("2BK") and a category ("BODY")
        return {part: float(np.sqrt(0.5)) for part in condition.split("_")}
    difference = {"GAMBLING": p.gambling_difference, "RELATIONAL": p.relational_difference}
    own = difference.get(task, 1.0)
    return {"both": float(np.sqrt(1.0 - own**2)), condition: own}


def _sparse(rng: np.random.Generator, density: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Draw (parts, n) numbers of variance 1, of which a share `density` is nonzero."""
    drawn = rng.standard_normal((len(density), n))
    involved = rng.random((len(density), n)) < density[:, None]
    drawn = np.where(involved, drawn, 0.0)
    drawn /= np.sqrt(density[:, None])
    return drawn


def _overlapping_pairs(foci: Foci, n: int) -> NDArray[np.intp]:
    """Return the n pairs of networks with the largest overlap, (n, 2)."""
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
    order = np.argsort(-share, kind="stable")[:n]
    return np.stack([first[order], second[order]], axis=1)
