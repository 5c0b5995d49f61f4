"""A plain implementation like the published code: whole arrays, float64, eager network.

    python benchmarks/plain_reference.py BOLD BUNDLE OUT [--steps indexed]

It is not part of the package, but the other side of the paired benchmarks. It reads the whole
series with nibabel, keeps time x voxels in float64, takes the pseudo-inverse of the maps,
correlates, runs the eager float32 network with all threads, and saves the maps with nibabel. It
does no cleaning.

Two steps can be cheaper than in the published code, with the same maps (`STEPS`). `indexed` takes
the grid's voxels by their indices, and correlates only those of the brain. `resampling` uses
nilearn's `crop_img` and `resample_to_img` on the whole series, as the published code does.
`published` also correlates like that code, with nilearn's `apply_mask` and every voxel of the grid.
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


def resample(
    data: np.ndarray, to_data: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray:
    """Take nearest voxels on a grid with parallel axes: (i, j, k, frames) to (*shape, frames)."""
    axes = [
        np.rint(to_data[a, a] * np.arange(n) + to_data[a, 3])
        for a, n in enumerate(shape)
    ]
    return data[np.ix_(*(axis.astype(int) for axis in axes))]


def sample_by_index(image: nib.Nifti1Image, brain: nib.Nifti1Image) -> nib.Nifti1Image:
    """Take the series (i, j, k, frames) at the nearest voxels of the brain mask's grid."""
    to_data = np.linalg.inv(image.affine) @ brain.affine
    return nib.Nifti1Image(
        resample(image.get_fdata(), to_data, brain.shape), brain.affine
    )


def sample_as_published(
    image: nib.Nifti1Image, brain: nib.Nifti1Image
) -> nib.Nifti1Image:
    """Do the same with nilearn: crop to non-zero voxels, and resample to the nearest voxels.

    https://github.com/eminSerin/deeptaskgen-paper, experiments/utils/utils.py
    """
    from nilearn.image import crop_img, resample_to_img

    return resample_to_img(crop_img(image), brain, interpolation="nearest")


def connectome(
    sampled: nib.Nifti1Image, brain: nib.Nifti1Image, maps: np.ndarray
) -> np.ndarray:
    """Correlate every brain voxel with the dual-regression series of the maps.

    sampled (i, j, k, frames) on the model grid; brain (i, j, k); maps (rois, brain voxels).
    Returns (rois, i, j, k) float32, 0 outside the brain.
    """
    mask = np.asanyarray(brain.dataobj) > 0
    series = sampled.get_fdata()[mask]  # (voxels, frames)
    series -= series.mean(axis=1, keepdims=True)
    centred = maps.T.astype(np.float64)  # (voxels, rois)
    centred -= centred.mean(axis=0)
    rois = np.linalg.pinv(centred) @ series  # (rois, frames)
    with np.errstate(invalid="ignore", divide="ignore"):
        voxels = series / series.std(axis=1, keepdims=True)
        rois = rois - rois.mean(axis=1, keepdims=True)
        rois = rois / rois.std(axis=1, keepdims=True)
        r = np.nan_to_num(voxels @ rois.T / series.shape[1])  # (voxels, rois)
    full = np.zeros((maps.shape[0], *mask.shape), np.float32)
    full[:, mask] = r.T
    return full


def connectome_of_grid(
    sampled: nib.Nifti1Image, brain: nib.Nifti1Image, maps: np.ndarray
) -> np.ndarray:
    """Do the same for every voxel of the grid, even outside the brain, as the published code does.

    https://github.com/eminSerin/deeptaskgen-paper, compute_v2r_conn in
    experiments/training/preprocessing/1_preprocess_rest.py
    """
    from nilearn.masking import apply_mask

    inside = apply_mask(sampled, brain)  # (frames, brain voxels) float32
    inside = inside - inside.mean(axis=0)
    rois = np.linalg.pinv(maps.T - maps.mean(axis=1)) @ inside.T  # (rois, frames)
    del inside
    rois -= rois.mean(axis=1, keepdims=True)
    voxels = sampled.get_fdata().reshape(-1, rois.shape[1])
    voxels = voxels - voxels.mean(axis=1, keepdims=True)
    squares = np.outer((voxels**2).sum(axis=1), (rois**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.nan_to_num(voxels @ rois.T / np.sqrt(squares))  # (voxels, rois)
    return r.T.reshape(-1, *brain.shape).astype(np.float32)


STEPS = {
    "indexed": (sample_by_index, connectome),
    "resampling": (sample_as_published, connectome),
    "published": (sample_as_published, connectome_of_grid),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bold", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", choices=STEPS, default="indexed")
    arguments = parser.parse_args()
    sample, correlate = STEPS[arguments.steps]
    seconds, start = {}, time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal start
        seconds[stage] = time.perf_counter() - start
        start = time.perf_counter()

    bundle = load_bundle(arguments.bundle)
    network = bundle.network().eval()
    lap("model")
    image = nib.load(arguments.bold)
    brain = nib.Nifti1Image(bundle.brain.mask.astype(np.uint8), bundle.grid.affine)
    sampled = sample(image, brain)
    lap("read and resample")
    r = correlate(sampled, brain, bundle.roi_maps)
    del image, sampled
    lap("connectome")
    with torch.no_grad():
        batch = torch.from_numpy(r * bundle.places.mask)[None]
        maps = network(batch)[0].numpy() * bundle.places.mask
    lap("network")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for contrast, values in zip(bundle.contrasts, maps, strict=True):
        nib.save(
            nib.Nifti1Image(values, bundle.grid.affine),
            arguments.out / f"{contrast.label}.nii.gz",
        )
    lap("write")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
