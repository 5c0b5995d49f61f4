"""Scores of all pairs of people: one matrix product for each contrast against pair by pair.

    python studies/evaluation.py [--people 200] [--voxels 158680]

Maps are on disk, as in `--analysis evaluate`. The plain way reads each pair's maps and calls
`np.corrcoef`. The script times it on some pairs, in turns with the program's way, and computes
its time for all pairs and 47 contrasts.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.judging.people_scores import PeopleScores

CONTRASTS, TURNS = 47, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--voxels", type=int, default=158_680)
    parser.add_argument("--pairs", type=int, default=400, help="timed the plain way, each turn")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        predicted, measured = (
            make(Path(folder) / f"{name}.npy", args, seed)
            for seed, name in enumerate(("predicted", "measured"))
        )
        mean = np.zeros(args.voxels, np.float32)
        ours, plain = [], []
        for turn in range(TURNS):
            start = time.perf_counter()
            scores = PeopleScores.of(predicted, measured, mean)
            ours.append(CONTRASTS * (time.perf_counter() - start))
            start = time.perf_counter()
            found = pair_by_pair(predicted, measured, args.pairs)
            seconds = time.perf_counter() - start
            plain.append(CONTRASTS * args.people**2 / args.pairs * seconds)
            for (a, b), r in found.items():
                assert abs(scores.matrix[b, a] - r) < 1e-4
            print(
                f"turn {turn}: {ours[-1]:.1f} s, pair by pair {plain[-1]:.0f} s, "
                f"{plain[-1] / ours[-1]:.0f} times",
                flush=True,
            )
    ratios = np.array(plain) / np.array(ours)
    print(
        f"{args.people} x {args.people} people, {CONTRASTS} contrasts, {args.voxels} voxels: "
        f"{np.median(ours):.1f} s against {np.median(plain):.0f} s, {np.median(ratios):.0f} times "
        f"({ratios.min():.0f} to {ratios.max():.0f}); largest memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, including cached maps "
        "of one contrast, which the system can take back"
    )


def make(path: Path, args: argparse.Namespace, seed: int) -> NDArray[np.float32]:
    maps = np.lib.format.open_memmap(path, "w+", np.float32, (args.people, args.voxels))
    rng = np.random.default_rng(seed)
    for person in maps:
        person[:] = rng.standard_normal(args.voxels, np.float32)
    return maps


def pair_by_pair(
    predicted: NDArray[np.float32], measured: NDArray[np.float32], pairs: int
) -> dict[tuple[int, int], float]:
    people = len(predicted)
    numbers = [(n // people, n % people) for n in range(pairs)]
    return {(a, b): float(np.corrcoef(predicted[a], measured[b])[0, 1]) for a, b in numbers}


if __name__ == "__main__":
    main()
