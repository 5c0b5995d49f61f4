"""How often the tests of `stats` and `associate` find anything where there is nothing.

    python studies/null_cohorts.py stats [--cohorts 400] [--permutations 499] [--seed 3]
    python studies/null_cohorts.py associate
    python studies/null_cohorts.py effects --cohorts 100

Smooth noise: maps of 25 x 40 voxels for `stats`, 10 x 10 for `associate`. A row a kind of cohort:
the share in which anything has q <= 0.05, by the counted false discovery rate and, for comparison,
by p of t (Benjamini and Hochberg), and the share in which anything has a family-wise p <= 0.05; of
cohorts in which the size of people's maps goes with what is tested, nothing is corrected, and
nothing found. A rate of 5 % should call 5 % of the cohorts.

`effects` adds one to some of the voxels: the share of these that is found, and the mean share of
false ones among what is found.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from bids_dtg.stats.cohort.association import Association, corrected
from bids_dtg.stats.cohort.coding import Coded, add_levels
from bids_dtg.stats.cohort.exchangeability import permutations, sign_flips
from bids_dtg.stats.cohort.map_sizes import LEVEL as SIZES_LEVEL
from bids_dtg.stats.cohort.map_sizes import residual_sizes, sizes_p
from bids_dtg.stats.cohort.pooled_fdr import why_no_q
from bids_dtg.stats.cohort.second_level import GroupDesign, correct_for_voxels, fit_group
from bids_dtg.stats.paired import false_discovery_rate

SHAPES = {"stats": (25, 40), "associate": (10, 10), "effects": (25, 40)}
SMOOTH = 1.5
WAYS = ("counted q", "q by p of t", "family-wise p")
LEVEL = 0.05
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Maps in which there is nothing, and how they are tested."""

    maps: Floats  # (people, voxels)
    tested: Floats  # (people,); all 1: their mean
    families: NDArray[np.intp]  # (people,)
    sites: NDArray[np.intp] | None = None  # (people,)
    covariates: Floats | None = None  # (people, columns)

    def given(self) -> Floats:
        """Return the covariates, with levels of sites as the program adds them."""
        names = tuple(map(str, range(0 if self.covariates is None else self.covariates.shape[1])))
        none = np.empty((len(self.tested), 0))
        coded = Coded(names, none if self.covariates is None else self.covariates)
        if self.sites is None or not np.ptp(self.tested):
            return coded.values
        return add_levels(coded, "site", [str(site) for site in self.sites], self.tested).values


@dataclass(frozen=True, eq=False)
class Noise:
    """Smooth maps of one shape."""

    shape: tuple[int, int]

    def of(self, rng: np.random.Generator, people: int) -> Floats:
        """Return maps of unrelated people, (people, voxels), with a standard deviation of 1."""
        maps = gaussian_filter(rng.standard_normal((people, *self.shape)), (0, SMOOTH, SMOOTH))
        return maps.reshape(people, -1) / maps.std()

    def heavy(self, rng: np.random.Generator, people: int) -> Floats:
        """Return maps whose voxels have the tails of t with 3 degrees of freedom."""
        maps = self.of(rng, people)
        return maps / np.sqrt(rng.chisquare(3, size=(people, 1)) / 3)

    def related(self, rng: np.random.Generator, families: NDArray[np.intp], alike: float) -> Floats:
        """Return maps that correlate within families."""
        maps = np.sqrt(alike) * self.of(rng, int(families.max()) + 1)[families]
        return maps + np.sqrt(1 - alike) * self.of(rng, len(families))


Draw = Callable[[np.random.Generator, Noise], Cohort]


def scales(rng: np.random.Generator, people: int) -> Floats:
    """Return unequal scales of people, (people, 1)."""
    return np.exp(rng.standard_normal(people))[:, None]


def some(people: int, members: int) -> NDArray[np.floating]:
    """Return 1 for the first members of a group, 0 for everybody else."""
    return (np.arange(people) < members).astype(float)


def families_of(members: int, number: int, alike: float, *, groups: bool) -> Draw:
    """Return what draws families whose maps correlate, tested for a mean or two groups."""
    families = np.repeat(np.arange(number), members)

    def draw(rng: np.random.Generator, noise: Noise) -> Cohort:
        tested = (families % 2).astype(float) if groups else np.ones(len(families))
        return Cohort(noise.related(rng, families, alike), tested, families)

    return draw


def three_sites(rng: np.random.Generator, noise: Noise, people: int = 40) -> Cohort:
    sites = np.arange(people) % 3
    maps = noise.of(rng, people) * np.array([0.5, 1.0, 2.0])[sites][:, None]
    maps += noise.of(rng, 3)[sites]
    tested = rng.standard_normal(people) + sites
    return Cohort(maps, tested, np.arange(people), sites)


def alone(people: int, draw: Callable[[np.random.Generator, Noise], tuple[Floats, Floats]]) -> Draw:
    """Return what draws maps and the tested column of unrelated people."""
    return lambda rng, noise: Cohort(*draw(rng, noise), np.arange(people))


