"""Who wins where: kinds of model on the phantom, and on people outside what models assume.

    python studies/phantom_judge.py --work FOLDER

Phantoms (version 2) of seeds 11 to 15, which no parameter was set on, as calibrated and as three
variants (see
`VARIANTS`), by parcel as in `phantom_match.py`: 10 or 20 people to train and 10 others to test.
Kinds as in `auto_kind.py`; *chosen* is the kind with the highest residual r within the training
people. The unit of inference is the seed: a figure is the mean over seeds of means over people,
with its 95 % t interval. The work folder keeps all scores: the same command resumes a stopped call.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from auto_kind import INNER, KINDS, RESIDUAL_R, of_kinds
from linear_maps import Weighted
from phantom_match import BLOCK, kept, simulated
from real_people import SCORES, Split, Study

from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import VARIANTS, VERSION_2
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.stats.paired import t_interval

PEOPLE, TRAINING, TEST = 30, (10, 20), 10
SHOWN = {"residual r": 3, "identified": 2, "r - group": 4, "another's r - group": 4}
Rows = dict[str, dict[str, float]]  # by kind and score


def of_phantom(seed: int, variant: str) -> dict[str, Rows]:
    """Return the scores of each kind, and of the one chosen, by number of people to train."""
    parameters = dataclasses.replace(VERSION_2, **VARIANTS[variant])
    phantom = Phantom(parameters, seed=seed, block=BLOCK)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulated(phantom, folder, PEOPLE)
        files = [folder / "rest.npz", folder / "task.npz"]
        people = read_arrays(files, ["targets=beta", "contrasts=conditions"])
        weighted = Weighted(Study(people, 1), seed=0)
        labels = people.labels
        return {
            str(size): of_split(weighted, Split(tuple(labels[:size]), tuple(labels[-TEST:])))
            for size in TRAINING
        }


def of_split(weighted: Weighted, split: Split) -> Rows:
    """Judge each kind by the test people, and choose one within the training people."""
    inner: dict[str, list[float]] = {}
    for number in range(INNER):
        group = split.training[number::INNER]
        others = tuple(label for label in split.training if label not in group)
        for kind, values in of_kinds(weighted, Split(others, group)).items():
            inner.setdefault(kind, []).append(float(values[:, RESIDUAL_R].mean()))
    best = max(inner, key=lambda kind: np.mean(inner[kind]))
    outer = {
        kind: dict(zip(SCORES, map(float, values.mean(axis=0)), strict=True))
        for kind, values in of_kinds(weighted, split).items()
    }
    return {**outer, "chosen": outer[best], "choice": {best: 1.0}}


def interval_cells(of_seeds: Sequence[Mapping[str, float]], shown: Mapping[str, int]) -> list[str]:
    """Return the mean over seeds of each score with its 95 % interval, with so many digits."""
    cells = []
    for score, digits in shown.items():
        at = t_interval(np.array([one[score] for one in of_seeds]))
        cells.append(f"{at.mean:.{digits}f} [{at.low:.{digits}f}, {at.high:.{digits}f}]")
    return cells


def print_table(found: dict[tuple[str, int], dict[str, Rows]], seeds: Sequence[int]) -> None:
    """Print a row for each variant, number of people and kind, and who wins."""
    print(f"| people | to train | kind | {' | '.join(SHOWN)} |\n{'|---' * (3 + len(SHOWN))}|")
    for variant, size in itertools.product(VARIANTS, map(str, TRAINING)):
        of_seeds = [found[variant, seed][size] for seed in seeds]
        means = {}
        for kind in (*KINDS, "chosen"):
            if not all(kind in one for one in of_seeds):
                continue
            cells = interval_cells([one[kind] for one in of_seeds], SHOWN)
            means[kind] = np.mean([one[kind]["residual r"] for one in of_seeds])
            print("| " + " | ".join([variant, size, kind, *cells]) + " |")
        best = max(KINDS, key=lambda kind: means.get(kind, -1.0))
        chosen = [next(iter(one["choice"])) for one in of_seeds]
        print(f"(highest residual r: {best}; chosen: {', '.join(chosen)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15])
    args = parser.parse_args()
    found = {}
    for variant, seed in itertools.product(VARIANTS, args.seeds):
        path = args.work / f"{VERSION_2.hash[:12]}_{variant.replace(' ', '-')}_{seed}.json"
        found[variant, seed] = kept(path, lambda v=variant, s=seed: of_phantom(s, v))
    print_table(found, args.seeds)


if __name__ == "__main__":
    main()
