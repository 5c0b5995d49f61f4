"""The self-check of a model of contrast maps: predict from simulated rest, and check the maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.kinds import Check
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.notices import counted
from bids_dtg.stats.correlation import correlation

_SEED = 38  # of the simulated rest
_FRAMES = 240
_PLACES_AT_A_TIME = 1 << 14
_NOISE = 1.5  # SD of a voxel's own noise; ROI signals have SD 1 at their peaks
_BOX = 24  # edge, in voxels, of the box in which the network is also run by torch
_AGREEMENT = (
    1e-5  # largest difference of both, as a share of the largest value (or of 1)
)
_LEAST_AGREEING = (
    0.75  # share of contrasts A - B that must correlate with the difference A - B
)

Maps = NDArray[np.float32]  # (contrasts, places)


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
    connectome = simulated_connectome(
        bundle.place_roi_maps, bundle.card.part.connectome
    )
    with np.errstate(over="ignore", invalid="ignore"):  # such values are found below
        maps = bundle.prepare(report=lambda _: None).predict(connectome)
        if bundle.correction is not None:
            maps = bundle.correction.apply(maps)
    wrong = int(np.count_nonzero(~np.isfinite(maps)))
    words = (
        f"{wrong} of {maps.size} values are not" if wrong else f"all {maps.size} values"
    )
    checks = [_eager(bundle, connectome), Check("values are finite", not wrong, words)]
    if wrong:
        return checks
    return [*checks, _differences(maps, bundle.contrasts)]


def simulated_connectome(
    roi_maps: NDArray[np.floating], form: Form
) -> NDArray[np.float32]:
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
    found = np.empty((rois, places), np.float32)
    for first in range(0, places, _PLACES_AT_A_TIME):
        part = slice(first, first + _PLACES_AT_A_TIME)
        signal = series @ weights[:, part]
        noise = (rng.random(signal.shape) - 0.5) * (_NOISE * math.sqrt(12))
        found[:, part] = series.T @ _standardised(signal + noise) / _FRAMES
    if not form.joint:
        return found
    return form.mixing(series.T @ series / _FRAMES).T.astype(np.float32) @ found


def _standardised(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale series (frames, any) to mean 0 and variance 1."""
    centred = series - series.mean(axis=0)
    found: NDArray[np.float64] = centred / centred.std(axis=0)
    return found


def _eager(bundle: ModelBundle, connectome: NDArray[np.float32]) -> Check:
    """Compare the prepared network with torch's network in a box of the grid."""
    name = "prepared and eager agree"
    if not KINDS[bundle.card.kind].is_network:
        return Check(name, None, f"a {bundle.card.kind} model has no network")
    if find_spec("torch") is None:
        return Check(name, None, "torch is not installed")
    import torch

    from bids_dtg.contrasts.network.kind import read
    from bids_dtg.contrasts.network.prepared import prepare

    mask, where = bundle.voxels.mask, np.argwhere(bundle.voxels.mask)
    starts = [
        min(max(int(middle) - _BOX // 2, 0), max(size - _BOX, 0))
        for middle, size in zip(where[len(where) // 2], mask.shape, strict=True)
    ]
    box = tuple(slice(start, start + _BOX) for start in starts)
    inside = np.zeros(mask.shape, bool)
    inside[box] = mask[box]
    part, values = mask[box], connectome[:, inside[mask]]
    grid = np.zeros((1, len(values), *part.shape), np.float32)
    grid[0, :, part] = values.T
    with torch.inference_mode():
        expected = bundle.network()(torch.from_numpy(grid))[0].numpy()[:, part]
    found = prepare(read(bundle.weights(), bundle.places), part).predict(values)
    apart = float(np.abs(found - expected).max()) / max(
        1.0, float(np.abs(expected).max())
    )
    agree = apart <= _AGREEMENT  # False for values that are not finite
    words = (
        f"to {apart:.1e} at {counted(int(part.sum()), 'voxel')} (limit {_AGREEMENT:g})"
    )
    return Check(name, agree, words)


def _differences(maps: Maps, contrasts: Sequence[Contrast]) -> Check:
    """Check that the map of each contrast A - B correlates with the map of A minus that of B."""
    name = "differences have their sign"
    number = {(contrast.task, contrast.name): contrast.index for contrast in contrasts}
    agree: dict[str, bool] = {}
    for contrast in contrasts:
        first, minus, second = contrast.name.partition("-")
        pair = number.get((contrast.task, first)), number.get((contrast.task, second))
        if minus and None not in pair:
            parts = maps[pair[0]] - maps[pair[1]]
            agree[contrast.label] = bool(correlation(maps[contrast.index], parts) > 0)
    if not agree:
        return Check(name, None, "no contrast is the difference of two others")
    against = [label for label, right in agree.items() if not right]
    words = f"{len(agree) - len(against)} of {len(agree)}"
    words += f"; not {', '.join(against)}" if against else ""
    enough = len(agree) - len(against) >= _LEAST_AGREEING * len(agree)
    return Check(name, enough, f"{words} (limit {_LEAST_AGREEING:.0%})")
