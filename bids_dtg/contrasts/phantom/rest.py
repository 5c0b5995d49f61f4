"""Rest: networks' series, voxels' signals and the connectome of a segment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.phantom.structure import Structure
from bids_dtg.phantom.anatomy import Anatomy

Array = NDArray[np.float32]


def series_mixing(
    parameters: PhantomParameters,
    structure: Structure,
    traits: NDArray[np.float64],
    own_modes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return L (networks, networks), which mixes independent series into a person's.

    L Lᵀ is the correlation matrix of BBᵀ + I + δ² U(t)U(t)ᵀ + ω² VVᵀ, with V the modes
    (networks, modes) that the person alone has.
    """
    modes = structure.loadings
    own = parameters.trait_coupling * (structure.trait_loadings @ traits)
    covariance = modes @ modes.T + np.eye(len(modes)) + own @ own.T
    covariance += parameters.own_coupling**2 * (own_modes @ own_modes.T)
    sd = np.sqrt(np.diagonal(covariance))
    return np.linalg.cholesky(covariance / np.outer(sd, sd))


def draw_series(
    parameters: PhantomParameters,
    mixing: NDArray[np.float64],
    rng: np.random.Generator,
    frames: int,
) -> tuple[Array, Array]:
    """Draw independent samples of one segment.

    Returns
    -------
    series
        (frames, networks), scaled by the networks' amplitudes in this segment.
    shared
        (frames,), the signal of all voxels.
    """
    state = np.exp(parameters.log_state * rng.standard_normal(len(mixing)))
    independent = rng.standard_normal((frames, len(mixing)))
    shared = parameters.global_signal * rng.standard_normal(frames)
    return (independent @ mixing.T * state).astype(np.float32), shared.astype(np.float32)


def series_weights(roi_maps: Array, anatomy: Anatomy) -> Array:
    """Return the pseudo-inverse of the demeaned ROI maps, (networks, brain voxels).

    The first stage of dual regression; maps are 0 outside grey matter.
    """
    maps = np.zeros((len(roi_maps), np.count_nonzero(anatomy.brain)))
    maps[:, anatomy.grey_in_brain] = roi_maps
    maps -= maps.mean(axis=1, keepdims=True)
    return np.linalg.solve(maps @ maps.T, maps).astype(np.float32)


def segment_connectome(
    frames: Array, weights: Array, grey: NDArray[np.intp], form: Form = MARGINAL
) -> Array:
    """Compute the connectome of network series and grey-matter voxels.

    Parameters
    ----------
    frames
        (frames, brain voxels), independent samples: one is lost to the mean.
    weights
        From `series_weights`, (networks, brain voxels).
    grey
        Positions of the grey-matter voxels among the brain's.
    form
        Form of the connectome's values.

    Returns
    -------
    (networks, grey voxels), values of the form; by default Pearson r
    """
    centred = frames - frames.mean(axis=0)
    series = centred @ weights.T
    voxels = centred[:, grey]
    series /= np.linalg.norm(series, axis=0)
    connectome: Array = series.T @ voxels
    connectome /= np.sqrt(np.einsum("tv,tv->v", voxels, voxels))
    mixing = form.mixing((series.T @ series).astype(np.float64))
    return connectome if mixing is None else mixing.T.astype(np.float32) @ connectome
