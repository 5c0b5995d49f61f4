"""The plain way, as in the published code: whole arrays, float64, eager network.

Not part of the package; the other side of the paired benchmarks. It reads the whole series with
nibabel, keeps time x voxels in float64, takes the pseudo-inverse of the maps, correlates, runs
the eager float32 network with every thread and saves the maps with nibabel. It cleans nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from bids_dtg import load_bundle


def resample(data: np.ndarray, to_data: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Take nearest voxels on a grid with parallel axes: (i, j, k, frames) to (*shape, frames)."""
    axes = [np.rint(to_data[a, a] * np.arange(n) + to_data[a, 3]) for a, n in enumerate(shape)]
    return data[np.ix_(*(axis.astype(int) for axis in axes))]


def connectome(bold: np.ndarray, brain: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Correlate every brain voxel with the dual-regression series of the maps.

    bold (i, j, k, frames) float64 on the model grid; brain (i, j, k); maps (rois, brain voxels).
    Returns (rois, i, j, k) float32, 0 outside the brain.
    """
    series = bold[brain]  # (voxels, frames)
    series -= series.mean(axis=1, keepdims=True)
    centred = maps.T.astype(np.float64)  # (voxels, rois)
    centred -= centred.mean(axis=0)
    rois = np.linalg.pinv(centred) @ series  # (rois, frames)
    with np.errstate(invalid="ignore", divide="ignore"):
        voxels = series / series.std(axis=1, keepdims=True)
        rois = (rois - rois.mean(axis=1, keepdims=True)) / rois.std(axis=1, keepdims=True)
        r = np.nan_to_num(voxels @ rois.T / series.shape[1])  # (voxels, rois)
    full = np.zeros((maps.shape[0], *brain.shape), np.float32)
    full[:, brain] = r.T
    return full


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bold", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    seconds, start = {}, time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal start
        seconds[stage] = time.perf_counter() - start
        start = time.perf_counter()

    bundle = load_bundle(arguments.bundle)
    network = bundle.network().eval()
    lap("model")
    image = nib.load(arguments.bold)
    data = image.get_fdata()
    lap("read")
    sampled = resample(data, np.linalg.inv(image.affine) @ bundle.grid.affine, bundle.grid.shape)
    lap("resample")
    r = connectome(sampled, bundle.brain.mask, bundle.roi_maps)
    del data, sampled
    lap("connectome")
    with torch.no_grad():
        maps = (
            network(torch.from_numpy(r * bundle.places.mask)[None])[0].numpy() * bundle.places.mask
        )
    lap("network")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for contrast, values in zip(bundle.contrasts, maps, strict=True):
        nib.save(
            nib.Nifti1Image(values, bundle.grid.affine), arguments.out / f"{contrast.label}.nii.gz"
        )
    lap("write")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
