"""Mean connectomes of short rest, kept in forms that take less room, on real people.

    python studies/short_means.py ../shared/data/real/hcp30 [--splits 6]

Training people of the splits of `linear_maps.py` have their whole rest, and test people the first
3, 6 and 7.2 minutes. The model has the training people's means of short rest: of all parts that are
so long or of each person's first, and as they are or as the mean of the whole rest (a) with a
factor a row, (b) with its rows mixed within each set, by least squares.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from linear_maps import SHORT_TRAINING, Rows, Weighted, predicted, print_head
from real_people import Array, Study, fitted

from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.weighted_linear import SHORTER_MINUTES, WeightedLinear
from bids_dtg.contrasts.weighted_sums import rows_of
from bids_dtg.inputs.arrays import read_arrays
from bids_dtg.stats.linear import WHOLE, standardised

FRAMES = (250, 500, 600)  # of test people: 3, 6 and 7.2 minutes
NONE, EXACT = "no means of short rest", "means of all parts"


def first_parts(weighted: Weighted, people: list[Person], space) -> list[Person]:
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


def a_factor(whole: Array, short: Array) -> Array:
    """Return the mean of short rest as that of whole rest, each row times a factor."""
    factor = (whole * short).sum(axis=1) / (whole**2).sum(axis=1)
    return np.asarray(factor[:, None] * whole)


def mixed(whole: Array, short: Array) -> Array:
    """Return the mean of short rest as that of whole rest, with its rows mixed."""
    return np.asarray((short @ whole.T) @ np.linalg.pinv(whole @ whole.T) @ whole)


def with_means(model: WeightedLinear, make) -> WeightedLinear:
    """Return a model whose means of short rest are made from its means of each set."""
    means = model.means.astype(np.float64)
    for rows in rows_of(model.sets):
        means[1:, rows] = [make(means[0, rows], short[rows]) for short in means[1:]]
    return dataclasses.replace(model, means=means.astype(np.float32))


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
    errors: dict[str, list[Array]] = {}
    for split in weighted.study.drawn(*SHORT_TRAINING):
        space, (training, _) = weighted.sets(split, None, None)
        sets = {
            frames: [weighted.person(label, space, frames, trains=False) for label in split.test]
            for frames in FRAMES
        }
        for name, own in (
            (EXACT, training),
            ("means of first parts", first_parts(weighted, training, space)),
        ):
            fit = fitted("linear", own, space, people.contrasts)
            assert isinstance(fit.model, WeightedLinear)
            models = {
                name: fit.model,
                f"{name}, a factor a row": with_means(fit.model, a_factor),
                f"{name}, rows mixed": with_means(fit.model, mixed),
            }
            if name == EXACT:
                models = {NONE: dataclasses.replace(fit.model, means=fit.model.means[:1]), **models}
                exact = fit.model
            for row, model in models.items():
                if len(model.means) > 1:
                    apart = ((model.means - exact.means)[1:] ** 2).mean(axis=(1, 2)) ** 0.5
                    change = ((exact.means[1:] - exact.means[0]) ** 2).mean(axis=(1, 2)) ** 0.5
                    errors.setdefault(row, []).append(apart / change)
                for frames, test in sets.items():
                    maps = predicted(dataclasses.replace(fit, model=model), test)
                    rows[frames].add(row, split.test, maps, (own, test))
    print_head(["minutes"])
    for frames in FRAMES:
        minutes = f"{frames * people.rest[0].tr_seconds / 60:.1f}"
        rows[frames].print([minutes], EXACT)
    print("\nrms error of means of 3, 6 and 10 minutes, as share of what short rest changes")
    for row, found in errors.items():
        print(f"{row}: " + ", ".join(f"{value:.3f}" for value in np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
