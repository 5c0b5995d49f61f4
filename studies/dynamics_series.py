"""Series of an atlas' parcels from one run, against nilearn's masker with the same confounds.

    python studies/dynamics_series.py DATASET PARTICIPANT [--rounds 5] [--repeat 1]

DATASET is fMRIPrep's output with a run in MNI152NLin6Asym:res-2; its BOLD series is the same for
both sides. They take turns, each in a process of its own; printed are the medians of seconds and of
peak memory (imports included in memory, not in seconds), the medians of the ratios of neighbours,
and Pearson r of the series of both. With `--repeat 8` the frames are written eight times over: how
time and memory grow with the length of a run.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

SPACE = "MNI152NLin6Asym"


def made_longer(root: Path, participant: str, repeat: int, folder: Path) -> Path:
    """Copy a participant with the frames of its run in SPACE, and its confounds, over and over."""
    func = folder / f"sub-{participant}/func"
    func.mkdir(parents=True)
    shutil.copy(root / "dataset_description.json", folder)
    for path in sorted((root / func.relative_to(folder)).glob("*")):
        if path.name.endswith("_bold.nii.gz") and SPACE in path.name:
            image = nib.load(path)
            frames = np.concatenate([np.asanyarray(image.dataobj)] * repeat, axis=3)
            nib.save(nib.Nifti1Image(frames, image.affine, image.header), func / path.name)
        elif path.name.endswith("_timeseries.tsv"):
            header, *rows = path.read_text().splitlines()
            (func / path.name).write_text("\n".join([header, *rows * repeat]) + "\n")
        elif SPACE in path.name or path.suffix == ".json":
            shutil.copy(path, func)
    return folder


def prepared(root: Path, participant: str) -> tuple:
    """Find the run and read the atlas: both sides need them."""
    from bids_dtg.cleaning.strategies import resolve
    from bids_dtg.imaging.atlas import find_atlas
    from bids_dtg.imaging.grid import standard_grid
    from bids_dtg.imaging.places import VoxelPlaces
    from bids_dtg.inputs.runs import find_runs
    from bids_dtg.inputs.space_choice import SpaceRule
    from bids_dtg.participants.parcels.measure import SeriesReader
    from bids_dtg.settings import CleaningOptions

    (run,) = find_runs(root, participant, rule=SpaceRule(asked=SPACE))
    grid = standard_grid()
    atlas = find_atlas("Schaefer400", VoxelPlaces.within(grid, np.ones(grid.shape, bool)))
    cleaning = resolve(CleaningOptions(min_minutes=1.0), "auto")
    return run, atlas, SeriesReader.of(atlas, grid, cleaning)


def ours(root: Path, participant: str) -> tuple[np.ndarray, float]:
    run, _, reader = prepared(root, participant)
    start = time.perf_counter()
    values = reader.measure(run).series.values
    return values, time.perf_counter() - start


def nilearns(root: Path, participant: str) -> tuple[np.ndarray, float]:
    from nilearn.maskers import NiftiLabelsMasker

    from bids_dtg.participants.run_source import plan_run

    run, atlas, reader = prepared(root, participant)
    shape = reader.grid.shape
    labels = nib.Nifti1Image(atlas.labels.reshape(shape).astype(np.int32), reader.grid.affine)
    columns = plan_run(run, SPACE, reader.cleaning).confounds.values
    columns = np.where(np.isfinite(columns), columns, np.nanmean(columns, axis=0))
    start = time.perf_counter()
    masker = NiftiLabelsMasker(labels, mask_img=str(run.mask), standardize="zscore_sample")
    values = masker.fit_transform(str(run.bold), confounds=columns).T
    return values, time.perf_counter() - start


SIDES = {"ours": ours, "nilearn": nilearns}


def one_side(side: str, root: Path, participant: str, out: Path) -> None:
    """Measure in this process, and print what it took."""
    values, seconds = SIDES[side](root, participant)
    np.save(out / f"{side}.npy", values)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mib": peak}))


def in_turns(root: Path, participant: str, rounds: int, out: Path) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            command = [sys.executable, __file__, str(root), participant, "--side", side]
            done = subprocess.run(
                [*command, "--out", str(out)], check=True, capture_output=True, text=True
            )
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    return found


def report(found: dict[str, list[dict]], out: Path) -> None:
    for key in ("seconds", "peak_mib"):
        for side, taken in found.items():
            print(f"{key} {side}: {statistics.median(one[key] for one in taken):.1f}")
        pairs = zip(found["nilearn"], found["ours"], strict=True)
        ratio = statistics.median(theirs[key] / mine[key] for theirs, mine in pairs)
        print(f"{key} nilearn / ours: {ratio:.2f}")
    mine, theirs = (np.load(out / f"{side}.npy") for side in SIDES)
    each = [np.corrcoef(*pair)[0, 1] for pair in zip(mine, theirs, strict=True)]
    print(f"frames {mine.shape[1]}, r of the series: median {np.median(each):.6f}", end=", ")
    print(f"least {np.min(each):.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("participant")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.side:
        one_side(given.side, given.dataset, given.participant, given.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        root, out = given.dataset, Path(folder)
        if given.repeat > 1:
            root = made_longer(root, given.participant, given.repeat, out / "longer")
        report(in_turns(root, given.participant, given.rounds, out), out)


if __name__ == "__main__":
    main()
