"""Time forward passes, training and whole participants on a GPU; print Markdown tables.

    python benchmarks/gpu.py [--device cuda] [--only forward training participants cores]

Sizes are the published ones, weights are random (seeded). Each row is measured in a separate
process, so that its peak memory can be measured. If a device cannot do something, the row gives the
reason. `--small --device cpu` tests the script itself in about a minute. The tables are those of
docs/evidence.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from forward import grey_matter

REPEATS = 5
READERS = (1, 4, 8)  # processes on the GPU
CORES = (1, 4, 8, 16)  # processes without the GPU, each with at least one participant
# Precision, as Lightning names it, and batch size in multiples of the usual one.
TRAININGS = (
    ("32-true", 1),
    ("bf16-mixed", 1),
    ("32-true", 2),
    ("32-true", 3),
    ("bf16-mixed", 3),
)


@dataclass(frozen=True)
class Size:
    """Sizes of the network, the data and the runs."""

    rois: int = 50
    contrasts: int = 47
    features: int = 64
    shape: tuple[int, int, int] = (76, 93, 78)
    frames: int = 490  # of a resting-state run
    batch: int = 10  # people in a batch of training
    people: int = 8  # in one run of the program

    def mask(self) -> np.ndarray:
        if self.shape == Size.shape:
            return np.asarray(grey_matter())
        return np.random.default_rng(0).random(self.shape) < 0.3


SMALL = Size(5, 3, 8, (24, 20, 16), frames=340, batch=4, people=2)


def describe_device(device: str) -> str:
    import torch

    cores = f"{os.cpu_count()} cores"
    if device == "cpu":
        return f"no GPU, {cores}, PyTorch {torch.__version__}"
    gpu = torch.cuda.get_device_properties(device)
    return (
        f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, {cores}, PyTorch {torch.__version__}, "
        f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    )


def print_table(
    title: str, columns: Sequence[str], rows: Iterator[Sequence[str]]
) -> None:
    """Print a table row by row, as it is measured."""
    print(
        f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True
    )
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


# --- a row in a separate process


def measured(work: str, options: argparse.Namespace, **facts: Any) -> dict[str, Any]:
    """Do one item of `WORK` in a new process; return the results, or the reason of a failure."""
    words = [sys.executable, __file__, "--device", options.device]
    words += ["--small"] if options.small else []
    done = subprocess.run(
        [*words, "--work", json.dumps([work, facts])], capture_output=True, text=True
    )
    if done.returncode == 0:
        results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return results
    *_, reason = done.stderr.strip().splitlines() or ["it ended without a word"]
    return {"why": reason.replace("|", "/")[:100]}


def peak_mib(device: str) -> float:
    """Return the peak GPU memory that PyTorch reserved, including its cache."""
    import torch

    if device == "cpu":
        return float("nan")
    return torch.cuda.max_memory_reserved(device) / 2**20


def forward(
    size: Size, device: str, *, form: str, save: str, compare: str
) -> dict[str, float]:
    """Time a form of the network, from array to array, and compare its maps with stored ones."""
    from gpu_forms import FORMS, Agreement, make, random_network

    mask = size.mask()
    connectome = (
        np.random.default_rng(0).uniform(-1, 1, (size.rois, mask.sum())).astype("f4")
    )
    start = time.perf_counter()
    network = random_network(size.rois, size.contrasts, size.features)
    predict = make(FORMS[form], network, mask, device)
    maps = predict(connectome)
    first, times = time.perf_counter() - start, []
    for _ in range(REPEATS):
        start = time.perf_counter()
        maps = predict(connectome)
        times.append(time.perf_counter() - start)
    if save:
        np.save(save, maps)
    agreement = Agreement.of(maps, np.load(compare) if compare else maps)
    return {
        "first_s": first,
        "seconds": statistics.median(times),
        "peak_mib": peak_mib(device),
        "least_r": agreement.least_r,
        "largest_error": agreement.largest_error,
    }


def training(
    size: Size, device: str, *, precision: Any, batches: int
) -> dict[str, float]:
    """Time updates of the weights in the program's own training, in the second short epoch."""
    from bids_dtg.contrasts.plan import TrainingPlan
    from bids_dtg.contrasts.train import PersonSamples, train
    from bids_dtg.training.loop import Workplace

    mask, rng = size.mask(), np.random.default_rng(0)
    voxels, updates, batch = int(mask.sum()), 5, size.batch * batches

    def people(number: int) -> PersonSamples:
        connectomes = rng.random((number, 1, size.rois, voxels), np.float32)
        maps = rng.standard_normal((number, size.contrasts, voxels), np.float32)
        return PersonSamples(connectomes, maps, mask)

    plan = TrainingPlan(
        features=size.features,
        epochs=2,
        precision=precision,
        batch=batch,
        batches=updates,
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder), device)
        card = train(people(batch), people(2), plan, place).card
    return {
        "seconds": card["history"][-1]["seconds"] / updates,
        "peak_mib": peak_mib(device),
    }


WORK: dict[str, Callable[..., dict[str, float]]] = {
    "forward": forward,
    "training": training,
}


# --- the tables


def figure(results: dict[str, Any], name: str, form: str) -> str:
    value = results.get(name, float("nan"))
    return "-" if np.isnan(value) else f"{value:{form}}"


