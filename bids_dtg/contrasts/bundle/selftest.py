"""The self-check of a model of contrast maps: predict from simulated rest, and check the maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Mask
from bids_dtg.bundles.kinds import Check
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import counted
from bids_dtg.stats.correlation import correlation

_SEED = 38  # of the simulated rest
_FRAMES = 240
_PLACES_AT_A_TIME = 1 << 14
_NOISE = 1.5  # SD of a voxel's own noise; ROI signals have SD 1 at their peaks
_BOX = 24  # edge, in voxels, of the box in which the network is also run by torch
# Largest difference of both networks, as a share of the largest value (or of 1).
_AGREEMENT = 1e-5
# Share of contrasts A - B that must correlate with the difference A - B.
_LEAST_AGREEING = 0.75


def check_maps_model(bundle: ModelBundle) -> list[Check]:
    """Predict maps from simulated rest, and check them.

    Parameters
    ----------
    bundle
        The model, verified.

    Raises
    ------
    BundleError
        The weights cannot be read.
    """
    connectome = simulated_connectome(bundle.place_roi_maps, bundle.part.connectome)
    with np.errstate(over="ignore", invalid="ignore"):  # such values are found below
        maps = bundle.prepare(report=lambda _: None).predict(connectome)
        if bundle.correction is not None:
            maps = bundle.correction.apply(maps)
    agreement = _agreement(bundle, connectome)
    finite = "values are finite"
    wrong = int(np.count_nonzero(~np.isfinite(maps)))
    if wrong:
        words = f"{wrong} of {maps.size} values are not"
        return [agreement, Check(finite, False, words)]
    is_finite = Check(finite, True, f"all {maps.size} values")
    return [agreement, is_finite, _differences(maps, bundle.contrasts)]


def simulated_connectome(roi_maps: Floats, form: Form) -> Float32:
    """Return the connectome of simulated rest, always the same one.

    Parameters
    ----------
    roi_maps
        (rois, voxels), by which the ROIs' series are weighted at each voxel; noise is added.
    form
        Form of the connectome that the model reads.

    Returns
    -------
    (rois, voxels)
    """
    rng = np.random.Generator(np.random.PCG64(_SEED))
    rois, places = roi_maps.shape
    # As in real rest, series are smooth in time and all ROIs share some signal.
    series = rng.random((_FRAMES + 2, rois)) + 0.5 * rng.random((_FRAMES + 2, 1))
    series = _standardised(series[:-2] + series[1:-1] + series[2:])
    roi_maps = roi_maps.astype(np.float32, copy=False)
    weights = roi_maps / np.maximum(np.abs(roi_maps).max(axis=1, keepdims=True), 1e-12)
    marginal = np.empty((rois, places), np.float32)
    for first in range(0, places, _PLACES_AT_A_TIME):
        part = slice(first, first + _PLACES_AT_A_TIME)
        signal = series @ weights[:, part]
        noise = (rng.random(signal.shape) - 0.5) * (_NOISE * math.sqrt(12))
        marginal[:, part] = series.T @ _standardised(signal + noise) / _FRAMES
    if not form.joint:
        return marginal
    mixing = form.mixing(series.T @ series / _FRAMES)
    return mixing.T.astype(np.float32) @ marginal


def _standardised(series: Float64) -> Float64:
    """Scale series (frames, any) to mean 0 and variance 1."""
    centred = series - series.mean(axis=0)
    return centred / centred.std(axis=0)


def _agreement(bundle: ModelBundle, connectome: Float32) -> Check:
    """Compare the prepared model with its torch network in a box of the grid."""
    name = "prepared and eager agree"
    kind = bundle.kind
    if not kind.tunes:
        return Check(name, None, f"{kind.words} has no network")
    if find_spec("torch") is None:
        return Check(name, None, "torch is not installed")
    import torch

    mask = bundle.voxels.mask
    box = _box_of(mask)
    inside = np.zeros(mask.shape, bool)
    inside[box] = mask[box]
    box_mask = mask[box]
    values = connectome[:, inside[mask]]  # (rois, voxels of the box)
    volumes = np.zeros((1, len(values), *box_mask.shape), np.float32)
    volumes[0, :, box_mask] = values.T
    with torch.inference_mode():
        eager = bundle.network()(torch.from_numpy(volumes))[0].numpy()[:, box_mask]
    grid = replace(bundle.grid, shape=box_mask.shape)
    places = VoxelPlaces.within(grid, box_mask)
    module = kind.module()
    model = module.prepare(bundle.weights(), places, "cpu", None, lambda _: None)
    prepared = model.predict(values)
    difference = float(np.abs(prepared - eager).max())
    share = difference / max(1.0, float(np.abs(eager).max()))
    agree = share <= _AGREEMENT  # False for values that are not finite
    voxels = counted(int(box_mask.sum()), "voxel")
    return Check(name, agree, f"to {share:.1e} at {voxels} (limit {_AGREEMENT:g})")


def _box_of(mask: Mask) -> tuple[slice, ...]:
    """Return the box around the middle one of the mask's voxels, within the grid."""
    voxels = np.argwhere(mask)
    middle = voxels[len(voxels) // 2]
    box = []
    for position, size in zip(middle, mask.shape, strict=True):
        last = max(size - _BOX, 0)
        start = min(max(int(position) - _BOX // 2, 0), last)
        box.append(slice(start, start + _BOX))
    return tuple(box)


def _differences(maps: Float32, contrasts: Sequence[Contrast]) -> Check:
    """Check that the map of each contrast A - B correlates with the map of A minus that of B.

    `maps` are (contrasts, places).
    """
    name = "differences have their sign"
    number = {(contrast.task, contrast.name): contrast.index for contrast in contrasts}
    correlations = {}  # with the difference, by label
    for contrast in contrasts:
        first, minus, second = contrast.name.partition("-")
        pair = number.get((contrast.task, first)), number.get((contrast.task, second))
        if minus and None not in pair:
            difference = maps[pair[0]] - maps[pair[1]]
            correlations[contrast.label] = correlation(maps[contrast.index], difference)
    if not correlations:
        return Check(name, None, "no contrast is the difference of two others")
    against = [label for label, r in correlations.items() if not r > 0]
    agreeing = len(correlations) - len(against)
    words = f"{agreeing} of {len(correlations)}"
    words += f"; not {', '.join(against)}" if against else ""
    enough = agreeing >= _LEAST_AGREEING * len(correlations)
    return Check(name, enough, f"{words} (limit {_LEAST_AGREEING:.0%})")
