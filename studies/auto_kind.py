"""Which kind ``--architecture auto`` should choose: decided on training people, judged outside.

    python studies/auto_kind.py ../shared/data/real/hcp30

The 20 people and the splits of `real_people.py`. Within the training people of each split, each
kind is fitted to two thirds and scored on the others, in turn; the kind with the highest residual r
is chosen, and judged by the split's test people, beside each kind for itself. Group ICA and all
that a model chooses come from the people that it is fitted to. `linear` is the weighted model of
five sets of ROI maps; the other kinds read the connectome of the 50 maps among them, in the same
standardised partial form. With 10 people the groups are too small for a blend. Intervals are over
people. These people are development people: about 220 variants of `linear` were tried on them.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from linear_maps import Weighted, predicted
from real_people import FEWEST_BLENDED, SCORES, Array, Sets, Split, Study, Values, fitted, score

from bids_dtg.contrasts.kind import ModelSpace
from bids_dtg.contrasts.people import Person
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.stats.paired import t_interval

KINDS = ("linear", "linear-parcel", "local-ridge", "blend")
CHOSEN = "the kind that wins within the training people"
PEOPLE = ((10, 10), (15, 5))  # to train, and to test
INNER = 3  # groups of training people
RESIDUAL_R = SCORES.index("residual r")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument("--splits", type=int, default=6)
    args = parser.parse_args()
    start = time.perf_counter()
    people = read_arrays(
        [args.folder / "rest.npz", args.folder / "task.npz"],
        ["targets=beta", "contrasts=conditions"],
    )
    weighted = Weighted(Study(people, args.splits), seed=0)
    print("| people | model | residual r | difference from linear | identified | r - group |")
    print("|" + " --- |" * 6)
    for training, test in PEOPLE:
        one_size(weighted, training, test)
    print(f"\n{args.splits} splits, one process: {time.perf_counter() - start:.0f} s")


def one_size(weighted: Weighted, training: int, test: int) -> None:
    """Print a row for each kind and for the choice, and how often each kind was chosen."""
    found: dict[str, dict[str, list[Values]]] = {}
    wins: collections.Counter[str] = collections.Counter()
    for split in weighted.study.drawn(training, test):
        inner: dict[str, list[float]] = {}
        for number in range(INNER):
            group = split.training[number::INNER]
            others = tuple(label for label in split.training if label not in group)
            for kind, values in of_kinds(weighted, Split(others, group)).items():
                inner.setdefault(kind, []).append(float(values[:, RESIDUAL_R].mean()))
        best = max(inner, key=lambda kind: np.mean(inner[kind]))
        wins[best] += 1
        outer = of_kinds(weighted, split)
        for row, values in {**outer, CHOSEN: outer[best]}.items():
            for label, own in zip(split.test, values, strict=True):
                found.setdefault(row, {}).setdefault(label, []).append(own)
    means = {row: people_means(of_people) for row, of_people in found.items()}
    for row, values in means.items():
        away = t_interval(values[:, RESIDUAL_R] - means["linear"][:, RESIDUAL_R])
        mean = dict(zip(SCORES, values.mean(axis=0), strict=True))
        cells = [
            *(str(training), row, f"{mean['residual r']:.3f}"),
            "" if row == "linear" else f"{away.mean:+.3f} [{away.low:+.3f}, {away.high:+.3f}]",
            *(f"{mean['identified']:.3f}", f"{mean['r - group']:+.4f}"),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)
    print(f"({training} people: chosen " + ", ".join(f"{k} {n}" for k, n in wins.items()) + ")")


def people_means(of_people: Mapping[str, Sequence[Values]]) -> Values:
    """Return means over splits, (people, scores)."""
    return np.array([np.mean(of_people[label], axis=0) for label in sorted(of_people)])


def of_kinds(weighted: Weighted, split: Split) -> Mapping[str, Values]:
    """Fit each kind to training people and score it on the others, (people, scores)."""
    space = weighted.space(split.training, None)
    sets = weighted.people(split, space, None, None, short=False)
    single, of_single = one_set(space, sets)
    found = {}
    for kind in KINDS:
        if kind == "blend" and len(split.training) < FEWEST_BLENDED:
            continue
        where, people = (space, sets) if kind == "linear" else (single, of_single)
        maps = maps_of(kind, where, people, weighted.study.people.contrasts)
        found[kind] = score(maps, *people)
    return found


def maps_of(kind: str, space: ModelSpace, sets: Sets, contrasts: Sequence[str]) -> Array:
    """Fit a kind and predict the maps of the others, (people, contrasts, places)."""
    return predicted(fitted(kind, sets[0], space, contrasts), sets[1])


def one_set(space: ModelSpace, sets: Sets) -> tuple[ModelSpace, Sets]:
    """Return space and people with the set of ROI maps that is nearest to 50."""
    rows = space.form.one_set(space.rois)
    form = dataclasses.replace(space.form, sets=())

    def of(people: Sequence[Person]) -> list[Person]:
        return [dataclasses.replace(person.of_one_set(), form=form) for person in people]

    single = dataclasses.replace(space, roi_maps=space.roi_maps[rows].astype(np.float32), form=form)
    return single, (of(sets[0]), of(sets[1]))


if __name__ == "__main__":
    main()
