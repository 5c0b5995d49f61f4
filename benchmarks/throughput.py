"""Compare one run for many participants with a run for each.

    python benchmarks/throughput.py [--people 8] [--volumes 490] [--rounds 1] [--only NAME ...]
        [--model hcp-glasser] [--options --write connectome]

The participants are links to one synthetic resting-state run (2 mm, int16 .nii.gz, as in
participant.py), by default with a network of the published size and random weights. A model of
parcels also paints its maps as volumes; `--options --write connectome` leaves maps out. The
variants take turns.
The script prints the table of docs/evidence.md: wall-clock and processor time per participant,
participants per hour for the machine and per core, and peak memory, which is the sum of the
proportional set sizes of all processes in a separate run with half of the participants. `--folder`
keeps the data, and `--record` adds the results to history.tsv.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from history import record
from participant import FUNC, Finished, find_dataset, run

# Name -> options; the names are processes x threads, without reports.
CALLS = {
    "1 x 2": ["--nprocs", "2", "--omp-nthreads", "2", "--no-reports"],
    "2 x 1": ["--nprocs", "2", "--omp-nthreads", "1", "--no-reports"],
    "1 x 1": ["--nprocs", "1", "--omp-nthreads", "1", "--no-reports"],
    "default with reports": [],
}
SINGLE = "single calls"
NAMES = [SINGLE, *CALLS]


@dataclass(frozen=True)
class Setup:
    """What all calls have in common."""

    folder: Path  # holds the dataset, the random network and the last output
    options: list[str]  # of the program


@dataclass(frozen=True)
class Timed:
    """The times for all participants together."""

    wall_s: float
    cpu_s: float


def make_people(folder: Path, people: int, volumes: int) -> Path:
    """Write a dataset in which all participants have the same run; return its root."""
    root = find_dataset(folder, volumes)
    for number in range(2, people + 1):
        label = f"sub-{number:02d}"
        func = root / label / "func"
        if func.exists():
            continue
        func.mkdir(parents=True)
        for path in (root / FUNC).iterdir():
            os.link(path, func / path.name.replace("sub-01", label))
    return root


def call(setup: Setup, options: list[str], *, memory: bool = False) -> Finished:
    """Run the program on the participants that the options name, with an empty output folder."""
    out = setup.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    folders = [str(setup.folder / "fmriprep"), str(out)]
    program = [sys.executable, "-m", "bids_dtg.cli", *folders, "participant"]
    return run([*program, *setup.options, *options], memory=memory)


def called(setup: Setup, name: str, labels: list[str]) -> Timed:
    """Time one of `NAMES`."""
    if name == SINGLE:
        return single_calls(setup, labels)
    done = call(setup, [*CALLS[name], "--participant-label", *labels])
    return Timed(done.wall_s, done.cpu_s)


def single_calls(setup: Setup, labels: list[str]) -> Timed:
    """Time a run for each participant, one after the other; return the sums."""
    options = ["--no-reports", "--participant-label"]
    calls = [call(setup, [*options, label]) for label in labels]
    return Timed(
        sum(single.wall_s for single in calls), sum(single.cpu_s for single in calls)
    )


def peak_mb(setup: Setup, name: str, labels: list[str]) -> float:
    if name == SINGLE:
        options, chosen = ["--no-reports"], labels[:1]
    else:
        options, chosen = CALLS[name], labels[: max(2, len(labels) // 2)]
    return call(setup, [*options, "--participant-label", *chosen], memory=True).peak_mb


def measure(
    setup: Setup, names: list[str], labels: list[str], rounds: int
) -> tuple[dict[str, list[Timed]], dict[str, float]]:
    """Time the variants in turn, then measure their memory in MB."""
    times: dict[str, list[Timed]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            timed = called(setup, name, labels)
            times[name].append(timed)
            print(
                f"  {name}: {timed.wall_s / len(labels):.2f} s a participant",
                flush=True,
            )
    return times, {name: peak_mb(setup, name, labels) for name in names}


def figures(times: list[Timed], peak: float, people: int) -> dict[str, float]:
    """Return median times per participant, and peak memory."""
    wall, cpu = (
        statistics.median(getattr(timed, key) for timed in times)
        for key in ("wall_s", "cpu_s")
    )
    return {"wall_s": wall / people, "cpu_s": cpu / people, "peak_mb": peak}


def table(results: dict[str, dict[str, float]], cores: int) -> list[str]:
    """Return the table of docs/evidence.md."""
    lines = [
        "| | a participant | of the processor | an hour | an hour a core | peak memory |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for name, values in results.items():
        hour = 3600 / values["wall_s"]
        lines.append(
            f"| {spelled(name)} | {values['wall_s']:.1f} s | {values['cpu_s']:.1f} s | {hour:,.0f} "
            f"| {hour / cores:,.0f} | {values['peak_mb'] / 1000:.1f} GB |"
        )
    return lines


def spelled(name: str) -> str:
    """Name a row of the table by the options that a user types."""
    typed = " ".join(word for word in CALLS.get(name, []) if word != "--no-reports")
    return f"one call, `{typed}`" if typed else name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--volumes", type=int, default=490)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the data here, and reuse it")
    parser.add_argument("--model", help="another model, as of the program")
    rest = argparse.REMAINDER
    parser.add_argument("--options", nargs=rest, default=[], help="more of the program")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument(
        "--record", action="store_true", help="add the results to history.tsv"
    )
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as temporary:
        folder = options.folder or Path(temporary)
        make_people(folder, options.people, options.volumes)
        labels = [f"{number:02d}" for number in range(1, options.people + 1)]
        model = options.model or str(folder / "bundle")
        print_need(model, cores)
        common = ["--model", model, "--denoise-strategy", "simple", *options.options]
        setup = Setup(folder, common)
        # Fills caches for later runs.
        call(setup, ["--no-reports", "--participant-label", "01"])
        times, peaks = measure(setup, options.only, labels, options.rounds)
        results = {
            name: figures(times[name], peaks[name], len(labels)) for name in times
        }
        print("\n".join(table(results, cores)))
        for name, values in results.items():
            if name != SINGLE and SINGLE in results:
                print(
                    f"  {SINGLE} / {name}: {results[SINGLE]['wall_s'] / values['wall_s']:.2f}"
                )
    if options.record:
        to_record = {
            f"{name}: {key}": value
            for name in results
            for key, value in results[name].items()
        }
        words = [f"throughput, {options.people} people, {options.volumes} volumes"]
        words += [word for word in (options.model, *options.options) if word]
        record(", ".join(words), to_record)


def print_need(model: str, cores: int) -> None:
    from bids_dtg.contrasts.bundle.bundle import load_bundle
    from bids_dtg.contrasts.participant.model import bytes_needed

    bundle = load_bundle(model)
    needed = bytes_needed(bundle.places.number, bundle.rois, on_cpu=True)
    print(f"{cores} cores; a process is given {needed / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
