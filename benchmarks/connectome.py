"""Compare the one-pass route from a 2 mm run to a connectome with plain whole arrays.

    python benchmarks/connectome.py [--volumes 490] [--repeats 3] [--keep FOLDER] [--record]

The routes run in separate processes on the same synthetic file, with all threads. The plain route
follows the published pipeline: it reads the whole series as float64, does dual regression by
`pinv`, regresses out confounds, and computes Pearson r of each voxel with each ROI.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from history import record

SHAPE = (91, 109, 91)
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
CROP = (slice(7, 83), slice(9, 102), slice(0, 78))
GRID_ORIGIN = (76.0, -108.0, -72.0)
TR_SECONDS = 0.735
ROIS = 50
CONFOUNDS = 36


def ellipsoid(scale: float) -> np.ndarray:
    """Return a mask (i, j, k) about the size of a head (scale 1.2) or a brain (scale 1)."""
    axes = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    centre, radii = (45, 55, 38), (34 * scale, 43 * scale, 38.5 * scale)
    return (
        sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) < 1
    )


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Return brain and grey-matter masks on the model's grid, of about the published sizes."""
    brain = ellipsoid(1.0)
    grey = brain & ~ellipsoid(0.69)
    return brain[CROP], grey[CROP]


def smooth_fields(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw (count, i, j, k) float32 fields of mean 0 and sd 1 that vary over about 2 cm."""
    from scipy.ndimage import zoom

    coarse = rng.standard_normal((count, 12, 14, 12)).astype(np.float32)
    fields = np.empty((count, *SHAPE), np.float32)
    for field, seed in zip(fields, coarse, strict=True):
        field[:] = zoom(
            seed, [n / m for n, m in zip(SHAPE, seed.shape, strict=True)], order=1
        )
    return fields / fields.std(axis=(1, 2, 3), keepdims=True)


def make_inputs(folder: Path, volumes: int) -> None:
    """Write bold.nii.gz (int16), maps.npy (ROIs, brain voxels), masks.npz and confounds.npy."""
    rng = np.random.default_rng(2)
    brain, grey = masks()
    np.savez(folder / "masks.npz", brain=brain, grey=grey)
    rois = smooth_fields(rng, ROIS)[(slice(None), *CROP)]
    np.save(folder / "maps.npy", np.maximum(rois[:, brain], 0))
    confounds = rng.standard_normal((volumes, CONFOUNDS)).cumsum(axis=0)
    np.save(folder / "confounds.npy", confounds)
    fields, anatomy = smooth_fields(rng, 12), smooth_fields(rng, 1)[0]
    head = ellipsoid(1.2)
    mean = np.where(head, 1000 + 100 * anatomy, 20).ravel(order="F").astype(np.float32)
    spread = np.where(head, 14, 1).ravel(order="F").astype(np.float32)
    fields = np.stack([field.ravel(order="F") for field in fields])
    drift = (confounds[:, :6] / confounds[:, :6].std(axis=0)).astype(np.float32)
    courses = np.hstack([drift, rng.standard_normal((volumes, 6), np.float32)])
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((*SHAPE, volumes))
    header.set_zooms((2, 2, 2, TR_SECONDS))
    header.set_sform(AFFINE, 4)
    header.set_qform(AFFINE, 4)
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = 352
    # The level of nibabel and fMRIPrep.
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    with (folder / "bold.nii.gz").open("wb") as file:
        file.write(deflate.compress(header.binaryblock + bytes(4)))
        for course in courses:
            noise = rng.standard_normal(mean.shape, np.float32) + course @ fields
            values = np.rint(mean + spread * noise).astype("<i2")
            file.write(deflate.compress(values))
        file.write(deflate.flush())


def run_plain(folder: Path) -> tuple[np.ndarray, dict[str, float]]:
    """Compute the connectome like the published pipeline, from the whole series in float64."""
    masks_of_run = np.load(folder / "masks.npz")
    maps, confounds = np.load(folder / "maps.npy"), np.load(folder / "confounds.npy")
    start = time.perf_counter()
    data = nib.load(folder / "bold.nii.gz").get_fdata()
    bold = data[CROP][masks_of_run["brain"]].T  # (frames, voxels)
    read_seconds = time.perf_counter() - start
    demeaned = (maps - maps.mean(axis=1, keepdims=True)).astype(np.float64)
    series = (bold - bold.mean(axis=0)) @ np.linalg.pinv(demeaned)
    design = np.hstack([np.ones((len(bold), 1)), confounds])
    bold = bold - design @ np.linalg.lstsq(design, bold, rcond=None)[0]
    series = series - design @ np.linalg.lstsq(design, series, rcond=None)[0]
    bold = bold[:, masks_of_run["grey"][masks_of_run["brain"]]]
    bold, series = bold - bold.mean(axis=0), series - series.mean(axis=0)
    bold = bold / np.linalg.norm(bold, axis=0)
    series = series / np.linalg.norm(series, axis=0)
    r = bold.T @ series
    return r.T.astype(np.float32), {"read": read_seconds}


def run_one_pass(
    folder: Path,
    *,
    fwhm_mm: float | None = None,
    band_hz: tuple[float, float] | None = None,
) -> tuple[np.ndarray, dict[str, float]]:
    from bids_dtg.cleaning.design import stop_band
    from bids_dtg.connectome.connectome import run_connectomes
    from bids_dtg.connectome.design import TemporalDesign
    from bids_dtg.connectome.moments import RunVoxels, measure_run
    from bids_dtg.imaging.bold import read_bold_header, stream_voxels
    from bids_dtg.imaging.grid import Grid
    from bids_dtg.imaging.places import VoxelPlaces
    from bids_dtg.imaging.sampling import LatticeSampling
    from bids_dtg.imaging.smoothing import MaskedSmoothing

    masks_of_run = np.load(folder / "masks.npz")
    confounds = np.load(folder / "confounds.npy")
    brain, grey = masks_of_run["brain"].ravel(), masks_of_run["grey"].ravel()
    voxels = np.concatenate([np.flatnonzero(grey), np.flatnonzero(brain & ~grey)])
    # The maps' voxels are in the order of the mask; put grey matter first.
    maps = np.load(folder / "maps.npy")[:, np.argsort(~grey[brain], kind="stable")]
    affine = AFFINE.copy()
    affine[:3, 3] = GRID_ORIGIN
    start = time.perf_counter()
    header = read_bold_header(folder / "bold.nii.gz")
    grid = Grid(masks_of_run["brain"].shape, affine)
    sampling = LatticeSampling.between(header.shape, header.affine, grid, voxels)
    names = [str(index) for index in range(confounds.shape[1])]
    keep = np.ones(header.frames, dtype=bool)
    high, low = band_hz or (None, None)
    band = stop_band(header.frames, TR_SECONDS, high_pass_hz=high, low_pass_hz=low)
    design = TemporalDesign.build(confounds, names, keep, TR_SECONDS, stop_band=band)
    smoothing = fwhm_mm and (
        lambda data: MaskedSmoothing(VoxelPlaces(grid, voxels), data, fwhm_mm).apply
    )
    moments = measure_run(
        lambda: stream_voxels(header, sampling),
        design,
        RunVoxels(maps, int(grey.sum()), sampling.covered),
        segments=design.segments(),
        smoothing=smoothing,
    )
    summed = time.perf_counter() - start
    result = run_connectomes(moments)
    return result.whole.r, {
        "read and sums": summed,
        "algebra": time.perf_counter() - start - summed,
    }


def run_inflate(folder: Path) -> tuple[np.ndarray, dict[str, float]]:
    """Inflate the file and do nothing else."""
    from bids_dtg.imaging.bold import read_bold_header, stream_blocks

    for _ in stream_blocks(read_bold_header(folder / "bold.nii.gz")):
        pass
    return np.zeros(0), {}


ROUTES = {
    "plain": run_plain,
    "one pass": run_one_pass,
    "smoothed": partial(run_one_pass, fwhm_mm=6.0),
    "0.01-0.1 Hz": partial(run_one_pass, band_hz=(0.01, 0.1)),
    "inflate alone": run_inflate,
}


def measure_route(route: str, folder: Path) -> None:
    """Run a route in this process, save r, and print its times and peak memory as JSON."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    r, parts = ROUTES[route](folder)
    seconds = time.perf_counter() - start
    np.save(folder / f"r {route}.npy", r)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = {"seconds": seconds, "peak": peak / 1024, "before": before / 1024}
    print(json.dumps(results | parts))


def compare(folder: Path, volumes: int, repeats: int) -> dict[str, float]:
    """Run each route in a separate process, print the results, and return those to record."""
    compressed = (folder / "bold.nii.gz").stat().st_size
    stored = 2 * volumes * np.prod(SHAPE)
    print(
        f"{volumes} volumes, {compressed / 2**20:.0f} MiB, {compressed / stored:.0%} of its size"
    )
    best = {}
    for route in ROUTES:
        results = []
        for _ in range(1 if route == "plain" else repeats):
            command = [
                sys.executable,
                __file__,
                "--route",
                route,
                "--keep",
                str(folder),
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results.append(json.loads(done.stdout))
        best[route] = min(results, key=lambda result: result["seconds"])
        parts = {
            key: value
            for key, value in best[route].items()
            if key not in ("peak", "before")
        }
        seconds = ", ".join(f"{key} {value:.2f} s" for key, value in parts.items())
        print(f"{route:14s} {seconds}; peak {best[route]['peak']:.0f} MiB", end="")
        print(f" ({best[route]['before']:.0f} before)")
    plain, ours = best["plain"], best["one pass"]
    # Both list the grey-matter voxels in C order.
    plain_r, r = np.load(folder / "r plain.npy"), np.load(folder / "r one pass.npy")
    difference = np.abs(plain_r - r).max()
    print(f"{plain['seconds'] / ours['seconds']:.1f} times faster", end=", ")
    print(
        f"{ours['peak'] / plain['peak']:.1%} of the memory, largest difference {difference:.1e}"
    )
    fast = {name: result for name, result in best.items() if name != "plain"}
    times = {
        f"plain / {name}: wall": plain["seconds"] / fast[name]["seconds"]
        for name in fast
    }
    return times | {f"{name}: peak_mb": fast[name]["peak"] for name in fast}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=490)
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        help="runs of each fast route; the best counts",
    )
    parser.add_argument(
        "--keep", type=Path, help="folder for the inputs, reused if it has them"
    )
    parser.add_argument("--route", choices=ROUTES, help=argparse.SUPPRESS)
    parser.add_argument(
        "--record", action="store_true", help="add the results to history.tsv"
    )
    options = parser.parse_args()
    if options.route:
        measure_route(options.route, options.keep)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "bold.nii.gz").exists():
            make_inputs(folder, options.volumes)
        figures = compare(folder, options.volumes, options.repeats)
        if options.record:
            record(f"connectome, {options.volumes} volumes", figures)


if __name__ == "__main__":
    main()