def forward_rows(options: argparse.Namespace, folder: Path) -> Iterator[Sequence[str]]:
    from gpu_forms import FORMS

    truth = str(folder / "maps.npy")
    for name, form in FORMS.items():
        if options.forms and name not in (*options.forms, "blocks"):
            continue
        if form.needs_gpu and options.device == "cpu":
            results: dict[str, Any] = {"why": "needs a GPU"}
        else:
            paths = {"save": "", "compare": truth}
            if name == "blocks":
                paths = {"save": truth, "compare": ""}
            results = measured("forward", options, form=name, **paths)
        yield (
            form.words,
            results.get("why") or figure(results, "seconds", ".4f"),
            figure(results, "first_s", ".2f"),
            figure({"n": 60 / results.get("seconds", np.nan)}, "n", ".0f"),
            figure(results, "peak_mib", ",.0f"),
            figure(results, "least_r", ".6f"),
            figure(results, "largest_error", ".1e"),
        )


def training_rows(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    size = SMALL if options.small else Size()
    for precision, batches in TRAININGS:
        results = measured("training", options, precision=precision, batches=batches)
        yield (
            precision,
            str(size.batch * batches),
            results.get("why") or figure(results, "seconds", ".3f"),
            figure(results, "peak_mib", ",.0f"),
        )


def participant_rows(
    options: argparse.Namespace, folder: Path
) -> Iterator[Sequence[str]]:
    """Run the program for several participants, with several processes at a time.

    Each process has its own reader; they share the device.
    """
    size = SMALL if options.small else Size()
    for readers in READERS:
        threads = max(1, (os.cpu_count() or 1) // readers)
        yield participants(
            options.device, size.people, readers, threads, size.frames, folder
        )


def core_rows(options: argparse.Namespace, folder: Path) -> Iterator[Sequence[str]]:
    """Run the program without a GPU, with processes of one thread each."""
    size = SMALL if options.small else Size()
    for cores in CORES:
        if cores <= (os.cpu_count() or 1):
            yield participants("cpu", max(2, cores), cores, 1, size.frames, folder)[:-1]


def participants(
    device: str, people: int, processes: int, threads: int, frames: int, folder: Path
) -> Sequence[str]:
    """Run the program for several participants; return a row of the table."""
    import shutil

    from participant import run
    from throughput import make_people

    root = make_people(folder, max(people, Size.people), frames)
    labels = [f"{number:02d}" for number in range(1, people + 1)]
    words = ["--device", device, "--nprocs", str(processes * threads), "--no-reports"]
    words += ["--omp-nthreads", str(threads), "--participant-label", *labels]
    shutil.rmtree(folder / "out", ignore_errors=True)
    program = [sys.executable, "-m", "bids_dtg.cli", str(root), str(folder / "out")]
    with watched_memory(device) as most:
        done = run(
            [*program, "participant", "--model", str(folder / "bundle"), *words],
            memory=False,
        )
    return (
        str(processes),
        f"{60 * people / done.wall_s:.1f}",
        f"{done.wall_s / people:.2f}",
        f"{done.cpu_s / people:.2f}",
        figure({"mib": most()}, "mib", ",.0f"),
    )


@contextmanager
def watched_memory(device: str) -> Iterator[Callable[[], float]]:
    """Watch the GPU memory of all processes while a block runs; give the peak increase."""
    if device == "cpu":
        yield lambda: float("nan")
        return
    import torch

    def used() -> float:
        free, total = torch.cuda.mem_get_info(device)
        return (total - free) / 2**20

    before = used()  # this process's own share included
    seen, over = [before], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.append(used())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: max(seen) - before
    finally:
        over.set()
        thread.join()


def tables(options: argparse.Namespace, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print(describe_device(options.device))
    if "forward" in options.only:
        columns = [
            "forward pass",
            "s",
            "first s",
            "a minute",
            "peak MiB",
            "least r",
            "error",
        ]
        print_table("**One forward pass**", columns, forward_rows(options, folder))
    if "training" in options.only:
        columns = ["precision", "people in a batch", "s an update", "peak MiB"]
        print_table("**A training step**", columns, training_rows(options))
    if "participants" in options.only:
        columns = [
            "processes, each with a reader",
            "participants a minute",
            "s each",
            "CPU-s each",
        ]
        columns.append("peak MiB of the GPU")
        print_table(
            "**Whole participants**", columns, participant_rows(options, folder)
        )
    if "cores" in options.only:
        columns = [
            "processes of one thread",
            "participants a minute",
            "s each",
            "CPU-s each",
        ]
        print_table(
            "**Whole participants without a GPU**", columns, core_rows(options, folder)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--device", default="cuda", help="cuda, cuda:N, or cpu to try the script"
    )
    names = ["forward", "training", "participants", "cores"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--forms", nargs="+", help="only these forms of the forward pass"
    )
    parser.add_argument(
        "--folder", type=Path, help="keep the participants here, and reuse them"
    )
    parser.add_argument("--small", action="store_true", help="tiny sizes")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work, facts = options.work
        size = SMALL if options.small else Size()
        print(json.dumps(WORK[work](size, options.device, **facts)))
        return
    with tempfile.TemporaryDirectory(prefix="dtg-bench-") as name:
        tables(options, options.folder or Path(name))


if __name__ == "__main__":
    main()
