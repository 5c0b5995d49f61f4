"""Raw frames realigned by fMRIPrep's matrices, against the run resampled once from the scan.

Of the real run in DTG_SHARED: raw frames are made by moving its native frames with the inverse of
its 110 matrices (cubic splines), realigned while they are sampled, and each voxel is correlated in
time with the MNI152NLin6Asym series, which was resampled once from the scan by cubic splines.

    DTG_SHARED=../shared python studies/raw_frames.py
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import map_coordinates

from bids_dtg.imaging.bold import read_bold_header, stream_voxels
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.placement import Placement
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.transforms.itk import read_motion
from bids_dtg.inputs.run import TransformFile

STEM = "sub-HAPPYTEST"
EVERY = 3  # voxels along each axis


def moved_by_inverse(path: Path, motion: np.ndarray, out: Path) -> None:
    """Write the frames of a realigned run as the scanner would have had them."""
    image = nib.load(path)
    index = np.indices(image.shape[:3]).reshape(3, -1)
    data = np.asarray(image.dataobj, np.float32)
    for frame, matrix in zip(np.moveaxis(data, 3, 0), np.linalg.inv(motion), strict=True):
        way = np.linalg.inv(image.affine) @ matrix @ image.affine
        at = way[:3, :3] @ index + way[:3, 3:]
        frame[:] = map_coordinates(frame, at, order=3, mode="nearest").reshape(frame.shape)
    made = nib.Nifti1Image(data, image.affine)
    made.header.set_xyzt_units("mm", "sec")
    nib.save(made, out)


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return r over frames of (frames, voxels)."""
    one, other = (values - values.mean(axis=0) for values in (one, other))
    return (one * other).sum(0) / np.sqrt((one**2).sum(0) * (other**2).sum(0))


def main() -> None:
    """Print the figures."""
    folder = Path(os.environ["DTG_SHARED"]) / "data/real/fmriprep_like" / STEM
    func = f"{STEM}_task-rest"
    hmc = folder / f"func/{func}_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt"
    native = folder / f"func/{func}_desc-preproc_bold.nii.gz"
    ready_path = folder / f"func/{func}_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz"
    mask_path = folder / f"func/{func}_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz"
    motion, ready = read_motion(hmc), nib.load(ready_path)
    chosen = np.zeros(ready.shape[:3], bool)
    chosen[::EVERY, ::EVERY, ::EVERY] = True
    chosen &= np.asarray(nib.load(mask_path).dataobj) > 0
    places = VoxelPlaces(Grid(ready.shape[:3], ready.affine), np.flatnonzero(chosen))
    way = (
        TransformFile(folder / f"anat/{STEM}_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5"),
        TransformFile(folder / f"func/{func}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"),
    )
    placement = Placement.through(places, way)
    wanted = np.asarray(ready.dataobj)[chosen].T.astype(np.float64)
    raw = Path(tempfile.mkdtemp()) / "raw.nii"
    moved_by_inverse(native, motion, raw)
    keep = np.ones(len(motion), bool)
    print("| read from | interpolation | median r | 5 % | sd, ours over theirs | CPU s |")
    for name, path in (("native frames", native), ("raw frames", raw)):
        header = read_bold_header(path)
        for how in ("linear", "cubic"):
            start = time.process_time()
            sampling = (
                placement.in_file(header, how)[0]
                if path == native
                else placement.in_moving_file(header, how, motion, keep)
            )
            blocks = [block.copy() for _, block in stream_voxels(header, sampling)]
            seconds, found = time.process_time() - start, np.concatenate(blocks)
            both = (found.std(0) > 0) & (wanted.std(0) > 0)
            r = correlations(found[:, both].astype(np.float64), wanted[:, both])
            ratio = np.median(found[:, both].std(0) / wanted[:, both].std(0))
            print(
                f"| {name} | {how} | {np.median(r):.4f} | {np.quantile(r, 0.05):.3f} "
                f"| {ratio:.2f} | {seconds:.1f} |"
            )


if __name__ == "__main__":
    main()
