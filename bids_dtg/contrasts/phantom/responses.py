"""Responses to the tasks' conditions, and the contrast maps made from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.phantom.structure import Structure
from bids_dtg.contrasts.phantom.tasks import condition_list

Array = NDArray[np.float32]


def network_responses(
    parameters: PhantomParameters, structure: Structure, maps: Array, traits: NDArray[np.float64]
) -> Array:
    """Return the responses of a person's networks to each condition.

    β = λ tanh(h / λ) + κ Σ_p Q_p √(M_k M_l), with h the sum of the networks' maps M times
    their weights and the gains that the person's traits give them.

    Parameters
    ----------
    maps
        The person's maps during tasks, (networks, voxels).
    traits
        (traits,), the person's values; each changes the gains of networks.

    Returns
    -------
    (conditions, voxels)
    """
    gain = np.exp(parameters.trait_gain * (structure.trait_gains @ traits))
    summed = (structure.weights * gain).astype(np.float32) @ maps
    level = np.float32(parameters.saturation)
    first, second = structure.pairs.T
    overlap = np.sqrt(np.maximum(maps[first] * maps[second], 0))
    responses: Array = level * np.tanh(summed / level)
    responses += structure.pair_weights.astype(np.float32) @ overlap
    return responses


def linear_responses(parameters: PhantomParameters, weights: Array, connectome: Array) -> Array:
    """Return responses that are a linear function of the connectome, the same at every voxel.

    Tavor et al. 2016: each condition weights the connectome's rows, z-scored over voxels.

    Parameters
    ----------
    weights
        Weights of the connectome's rows, (conditions, networks).
    connectome
        Connectome of the person, (networks, voxels).

    Returns
    -------
    (conditions, voxels)
    """
    rows = connectome - connectome.mean(axis=1, keepdims=True)
    rows /= rows.std(axis=1, keepdims=True)
    responses: Array = np.float32(parameters.linear_scale) * (weights @ rows)
    return responses


def condition_gains(parameters: PhantomParameters) -> Array:
    """Return the strength of each condition's maps, (conditions,)."""
    gains = dict(parameters.task_gains)
    return np.array([gains[task] for task, _ in condition_list()], np.float32)
