"""What do 1,000 permutations of a phenotype's prediction from whole maps cost?

    python benchmarks/phenotypes.py [--people 500] [--columns 158680] [--permutations 1000]
        [--folds 5] [--repeats 10] [--plain 2] [--threads 1]

Simulated maps (noise that a trait is spread over) lie in a memory-mapped float32 file. Our
procedure runs in a process of its own: seconds and the largest resident memory are printed, with
both penalties, the nested one chosen anew for each permutation. Beside it stands a plain loop over
scikit-learn's `Ridge` on the folds of one repeat, with one penalty, for a few permutations; the
ratio is of CPU seconds a permutation, repeat and penalty: other work on the machine counts less.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bids_dtg.stats.prediction.folds import repeated_folds
from bids_dtg.stats.prediction.phenotypes import Target, predict_phenotype
from bids_dtg.stats.prediction.ridge import Features


def main() -> None:
    """Simulate, time both, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--columns", type=int, default=158_680)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--plain", type=int, default=2, help="permutations of the plain loop")
    parser.add_argument("--threads", type=int, default=1, help="of linear algebra")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, y = simulate(Path(folder), args.people, args.columns)
        ours = apart(ours_costs, path, y, args)
        plain = apart(plain_costs, path, y, args) if args.plain else None
    per_run = ours["cpu_seconds"] / ((args.permutations + 1) * args.repeats * 2)
    print(
        f"ours\t{ours['seconds']:.1f} s (of these {ours['kernel_seconds']:.1f} s for the kernel), "
        f"{ours['cpu_seconds']:.1f} s of CPU\t{ours['memory_mb']:.0f} MB at most\t"
        f"r {ours['r_published']:.3f} published, {ours['r_nested']:.3f} nested\tp {ours['p']:.4f}"
    )
    if plain is not None:
        print(
            f"scikit-learn\t{plain['seconds']:.1f} s for {args.plain} permutations of one repeat "
            f"and penalty, {plain['cpu_seconds']:.1f} s of CPU\t{plain['memory_mb']:.0f} MB at most"
        )
        ratio = plain["cpu_seconds"] / args.plain / per_run
        print(
            f"a permutation, repeat and penalty\tours {1e3 * per_run:.2f} ms of CPU\t"
            f"ratio {ratio:.0f}"
        )


def simulate(folder: Path, people: int, columns: int) -> tuple[Path, np.ndarray]:
    """Write (people, columns) features that a trait is spread over; return the phenotype."""
    rng, path = np.random.default_rng(0), folder / "features.npy"
    trait, loading = rng.standard_normal((people, 1)), rng.standard_normal(columns)
    values = np.lib.format.open_memmap(path, "w+", np.float32, (people, columns))
    for start in range(0, people, 50):
        own = trait[start : start + 50]
        noise = rng.standard_normal((len(own), columns), dtype=np.float32)
        values[start : start + 50] = noise + 0.1 * own * loading
    values.flush()
    return path, trait[:, 0] + rng.standard_normal(people)


def apart(measure, path: Path, y: np.ndarray, args: argparse.Namespace) -> dict[str, float]:
    """Measure in a new process, so that its largest memory is its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measure, (path, y, args))


def ours_costs(path: Path, y: np.ndarray, args: argparse.Namespace) -> dict[str, float]:
    """Time the kernel, then both penalties with all permutations."""
    rng = np.random.default_rng(1)
    orders = np.stack([rng.permutation(len(y)) for _ in range(args.permutations)])
    folds = repeated_folds(np.arange(len(y)), folds=args.folds, repeats=args.repeats)
    with threadpool_limits(args.threads):
        start, used = time.perf_counter(), time.process_time()
        features = Features.of(np.load(path, mmap_mode="r"))
        kernel = time.perf_counter() - start
        found = predict_phenotype(features, Target.numbers(y), folds, permutations=orders)
        seconds = time.perf_counter() - start
    nested, published = found["nested"], found["published"]
    return {
        "seconds": seconds,
        "kernel_seconds": kernel,
        "cpu_seconds": time.process_time() - used,
        "memory_mb": _memory_mb(),
        "r_nested": nested.mean("r"),
        "r_published": published.mean("r"),
        "p": nested.p("r"),
    }


def plain_costs(path: Path, y: np.ndarray, args: argparse.Namespace) -> dict[str, float]:
    """Time a loop over scikit-learn's ridge regression, one repeat and penalty."""
    from sklearn.linear_model import Ridge

    x, rng = np.load(path), np.random.default_rng(1)
    folds = repeated_folds(np.arange(len(y)), folds=args.folds, repeats=1)
    with threadpool_limits(args.threads):
        start, used = time.perf_counter(), time.process_time()
        for _ in range(args.plain):
            own = y[rng.permutation(len(y))]
            for split in folds.splits():
                model = Ridge(alpha=x.shape[1] / len(split.train))
                model.fit(x[split.train], own[split.train]).predict(x[split.test])
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - used,
        "memory_mb": _memory_mb(),
    }


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
