"""Compare a whole run for one participant with a plain implementation.

    python benchmarks/participant.py [--volumes 490] [--rounds 2] [--against published ...]
    python benchmarks/participant.py --forms [--rounds 5]

Both sides are whole processes on the same synthetic run (2 mm, 91 x 109 x 91, int16 .nii.gz), with
a network of the published size and random weights. They take turns, and ratios compare successive
runs. The plain side is plain_reference.py, once with the published resampling and correlation, once
with the published resampling only, and once with neither. It does no cleaning; the headline is
nevertheless the ratio to a run with `--denoise-strategy simple`. Runs with `none`, and with
`simple` and a report, are shown, too. Memory is measured in separate runs. The benchmark takes 9
minutes on 2 quiet cores; `--record` adds the results to history.tsv. With `--forms`, the marginal
and the partial connectome are compared instead.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from connectome import AFFINE, GRID_ORIGIN, ROIS, TR_SECONDS, make_inputs
from history import record
from plain_reference import STEPS

HERE = Path(__file__).parent
FUNC = Path("sub-01/func")
STEM = "sub-01_task-rest_"
GRID_STEM = f"{STEM}space-MNI152NLin6Asym_res-2_desc-"
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
SUFFIXES = ["", "_derivative1", "_power2", "_derivative1_power2"]
# Options of our runs; the first is the headline.
CALLS = {
    "simple": ["--denoise-strategy", "simple", "--no-reports"],
    "none": ["--denoise-strategy", "none", "--no-reports"],
    "simple with report": ["--denoise-strategy", "simple"],
}
HEADLINE = next(iter(CALLS))
BARE = "none"  # the plain side does not clean either, so the maps are the same
MEASURES = ("wall_s", "cpu_s", "peak_mb")


@dataclass(frozen=True)
class Finished:
    """A finished program with all its processes."""

    wall_s: float  # from start to end
    cpu_s: float  # user and system
    peak_mb: float  # as `tree_memory_mb`; 0 if not measured
    output: str  # standard output and error


def run(command: list[str], *, memory: bool) -> Finished:
    """Run a program; measuring memory slows it, so time and memory need separate runs."""
    start, cpu, peak = time.perf_counter(), children_cpu(), 0.0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while memory and process.poll() is None:
            looked = time.perf_counter()
            peak = max(peak, tree_memory_mb(process.pid))
            # Measuring 8 GB is slow, so at most a fifth of the time is spent on it.
            time.sleep(max(0.02, 4 * (time.perf_counter() - looked)))
        process.wait()
        wall = time.perf_counter() - start
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{text}")
    return Finished(wall, children_cpu() - cpu, peak, text)


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def tree_memory_mb(pid: int) -> float:
    """Return the sum of the proportional set sizes of a process and its descendants."""
    total = 0.0
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += float(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1]) / 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, TypeError):  # it has just ended
        return total
    return total + sum(tree_memory_mb(int(child)) for child in children)


def find_dataset(folder: Path, volumes: int) -> Path:
    """Return the root of the dataset in a folder, and make it if it does not exist."""
    root = folder / "fmriprep"
    if not root.exists():
        folder.mkdir(exist_ok=True)
        return make_dataset(folder, volumes)
    frames = nib.load(root / FUNC / f"{GRID_STEM}preproc_bold.nii.gz").shape[3]
    if frames != volumes:
        sys.exit(
            f"{folder} has a run of {frames} volumes, not {volumes}: name another folder"
        )
    return root


def make_dataset(folder: Path, volumes: int) -> Path:
    """Write one run in fMRIPrep's layout and a bundle; return the dataset's root."""
    from bids_dtg.bundles.card import ModelCard
    from bids_dtg.contrasts.bundle.bundle import BundleArrays, write_bundle
    from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
    from bids_dtg.contrasts.bundle.part import MapsPart
    from bids_dtg.contrasts.contrast import hcp_contrasts
    from bids_dtg.contrasts.network.unet import AttentionUNet
    from bids_dtg.imaging.grid import Grid
    from bids_dtg.imaging.places import VoxelPlaces

    inputs = folder / "made"
    inputs.mkdir()
    make_inputs(inputs, volumes)
    root = folder / "fmriprep"
    (root / FUNC).mkdir(parents=True)
    description = {
        "Name": "synthetic",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fMRIPrep", "Version": "0 (synthetic)"}],
    }
    (root / "dataset_description.json").write_text(json.dumps(description))
    bold = root / FUNC / f"{GRID_STEM}preproc_bold.nii.gz"
    shutil.move(inputs / "bold.nii.gz", bold)
    sidecar = {"RepetitionTime": TR_SECONDS, "TaskName": "rest"}
    bold.with_name(f"{GRID_STEM}preproc_bold.json").write_text(json.dumps(sidecar))
    masks = np.load(inputs / "masks.npz")
    grid = Grid(masks["brain"].shape, crop_affine())
    image = nib.Nifti1Image(masks["brain"].astype(np.uint8), grid.affine)
    nib.save(image, root / FUNC / f"{GRID_STEM}brain_mask.nii.gz")
    write_confounds(root / FUNC / f"{STEM}desc-confounds_timeseries.tsv", volumes)
    places = [VoxelPlaces.within(grid, masks[name]) for name in ("brain", "grey")]
    part = MapsPart(hcp_contrasts(), grid)
    card = ModelCard("random", "1", ATTENTION_UNET.name, part)
    tensors = AttentionUNet(ROIS, len(part.contrasts)).state_dict()
    # As `dtg-models fetch` writes them.
    arrays = BundleArrays(tensors, np.load(inputs / "maps.npy"), *places, mapped=True)
    write_bundle(folder / "bundle", card, arrays)
    return root


def crop_affine() -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, 3] = GRID_ORIGIN
    return affine


def write_confounds(path: Path, volumes: int) -> None:
    rng = np.random.default_rng(3)
    names = [motion + suffix for motion in MOTION for suffix in SUFFIXES]
    names += ["csf", "white_matter", "framewise_displacement"]
    names += [f"cosine{number:02d}" for number in range(5)]
    table = rng.standard_normal((volumes, len(names)))
    rows = ["\t".join(f"{value:.6f}" for value in row) for row in table]
    path.write_text("\n".join(["\t".join(names), *rows]) + "\n")


def ours(
    root: Path, folder: Path, name: str, *, memory: bool = False, bundle: str = "bundle"
) -> Finished:
    """Run one of `CALLS`."""
    out = folder / f"ours {name}"
    shutil.rmtree(out, ignore_errors=True)
    program = [sys.executable, "-m", "bids_dtg.cli", str(root), str(out), "participant"]
    # throughput.py adds participants to a kept folder.
    program += ["--participant-label", "01"]
    options = ["--model", str(folder / bundle), *CALLS[name]]
    return run(program + options, memory=memory)


def start_up() -> float:
    """Return the seconds until the program has read its arguments."""
    start = time.perf_counter()
    program = [sys.executable, "-m", "bids_dtg.cli", "--version"]
    subprocess.run(program, capture_output=True, check=True)
    return time.perf_counter() - start


def plain(root: Path, folder: Path, steps: str, *, memory: bool = False) -> Finished:
    bold = root / FUNC / f"{GRID_STEM}preproc_bold.nii.gz"
    script = [
        sys.executable,
        str(HERE / "plain_reference.py"),
        str(bold),
        str(folder / "bundle"),
    ]
    return run(
        [*script, str(folder / f"plain {steps}"), "--steps", steps], memory=memory
    )


def inflate_alone(root: Path) -> float:
    """Return the seconds to inflate the file with ISA-L on one core, without storing it."""
    from isal import igzip

    buffer = bytearray(2**22)
    start = time.perf_counter()
    with igzip.open(root / FUNC / f"{GRID_STEM}preproc_bold.nii.gz") as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - start


def difference(folder: Path, steps: str) -> float:
    """Return the largest difference between the maps of the two sides."""
    differences = []
    for path in (folder / f"plain {steps}").glob("*.nii.gz"):
        label = path.name.removesuffix(".nii.gz")
        pattern = f"sub-01/func/*contrast-{label}_*synthetic*.nii.gz"
        (of_program,) = (folder / f"ours {BARE}").glob(pattern)
        maps, plain_maps = nib.load(of_program), nib.load(path)
        differences.append(np.abs(plain_maps.get_fdata() - maps.get_fdata()).max())
    return float(max(differences))


def add_partial_bundle(folder: Path) -> None:
    """Copy the bundle, with a model that reads the partial connectome."""
    shutil.copytree(folder / "bundle", folder / "partial")
    path = folder / "partial" / "model.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"connectome": "partial"}))


def compare_forms(root: Path, folder: Path, rounds: int) -> None:
    """Run both forms in turn, and print the cost of the partial one in successive runs."""
    add_partial_bundle(folder)
    marginal, partial = [], []
    for _ in range(rounds):
        marginal.append(ours(root, folder, HEADLINE))
        partial.append(ours(root, folder, HEADLINE, bundle="partial"))
    print(line("marginal", medians(marginal)))
    print(line("partial", medians(partial)))
    for measure in ("wall_s", "cpu_s"):
        marginal_s = [getattr(finished, measure) for finished in marginal]
        partial_s = [getattr(finished, measure) for finished in partial]
        ratios = np.divide(partial_s, marginal_s)
        print(
            f"partial / marginal, {measure}: {np.median(ratios):.3f} ({ratios.min():.3f} to "
            f"{ratios.max():.3f}), of the fastest calls {min(partial_s) / min(marginal_s):.3f}"
        )


def algebra_alone(folder: Path, volumes: int, pairs: int) -> tuple[float, float]:
    """Return the processor time from sums to connectomes and back to correlations, in seconds.

    The values are medians for the marginal and the partial form, measured in turn. Their difference
    is smaller than the variation between whole runs on a busy machine.
    """
    from bids_dtg.connectome.connectome import run_connectomes
    from bids_dtg.connectome.design import TemporalDesign
    from bids_dtg.connectome.form import MARGINAL, Form
    from bids_dtg.connectome.moments import RunVoxels, measure_run
    from bids_dtg.contrasts.bundle.bundle import load_bundle

    bundle = load_bundle(folder / "bundle")
    maps, grey = bundle.roi_maps, bundle.places.number
    confounds = np.random.default_rng(4).standard_normal((volumes, 31))
    names = [str(number) for number in range(confounds.shape[1])]
    design = TemporalDesign.build(confounds, names, np.ones(volumes, bool), TR_SECONDS)

    def blocks():
        rng = np.random.default_rng(5)
        for first in range(0, volumes, 32):
            size = (min(32, volumes - first), maps.shape[1])
            yield first, 1000 + rng.standard_normal(size, np.float32)

    valid = np.ones(maps.shape[1], bool)
    segments = design.segments(432.0)
    sums = []
    for form in (MARGINAL, Form("partial")):
        voxels = RunVoxels(maps, grey, valid, form=form)
        sums.append(measure_run(blocks, design, voxels, segments=segments))
    seconds = np.empty((pairs, len(sums)))
    for pair in range(pairs):
        for column, moments in enumerate(sums):
            start = time.process_time()
            for segment in run_connectomes(moments, keep_whole=False).segments:
                # Computes the marginal form.
                assert segment.marginal.shape == segment.r.shape
            seconds[pair, column] = time.process_time() - start
    marginal, partial = np.median(seconds, axis=0)
    return float(marginal), float(partial)


@dataclass(frozen=True)
class Side:
    """One side's runs, in turn with those of the other side, and a run to measure memory."""

    runs: list[Finished]
    memory_run: Finished  # slowed down by measuring memory

    @property
    def figures(self) -> dict[str, float]:
        return {**medians(self.runs), "peak_mb": self.memory_run.peak_mb}

    def ratios_to(self, opponent: Side, measure: str) -> list[float]:
        """Return the ratios of this side's measure to the other side's, for each pair, sorted."""
        if measure == "peak_mb":
            return [self.memory_run.peak_mb / opponent.memory_run.peak_mb]
        pairs = zip(self.runs, opponent.runs, strict=True)
        return sorted(getattr(a, measure) / getattr(b, measure) for a, b in pairs)