STATS: dict[str, Draw] = {
    "40 unrelated, regression": alone(40, lambda r, n: (n.of(r, 40), r.standard_normal(40))),
    "12 unrelated, mean": alone(12, lambda r, n: (n.of(r, 12), np.ones(12))),
    "40, group of 2, people of unequal scales": alone(
        40, lambda r, n: (n.of(r, 40) * scales(r, 40), some(40, 2))
    ),
    "20 families of 2 (ICC .3), mean": families_of(2, 20, 0.3, groups=False),
    "20 families of 2 (ICC .5), mean": families_of(2, 20, 0.5, groups=False),
    "14 families of 3 (ICC .4), two groups": families_of(3, 14, 0.4, groups=True),
    "12 families of 4 (ICC .8), mean": families_of(4, 12, 0.8, groups=False),
    "40 of 3 sites with means and scales, regression": three_sites,
    "40, 10 patients with doubled maps": alone(
        40, lambda r, n: (n.of(r, 40) * (1 + some(40, 10))[:, None], some(40, 10))
    ),
}


def associations(people: int) -> dict[str, Draw]:
    """Return kinds of cohorts of a size, with a phenotype that nothing goes with."""
    rare = max(2, round(people / 20))

    def moved(rng: np.random.Generator, noise: Noise) -> Cohort:
        motion = np.abs(rng.standard_normal(people))
        maps = noise.of(rng, people) * (1 + motion)[:, None]
        tested = motion + rng.standard_normal(people)
        return Cohort(maps, tested, np.arange(people), covariates=motion[:, None])

    def aged(rng: np.random.Generator, noise: Noise) -> Cohort:
        given = rng.standard_normal((people, 3))
        maps = noise.of(rng, people) + given @ noise.of(rng, 3)
        tested = given.sum(axis=1) + rng.standard_normal(people)
        return Cohort(maps, tested, np.arange(people), covariates=given)

    def families(members: int, alike: float) -> Draw:
        own = np.repeat(np.arange(people // members), members)

        def draw(rng: np.random.Generator, noise: Noise) -> Cohort:
            shared = rng.standard_normal(people // members)[own]
            tested = np.sqrt(alike) * shared + np.sqrt(1 - alike) * rng.standard_normal(len(own))
            return Cohort(noise.related(rng, own, alike), tested, own)

        return draw

    def plain(tested: Callable[[np.random.Generator], Floats], kind: str = "of") -> Draw:
        return alone(people, lambda r, n: (getattr(n, kind)(r, people), tested(r)))

    def unequal(tested: Callable[[np.random.Generator], Floats]) -> Draw:
        return alone(people, lambda r, n: (n.of(r, people) * scales(r, people), tested(r)))

    def normal(rng: np.random.Generator) -> Floats:
        return rng.standard_normal(people)

    kinds = {
        "normal": plain(normal),
        "heavy tails": plain(normal, "heavy"),
        "skewed phenotype": plain(lambda r: np.exp(r.standard_normal(people))),
        "phenotype of 5 levels": plain(lambda r: r.integers(0, 5, people).astype(float)),
        "two groups": plain(lambda _: some(people, people // 2)),
        "group of 5 %": plain(lambda _: some(people, rare)),
        "group of 5 %, people of unequal scales": unequal(lambda _: some(people, rare)),
        "people of unequal scales": unequal(normal),
        "families of 2 (ICC .5)": families(2, 0.5),
        "3 sites": lambda r, n: three_sites(r, n, people),
        "motion in maps and phenotype, as covariate": moved,
        "3 covariates": aged,
        "25 % patients with doubled maps": alone(
            people,
            lambda r, n: (
                n.of(r, people) * (1 + some(people, people // 4))[:, None],
                some(people, people // 4),
            ),
        ),
    }
    return {f"{people}, {name}": draw for name, draw in kinds.items()}


# Cohorts, the share of voxels with an effect, and its size as the mean of t there.
EFFECTS: dict[str, tuple[Draw, float, float]] = {
    "40 unrelated, regression, 1 %": (STATS["40 unrelated, regression"], 0.01, 4),
    "40 unrelated, regression, 5 %": (STATS["40 unrelated, regression"], 0.05, 4),
    "40 unrelated, regression, 20 %": (STATS["40 unrelated, regression"], 0.2, 4),
    "12 unrelated, mean, 20 %": (STATS["12 unrelated, mean"], 0.2, 5),
    "20 families of 2 (ICC .5), mean, 5 %": (STATS["20 families of 2 (ICC .5), mean"], 0.05, 4),
    "14 families of 3 (ICC .4), two groups, 5 %": (
        STATS["14 families of 3 (ICC .4), two groups"],
        0.05,
        4,
    ),
    "12 families of 4 (ICC .8), mean, 20 %": (STATS["12 families of 4 (ICC .8), mean"], 0.2, 7),
    "40 of 3 sites with means and scales, 5 %": (
        STATS["40 of 3 sites with means and scales, regression"],
        0.05,
        4,
    ),
}


def with_effect(cohort: Cohort, share: float, size: float) -> tuple[Cohort, NDArray[np.bool_]]:
    """Return a cohort with an effect in the first of its voxels, and where it is."""
    others = cohort.given() - cohort.given().mean(axis=0)
    if np.ptp(cohort.tested):
        others = np.column_stack([others, np.ones(len(others))])
    basis = np.linalg.qr(others)[0]
    left = cohort.tested - basis @ (basis.T @ cohort.tested)
    there = np.arange(cohort.maps.shape[1]) < share * cohort.maps.shape[1]
    added = size / np.linalg.norm(left) * cohort.tested[:, None] * there
    return replace(cohort, maps=cohort.maps + added), there


def found_of_effect(
    cohort: Cohort, share: float, size: float, number: int, seed: int
) -> tuple[float, ...]:
    """Return the shares found and false: by counted rate, by rate of p of t, family-wise."""
    cohort, there = with_effect(cohort, share, size)
    given = cohort.given()
    design = GroupDesign(cohort.tested, given if given.size else None)
    drawn = (
        sign_flips(number, cohort.families, seed=seed).signs
        if design.tests_mean
        else permutations(number, cohort.families, sites=cohort.sites, seed=seed).orders
    )
    counted = correct_for_voxels(cohort.maps, design, drawn)
    by_t = false_discovery_rate(fit_group(cohort.maps, design).p) <= LEVEL
    shares = []
    for found in (counted.discoveries, by_t, counted.significant):
        shares += [found[there].mean(), (found & ~there).sum() / max(found.sum(), 1)]
    return tuple(map(float, shares))


def print_effects(noise: Noise, cohorts: int, number: int, first: int) -> None:
    """Print the table of effects that were added."""
    heads = [f"{how}: {what}, %" for how in WAYS for what in ("found", "false")]
    print(f"| cohorts, share with an effect | {' | '.join(heads)} |\n|---{'|---' * 6}|")
    for name, (draw, share, size) in EFFECTS.items():
        rng = np.random.default_rng(first)
        rows = [
            found_of_effect(draw(rng, noise), share, size, number, seed) for seed in range(cohorts)
        ]
        print(_row(name, rows), flush=True)


def found_by_stats(cohort: Cohort, number: int, seed: int) -> tuple[float, float, float]:
    """Return the smallest q and p of all voxels: counted rate, rate by p of t, family-wise."""
    given = cohort.given()
    design = GroupDesign(cohort.tested, given if given.size else None)
    if design.tests_mean:
        draws: NDArray[np.integer] = sign_flips(number, cohort.families, seed=seed).signs
    else:
        draws = permutations(number, cohort.families, sites=cohort.sites, seed=seed).orders
    by_t = float(false_discovery_rate(fit_group(cohort.maps, design).p).min())
    if not design.tests_mean and _unfair(cohort, design.taken_out, draws):
        return 1.0, by_t, 1.0
    found = correct_for_voxels(cohort.maps, design, draws)
    return float(found.q.min()), by_t, float(found.p.min())


def found_by_associate(cohort: Cohort, number: int, seed: int) -> tuple[float, float, float]:
    """Return the smallest q and p of all columns: counted rate, rate by p of t, family-wise."""
    given = cohort.given()
    drawn = permutations(number, cohort.families, sites=cohort.sites, seed=seed)
    tests = Association.of(cohort.tested, given, drawn).test(cohort.maps)
    by_t = float(false_discovery_rate(tests.p).min())
    others = np.column_stack([np.ones(len(given)), given])
    if why_no_q(number, drawn.possible) or _unfair(cohort, others, drawn.orders):
        return 1.0, by_t, 1.0
    (found,) = corrected([tests])
    return float(found.q.min()), by_t, float(found.p_fwe.min())


def _unfair(cohort: Cohort, others: Floats, orders: NDArray[np.integer]) -> bool:
    sizes = residual_sizes(cohort.maps, others)
    return sizes_p(sizes, cohort.tested, others, orders) <= SIZES_LEVEL


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("analysis", choices=("stats", "associate", "effects"))
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("--permutations", type=int, default=499)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    noise = Noise(SHAPES[options.analysis])
    if options.analysis == "effects":
        print_effects(noise, options.cohorts, options.permutations, options.seed)
        return
    kinds, found = STATS, found_by_stats
    if options.analysis == "associate":
        kinds = {name: draw for n in (12, 40, 100) for name, draw in associations(n).items()}
        found = found_by_associate
    print(f"| cohorts | {' | '.join(f'{way}, %' for way in WAYS)} |\n|---|---|---|---|")
    every = []
    for name, draw in kinds.items():
        rng = np.random.default_rng(options.seed)
        every.append(
            [found(draw(rng, noise), options.permutations, seed) for seed in range(options.cohorts)]
        )
        print(_row(name, every[-1]), flush=True)
    print(_row("all together", np.concatenate(every)))


def _row(name: str, rows: ArrayLike) -> str:
    cells = " | ".join(f"{share:.1f}" for share in 100 * np.mean(rows, axis=0))
    return f"| {name} | {cells} |"


if __name__ == "__main__":
    main()
