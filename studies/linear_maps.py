"""The linear model of real people's rest: how well it tells people apart.

    python studies/linear_maps.py ../shared/data/real/hcp30

20 people of the Human Connectome Project by parcel: rest, and maps of 24 task conditions. They are
split at random many times: 15 to train and 5 others to test. All that the model needs comes from
the training people. Each person's scores are averaged over the splits where that person was tested.
These people are development people: about 220 variants were tried on them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg import fit_linear
from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.stats.paired import t_interval

TRAINING, TEST = 15, 5
HEAD = ("r - group", "residual r", "identified", "another's r - group", "held by half-widths")
Array = NDArray[np.float32]
Values = NDArray[np.float64]


def score(maps: Array, measured: Array, mean: Array) -> Values:
    """Score predicted maps (people, contrasts, places), means over contrasts: (people, scores)."""
    found = []
    for contrast in range(maps.shape[1]):
        of = PeopleScores.of(maps[:, contrast], measured[:, contrast])
        average = np.repeat(mean[None, contrast], len(measured), axis=0)
        group = PeopleScores.of(average, measured[:, contrast]).r
        residual = np.nan_to_num(of.residual_r)
        found.append([of.r - group, residual, of.identified, of.others_r - group])
    return np.asarray(np.mean(found, axis=0).T, np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument("--splits", type=int, default=20)
    args = parser.parse_args()
    start = time.perf_counter()
    with np.load(args.folder / "rest.npz") as file:
        rest, tr_seconds = file["rest"], float(file["tr_seconds"])
    with np.load(args.folder / "task.npz") as file:
        maps = file["beta"].astype(np.float32)
    rng = np.random.default_rng([16, TRAINING])
    found: dict[int, list[Values]] = {}
    for _ in range(args.splits):
        order = rng.permutation(len(rest))
        training, test = np.sort(order[:TRAINING]), np.sort(order[TRAINING : TRAINING + TEST])
        model = fit_linear(rest[training], maps[training], tr_seconds)
        predicted = np.stack([model.predict(rest[person]) for person in test])
        scores = score(predicted, maps[test], maps[training].mean(axis=0))
        held = (np.abs(predicted - maps[test]) <= model.half_widths).mean(axis=(1, 2))
        scores = np.column_stack([scores, held])
        for person, values in zip(test, scores, strict=True):
            found.setdefault(int(person), []).append(values)
    columns = np.array([np.mean(values, axis=0) for values in found.values()]).T
    print(f"{len(found)} people, {args.splits} splits of {TRAINING} to train and {TEST} to test")
    for title, values in zip(HEAD, columns, strict=True):
        over, digits = t_interval(values), ".4f" if "group" in title else ".3f"
        print(f"{title}: {over.mean:{digits}} [{over.low:{digits}}, {over.high:{digits}}]")
    print(f"{time.perf_counter() - start:.0f} s, one process")


if __name__ == "__main__":
    main()