def medians(runs: list[Finished]) -> dict[str, float]:
    """Return the medians of wall-clock and processor time."""
    return {
        name: statistics.median(getattr(run, name) for run in runs)
        for name in ("wall_s", "cpu_s")
    }


def line(name: str, figures: dict[str, float]) -> str:
    peak = f", peak {figures['peak_mb']:6.0f} MB" if "peak_mb" in figures else ""
    return f"{name:26} wall {figures['wall_s']:6.2f} s, cpu {figures['cpu_s']:6.2f} s{peak}"


def stages(times: list[dict[str, float]]) -> str:
    usual = {key: statistics.median(call[key] for call in times) for key in times[0]}
    return ", ".join(f"{key} {seconds:.2f} s" for key, seconds in usual.items())


def ratio_words(plain_side: Side, our_side: Side) -> str:
    """Say how many times more the plain side takes, in wall-clock time, CPU time and memory."""
    wall, cpu, peak = (plain_side.ratios_to(our_side, measure) for measure in MEASURES)
    return (
        f"wall {statistics.median(wall):5.1f} ({wall[0]:.1f} to {wall[-1]:.1f}), "
        f"cpu {statistics.median(cpu):4.1f}, peak memory {peak[0]:4.1f}"
    )


def recorded(
    our_sides: dict[str, Side], plain_sides: dict[str, Side]
) -> dict[str, float]:
    """Return the results to record: ours, and the plain sides' ratios to the headline."""
    results = {}
    for name, side in our_sides.items():
        for measure, value in side.figures.items():
            results[f"{name}: {measure}"] = value
    for name, plain_side in plain_sides.items():
        for measure in MEASURES:
            key = f"{name} / {HEADLINE}: {measure.partition('_')[0]}"
            ratios = plain_side.ratios_to(our_sides[HEADLINE], measure)
            results[key] = statistics.median(ratios)
    return results


