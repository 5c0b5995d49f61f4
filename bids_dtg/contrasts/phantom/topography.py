"""What is a person's own in network maps: loadings, strength, moved foci, misregistration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.phantom.anatomy import Anatomy
from bids_dtg.phantom.fields import SmoothField

Array = NDArray[np.float32]

_FOLD_RADIUS_MM = 20.0  # around a fold's centre
_FOLD_MM = 8.0  # how far a fold moves what lies there


def envelope(parameters: PhantomParameters, group_maps: Array) -> Array:
    """Return the sd of people's own loadings, (networks, voxels).

    It grows as the root of the group's map, from a share of its largest value where the network
    is absent.
    """
    base = np.float32(parameters.topography_base)
    shape = base + (1 - base) * np.sqrt(np.clip(group_maps, 0, 1))
    sd: Array = np.float32(parameters.topography) * shape
    return sd


def own_loadings(
    sd: Array, field: SmoothField, grey: NDArray[np.bool_], rng: np.random.Generator
) -> Array:
    """Draw a person's own loadings of each place on each network.

    Parameters
    ----------
    sd
        From `envelope`, (networks, voxels).
    field, grey
        Smoothness of the loadings; mask (i, j, k) of the voxels.
    rng
        The person's stream.

    Returns
    -------
    (networks, voxels)
    """
    noise = field.noise(rng, len(sd))
    drawn = np.empty_like(sd)
    # One network at a time: volumes of all of them are large at 2 mm.
    for k in range(len(sd)):
        drawn[k] = field.spread(noise[k : k + 1])[0][grey]
    drawn *= sd
    return drawn


def moved_foci(
    share: float, centres_mm: NDArray[np.float64], anatomy: Anatomy, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the shifts (foci, 3) in mm that take a share of the foci anywhere in grey matter."""
    points = anatomy.places.points
    moved = rng.random(len(centres_mm)) < share
    to = points[rng.integers(len(points), size=len(centres_mm))]
    shift: NDArray[np.float64] = np.where(moved[:, None], to - centres_mm, 0.0)
    return shift


def folded(
    points: NDArray[np.float64], centres_mm: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw misregistration: from which voxel each voxel has its values.

    Around each fold's centre, values come from 8 mm away along one axis.

    Parameters
    ----------
    points
        Grey-matter voxels in mm, (voxels, 3).
    centres_mm
        The folds' centres, (folds, 3).
    rng
        The person's stream.

    Returns
    -------
    (voxels,), positions of voxels
    """
    source = points.copy()
    for centre in centres_mm:
        away = np.zeros(3)
        away[rng.integers(3)] = _FOLD_MM * rng.choice([-1.0, 1.0])
        inside = np.linalg.norm(points - centre, axis=1) < _FOLD_RADIUS_MM
        source[inside] = points[inside] + away
    found: NDArray[np.intp] = cKDTree(points).query(source)[1]
    return found
