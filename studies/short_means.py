"""Mean connectomes of short rest as arrays, and as factors of the rows of the mean, on real people.

    python studies/short_means.py ../shared/data/real/hcp30 --splits 4

Training people of the splits of `linear_maps.py` have their whole rest, and test people the first
3, 6 and 7.2 minutes, or all. Means of short rest are of all parts that are so long, or of each
person's first. Arrays are taken by the least deviation, as models of before do; factors by minutes.
A last table counts which of whole, 3, 6 and 10 minutes the least deviation would take of factors.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from linear_maps import SHORT_TRAINING, Rows, Weighted, predicted, print_head
from real_people import Study, fitted

from bids_dtg.contrasts.kind import ModelSpace
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.weighted_linear import WeightedLinear
from bids_dtg.contrasts.weighted_sums import SHORTER_MINUTES, rows_of
from bids_dtg.inputs.arrays import ArrayPeople, read_arrays
from bids_dtg.stats.linear import WHOLE, standardised

FRAMES = (250, 500, 600, 1200)  # of test people: 3, 6, 7.2 and 14.4 minutes
NONE = "no means of short rest"


def first_parts(weighted: Weighted, people: list[Person], space: ModelSpace) -> list[Person]:
    """Return people whose shorter rest is the first part of each length alone."""
    made = []
    for person in people:
        (array,) = weighted.study.people.sessions_of(person.label)
        shorter = {}
        for length in SHORTER_MINUTES:
            rest = weighted.study.rest(person.label, round(60 * length / array.tr_seconds))
            found = weighted.connectome(rest, space, array.tr_seconds)
            shorter[length] = standardised(found, WHOLE)
        made.append(dataclasses.replace(person, shorter=shorter))
    return made


def with_arrays(model: WeightedLinear, people: list[Person]) -> WeightedLinear:
    """Return a model with means of short rest as arrays."""
    short = [
        np.mean([person.shorter[length] for person in people], axis=0) for length in SHORTER_MINUTES
    ]
    means = np.concatenate([model.means, np.array(short, np.float32)])
    return dataclasses.replace(model, means=means, short=None)


def least_deviation(model: WeightedLinear, person: Person) -> int:
    """Return the length of which the person's deviation is least, by factors."""
    found = [
        sum(
            model._square(person.connectomes[0].astype(np.float32), rows, length)
            for rows in rows_of(model.sets)
        )
        for length in range(1 + len(SHORTER_MINUTES))
    ]
    return int(np.argmin(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument("--splits", type=int, default=6)
    args = parser.parse_args()
    people = read_arrays(
        [args.folder / "rest.npz", args.folder / "task.npz"],
        ["targets=beta", "contrasts=conditions"],
    )
    weighted = Weighted(Study(people, args.splits), 0)
    rows = {frames: Rows() for frames in FRAMES}
    nearest: dict[int, list[int]] = {frames: [] for frames in FRAMES}
    for split in weighted.study.drawn(*SHORT_TRAINING):
        space, (training, _) = weighted.sets(split, None, None)
        sets = {
            frames: [weighted.person(label, space, frames, trains=False) for label in split.test]
            for frames in FRAMES
        }
        for parts, own in (
            ("all parts", training),
            ("first parts", first_parts(weighted, training, space)),
        ):
            fit = fitted("linear", own, space, people.contrasts)
            assert isinstance(fit.model, WeightedLinear)
            models = {
                f"arrays of {parts}": with_arrays(fit.model, own),
                f"factors of {parts}": fit.model,
            }
            if own is training:
                models[NONE] = dataclasses.replace(fit.model, short=None)
            for frames, test in sets.items():
                for row, model in models.items():
                    maps = predicted(dataclasses.replace(fit, model=model), test)
                    rows[frames].add(row, split.test, maps, (own, test))
                if own is training:
                    nearest[frames] += [least_deviation(fit.model, person) for person in test]
    print_head(["minutes"])
    for frames in FRAMES:
        rows[frames].print([minutes_of(frames, people)], NONE)
    print("\n| minutes | whole | 3 | 6 | 10 |\n|" + " --- |" * 5)
    for frames, found in nearest.items():
        counts = np.bincount(found, minlength=4).astype(str)
        print("| " + " | ".join([minutes_of(frames, people), *counts]) + " |")


def minutes_of(frames: int, people: ArrayPeople) -> str:
    return f"{frames * people.rest[0].tr_seconds / 60:.1f}"


if __name__ == "__main__":
    main()
