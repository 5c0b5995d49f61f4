"""Raw frames realigned by fMRIPrep's matrices, against the run resampled once from the scan.

Of the real run in DTG_SHARED: raw frames are made by moving its native frames with the inverse of
its 110 matrices (cubic splines), realigned while they are sampled, and each voxel is correlated in
time with the MNI152NLin6Asym series, which was resampled once from the scan by cubic splines.

    DTG_SHARED=../shared python studies/raw_frames.py

`--calls 5` times whole calls instead, in turn: a model of the published size with random weights
makes maps of the run as fMRIPrep's levels full (MNI152NLin6Asym) and minimal write it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
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

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from participant import Finished, make_dataset, run

STEM = "sub-HAPPYTEST"
EVERY = 3  # voxels along each axis
SPACE = "space-MNI152NLin6Asym_res-2_"


def moved_by_inverse(path: Path, motion: np.ndarray, out: Path) -> None:
    """Write the frames of a realigned run as the scanner would have had them."""
    image = nib.load(path)
    index = np.indices(image.shape[:3]).reshape(3, -1)
    data = np.asarray(image.dataobj, np.float32)
    for frame, matrix in zip(np.moveaxis(data, 3, 0), np.linalg.inv(motion), strict=True):
        way = np.linalg.inv(image.affine) @ matrix @ image.affine
        at = way[:3, :3] @ index + way[:3, 3:]
        frame[:] = map_coordinates(frame, at, order=3, mode="nearest").reshape(frame.shape)
    # Whole numbers, as scanners write them.
    made = nib.Nifti1Image(np.rint(data).astype(image.get_data_dtype()), image.affine)
    made.header.set_xyzt_units("mm", "sec")
    made.header.set_zooms(image.header.get_zooms())
    nib.save(made, out)


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return r over frames of (frames, voxels)."""
    one, other = (values - values.mean(axis=0) for values in (one, other))
    return (one * other).sum(0) / np.sqrt((one**2).sum(0) * (other**2).sum(0))


def write_levels(shared: Path, folder: Path) -> dict[str, list[Path]]:
    """Write the run as two levels of fMRIPrep; return each level's words of a call."""
    func = f"{STEM}_task-rest_"
    confounds = [f"{func}desc-confounds_timeseries.{kind}" for kind in ("tsv", "json")]
    series = [f"{func}{SPACE}desc-{name}" for name in ("preproc_bold", "brain_mask")]
    motion = f"{func}from-orig_to-boldref_mode-image_desc-hmc_xfm.txt"
    levels = {
        "full": [*confounds, *(f"{stem}.{kind}" for stem in series for kind in ("nii.gz", "json"))],
        "minimal": [
            *(*confounds, motion),
            f"{func}from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
            *(f"{func}desc-{name}.nii.gz" for name in ("brain_mask", "coreg_boldref")),
            f"{func}desc-brain_mask.json",
        ],
    }
    for level, names in levels.items():
        there = folder / level / STEM
        shutil.copytree(shared / STEM / "anat", there / "anat")
        (there / "func").mkdir()
        for name in names:
            shutil.copyfile(shared / STEM / "func" / name, there / "func" / name)
        shutil.copyfile(
            shared / "dataset_description.json", folder / level / "dataset_description.json"
        )
    raw = folder / "raw" / STEM / "func" / f"{func}bold.nii.gz"
    raw.parent.mkdir(parents=True)
    described = {"Name": "made", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (folder / "raw" / "dataset_description.json").write_text(json.dumps(described))
    native = shared / STEM / "func" / f"{func}desc-preproc_bold"
    moved_by_inverse(
        native.with_suffix(".nii.gz"), read_motion(shared / STEM / "func" / motion), raw
    )
    tr = json.loads(native.with_suffix(".json").read_text())["RepetitionTime"]
    raw.with_name(f"{func}bold.json").write_text(
        json.dumps({"RepetitionTime": tr, "TaskName": "rest"})
    )
    return {
        "full": [folder / "full"],
        "minimal": [folder / "raw", "--derivatives", folder / "minimal"],
    }


def time_calls(rounds: int) -> None:
    """Print time and memory of whole calls, in turn, and the ratio of neighbours."""
    with tempfile.TemporaryDirectory(prefix="dtg-raw-") as temporary:
        folder = Path(temporary)
        (folder / "model").mkdir()
        make_dataset(folder / "model", 20)
        shared = Path(os.environ["DTG_SHARED"]) / "data/real/fmriprep_like"
        words = write_levels(shared, folder)

        def call(level: str, *, memory: bool = False) -> Finished:
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            bids, *more = words[level]
            command = [sys.executable, "-m", "bids_dtg.cli", bids, out, "participant", *more]
            model = ["--model", folder / "model" / "bundle", "--no-reports", "--min-minutes", "2"]
            done = run([str(word) for word in [*command, *model]], memory=memory)
            assert len(list(out.rglob("*_statmap.nii.gz"))) == 47
            return done

        calls = [{level: call(level) for level in words} for _ in range(rounds)]
        for level in words:
            wall, cpu = (
                spread([getattr(made[level], name) for made in calls])
                for name in ("wall_s", "cpu_s")
            )
            peak = call(level, memory=True).peak_mb
            print(f"{level:8} wall {wall} s, CPU {cpu} s, peak {peak:.0f} MB")
        ratios = [made["minimal"].wall_s / made["full"].wall_s for made in calls]
        print(f"minimal / full: wall {spread(ratios)}")


def spread(values: list[float]) -> str:
    """Return the median and the range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, metavar="ROUNDS", help="time whole calls instead")
    rounds = parser.parse_args().calls
    if rounds:
        time_calls(rounds)
    else:
        compare_series()


def compare_series() -> None:
    """Print how the series read in each way resembles the one on the model's grid."""
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