def compare(
    root: Path, folder: Path, rounds: int, against: list[str]
) -> dict[str, float]:
    """Run all sides in turn, print results and ratios, and return the results to record."""
    first = ours(root, folder, HEADLINE)  # fills the caches on disk for the other runs
    runs: dict[str, list[Finished]] = {name: [] for name in [*CALLS, *against]}
    plain_times = {steps: [] for steps in against}
    for _ in range(rounds):
        for name in CALLS:
            runs[name].append(ours(root, folder, name))
        for steps in against:
            runs[steps].append(plain(root, folder, steps))
            plain_times[steps].append(
                json.loads(runs[steps][-1].output.splitlines()[-1])
            )
    our_sides = {
        name: Side(runs[name], ours(root, folder, name, memory=True)) for name in CALLS
    }
    plain_sides = {
        steps: Side(runs[steps], plain(root, folder, steps, memory=True))
        for steps in against
    }
    print(line("ours, first call", {"wall_s": first.wall_s, "cpu_s": first.cpu_s}))
    for name, side in our_sides.items():
        print(line(f"ours, {name}", side.figures))
    print(f"  interpreter and arguments alone: {start_up():.2f} s")
    print(f"  inflating the file alone: {inflate_alone(root):.2f} s")
    for steps, plain_side in plain_sides.items():
        print(line(f"plain, {steps}", plain_side.figures))
        print(f"  {stages(plain_times[steps])}")
    for steps, plain_side in plain_sides.items():
        for name, side in our_sides.items():
            print(
                f"plain, {steps:10} / ours, {name:18}: {ratio_words(plain_side, side)}"
            )
        print(
            f"  largest difference of a map from {BARE}: {difference(folder, steps):.1e}"
        )
    return recorded(our_sides, plain_sides)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=490)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--against", nargs="+", choices=STEPS, default=[*reversed(STEPS)]
    )
    parser.add_argument("--alone", action="store_true", help="omit the plain side")
    parser.add_argument(
        "--forms", action="store_true", help="compare forms of the connectome"
    )
    parser.add_argument("--folder", type=Path, help="keep the data here, and reuse it")
    parser.add_argument(
        "--record", action="store_true", help="add the results to history.tsv"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as name:
        folder = options.folder or Path(name)
        root = find_dataset(folder, options.volumes)
        if options.forms:
            compare_forms(root, folder, options.rounds)
            alone = algebra_alone(folder, options.volumes, 3 * options.rounds)
            print(
                "algebra alone, cpu: marginal {:.2f} s, partial {:.2f} s".format(*alone)
            )
            return
        print(
            f"{options.volumes} volumes, {os.cpu_count()} cores, medians of {options.rounds}"
        )
        against = [] if options.alone else options.against
        figures = compare(root, folder, options.rounds, against)
        if options.record:
            record(f"participant, {options.volumes} volumes", figures)


if __name__ == "__main__":
    main()
