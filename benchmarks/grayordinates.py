"""Time and memory of a linear model at 91,282 grayordinates, on simulated people.

    OMP_NUM_THREADS=1 python benchmarks/grayordinates.py --work FOLDER [--people 6] [--frames 300]

People have smooth networks of their own and maps that follow from them. All but the last train
the model; the last one's maps are predicted at the participant level, and compared with the
measured ones. Peak memory is the sum of the proportional set sizes of all processes of a call.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from participant import Finished, run

from bids_dtg.imaging.surfaces.grayordinates import read_dscalar, standard_grayordinates

PLACES = standard_grayordinates()
NETWORKS, CONTRASTS, TR = 30, ("faces", "shapes", "tools"), 2.0
_WIDTH_MM = 14.0  # sd of a network's patches
_PATCHES = 5


def networks(rng: np.random.Generator) -> np.ndarray:
    """Make smooth patterns (networks, grayordinates), scaled to variance 1."""
    maps = np.zeros((NETWORKS, PLACES.number))
    for own in maps:
        for centre in PLACES.points[rng.choice(PLACES.number, _PATCHES)]:
            squares = np.square(PLACES.points - centre).sum(axis=1)
            own += rng.choice([-1, 1]) * np.exp(-squares / (2 * _WIDTH_MM**2))
    return maps / maps.std(axis=1, keepdims=True)


def make(folder: Path, people: int, frames: int) -> None:
    """Write rest as fMRIPrep does, and maps of three contrasts."""
    rest, statmaps = folder / "fmriprep", folder / "statmaps"
    shutil.rmtree(folder, ignore_errors=True)
    rest.mkdir(parents=True)
    description = {"Name": "made", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}
    description["GeneratedBy"] = [{"Name": "fMRIPrep", "Version": "24.1.1"}]
    (rest / "dataset_description.json").write_text(json.dumps(description))
    rng = np.random.default_rng(0)
    group, weights = networks(rng), rng.normal(size=(len(CONTRASTS), NETWORKS))
    series = nib.cifti2.SeriesAxis(0, TR, frames, "second")
    for number in range(people):
        label = f"{number:02d}"
        own = group + 0.6 * networks(rng)
        func = rest / f"sub-{label}/func"
        func.mkdir(parents=True)
        stem = f"sub-{label}_task-rest_space-fsLR_den-91k_bold"
        values = 1000 + 10 * rng.normal(size=(frames, NETWORKS)) @ own
        values += 30 * rng.normal(size=values.shape)
        image = nib.cifti2.Cifti2Image(values.astype(np.float32), (series, PLACES.axis))
        nib.save(image, func / f"{stem}.dtseries.nii")
        (func / f"{stem}.json").write_text(json.dumps({"RepetitionTime": TR}))
        maps = weights @ own
        maps += 0.3 * rng.normal(size=maps.shape) * maps.std()
        for contrast, one in zip(CONTRASTS, maps, strict=True):
            name = f"sub-{label}_space-fsLR_den-91k_contrast-{contrast}_stat-z_statmap.dscalar.nii"
            path = statmaps / f"sub-{label}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(PLACES.encode(one, description=contrast))


def line(title: str, finished: Finished) -> None:
    print(
        f"{title}: {finished.wall_s:.0f} s, of the processor {finished.cpu_s:.0f} s, "
        f"peak memory {finished.peak_mb / 1024:.2f} GB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    folder = options.work / f"grayordinates-{options.people}-{options.frames}"
    make(folder, options.people, options.frames)
    out, last = folder / "out", f"{options.people - 1:02d}"
    others = [f"{number:02d}" for number in range(options.people - 1)]
    program = [sys.executable, "-m", "bids_dtg.cli", str(folder / "fmriprep"), str(out)]
    common = ["--denoise-strategy", "none", "--omp-nthreads", "1", "--nprocs", "1"]
    training = [*program, "group", "--analysis", "train", "--architecture", "linear", *common]
    training += ["--space", "fsLR", "-d", f"statmaps={folder / 'statmaps'}"]
    line("train", run([*training, "--participant-label", *others], memory=True))
    applying = [*program, "participant", "--participant-label", last, *common]
    applying += ["--model", str(out / "group/model-own/bundle")]
    line("participant level", run(applying, memory=True))
    (made,) = out.rglob(f"sub-{last}*_desc-synthetic_statmap.dscalar.nii")
    for name, predicted in zip(*read_dscalar(made, PLACES), strict=True):
        (path,) = (folder / "statmaps").rglob(f"sub-{last}*contrast-{name}_*.dscalar.nii")
        r = np.corrcoef(predicted, read_dscalar(path, PLACES)[1][0])[0, 1]
        print(f"{name}: r of the predicted with the measured map {r:.3f}")


if __name__ == "__main__":
    main()
