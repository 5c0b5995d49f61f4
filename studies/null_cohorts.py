"""How often the tests of `stats` find anything in cohorts in which there is nothing.

    python studies/null_cohorts.py [--cohorts 200] [--permutations 499] [--seed 3]

Smooth noise maps of 25 x 40 voxels. A row a kind of cohort: the share with a voxel at q <= 0.05, by
the counted false discovery rate and, for comparison, by p of t (Benjamini and Hochberg), and the
share with a voxel at a family-wise p <= 0.05. A rate of 5 % should call 5 % of the cohorts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bids_dtg.stats.cohort.exchangeability import permutations, sign_flips
from bids_dtg.stats.cohort.second_level import GroupDesign, correct_for_voxels, fit_group
from bids_dtg.stats.paired import false_discovery_rate

SHAPE, SMOOTH = (25, 40), 1.5
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Cohort:
    """Maps in which there is nothing, and how they are tested."""

    maps: NDArray[np.float64]  # (people, voxels)
    design: GroupDesign
    families: NDArray[np.intp]  # (people,)


def noise(rng: np.random.Generator, people: int) -> NDArray[np.float64]:
    """Return smooth maps of unrelated people, (people, voxels), with a standard deviation of 1."""
    maps = gaussian_filter(rng.standard_normal((people, *SHAPE)), (0, SMOOTH, SMOOTH))
    return maps.reshape(people, -1) / maps.std()


def unrelated(rng: np.random.Generator) -> Cohort:
    return Cohort(noise(rng, 40), GroupDesign(rng.standard_normal(40)), np.arange(40))


def twelve(rng: np.random.Generator) -> Cohort:
    return Cohort(noise(rng, 12), GroupDesign.of_mean(12), np.arange(12))


def rare_group(rng: np.random.Generator) -> Cohort:
    maps = noise(rng, 40) * np.exp(rng.standard_normal(40))[:, None]
    return Cohort(maps, GroupDesign((np.arange(40) < 2).astype(float)), np.arange(40))


def related(
    members: int, alike: float, number: int, *, groups: bool
) -> Callable[[np.random.Generator], Cohort]:
    """Return what draws families whose maps correlate."""

    def draw(rng: np.random.Generator) -> Cohort:
        families = np.repeat(np.arange(number), members)
        people = len(families)
        maps = np.sqrt(alike) * noise(rng, number)[families]
        maps += np.sqrt(1 - alike) * noise(rng, people)
        design = (
            GroupDesign((families % 2).astype(float)) if groups else GroupDesign.of_mean(people)
        )
        return Cohort(maps, design, families)

    return draw


COHORTS: dict[str, Callable[[np.random.Generator], Cohort]] = {
    "40 unrelated, regression": unrelated,
    "12 unrelated, mean": twelve,
    "40, group of 2, people of unequal scales": rare_group,
    "20 families of 2 (ICC .5), mean": related(2, 0.5, 20, groups=False),
    "14 families of 3 (ICC .4), two groups": related(3, 0.4, 14, groups=True),
    "12 families of 4 (ICC .8), mean": related(4, 0.8, 12, groups=False),
}


def found(cohort: Cohort, number: int, seed: int) -> tuple[bool, bool, bool]:
    """Return whether anything is found: counted rate, rate by p of t, family-wise."""
    if cohort.design.tests_mean:
        draws: NDArray[np.integer] = sign_flips(number, cohort.families, seed=seed).signs
    else:
        draws = permutations(number, cohort.families, seed=seed).orders
    corrected = correct_for_voxels(cohort.maps, cohort.design, draws)
    by_t = false_discovery_rate(fit_group(cohort.maps, cohort.design).p)
    return (
        bool(corrected.discoveries.any()),
        bool((by_t <= LEVEL).any()),
        bool(corrected.significant.any()),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=499)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    print("| cohorts | counted q, % | q by p of t, % | family-wise p, % |\n|---|---|---|---|")
    for name, draw in COHORTS.items():
        rng = np.random.default_rng(options.seed)
        rows = [found(draw(rng), options.permutations, seed) for seed in range(options.cohorts)]
        cells = " | ".join(f"{share:.1f}" for share in 100 * np.mean(rows, axis=0))
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
