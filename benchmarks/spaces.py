"""A run in another template's space and in its own space, against the same run on the model's grid.

    python benchmarks/spaces.py [--volumes 490 980] [--rounds 3] [--keep FOLDER]
    python benchmarks/spaces.py --frames

All are whole processes of the command line. The other run is as fMRIPrep writes it at 2 mm in
MNI152NLin2009cAsym (97 x 115 x 97 voxels, half a millimetre off the model's grid), and its
composite is as large as TemplateFlow's (an affine, and a field of 193 x 229 x 193 nodes, 1 mm).
The native run is the same file without space-; that composite and an identity lead to it. They take
turns; ratios compare neighbours. Memory is measured in separate runs, because measuring takes time.

`--frames` times cubic interpolation alone, one thread, 16 random frames of int16 at about as many
points as a brain has voxels, against scipy; five rounds in turn.
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
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from connectome import TR_SECONDS
from participant import FUNC, GRID_STEM, STEM, Finished, make_dataset, run
from scipy.ndimage import map_coordinates, spline_filter

from bids_dtg.engine.machine import share_cores
from bids_dtg.imaging.sampling import CubicSampling
from bids_dtg.imaging.splines import CubicSplines

OTHER = "MNI152NLin2009cAsym"
OTHER_STEM = f"{STEM}space-{OTHER}_res-2_desc-"
MARGIN = 3  # additional voxels of the other template on each side
OTHER_AFFINE = np.array([[2.0, 0, 0, -96.5], [0, 2, 0, -132.5], [0, 0, 2, -78.5], [0, 0, 0, 1]])
FIELD_SHAPE, FIELD_ORIGIN_LPS = (193, 229, 193), (96.0, 132.0, -78.0)


def make_other(root: Path, folder: Path) -> Path:
    """Write a dataset's run as a run in the other space; return the new dataset's root."""
    other = folder / "fmriprep-other"
    (other / FUNC).mkdir(parents=True)
    for name in ("dataset_description.json", FUNC / f"{STEM}desc-confounds_timeseries.tsv"):
        shutil.copy(root / name, other / name)
    sidecar = {"RepetitionTime": TR_SECONDS, "TaskName": "rest"}
    (other / FUNC / f"{OTHER_STEM}preproc_bold.json").write_text(json.dumps(sidecar))
    bold = nib.load(root / FUNC / f"{GRID_STEM}preproc_bold.nii.gz")
    mask = np.zeros(bold.shape[:3], np.uint8)
    crop = nib.load(root / FUNC / f"{GRID_STEM}brain_mask.nii.gz")
    start = np.rint(np.linalg.inv(bold.affine) @ crop.affine[:, 3])[:3].astype(int)
    mask[tuple(slice(a, a + n) for a, n in zip(start, crop.shape, strict=True))] = crop.dataobj
    image = nib.Nifti1Image(in_other(mask), OTHER_AFFINE)
    nib.save(image, other / FUNC / f"{OTHER_STEM}brain_mask.nii.gz")
    header = bold.header.copy()
    header.set_data_shape((*image.shape, bold.shape[3]))
    header.set_sform(OTHER_AFFINE, 4)
    header.set_qform(OTHER_AFFINE, 4)
    header["vox_offset"] = 352
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    with (other / FUNC / f"{OTHER_STEM}preproc_bold.nii.gz").open("wb") as file:
        file.write(deflate.compress(header.binaryblock + bytes(4)))
        frames = np.asarray(bold.dataobj.get_unscaled())
        for frame in range(bold.shape[3]):
            file.write(deflate.compress(in_other(frames[..., frame]).tobytes(order="F")))
        file.write(deflate.flush())
    return other


def in_other(volume: np.ndarray) -> np.ndarray:
    """Store a volume left to right, with a margin of noise copied from the opposite side."""
    return np.pad(volume, MARGIN, mode="wrap")[::-1]


def make_native(other: Path, folder: Path, home: Path) -> None:
    """Link the files of the other space as files of the run's own space."""
    native = folder / "fmriprep-native"
    (native / FUNC).mkdir(parents=True)
    for path in (path for path in other.rglob("*") if path.is_file()):
        name = path.relative_to(other).as_posix().replace(f"space-{OTHER}_res-2_", "")
        (native / name).hardlink_to(path)
    xfm = "#Insight Transform File V1.0\n#Transform 0\nTransform: IdentityTransform_double_3_3\n"
    xfm += "Parameters: \nFixedParameters: \n"
    (native / FUNC / f"{STEM}from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt").write_text(xfm)
    anat = native / "sub-01" / "anat"
    anat.mkdir()
    shutil.copy(
        next(home.rglob("*_xfm.h5")),
        anat / "sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
    )


def make_templateflow(folder: Path) -> Path:
    """Write a composite as large as TemplateFlow's in TemplateFlow's place."""
    from scipy.ndimage import zoom

    rng = np.random.default_rng(4)
    coarse = rng.standard_normal((3, 10, 12, 10)).astype(np.float32)
    zooms = [n / m for n, m in zip(FIELD_SHAPE[::-1], coarse.shape[1:], strict=True)]
    field = np.stack([zoom(part, zooms, order=1) for part in coarse], axis=-1)
    # As in files of ANTs, the last digits are noise, which does not compress.
    field += rng.normal(scale=1e-3, size=field.shape).astype(np.float32)
    home = folder / "templateflow"
    (home / "tpl-MNI152NLin6Asym").mkdir(parents=True)
    fixed = [*FIELD_SHAPE, *FIELD_ORIGIN_LPS, 1, 1, 1, -1, 0, 0, 0, -1, 0, 0, 0, 1]
    affine = [1.01, 0, 0, 0, 1.01, 0, 0, 0, 1.01, 0.4, -0.3, 0.5]
    name = f"tpl-MNI152NLin6Asym_from-{OTHER}_mode-image_xfm.h5"
    write_composite(home / "tpl-MNI152NLin6Asym" / name, affine, field, fixed)
    return home


