"""One participant from the command line to its 47 maps, against the plain way.

    python benchmarks/participant.py [--volumes 490] [--rounds 3]
    python benchmarks/participant.py --forms [--rounds 5]

Both sides are whole processes on the same synthetic run (2 mm, 91 x 109 x 91, int16 .nii.gz) with
the published network's size and random weights; they take turns, and ratios compare neighbours.
The plain side (plain_reference.py) cleans nothing, so its ratio is to a call with
`--denoise-strategy none`; the script also times `simple`. With `--forms` the same network reads
either form of the connectome, in turn.
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

HERE = Path(__file__).parent
FUNC = Path("sub-01/func")
STEM = "sub-01_task-rest_"
GRID_STEM = f"{STEM}space-MNI152NLin6Asym_res-2_desc-"
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
SUFFIXES = ["", "_derivative1", "_power2", "_derivative1_power2"]


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
            peak = max(peak, tree_memory_mb(process.pid))
            time.sleep(0.02)
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


def make_dataset(folder: Path, volumes: int) -> Path:
    """Write one run in fMRIPrep's layout and a bundle; return the dataset's root."""
    from bids_dtg.bundles.card import ModelCard
    from bids_dtg.bundles.kinds import ATTENTION_UNET
    from bids_dtg.bundles.maps_part import MapsPart
    from bids_dtg.bundles.writer import BundleArrays, write_bundle
    from bids_dtg.contrasts.contrast import hcp_contrasts
    from bids_dtg.contrasts.network.unet import AttentionUNet
    from bids_dtg.imaging.grid import Grid
    from bids_dtg.imaging.places import VoxelPlaces

    made = folder / "made"
    made.mkdir()
    make_inputs(made, volumes)
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
    shutil.move(made / "bold.nii.gz", bold)
    sidecar = {"RepetitionTime": TR_SECONDS, "TaskName": "rest"}
    bold.with_name(f"{GRID_STEM}preproc_bold.json").write_text(json.dumps(sidecar))
    masks = np.load(made / "masks.npz")
    grid = Grid(masks["brain"].shape, crop_affine())
    image = nib.Nifti1Image(masks["brain"].astype(np.uint8), grid.affine)
    nib.save(image, root / FUNC / f"{GRID_STEM}brain_mask.nii.gz")
    write_confounds(root / FUNC / f"{STEM}desc-confounds_timeseries.tsv", volumes)
    places = [VoxelPlaces.within(grid, masks[name]) for name in ("brain", "grey")]
    part = MapsPart(hcp_contrasts(), grid)
    card = ModelCard("random", "1", ATTENTION_UNET.name, part)
    tensors = AttentionUNet(ROIS, len(part.contrasts)).state_dict()
    arrays = BundleArrays(tensors, np.load(made / "maps.npy"), *places)
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
    root: Path,
    folder: Path,
    strategy: str,
    *,
    memory: bool = False,
    report: bool = False,
    bundle: str = "bundle",
) -> tuple[Finished, dict[str, float]]:
    out = folder / "ours"
    shutil.rmtree(out, ignore_errors=True)
    program = [sys.executable, "-m", "bids_dtg.cli", str(root), str(out), "participant"]
    options = ["--model", str(folder / bundle), "--denoise-strategy", strategy]
    options += [] if report else ["--no-reports"]
    finished = run(program + options, memory=memory)
    (timing,) = out.glob("logs/*/timing.json")
    return finished, json.loads(timing.read_text())


def start_up() -> float:
    """Return the seconds until the program has read its arguments."""
    start = time.perf_counter()
    program = [sys.executable, "-m", "bids_dtg.cli", "--version"]
    subprocess.run(program, capture_output=True, check=True)
    return time.perf_counter() - start


def plain(root: Path, folder: Path, *, memory: bool = False) -> Finished:
    bold = root / FUNC / f"{GRID_STEM}preproc_bold.nii.gz"
    script = [sys.executable, str(HERE / "plain_reference.py"), str(bold)]
    return run([*script, str(folder / "bundle"), str(folder / "plain")], memory=memory)


def inflate_alone(root: Path) -> float:
    """Return the seconds to inflate the file with ISA-L on one core, keeping nothing."""
    from isal import igzip

    buffer = bytearray(2**22)
    start = time.perf_counter()
    with igzip.open(root / FUNC / f"{GRID_STEM}preproc_bold.nii.gz") as file:
        while file.readinto(buffer):
            pass
    return time.perf_counter() - start


def difference(folder: Path) -> float:
    """Return the largest difference between the maps of the two sides."""
    found = []
    for path in (folder / "plain").glob("*.nii.gz"):
        label = path.name.removesuffix(".nii.gz")
        (mine,) = (folder / "ours").glob(f"sub-01/func/*contrast-{label}_*synthetic*.nii.gz")
        found.append(np.abs(nib.load(path).get_fdata() - nib.load(mine).get_fdata()).max())
    return float(max(found))


def add_partial_bundle(folder: Path) -> None:
    """Copy the bundle as one whose model reads the partial form."""
    shutil.copytree(folder / "bundle", folder / "partial")
    path = folder / "partial" / "model.json"
    card = json.loads(path.read_text())
    card |= {"format_version": 3, "connectome": {"name": "partial", "ridge": 1.0}}
    path.write_text(json.dumps(card))


def compare_forms(root: Path, folder: Path, rounds: int) -> None:
    """Run both forms in turn and print what the partial one costs, by neighbours."""
    add_partial_bundle(folder)
    names = ("bundle", "partial")
    made = [[ours(root, folder, "simple", bundle=name) for name in names] for _ in range(rounds)]
    for form, runs in zip(("marginal", "partial"), zip(*made, strict=True), strict=True):
        line(form, [finished for finished, _ in runs], 0)
        print(f"  {stages([timing for _, timing in runs])}")
    for key in ("wall_s", "cpu_s"):
        pairs = [(getattr(a, key), getattr(b, key)) for (a, _), (b, _) in made]
        ratios = [partial / marginal for marginal, partial in pairs]
        least = [min(seconds) for seconds in zip(*pairs, strict=True)]
        print(
            f"partial / marginal, {key}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to "
            f"{max(ratios):.3f}), of the fastest calls {least[1] / least[0]:.3f}"
        )


def algebra_alone(folder: Path, volumes: int, pairs: int) -> tuple[float, float]:
    """Return the processor's seconds from sums to connectomes and back to correlations.

    Of the marginal and of the partial form, medians of calls in turn: they differ by less than
    whole calls do from one another on a machine that does other things, too.
    """
    from bids_dtg.bundles.bundle import load_bundle
    from bids_dtg.connectome.connectome import run_connectomes
    from bids_dtg.connectome.design import TemporalDesign
    from bids_dtg.connectome.form import MARGINAL, Form
    from bids_dtg.connectome.moments import RunVoxels, measure_run

    maps = load_bundle(folder / "bundle").roi_maps
    grey = load_bundle(folder / "bundle").places.number
    confounds = np.random.default_rng(4).standard_normal((volumes, 31))
    names = [str(number) for number in range(confounds.shape[1])]
    design = TemporalDesign.build(confounds, names, np.ones(volumes, bool), TR_SECONDS)

    def blocks():
        rng = np.random.default_rng(5)
        for first in range(0, volumes, 32):
            size = (min(32, volumes - first), maps.shape[1])
            yield first, 1000 + rng.standard_normal(size, np.float32)

    voxels = RunVoxels(maps, grey, np.ones(maps.shape[1], bool))
    moments = measure_run(blocks, design, voxels, segments=design.segments(432.0))
    found = []
    for _ in range(pairs):
        seconds = []
        for form in (MARGINAL, Form("partial")):
            start = time.process_time()
            for segment in run_connectomes(moments, form=form, every_part=False).segments:
                assert segment.marginal.shape == segment.r.shape  # as the range judges it
            seconds.append(time.process_time() - start)
        found.append(seconds)
    marginal, partial = (statistics.median(column) for column in zip(*found, strict=True))
    return marginal, partial


def line(name: str, runs: list[Finished], peak_mb: float) -> None:
    wall, cpu = (
        statistics.median(getattr(run, key) for run in runs) for key in ("wall_s", "cpu_s")
    )
    peak = f", peak {peak_mb:6.0f} MB" if peak_mb else ""
    print(f"{name:14} wall {wall:6.2f} s, cpu {cpu:6.2f} s{peak}")


def stages(times: list[dict[str, float]]) -> str:
    middle = {key: statistics.median(call[key] for call in times) for key in times[0]}
    return ", ".join(f"{key} {seconds:.2f} s" for key, seconds in middle.items())


def compare(name: str, runs: list[Finished], other: list[Finished], memory: float) -> None:
    walls = [b.wall_s / a.wall_s for a, b in zip(runs, other, strict=True)]
    print(
        f"plain / {name}: wall {statistics.median(walls):.1f} ({min(walls):.1f} to "
        f"{max(walls):.1f}), peak memory {memory:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=490)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="omit the plain side")
    parser.add_argument("--forms", action="store_true", help="compare forms of the connectome")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as name:
        folder = Path(name)
        root = make_dataset(folder, options.volumes)
        if options.forms:
            compare_forms(root, folder, options.rounds)
            alone = algebra_alone(folder, options.volumes, 3 * options.rounds)
            print("algebra alone, cpu: marginal {:.2f} s, partial {:.2f} s".format(*alone))
            return
        cleaned, bare, other, times, plain_times = [], [], [], [], []
        for _ in range(options.rounds):
            cleaned.append(ours(root, folder, "simple")[0])
            finished, timing = ours(root, folder, "none")
            bare.append(finished)
            times.append({"interpreter and arguments": start_up(), **timing})
            if not options.alone:
                other.append(plain(root, folder))
                plain_times.append(json.loads(other[-1].output.splitlines()[-1]))
        peaks = {
            strategy: ours(root, folder, strategy, memory=True)[0].peak_mb
            for strategy in ("simple", "none")
        }
        # The folder still holds the maps of strategy `none`: the plain way does not clean either.
        apart = difference(folder) if other else 0.0
        print(f"{options.volumes} volumes, {os.cpu_count()} cores, medians of {options.rounds}")
        line("ours, simple", cleaned, peaks["simple"])
        line("ours, none", bare, peaks["none"])
        line("with a report", [ours(root, folder, "simple", report=True)[0]], 0)
        print(f"  reading and predicting overlap: {stages(times)}")
        print(f"  inflating the file alone: {inflate_alone(root):.2f} s")
        if other:
            plain_peak = plain(root, folder, memory=True).peak_mb
            line("plain", other, plain_peak)
            print(f"  {stages(plain_times)}")
            compare("ours, none", bare, other, plain_peak / peaks["none"])
            compare("ours, simple", cleaned, other, plain_peak / peaks["simple"])
            print(f"largest difference of a map: {apart:.1e}")


if __name__ == "__main__":
    main()
