"""Many participants in one call, against a call for each.

    python benchmarks/throughput.py [--people 8] [--volumes 490] [--folder F] [--only NAME ...]

The participants are links to one synthetic run (2 mm, int16 .nii.gz, as in participant.py), with
the published network's size and random weights. Prints wall clock, processor time and peak memory
(sum of the proportional set sizes of all processes, measured in a separate run), the memory that
`capacity.need` reserves, and the seconds of the stages, summed over all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from participant import FUNC, Finished, make_dataset, run

# Name -> processes, threads of each, further options.
CALLS = {
    "default": ([], "what a user gets"),
    "1 x 2": (["--nprocs", "1", "--omp-nthreads", "2"], "no reports"),
    "2 x 1": (["--nprocs", "2", "--omp-nthreads", "1"], "no reports"),
    "2 x 2": (["--nprocs", "2", "--omp-nthreads", "2"], "no reports"),
    "1 x 1": (["--nprocs", "1", "--omp-nthreads", "1"], "no reports"),
}
SINGLE = "single calls"


def make_people(folder: Path, people: int, volumes: int) -> Path:
    """Write a dataset of participants who all have the same run; return its root."""
    root = folder / "fmriprep"
    if not root.exists():
        make_dataset(folder, volumes)
    first = root / FUNC
    for number in range(2, people + 1):
        label = f"sub-{number:02d}"
        func = root / label / "func"
        if func.exists():
            continue
        func.mkdir(parents=True)
        for path in first.iterdir():
            os.link(path, func / path.name.replace("sub-01", label))
    return root


def call(root: Path, folder: Path, options: list[str], *, memory: bool = False) -> Finished:
    program = [sys.executable, "-m", "bids_dtg.cli", str(root), str(folder / "out"), "participant"]
    return run([*program, "--model", str(folder / "bundle"), *options], memory=memory)


def one_call(root: Path, folder: Path, name: str, labels: list[str]) -> Finished:
    """Time all participants in one call; measure memory in a second call with half of them."""
    options, what = CALLS[name]
    if what == "no reports":
        options = [*options, "--no-reports"]
    shutil.rmtree(folder / "out", ignore_errors=True)
    timed = call(root, folder, [*options, "--participant-label", *labels])
    (timing,) = (folder / "out").glob("logs/*/timing.json")
    stages = json.loads(timing.read_text())
    shutil.rmtree(folder / "out")
    half = labels[: max(2, len(labels) // 2)]
    seen = call(root, folder, [*options, "--participant-label", *half], memory=True)
    line(f"one call, {name} ({what})", timed.wall_s, timed.cpu_s, seen.peak_mb, len(labels))
    print("    " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items()))
    return timed


def single_calls(root: Path, folder: Path, labels: list[str]) -> float:
    """Time a call for each participant, one after the other; return the sum."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    timed = [call(root, folder, ["--no-reports", "--participant-label", label]) for label in labels]
    wall, cpu = sum(done.wall_s for done in timed), sum(done.cpu_s for done in timed)
    line(SINGLE, wall, cpu, 0.0, len(labels))
    return wall


def line(name: str, wall: float, cpu: float, peak_mb: float, people: int) -> None:
    memory = f", peak {peak_mb:.0f} MB" if peak_mb else ""
    print(
        f"{name}: wall {wall:.1f} s, {wall / people:.2f} s a participant, "
        f"{3600 * people / wall:.0f} an hour, cpu {cpu / people:.2f} s a participant{memory}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--volumes", type=int, default=490)
    parser.add_argument("--folder", type=Path, help="keep the data here, and reuse it")
    parser.add_argument("--only", nargs="+", choices=[SINGLE, *CALLS], default=[SINGLE, *CALLS])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as name:
        folder = options.folder or Path(name)
        folder.mkdir(exist_ok=True)
        root = make_people(folder, options.people, options.volumes)
        labels = [f"{number:02d}" for number in range(1, options.people + 1)]
        print_need(folder)
        alone = single_calls(root, folder, labels) if SINGLE in options.only else None
        for name in CALLS:
            if name in options.only:
                together = one_call(root, folder, name, labels)
                if alone:
                    print(f"    {SINGLE} / one call: {alone / together.wall_s:.2f}")


def print_need(folder: Path) -> None:
    from bids_dtg.bundles.bundle import load_bundle
    from bids_dtg.workflows.participant.model import bytes_needed

    voxels = load_bundle(str(folder / "bundle")).places.number
    print(f"{os.cpu_count()} cores; a process is given {bytes_needed(voxels) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