def write_composite(path: Path, affine: object, field: np.ndarray, fixed: object) -> None:
    """Write an affine (12 numbers) and a field (nodes, 3), LPS+; the field is applied first."""
    import h5py

    parts = [
        ("CompositeTransform_float_3_3", None, None),
        ("AffineTransform_float_3_3", affine, [0, 0, 0]),
        ("DisplacementFieldTransform_float_3_3", field.ravel(), fixed),
    ]
    text = h5py.string_dtype("ascii")
    with h5py.File(path, "w") as file:
        for number, (kind, values, fixed_values) in enumerate(parts):
            group = file.create_group(f"TransformGroup/{number}")
            group.create_dataset("TransformType", data=[kind], dtype=text)
            if values is not None:
                kept = {"compression": "gzip", "compression_opts": 5} if len(values) > 99 else {}
                group.create_dataset("TransformParameters", data=np.float32(values), **kept)
                group.create_dataset("TransformFixedParameters", data=np.float32(fixed_values))


def call(root: Path, folder: Path, *, memory: bool = False) -> tuple[Finished, dict[str, float]]:
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "bids_dtg.cli", str(root), str(out), "participant"]
    finished = run([*command, "--model", str(folder / "bundle")], memory=memory)
    (timing,) = out.glob("logs/*/timing.json")
    return finished, json.loads(timing.read_text())


def make(folder: Path, volumes: int, home: Path) -> None:
    """Write the datasets of one length, unless they exist."""
    if not (folder / "made").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        make_native(make_other(make_dataset(folder, volumes), folder), folder, home)


def measure(folder: Path, volumes: int, rounds: int) -> None:
    roots = {
        "on the grid": folder / "fmriprep",
        OTHER: folder / "fmriprep-other",
        "native": folder / "fmriprep-native",
    }
    walls: dict[str, list[float]] = {name: [] for name in roots}
    cpu: dict[str, list[float]] = {name: [] for name in roots}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
    for _ in range(rounds):
        for name, root in roots.items():
            finished, stages = call(root, folder)
            walls[name].append(finished.wall_s)
            cpu[name].append(finished.cpu_s)
            times[name].append(stages)
    peaks = {name: call(root, folder, memory=True)[0].peak_mb for name, root in roots.items()}
    print(f"{volumes} volumes, medians of {rounds}")
    for name in roots:
        calls = times[name]
        stages = {key: statistics.median(call[key] for call in calls) for key in calls[0]}
        parts = ", ".join(f"{key} {seconds:.2f} s" for key, seconds in stages.items())
        wall, used = statistics.median(walls[name]), statistics.median(cpu[name])
        print(f"{name:20} wall {wall:6.2f} s, cpu {used:6.2f} s, peak {peaks[name]:6.0f} MB")
        print(f"  {parts}")
    first, *others = walls
    for name in others:
        ratios = [b / a for a, b in zip(walls[first], walls[name], strict=True)]
        print(
            f"{name} / {first}: wall {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def time_frames() -> None:
    """Print what a frame takes, ours and scipy's, and how far they differ."""
    shape, rng = (97, 115, 97), np.random.default_rng(0)
    middle, axes = np.array(shape) / 2, np.array([34, 42, 34])
    inside = (((np.indices(shape).reshape(3, -1).T - middle) / axes) ** 2).sum(axis=1) < 1
    points = np.indices(shape).reshape(3, -1).T[inside].astype(float)
    points += 0.25 + np.sin(points[:, ::-1] / 9)  # bent
    frames = rng.integers(0, 2000, (16, np.prod(shape))).astype(np.int16)
    sample, splines = CubicSampling(shape, np.eye(4), points), CubicSplines(shape)
    found = {name: np.empty((16, len(points)), np.float32) for name in ("fixed", "moving")}

    def scipy() -> None:
        found["scipy"] = np.stack(
            [
                map_coordinates(
                    spline_filter(
                        frame.reshape(shape, order="F"), output=np.float32, mode="mirror"
                    ),
                    points.T,
                    order=3,
                    prefilter=False,
                    mode="nearest",
                )
                for frame in frames
            ]
        )

    sides = {
        "scipy": scipy,
        "fixed": lambda: sample.apply(frames, 1.0, 0.0, found["fixed"]),
        "moving": lambda: splines.values(frames, points, found["moving"]),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(1 + 5):  # the first prepares
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            times[name].append((time.perf_counter() - started) / len(frames) * 1e3)
    print(f"{len(points):,} points, ms a frame of one core, median (range) of 5")
    for name, taken in times.items():
        error = np.abs(found[name] - found["scipy"]).max() / frames.std()
        own = sorted(taken[1:])
        print(f"{name:8} {own[2]:6.1f} ({own[0]:.1f} to {own[-1]:.1f}), differs by {error:.1e} sd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, nargs="+", default=[490, 980])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder for the inputs, reused if it has them")
    parser.add_argument("--make", action="store_true", help="write the inputs only")
    parser.add_argument("--frames", action="store_true", help="time interpolation alone")
    options = parser.parse_args()
    if options.frames:
        share_cores(1)
        time_frames()
        return
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as temporary:
        folder = options.keep or Path(temporary)
        home = folder / "templateflow"
        home = home if home.is_dir() else make_templateflow(folder)
        os.environ["TEMPLATEFLOW_HOME"] = str(home)
        for volumes in options.volumes:
            make(folder / str(volumes), volumes, home)
            if not options.make:
                measure(folder / str(volumes), volumes, options.rounds)


if __name__ == "__main__":
    main()
